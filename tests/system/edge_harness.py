"""A device with a real broker and its hub, and modules on it as processes: what the tests of `edge` share."""

import base64
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from standins.edge_runtime.broker import PORT, Broker
from standins.edge_runtime.hub import Hub
from toolchain import mosquitto
from toolchain.context import context_of
from toolchain.report import Report

ROOT = Path(__file__).parents[2]
PATIENCE = 180.0
IN = 'FROM /messages/modules/sensor/outputs/readings INTO BrokeredEndpoint("/modules/scorer/inputs/input")'
OUT = "FROM /messages/modules/scorer/outputs/* INTO $upstream"
SCRIPT = """
import json

def init():
    pass

def run(data):
    reading = json.loads(data)
    if reading["score"] < 0:
        raise ValueError("a score is not negative")
    return reading
"""


def until(condition, what, seconds=PATIENCE):
    """Wait until a condition holds, and return what it returned."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain until {what() if callable(what) else what}"
        time.sleep(0.02)
    return found


def install():
    """Have mosquitto, installed if it was not."""
    report = Report()
    context = context_of(ROOT, os.environ, report)
    if context.which(mosquitto.NAME):
        # Nothing to do, and no reason to wait for who sets up other things.
        return
    context.cache.prepare()
    with context.cache.lock(), report.step("mosquitto") as step:
        mosquitto.ensure(context, step)


def free_net():
    """The second number of addresses of this machine, 127.x.y.z, at which no device's broker listens."""
    for net in random.sample(range(64, 250), 100):
        with suppress(OSError), socket.create_server((f"127.{net}.1.1", PORT)):
            return net
    raise AssertionError("100 devices run on this machine")


class Device:
    """A device named line-4; what reaches the cloud is in `arrived`.

    Attributes:
        arrived: Messages as the cloud has them.
        cloud_is_there: False while it takes nothing.
    """

    NAME = "line-4"

    def __init__(self, folder, modules, routes):
        self.folder = folder
        net = free_net()
        self.addresses = {module: f"127.{net}.1.{number}" for number, module in enumerate(modules, 1)}
        self.arrived = []
        self.cloud_is_there = True
        self.brokers = {name: Broker(folder, self.NAME, name, address) for name, address in self.addresses.items()}
        self.hub = Hub(self.NAME, folder, self._send)
        for name, broker in self.brokers.items():
            broker.start()
            self.hub.attach(name, broker)
        self.hub.configure({"schemaVersion": "1.1", "routes": routes})

    def _send(self, messages):
        if not self.cloud_is_there:
            raise ConnectionError("the cloud is away")
        self.arrived += messages

    def close(self):
        self.hub.stop()
        for broker in self.brokers.values():
            broker.stop()

    def bodies(self, output=None):
        """What arrived, as JSON, of one output or of all."""
        return [
            json.loads(base64.b64decode(one["body"])) for one in list(self.arrived) if output in {None, one["output"]}
        ]

    def variables(self, module):
        """What the runtime of IoT Edge gives a module, in its form for a machine without containers."""
        key = base64.b64encode(b"k" * 32).decode()
        gateway = self.addresses[module]
        return {
            "EdgeHubConnectionString": f"HostName=hub.example.com;GatewayHostName={gateway};DeviceId={self.NAME};"
            f"ModuleId={module};SharedAccessKey={key}",
            "EdgeModuleCACertificateFile": str(self.folder / "ca.pem"),
        }

    def sensor(self, module="sensor"):
        return Sensor(self.variables(module), self.folder)

    def module(self, name="scorer", script=SCRIPT, **variables):
        return Module(self, name, script, variables)


class Module:
    """`python -m scoring edge`, as a process."""

    def __init__(self, device, name, script, variables):
        self.name = name
        self.app = device.folder / name
        self.app.mkdir(exist_ok=True)
        self.store = self.app / "store"
        self.store.mkdir(exist_ok=True)
        (self.app / "score.py").write_text(script)
        self._environment = {
            "PATH": os.environ["PATH"],
            "AML_APP_ROOT": str(self.app),
            "AZUREML_ENTRY_SCRIPT": "score.py",
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "SERVER_PORT": "0",
            "SLIPWAY_HOST": "127.0.0.1",
            "SLIPWAY_LOG": "text",
            "SERVICE_NAME": name,
            "SERVICE_VERSION": "3",
            "SLIPWAY_EDGE_STORE": str(self.store),
            "SLIPWAY_EDGE_REPORT_SECONDS": "1",
            "SLIPWAY_DRAIN_SECONDS": "5",
            **device.variables(name),
            **variables,
        }
        self.lines = []
        self.process = None

    def start(self):
        self.lines = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scoring", "edge"],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True).start()
        return self

    def _read(self, stream):
        for line in stream:
            self.lines.append(line.rstrip())

    @property
    def log(self):
        return "\n".join(self.lines)

    @property
    def port(self):
        line = until(lambda: next((one for one in self.lines if "starting:" in one), None), "it listens")
        return int(line.rpartition(":")[2])

    def kill(self):
        """The whole of it, at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.terminate()
        return self.process.wait(PATIENCE)


class Sensor:
    """A module that sends numbers, one after the other, until the hub has each."""

    def __init__(self, variables, folder):
        program = Path(__file__).parent / "edge_sensor.py"
        self.process = subprocess.Popen(
            [sys.executable, str(program)],
            env={"PATH": os.environ["PATH"], **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.sent = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.sent = int(line)

    def send(self, count, *, per_second=0, alert_every=0):
        """Have it send so many more."""
        order = {"count": count, "perSecond": per_second, "alertEvery": alert_every}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def close(self):
        self.process.kill()
        self.process.communicate()
