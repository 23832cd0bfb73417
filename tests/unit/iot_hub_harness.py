"""A hub of a test's own: the stand-in behind real TLS on loopback, in a thread."""

import base64
import contextlib
import ssl
import threading

from iot_hub import HubClient
from standins.iot_hub.__main__ import _Server
from standins.iot_hub.hub import Hub
from standins.iot_hub.service import Policy, Service
from standins.iot_hub.store import Store
from standins.iot_hub.tls import certificates

KEY = base64.b64encode(b"k" * 32).decode()
READER = base64.b64encode(b"r" * 32).decode()
ALL = frozenset({"RegistryRead", "RegistryWrite", "ServiceConnect"})
EDGE = {"status": "enabled", "capabilities": {"iotEdge": True}, "authentication": {"type": "sas"}}


def content(modules=None, **paths):
    """A full content, or with paths that of a layer."""
    system = {"edgeAgent": {"type": "docker"}, "edgeHub": {"type": "docker"}}
    agent = {"schemaVersion": "1.1", "runtime": {"type": "docker"}, "systemModules": system, "modules": modules or {}}
    if paths:
        agent_paths = {f"properties.desired.modules.{name}": value for name, value in paths.items()}
        return {"$edgeAgent": agent_paths, "$edgeHub": {}}
    return {
        "$edgeAgent": {"properties.desired": agent},
        "$edgeHub": {"properties.desired": {"schemaVersion": "1.1", "routes": {}}},
    }


def configuration(name, condition="deviceId = 'line-4'", priority=1, **given):
    """A configuration's body."""
    return {
        "id": name,
        "labels": {},
        "content": {"modulesContent": given.pop("content", None) or content()},
        "targetCondition": condition,
        "priority": priority,
        **given,
    }


class Served:
    """A hub that is served.

    Attributes:
        hub: The hub.
        host: Its name and port.
        folder: Where its state is.
    """

    def __init__(self, folder):
        self.folder = folder / "iot-hub" / "hub"
        self.store = Store(self.folder)
        self.hub = Hub(self.store)
        _, certificate = certificates(folder / "iot-hub" / "tls")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        policies = {
            "owner": Policy((KEY,), ALL),
            "reader": Policy((READER,), frozenset({"RegistryRead"})),
        }
        self.service = Service(self.hub, "", policies)
        self._server = _Server(("127.0.0.1", 0), self.service, self.folder, context)
        self.host = f"localhost:{self._server.server_port}"
        self.service.host = self.host
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def connection(self, name="owner", key=KEY):
        return f"HostName={self.host};SharedAccessKeyName={name};SharedAccessKey={key}"

    def client(self, name="owner", key=KEY, **given):
        return HubClient(self.host, self.connection(name, key), **{"patience": 5, **given})

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self.store.close()


@contextlib.contextmanager
def served(folder):
    one = Served(folder)
    try:
        yield one
    finally:
        one.close()
