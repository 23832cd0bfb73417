"""The network that gives a store's container groups tokens and storage: a service in a container's network of its own.

Azure's addresses need a network where nobody else has them: port 80 of 169.254.169.254, and port 443 of the accounts'
names. Groups have a route there. Started with the first group that has an identity while there is an account,
stopped with the last; a process of this machine, so it takes root, on the machine of the engine.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provider.resource import ProviderError
from standins.azure_native import azurite
from standins.azure_native.addresses import answers
from standins.azure_native.groups import pause
from standins.azure_native.groups.bodies import STORE
from standins.docker.engine import NOT_FOUND, Engine, EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provider.resource import Call
    from standins.azure_native.store import Store
    from toolchain.daemon import Daemon

ADDRESS = "169.254.169.254"
TOKENS_PORT, BLOBS_PORT = 80, 443
BLOBS = "blob.core.windows.net"
_MARK = "io.slipway.azure.metadata"
_ROOT = Path(__file__).parents[2]
_ACCOUNTS, _GROUPS = "storage:StorageAccount", "containerinstance:ContainerGroup"
_READY_SECONDS = 60.0
_COMMAND_SECONDS = 60
# What OpenSSL looks an authority up by in a folder of certificates: a hash of its name, which is below.
AUTHORITY = "Slipway stand-in for Azure Storage"
AUTHORITY_FILE = "a2439b91.0"
_CERTIFICATES = "etc/ssl/certs"


@dataclass(frozen=True)
class Surroundings:
    """What a container group finds around it.

    Attributes:
        address: Where its requests for tokens and blobs go.
        hosts: Names that lead there, as Docker takes them.
        authority: The certificate of who signed the storage's.
    """

    address: str
    hosts: list[str]
    authority: bytes

    def reach(self, process: int) -> None:
        """Lead a network there.

        Args:
            process: One that is in it.

        Raises:
            ProviderError: It cannot be.
        """
        _inside(process, ["ip", "route", "replace", f"{ADDRESS}/32", "via", self.address])

    def trust(self, engine: Engine, container: str) -> None:
        """Have a container's system trust the storage, as it trusts Azure's; images without certificates stay so.

        Args:
            engine: Where it is.
            container: Its id; it has not started.
        """
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as archive:
            member = tarfile.TarInfo(AUTHORITY_FILE)
            member.size, member.mode = len(self.authority), 0o444
            archive.addfile(member, io.BytesIO(self.authority))
        try:
            with engine.doing("have a container trust the storage") as api:
                api.put_archive(container, f"/{_CERTIFICATES}", data.getvalue())
        except EngineError as error:
            if error.status != NOT_FOUND:
                raise


def surroundings(call: Call, store: Store, engine: Engine) -> Surroundings | None:
    """Have the service run, for a group that is about to.

    Args:
        call: To report progress.
        store: What there is.
        engine: Where the group will run.

    Returns:
        What the group finds; None where there is no storage for it, or where it cannot be.

    Raises:
        ProviderError: The service does not start.
    """
    accounts = [one.name for one in store.all(_ACCOUNTS)]
    if not accounts or azurite.place(store) is None:
        return None
    if os.geteuid() or not (shutil.which("nsenter") and shutil.which("ip")):
        call.log("warning", "containers get no tokens of their identities here: that takes root, nsenter and ip")
        return None
    with store.lock("metadata"):
        network = _network(store, engine)
        process, address = network["State"]["Pid"], network["NetworkSettings"]["IPAddress"]
        if not Path(f"/proc/{process}/ns/net").exists():
            call.log("warning", "containers get no tokens of their identities here: the engine is on another machine")
            return None
        daemon = _daemon(store)
        if daemon.pid is None or not answers(address, BLOBS_PORT):
            call.status("starting the stand-in of identities and their storage")
            _start(store, daemon, process, address)
    hosts = [f"{name}.{BLOBS}:{address}" for name in accounts]
    return Surroundings(address, hosts, certificates(store)[0].read_bytes())


def certificates(store: Store) -> tuple[Path, Path]:
    """Return the authority's certificate, and the storage's with its key."""
    from standins.iot_hub import tls  # noqa: PLC0415 - slow to import, and few need it

    return tls.certificates(store.folder / "metadata" / "tls", names=[f"*.{BLOBS}"], authority=AUTHORITY)


def withdraw(store: Store, engine: Engine, group: str) -> None:
    """Stop the service with the last group.

    Args:
        store: What there is; the group may still be in it.
        engine: Where it runs.
        group: The group's id.
    """
    folder = store.folder / "metadata"
    if not folder.is_dir() or any(one.id.lower() != group.lower() for one in store.all(_GROUPS)):
        return
    with store.lock("metadata"):
        _daemon(store).stop()
        for one in _networks(store, engine):
            with engine.doing("remove the network of identities") as api:
                api.remove_container(one["Id"], force=True)
        shutil.rmtree(folder, ignore_errors=True)


def _start(store: Store, daemon: Daemon, process: int, address: str) -> None:
    from toolchain.report import ToolchainError  # noqa: PLC0415 - few need it

    certificates(store)
    module = [sys.executable, "-m", "standins.azure_metadata", str(store.folder)]
    try:
        daemon.start(
            _entering(process, module),
            ready=lambda: answers(address, BLOBS_PORT),
            within=_READY_SECONDS,
            to_do="see its log",
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
        )
    except ToolchainError as error:
        raise ProviderError(f"the stand-in of identities does not start: {error}") from None


def _network(store: Store, engine: Engine) -> dict[str, Any]:
    for one in _networks(store, engine):
        found = engine.inspect_container(one["Id"])
        if found and found["State"]["Running"]:
            return found
        with engine.doing("remove the network of identities") as api:
            api.remove_container(one["Id"], force=True)
    pause.ensure(engine)
    body = {
        "Image": pause.IMAGE,
        "Labels": {STORE: store.mark, _MARK: "network"},
        "HostConfig": {"NetworkMode": "bridge", "CapDrop": ["ALL"]},
    }
    with engine.doing("make the network of identities") as api:
        made = api.create_container_from_config(body, f"aci-metadata-{store.mark[:12]}")["Id"]
        api.start(made)
    found = engine.inspect_container(made)
    if found is None:
        raise ProviderError("the network of identities has gone")
    return found


def _networks(store: Store, engine: Engine) -> list[dict[str, Any]]:
    with engine.doing("look for the network of identities") as api:
        listed: list[dict[str, Any]] = api.containers(all=True, filters={"label": [f"{STORE}={store.mark}", _MARK]})
    return listed


def _entering(process: int, command: Iterable[str]) -> list[str]:
    return ["nsenter", f"--net=/proc/{process}/ns/net", *command]


def _inside(process: int, command: list[str]) -> None:
    done = subprocess.run(
        _entering(process, command), capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False
    )
    if done.returncode:
        raise ProviderError(f"`{' '.join(command)}` in a group's network: {done.stderr.strip()}")


def _daemon(store: Store) -> Daemon:
    from toolchain.cache import Cache  # noqa: PLC0415 - few need it
    from toolchain.daemon import Daemon  # noqa: PLC0415 - few need it

    folder = store.folder / "metadata"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Daemon(Cache(folder), "metadata", os.environ)
