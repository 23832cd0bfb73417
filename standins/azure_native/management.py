"""The management API of a store: a service from its first container group until its last resource group is gone.

`management/served.json` in the store's folder says where it is, what token it takes, and which resource groups it has.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from provider.resource import ProviderError
from standins.azure_native.addresses import answers, free_port
from toolchain.cache import read_json

if TYPE_CHECKING:
    from standins.azure_native.store import Store
    from toolchain.daemon import Daemon

HERE = "127.0.0.1"
AUDIENCE = "https://management.azure.com"
DEPLOYER = "deployer"
"""Whose token is given to whoever may read the store's folder."""
_ROOT = Path(__file__).parents[2]
_RESOURCE_GROUPS = "resources:ResourceGroup"
_READY_SECONDS = 60.0
# There is no way to sign in again here.
_LIFE_SECONDS = 10 * 365 * 86_400


def serve(store: Store) -> None:
    """Have what there is served.

    Raises:
        ProviderError: The service does not start.
    """
    with store.lock("management"):
        daemon = _daemon(store)
        served = read_json(_served(store))
        if daemon.pid is None or not served:
            served = _start(store, daemon, served.get("port") or free_port(HERE))
        _write(store, served)


def revive(store: Store) -> None:
    """Start it again where it has ended, as with the machine."""
    if _served(store).is_file() and _daemon(store).pid is None:
        serve(store)


def settle(store: Store) -> None:
    """Serve what has been deleted no longer; with the last resource group the service ends."""
    if not _served(store).is_file():
        return
    with store.lock("management"):
        if store.all(_RESOURCE_GROUPS):
            _write(store, read_json(_served(store)))
            return
        _daemon(store).stop()
        shutil.rmtree(folder_of(store), ignore_errors=True)


def folder_of(store: Store) -> Path:
    """Return the folder of what it needs, its key among it."""
    return store.folder / "management"


def _served(store: Store) -> Path:
    return folder_of(store) / "served.json"


def _start(store: Store, daemon: Daemon, port: int) -> dict[str, object]:
    from standins.azure_metadata.tokens import Tokens  # noqa: PLC0415 - slow to import
    from toolchain.report import ToolchainError  # noqa: PLC0415 - only groups need it

    # Makes the key, which the service reads.
    token = Tokens(folder_of(store)).issue(DEPLOYER, AUDIENCE, life=_LIFE_SECONDS)["access_token"]
    try:
        daemon.start(
            [sys.executable, "-m", "standins.azure_management", str(store.folder), "--port", str(port)],
            ready=lambda: answers(HERE, port),
            within=_READY_SECONDS,
            to_do="see its log",
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
        )
    except ToolchainError as error:
        raise ProviderError(f"the stand-in of Azure's management API does not start: {error}") from None
    return {"address": f"http://{HERE}:{port}", "port": port, "token": token}


def _write(store: Store, served: dict[str, object]) -> None:
    """Say it, to whoever may read the folder; somebody may be reading."""
    wanted = {**served, "resourceGroups": sorted(one.id.lower() for one in store.all(_RESOURCE_GROUPS))}
    path = _served(store)
    if wanted == read_json(path):
        return
    new = path.with_name("served.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(wanted, file)
    new.replace(path)


def _daemon(store: Store) -> Daemon:
    from toolchain.cache import Cache  # noqa: PLC0415 - only groups need it
    from toolchain.daemon import Daemon  # noqa: PLC0415 - as above

    folder = folder_of(store)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Daemon(Cache(folder), "management", os.environ)
