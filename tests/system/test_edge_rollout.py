"""A fleet from `slipway up` to its status: a new version rolls to it by a condition, and what fails is told.

Two devices are whole: broker, hub, agent and the model's container on the Docker engine. The others are simulated: each
follows its modules' twins with its own key, and tells that it runs what they say.
"""

import contextlib
import json
import ssl
import subprocess
import sys
import threading
import time

import docker
import httpx
import pytest

from standins.docker.engine import Engine
from standins.edge_runtime.clouds import HubCloud
from standins.edge_runtime.device import Device
from standins.iot_hub import sas
from tests.system import edge_harness
from tests.system.checkout import ROOT, Project

pytestmark = [pytest.mark.engine, pytest.mark.system]
DEVICES = tuple(f"line-{number:02d}" for number in range(1, 21))
# The second version cannot be loaded on the last one, as where a driver is missing.
WHOLE, FAILING = ("line-01", "line-20"), "line-20"
SCORE = """
import json, os

def init():
    if {version} == 2 and os.environ.get("IOTEDGE_DEVICEID") == "line-20":
        raise RuntimeError("no driver on this device")

def run(data):
    return {{"score": sum(json.loads(data)), "version": {version}}}
"""


class Simulated(threading.Thread):
    """A device without modules: it applies what its twins say, and tells that it runs."""

    def __init__(self, connection_string, ca):
        super().__init__(daemon=True)
        parts = sas.connection(connection_string)
        name, host = parts["DeviceId"], parts["HostName"]
        self._client = httpx.Client(
            base_url=f"https://{host}/standin/devices/{name}",
            headers={"Authorization": sas.token(f"{host}/devices/{name}", parts["SharedAccessKey"])},
            verify=ssl.create_default_context(cafile=ca),
            timeout=30,
            trust_env=False,
        )
        self._over = threading.Event()

    def run(self):
        etag = ""
        while not self._over.is_set():
            try:
                found = self._client.get("/modules", params={"etag": etag, "wait": 5})
                if found.status_code != 304:
                    found.raise_for_status()
                    self._apply({name: twin["desired"] for name, twin in found.json()["modules"].items()})
                    # Only now: what could not be reported is applied again.
                    etag = found.json()["etag"]
            except httpx.HTTPError:
                self._over.wait(0.5)

    def _apply(self, desired):
        agent, modules = desired["$edgeAgent"], {}
        for name, one in (agent.get("modules") or {}).items():
            modules[name] = {"runtimeStatus": "running", "settings": {"image": one["settings"]["image"]}}
            image = one["env"]["SLIPWAY_EDGE_IMAGE"]["value"]
            self._report(name, {"model": {"image": image}, "state": "ready", "error": None})
        applied = {"lastDesiredVersion": agent["$version"], "lastDesiredStatus": {"code": 200, "description": ""}}
        self._report("$edgeAgent", {**applied, "modules": modules})

    def _report(self, module, patch):
        self._client.patch(f"/modules/{module}/reported", json=patch).raise_for_status()

    def stop(self):
        self._over.set()


