"""One Azurite for all storage accounts of a store: started with the first account, stopped with the last.

It listens where containers of the Docker engine reach it too, and goes on when the plugin ends. Its accounts are given
to it as it starts, so a new account starts it again; its ports and blobs stay. It knows keys only: what an account
says about shared keys, and what identities may do, is asked by what stands in front of it for container groups
(standins/azure_metadata).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from provider.resource import ProviderError
from standins.azure_native.addresses import answers, bridge_host, free_port
from standins.azure_native.kinds.storage import account_key

if TYPE_CHECKING:
    from provider.resource import Call
    from standins.azure_native.store import Record, Store
    from toolchain.report import Step

_ROOT = Path(__file__).parents[2]
_ACCOUNTS = "storage:StorageAccount"
_READY_SECONDS = 60.0
_SECONDS = 30
_SIGNED_SECONDS = 600
_VERSION = "2021-12-02"
_GONE, _THERE = 404, 409


class _Progress:
    """What the toolchain shows its progress on: all that it uses of a step."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def doing(self, text: str) -> None:
        """Show it."""
        self._call.status(text)


def serve(call: Call, store: Store, account: str) -> dict[str, str]:
    """Have an account served.

    Args:
        call: To report progress.
        store: What there is; the account is in it.
        account: Its name.

    Returns:
        Its endpoints by service. Azure's own, where Azurite cannot be had: then nothing answers there.
    """
    from toolchain.report import ToolchainError  # noqa: PLC0415 - only accounts need it

    with store.lock("azurite"):
        try:
            served = _running(call, store, account)
        except ToolchainError as error:
            call.log("warning", f"Azurite cannot be had, so storage accounts are state only: {error}")
            return {name: f"https://{account}.{name}.core.windows.net/" for name in ("blob", "queue", "table")}
    return {name: f"http://{served['host']}:{port}/{account}/" for name, port in served["ports"].items()}


def _running(call: Call, store: Store, account: str) -> dict[str, Any]:
    from toolchain import azurite, npm  # noqa: PLC0415 - only accounts need it
    from toolchain.cache import Cache  # noqa: PLC0415 - only accounts need it
    from toolchain.context import context_of  # noqa: PLC0415 - only accounts need it
    from toolchain.daemon import Daemon  # noqa: PLC0415 - only accounts need it
    from toolchain.report import Report  # noqa: PLC0415 - only accounts need it

    folder = store.folder / "azurite"
    daemon = Daemon(Cache(folder), "azurite", os.environ)
    served = _served(store)
    accounts = sorted({one.name: one.id for one in store.all(_ACCOUNTS)}.items())
    names = [name for name, _ in accounts]
    if daemon.pid is not None and account in served.get("accounts", ()):
        return served
    context = context_of(_ROOT, os.environ, Report())
    installed = azurite.install(context, cast("Step", _Progress(call)))
    call.status("starting Azurite")
    host = served.get("host") or bridge_host()
    ports = served.get("ports") or {name: free_port(host) for name in azurite.SERVICES}
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    main = installed / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
    node = npm.node(context)
    command = [str(node), str(main), "--location", str(data)]
    command += ["--silent", "--disableTelemetry", "--skipApiVersionCheck"]
    for name, port in ports.items():
        command += [f"--{name}Host", host, f"--{name}Port", str(port)]
    keys = ";".join(f"{name}:{account_key(store, one)}:{account_key(store, one, 'key2')}" for name, one in accounts)
    daemon.start(
        command,
        ready=lambda: all(answers(host, port) for port in ports.values()),
        within=_READY_SECONDS,
        to_do="see its log",
        # The keys by a variable, not as an argument: those are seen by everyone on the machine.
        env={**os.environ, "AZURITE_ACCOUNTS": keys},
    )
    served = {"host": host, "ports": ports, "accounts": names}
    (folder / "served.json").write_text(json.dumps(served), encoding="utf-8")
    return served


def _served(store: Store) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        served: dict[str, Any] = json.loads((store.folder / "azurite" / "served.json").read_text(encoding="utf-8"))
        return served
    return {}


def place(store: Store) -> tuple[str, int] | None:
    """Return where it serves blobs: host and port; None where it serves no account."""
    served = _served(store)
    return (served["host"], served["ports"]["blob"]) if served else None


def account_signature(store: Store, account: Record) -> str:
    """Return what opens all blobs of an account for some minutes, as part of a query (an account SAS, 2019-02-02).

    Args:
        store: Whose key it is made with.
        account: Which.
    """
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + _SIGNED_SECONDS))
    given = {"sp": "rwdlacup", "ss": "b", "srt": "sco", "se": until, "sv": "2019-02-02"}
    lines = [account.name, given["sp"], given["ss"], given["srt"], "", until, "", "", given["sv"], ""]
    key = base64.b64decode(account_key(store, account.id))
    signature = base64.b64encode(hmac.new(key, "\n".join(lines).encode(), hashlib.sha256).digest()).decode()
    return urllib.parse.urlencode({**given, "sig": signature})


