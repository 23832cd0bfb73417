"""The data plane of Batch accounts: one service for all of a store, started with the first, stopped with the last."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from provider.resource import ProviderError
from standins.azure_native.addresses import answers, bridge_host, free_port
from toolchain.cache import read_json

if TYPE_CHECKING:
    from provider.resource import Call
    from standins.azure_native.store import Store
    from toolchain.daemon import Daemon

_ROOT = Path(__file__).parents[2]
_ACCOUNTS = "batch:BatchAccount"
_READY_SECONDS = 60.0
_HERE = "127.0.0.1"


def serve(call: Call, store: Store, account: str) -> str:
    """Have an account served.

    Args:
        call: To report progress.
        store: What there is.
        account: Its name.

    Returns:
        Its address.

    Raises:
        ProviderError: The service does not start.
    """
    from toolchain.report import ToolchainError  # noqa: PLC0415 - only accounts need it

    with store.lock("batch"):
        folder, daemon = _folder(store), _daemon(store)
        served = read_json(folder / "served.json")
        if daemon.pid is None:
            call.status("starting the stand-in of Batch's jobs")
            # Containers reach the bridge's address; who is on this machine, loopback.
            hosts = list(dict.fromkeys([_HERE, served.get("host") or bridge_host()]))
            port = served.get("port") or free_port(hosts[-1])
            command = [sys.executable, "-m", "standins.azure_batch", str(store.folder), "--port", str(port)]
            command += [part for host in hosts for part in ("--host", host)]
            try:
                daemon.start(
                    command,
                    ready=lambda: all(answers(host, port) for host in hosts),
                    within=_READY_SECONDS,
                    to_do="see its log",
                    env={**os.environ, "PYTHONPATH": str(_ROOT)},
                )
            except ToolchainError as error:
                raise ProviderError(f"the stand-in of Batch's jobs does not start: {error}") from None
            served = {"host": hosts[-1], "port": port}
            (folder / "served.json").write_text(json.dumps(served), encoding="utf-8")
    return f"http://{_HERE}:{served['port']}/{account}"


def withdraw(store: Store, account: str) -> None:
    """Stop the service with the last account."""
    with store.lock("batch"):
        if any(one.name != account for one in store.all(_ACCOUNTS)) or not _folder(store).is_dir():
            return
        _daemon(store).stop()
        shutil.rmtree(_folder(store))


def is_running(store: Store) -> bool:
    """Tell whether the service runs."""
    return _daemon(store).pid is not None


def _folder(store: Store) -> Path:
    folder = store.folder / "batch"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _daemon(store: Store) -> Daemon:
    from toolchain.cache import Cache  # noqa: PLC0415 - only accounts need it
    from toolchain.daemon import Daemon  # noqa: PLC0415 - only accounts need it

    return Daemon(Cache(_folder(store)), "batch", os.environ)