class Fleet(Project):
    """A project with one model on twenty devices, registered with a hub of its own."""

    def __init__(self, folder):
        super().__init__(folder)
        self.store = folder / "azure"
        self.env |= {
            "SLIPWAY_AZURE_STORE": str(self.store),
            "SLIPWAY_AZURE": "stand-in",
            "PATH": f"{ROOT / 'standins/bin'}:{self.env['PATH']}",
        }
        names = DEVICES
        azure = {
            "location": "westeurope",
            "protect": False,
            "iotHub": {"devices": {name: {"tags": {"fleet": "a"}} for name in names}},
        }
        config = {"slipway:targets": ["iot-edge"], "slipway:development": True, "slipway:azure": azure}
        (folder / f"Pulumi.{self.stack}.yaml").write_text(json.dumps({"config": config}))
        self.version(1)
        self._running = []

    def version(self, number):
        """Write the model in a version."""
        folder = self.folder / "models" / "adder"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "weights.json").write_text(json.dumps([number]))
        (folder / "sample.json").write_text("[1, 2]")
        (folder / "score.py").write_text(SCORE.format(version=number))
        entry = {
            "name": "adder",
            "version": number,
            "path": "models/adder",
            "scoring": {"sample": "sample.json"},
            "targets": [{"iot-edge": {"targetCondition": "tags.fleet = 'a'", "memory": "256Mi"}}],
        }
        (self.folder / "models.yaml").write_text(json.dumps({"models": [entry]}))

    def start(self):
        """Start all devices with what the stack registered them with."""
        ca = self.store / "iot-hub/tls/ca.pem"
        for name, text in self.keys.items():
            device = Simulated(text, ca)
            if name in WHOLE:
                device = Device(name, self.folder / name, HubCloud(text, ca), Engine())
            self._running.append(device)
            device.start()

    @property
    def keys(self):
        """The connection strings of all devices."""
        state = json.loads(self.pulumi("stack", "export", "--show-secrets").stdout)["deployment"]["resources"]
        devices = [one for one in state if one["type"] == "slipway:index:EdgeDevice"]
        return {
            one["inputs"]["deviceId"]: json.loads(one["outputs"]["deviceConnectionString"]["plaintext"])
            for one in devices
        }

    def status(self):
        """Return the model's row, and its devices by state."""
        (row,) = json.loads(self.run("status", "--json").stdout)["models"]
        found = {}
        for one in row["devices"]:
            found.setdefault(one["state"], {})[one["device"]] = one["error"]
        return row, found

    def until(self, condition, seconds=600):
        """Wait until a condition holds; how the devices are, or the command that failed, is the message."""
        deadline = time.monotonic() + seconds
        while True:
            failed = None
            try:
                if condition():
                    return
            except AssertionError as error:
                # A device that is just being restarted, or a hub that is busy, cannot be asked.
                failed = error
            assert time.monotonic() < deadline, f"{failed or self.status()}\n{self.logs()}"
            time.sleep(1)

    def logs(self):
        """Return what the whole devices' modules wrote."""
        found = self.docker.containers.list(all=True, filters={"name": "-adder"}, ignore_removed=True)
        return "\n".join(f"{one.name}: {one.logs(tail=20).decode()}" for one in found)

    def asked(self, device):
        """Have the model on a device score, through the hub."""
        return json.loads(self.run("score", "adder", "--device", device, "--json").stdout)["answer"]

    def close(self):
        for one in self._running:
            one.stop()
        super().close()
        tool = [sys.executable, "-m", "standins.azure_native.tool", "reset"]
        subprocess.run(tool, env=self.env, cwd=ROOT, check=False, timeout=120)
        for name in WHOLE:
            with contextlib.suppress(docker.errors.NotFound):
                self.docker.volumes.get(f"edge-{name}-slipway-adder").remove()


@pytest.fixture
def fleet(tmp_path):
    edge_harness.install()
    made = Fleet(tmp_path / "checkout")
    try:
        yield made
    finally:
        made.close()


def test_a_new_version_rolls_to_a_fleet_and_the_device_that_fails_is_told(fleet):
    fleet.run("up")
    assert fleet.status()[1].keys() == {"rolling"}
    fleet.start()
    fleet.until(lambda: fleet.status()[1].get("ready", {}).keys() == set(DEVICES))
    fleet.until(lambda: fleet.asked(FAILING) == {"score": 3, "version": 1})

    fleet.version(2)
    fleet.run("up")
    reason = "no driver on this device"

    def has_failed():
        # Between two attempts of the edge agent it is starting again.
        row, found = fleet.status()
        failed = found.get("failed", {}).get(FAILING) or ""
        return (
            reason in failed and len(found.get("ready", {})) == 19 and (row["state"], row["version"]) == ("failed", "2")
        )

    fleet.until(has_failed)
    fleet.until(lambda: "19 of 20 devices ready, 1 failed" in (shown := fleet.run("status").stdout) and reason in shown)
    fleet.until(lambda: reason in fleet.run("logs", "adder", "--device", FAILING).stdout)
    # The device has the new version, which says so itself as soon as it is there.
    fleet.until(lambda: fleet.asked("line-01") == {"score": 3, "version": 2})
    fleet.until(lambda: "ready: score.py loaded" in fleet.run("logs", "adder", "--device", "line-01").stdout)