def withdraw(call: Call, store: Store, account: str) -> None:
    """Remove an account's blobs, and Azurite with the last account.

    Args:
        call: To say what could not be done.
        store: What there is; the account is still in it.
        account: Its name.
    """
    from toolchain.cache import Cache  # noqa: PLC0415 - only accounts need it
    from toolchain.daemon import Daemon  # noqa: PLC0415 - only accounts need it

    with store.lock("azurite"):
        folder = store.folder / "azurite"
        others = [one for one in store.all(_ACCOUNTS) if one.name != account]
        if not others:
            if folder.is_dir():
                Daemon(Cache(folder), "azurite", os.environ).stop()
                shutil.rmtree(folder)
            return
    if account in _served(store).get("accounts", ()):
        try:
            for name in _containers(store, account):
                _request(store, account, "DELETE", name, {"restype": "container"}, (_GONE,))
        except ProviderError as error:
            call.log("warning", f"the blobs of {account} stay in Azurite: {error}")


def make_container(call: Call, store: Store, resource: str) -> None:
    """Make a container for blobs.

    Args:
        call: To start Azurite again if it has ended.
        store: What there is.
        resource: The container's id.
    """
    account, name = _names(resource)
    serve(call, store, account)
    if account in _served(store).get("accounts", ()):
        _request(store, account, "PUT", name, {"restype": "container"}, (_THERE,))


def delete_container(call: Call, store: Store, resource: str) -> None:
    """Delete a container with its blobs; it may be gone already, and Azurite too."""
    account, name = _names(resource)
    try:
        if account in _served(store).get("accounts", ()):
            _request(store, account, "DELETE", name, {"restype": "container"}, (_GONE,))
    except ProviderError as error:
        call.log("warning", f"the blobs of {account}/{name} stay in Azurite: {error}")


def _names(resource: str) -> tuple[str, str]:
    parts = resource.split("/")
    return parts[parts.index("storageAccounts") + 1], parts[-1]


def _containers(store: Store, account: str) -> list[str]:
    from xml.etree import ElementTree as ET  # noqa: PLC0415 - only here

    listed = _request(store, account, "GET", "", {"comp": "list"}, ())
    return [str(name.text) for name in ET.fromstring(listed).iter("Name")]  # noqa: S314 - Azurite's own words


def _request(
    store: Store, account: str, method: str, name: str, query: dict[str, str], allowed: tuple[int, ...]
) -> bytes:
    """Ask Azurite, signed with the account's key (Authorize with Shared Key, 2021-12-02)."""
    served = _served(store)
    record = next(one for one in store.all(_ACCOUNTS) if one.name == account)
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": _VERSION}
    signed = [method, *[""] * 11, *(f"{key}:{value}" for key, value in sorted(headers.items()))]
    path = f"/{account}/{name}"
    signed += [f"/{account}{path}", *(f"{key}:{value}" for key, value in sorted(query.items()))]
    key = base64.b64decode(account_key(store, record.id))
    digest = base64.b64encode(hmac.new(key, "\n".join(signed).encode(), hashlib.sha256).digest()).decode()
    headers["Authorization"] = f"SharedKey {account}:{digest}"
    text = "&".join(f"{key}={value}" for key, value in query.items())
    url = f"http://{served['host']}:{served['ports']['blob']}{path}?{text}"
    request = urllib.request.Request(url, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as reply:  # noqa: S310 - as above
            found: bytes = reply.read()
            return found
    except urllib.error.HTTPError as error:
        if error.code in allowed:
            return b""
        raise ProviderError(f"Azurite refused {method} {path}: {error.code} {error.reason}") from error
    except OSError as error:
        raise ProviderError(f"Azurite does not answer: {error}") from error


def connection_string(store: Store, account: str) -> str:
    """Return what Azure's clients take, for AZURE_STORAGE_CONNECTION_STRING.

    Args:
        store: What there is.
        account: The account's name.

    Returns:
        With its key: a secret.

    Raises:
        ProviderError: There is no such account, or nothing serves it.
    """
    served = _served(store)
    record = next((one for one in store.all(_ACCOUNTS) if one.name == account), None)
    if record is None or account not in served.get("accounts", ()):
        raise ProviderError(f"no storage account {account} is served here")
    endpoints = "".join(
        f"{name.title()}Endpoint=http://{served['host']}:{port}/{account};" for name, port in served["ports"].items()
    )
    key = account_key(store, record.id)
    return f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={key};{endpoints}"
