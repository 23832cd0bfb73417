"""What tests of models on Container Instances share: a stack of them, on a subscription of its own."""

import hashlib
import http.client
import json
import subprocess
import sys
import uuid
from urllib.parse import urlsplit

import pytest

from standins.azure_native.store import Store
from tests.engine.conftest import ROOT, Stack, _base

REGISTRY = "localhost:5050"
PROGRAM = """
import sys
sys.path.insert(0, root)
from pathlib import Path
from types import SimpleNamespace
from components import Project
from components.aci_service import AciService
from components.azure import Platform
from manifest import AciTarget, Model, load_environment

environment = load_environment({"targets": ["aci"], **config}, source="test")
platform = Platform(environment)
project = Project(Path(root), environment, "unused")
exported = {}
for name, target in targets.items():
    image = SimpleNamespace(tag=tag, ref=pulumi.Output.concat(platform.registry_server, "/", repository, "@", digest))
    model = Model(name=name, version="1", path="models/iris", scoring=scoring)
    service = AciService(model, AciTarget(**target), image, project=project, platform=platform)
    exported[name] = {"targets": {"aci": service.outputs}}
pulumi.export("models", exported)
pulumi.export("azure", platform.outputs)
"""
# What the runtime does, as far as this is about: probes, keys, and which version answers.
SERVICE = """
import http.server, os, signal, threading
KEYS = {os.environ.get("SLIPWAY_PRIMARY_KEY"), os.environ.get("SLIPWAY_SECONDARY_KEY")}
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        known = self.path in ("/live", "/ready") or self.headers.get("authorization", "")[7:] in KEYS
        body = b"VERSION" if known else b"no"
        self.send_response(200 if known else 401)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = answer
    def log_message(self, form, *args):
        print(form % args, flush=True)
server = http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
"""
TARGET = {"https": False, "cpu": 0.2, "memory": "128Mi", "startupSeconds": 60}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "azure")


@pytest.fixture(scope="session")
def versions(engine):
    """Versions of a service's image in the local registry, one of which ends at once: repository and digests."""
    repository = f"engine-test-{uuid.uuid4().hex[:8]}"
    digests = {}
    for version in ("one", "two", "broken"):
        maker = engine.containers.create(_base(engine), ["true"])
        command = json.dumps(["python3", "-c", SERVICE.replace("VERSION", version) if version != "broken" else "1 / 0"])
        name = f"{REGISTRY}/{repository}"
        maker.commit(name, version, changes=f"ENTRYPOINT []\nCMD {command}")
        maker.remove()
        for line in engine.images.push(name, version, stream=True, decode=True):
            assert "error" not in line, line
            digests[version] = line.get("aux", {}).get("Digest", digests.get(version))
    return repository, digests


class Models(Stack):
    """A stack of models on Azure, each in one of two versions of the service."""

    def __init__(self, folder, env, versions):
        super().__init__(folder, env)
        project = json.loads((folder / "Pulumi.yaml").read_text())
        project["plugins"] = {"providers": [{"name": "slipway", "path": str(ROOT / "provider/slipway")}]}
        (folder / "Pulumi.yaml").write_text(json.dumps(project))
        self.repository, self.digests = versions

    def models(self, version="one", *, scoring=None, config=None, aci=None, **targets):
        """Write the program; targets by model, else iris alone."""
        digest = self.digests[version]
        azure = {"location": "westeurope", "protect": False, "aci": {"ttlSeconds": 0, "drainSeconds": 1, **(aci or {})}}
        self.program(
            PROGRAM,
            root=str(ROOT),
            config={"azure": azure, **(config or {})},
            targets=targets or {"iris": TARGET},
            scoring=scoring or {},
            repository=self.repository,
            digest=digest,
            tag=f"1-{hashlib.sha256(digest.encode()).hexdigest()[:12]}",
        )

    def deployed(self, model="iris"):
        """Return where a model answers, and its keys, which are in the state alone."""
        endpoint = self.outputs()["models"][model]["targets"]["aci"]["endpoint"]
        state = json.loads(self.pulumi("stack", "export", "--show-secrets", "--stack", self.name).stdout)
        (keys,) = (
            one["outputs"]
            for one in state["deployment"]["resources"]
            if one["urn"].endswith(f"slipway:index:AccessKeys::{model}-aci")
        )
        return endpoint, {name: json.loads(keys[name]["plaintext"]) for name in ("primary", "secondary")}

    def ask(self, model="iris", key="primary"):
        """Ask a model; return the status and what it says."""
        endpoint, keys = self.deployed(model)
        return ask(endpoint, keys[key] if key else None)


def ask(endpoint, key):
    parts = urlsplit(endpoint)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    connection.request("POST", "/score", b"{}", {"authorization": f"Bearer {key}"} if key else {})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


@pytest.fixture
def models(engine_env, tmp_path, store, versions):
    """A stack on a subscription of its own; what is left in it is removed after the test."""
    env = engine_env | {"SLIPWAY_AZURE_STORE": str(store.folder), "SLIPWAY_AZURE": "stand-in"}
    made = Models(tmp_path / "program", env, versions)
    yield made
    (store.folder / "settings.json").unlink(missing_ok=True)
    made.destroy("--refresh", check=False)
    tool = [sys.executable, "-m", "standins.azure_native.tool", "reset"]
    subprocess.run(tool, env=env, cwd=ROOT, check=False, timeout=120)
