"""Traffic Manager: a forwarder on this machine in the place of a name that leads to the first enabled endpoint."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provider.resource import ProviderError
from standins.azure_native.addresses import answers
from standins.azure_native.kinds.kind import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provider.resource import Call
    from standins.azure_native.store import Record
    from toolchain.daemon import Daemon

_EXTERNAL = "Microsoft.Network/trafficManagerProfiles/externalEndpoints"
_READY_SECONDS = 20.0
_FORWARDER = Path(__file__).parents[1] / "forwarder.py"


class Profile(Kind):
    """A profile. Its fqdn is an address of its own, where the port that it monitors is forwarded."""

    quota = 200
    runs = True

    def check(self, inputs: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Check what Azure wants beyond the types."""
        yield from super().check(inputs)
        if inputs.get("location") not in (None, "global"):
            yield "location", "is always global"
        for name in ("dnsConfig", "monitorConfig", "trafficRoutingMethod"):
            if name not in inputs:
                yield name, "is required by Azure, though the SDK does not say so"
        for index, one in enumerate(inputs.get("endpoints") or []):
            if isinstance(one, dict) and one.get("type") == _EXTERNAL and "target" not in one:
                yield f"endpoints[{index}].target", "is required for an external endpoint"
        monitor = inputs.get("monitorConfig")
        if isinstance(monitor, dict) and monitor.get("intervalInSeconds") not in (None, 10, 30):
            yield "monitorConfig.intervalInSeconds", "is 10 or 30"

    def global_names(self, resource: str, body: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Take the name below trafficmanager.net."""
        del resource
        yield "traffic manager", body["dnsConfig"]["relativeName"]

    def _address(self, resource: str) -> str:
        one = hashlib.sha256(f"{self.store.mark}|{resource.lower()}".encode()).digest()
        return f"127.{192 + one[0] % 32}.{one[1]}.{1 + one[2] % 254}"

    def provision(self, call: Call, record: Record, inputs: dict[str, Any]) -> dict[str, Any]:
        """Lead to the endpoint; the forwarder that runs already takes it over."""
        from toolchain.report import ToolchainError  # noqa: PLC0415 - only profiles need it

        enabled = [one for one in inputs.get("endpoints") or [] if one.get("endpointStatus", "Enabled") == "Enabled"]
        first: dict[str, Any] = min(enabled, key=lambda one: one.get("priority", 1), default={})
        folder = self.store.folder / "traffic-manager"
        folder.mkdir(parents=True, exist_ok=True)
        file, daemon = folder / f"{record.name}.json", self._daemon(record)
        port = inputs["monitorConfig"]["port"]
        led = {"port": port, "target": first.get("target", ""), "ttl": inputs["dnsConfig"].get("ttl", 60)}
        beside = file.with_suffix(".new")
        beside.write_text(json.dumps(led), encoding="utf-8")
        same_port = file.is_file() and json.loads(file.read_text(encoding="utf-8"))["port"] == port
        beside.replace(file)
        address = self._address(record.id)
        # The name that Azure would give, NAME.trafficmanager.net, does not lead here.
        found = {"dnsConfig": {**inputs["dnsConfig"], "fqdn": address}, "profileMonitorStatus": "Online"}
        if same_port and daemon.pid is not None:
            return found
        call.status("starting the forwarder")
        command = [sys.executable, "-I", "-S", str(_FORWARDER), address, str(file)]
        try:
            daemon.start(
                command, ready=lambda: answers(address, port), within=_READY_SECONDS, to_do="see its log", env={}
            )
        except ToolchainError as error:
            raise ProviderError(f"the forwarder of {record.name} does not start: {error}") from None
        return found

    def remove(self, call: Call, record: Record) -> None:
        """Stop the forwarder."""
        del call
        self._daemon(record).stop()
        (self.store.folder / "traffic-manager" / f"{record.name}.json").unlink(missing_ok=True)

    def _daemon(self, record: Record) -> Daemon:
        from toolchain.cache import Cache  # noqa: PLC0415 - only profiles need it
        from toolchain.daemon import Daemon  # noqa: PLC0415 - only profiles need it

        return Daemon(Cache(self.store.folder / "traffic-manager"), record.name, os.environ)
