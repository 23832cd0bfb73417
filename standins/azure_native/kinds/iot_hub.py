"""IoT hubs: each is served on loopback by ../../iot_hub, where azure-iot-hub finds it as it would in Azure."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provider.resource import ProviderError
from standins.azure_native.kinds.kind import Kind

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from provider.resource import Call
    from standins.azure_native.store import Record, Store
    from toolchain.daemon import Daemon

TOKEN = "iothub:IotHubResource"  # noqa: S105 - a type
_ROOT = Path(__file__).parents[3]
_READY_SECONDS = 30.0
_MOST_UNITS = {"F1": 1, "B1": 200, "B2": 200, "B3": 10, "S1": 200, "S2": 200, "S3": 10}
_RIGHTS = ("RegistryRead", "RegistryWrite", "ServiceConnect", "DeviceConnect")
# What every hub has.
_POLICIES = {
    "iothubowner": ", ".join(_RIGHTS),
    "service": "ServiceConnect",
    "device": "DeviceConnect",
    "registryRead": "RegistryRead",
    "registryReadWrite": "RegistryRead, RegistryWrite",
}


class IotHub(Kind):
    """An IoT hub."""

    global_name = "iothub"
    taken_code = "NameNotAvailable"
    quota = 50
    runs = True

    def check(self, inputs: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Check its size."""
        yield from super().check(inputs)
        sku = inputs.get("sku")
        if not isinstance(sku, dict) or not isinstance(sku.get("name"), str):
            return
        most = _MOST_UNITS.get(sku["name"])
        if most is None:
            yield "sku.name", f"{sku['name']!r} is none of {', '.join(_MOST_UNITS)}"
        elif isinstance(sku.get("capacity"), int) and not 1 <= sku["capacity"] <= most:
            yield "sku.capacity", f"{sku['capacity']} units; {sku['name']} has 1 to {most}"

    def compute(
        self, db: sqlite3.Connection, resource: str, inputs: dict[str, Any], old: Record | None
    ) -> dict[str, Any]:
        """Give it its tier; its name in the net comes when it runs."""
        sku = inputs["sku"]
        tier = {"F": "Free", "B": "Basic", "S": "Standard"}[sku["name"][0]]
        return {**super().compute(db, resource, inputs, old), "sku": {**sku, "tier": tier}, "etag": "AAAADGStandIn="}

    def provision(self, call: Call, record: Record, inputs: dict[str, Any]) -> dict[str, Any]:
        """Serve it."""
        call.status("starting the stand-in for the hub")
        host = serve(self.store, record)
        return {"properties": {**(inputs.get("properties") or {}), "hostName": host, "state": "Active"}}

    def remove(self, call: Call, record: Record) -> None:
        """Serve it no longer; its devices are gone with it."""
        del call
        with self.store.lock(f"iot-hub {record.name}"):
            _daemon(self.store, record).stop()
            shutil.rmtree(_folder(self.store, record), ignore_errors=True)


def policies(store: Store, record: Record) -> dict[str, dict[str, Any]]:
    """Return a hub's shared access policies, by name: both keys, and the rights."""
    given = (record.body.get("properties") or {}).get("authorizationPolicies")
    rights = {one["keyName"]: one["rights"] for one in given} if given else _POLICIES
    return {
        name: {
            "keys": [_key(store, record, name, which) for which in ("primary", "secondary")],
            "rights": [one for one in _RIGHTS if one.lower() in allowed.lower().replace(" ", "").split(",")],
        }
        for name, allowed in rights.items()
    }


def _key(store: Store, record: Record, policy: str, which: str) -> str:
    text = f"{store.mark}|{record.id.lower()}|{policy}|{which}"
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def serve(store: Store, record: Record) -> str:
    """Have a hub served, if it is not yet: a machine may have been started anew.

    Args:
        store: What there is.
        record: The hub.

    Returns:
        Its name in the net, with its port.

    Raises:
        ProviderError: It does not start.
    """
    from toolchain.report import ToolchainError  # noqa: PLC0415 - only hubs need it

    wanted = policies(store, record)
    with store.lock(f"iot-hub {record.name}"):
        folder, daemon = _folder(store, record), _daemon(store, record)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        served = folder / "served.json"
        before = json.loads(served.read_text(encoding="utf-8")) if served.is_file() else {}
        port = before.get("port") or _free_port()
        mark = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()
        if daemon.pid is None or before.get("policies") != mark:
            served.write_text(json.dumps({"port": port, "policies": mark}), encoding="utf-8")
            command = [sys.executable, "-m", "standins.iot_hub", "--folder", str(folder), "--port", str(port)]
            command += ["--certificates", str(store.folder / "iot-hub" / "tls")]
            env = {**os.environ, "PYTHONPATH": str(_ROOT), "SLIPWAY_IOT_HUB_POLICIES": json.dumps(wanted)}
            try:
                daemon.start(command, ready=lambda: _answers(port), within=_READY_SECONDS, to_do="see its log", env=env)
            except ToolchainError as error:
                raise ProviderError(f"the stand-in for the hub {record.name} does not start: {error}") from None
    return f"localhost:{port}"


def _folder(store: Store, record: Record) -> Path:
    return store.folder / "iot-hub" / record.name.lower()


def _daemon(store: Store, record: Record) -> Daemon:
    from toolchain.cache import Cache  # noqa: PLC0415 - only hubs need it
    from toolchain.daemon import Daemon  # noqa: PLC0415 - only hubs need it

    return Daemon(Cache(store.folder / "iot-hub"), record.name.lower(), os.environ)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
