"""Models on Container Instances, on the real engine and the stand-in for Azure: containers that answer."""

import hashlib
import http.client
import json
import subprocess
import sys
import threading
import uuid
from urllib.parse import urlsplit

import pytest

from standins.azure_native.store import Store
from tests.engine.conftest import ROOT, Stack, _base

pytestmark = pytest.mark.engine

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
GROUP, READY = "ContainerGroup", "ServiceReady"


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


def faults(store, *given):
    (store.folder / "settings.json").write_text(json.dumps({"faults": list(given)}))


def test_from_an_empty_subscription_to_a_model_that_answers_and_back(models, store):
    models.models()
    foretold = models.preview()
    assert store.all() == []
    assert models.up().operations == foretold.operations
    assert models.ask() == models.ask(key="secondary") == (200, "one")
    assert models.ask(key=None)[0] == 401
    assert models.up("--expect-no-changes").operations == {}
    assert models.preview("--refresh", "--expect-no-changes").operations == {}
    models.destroy()
    assert store.all() == []
    assert models.resources().keys() <= {("Stack", "engine-test-test")}


def test_no_key_is_in_the_state_the_outputs_or_the_log_as_it_is(models):
    models.models()
    done = models.up("--show-config")
    _, keys = models.deployed()
    state = json.dumps(models.export())
    for key in keys.values():
        assert key not in state
        assert key not in json.dumps(models.outputs())
        assert key not in done.output
        assert key not in json.dumps(done.events)
    group = models.resources()[GROUP, "iris"]
    variables = {one["name"]: one for one in group["inputs"]["containers"][0]["environmentVariables"]}
    assert "ciphertext" in variables["SLIPWAY_PRIMARY_KEY"]["secureValue"]
    assert variables["SLIPWAY_AUTH"]["value"] == "key"
    assert "ciphertext" in group["inputs"]["diagnostics"]["logAnalytics"]["workspaceKey"]


def test_a_new_version_in_place_keeps_the_address_and_touches_no_other_model(models):
    models.models(iris=TARGET, digits=TARGET)
    models.up()
    before = models.deployed()
    models.models("two", iris=TARGET, digits=TARGET)
    models.up("--target", "**iris*", "--target-dependents")
    assert models.deployed() == before
    assert models.ask() == (200, "two")
    assert models.ask("digits") == (200, "one")


@pytest.mark.parametrize("change", [{"cpu": 0.3}, {"memory": "256Mi"}, {"restartPolicy": "OnFailure"}, {"zone": "1"}])
def test_what_azure_cannot_change_is_replaced_at_the_same_address(models, change):
    models.models()
    models.up()
    before = models.deployed()
    models.models(iris={**TARGET, **change})
    done = models.up()
    assert "replace" in done.operations[GROUP, "iris"]
    assert models.ask() == (200, "one")
    assert models.deployed() == before
    assert models.up("--expect-no-changes").operations == {}


def test_a_key_is_replaced_while_the_other_goes_on(models):
    models.models()
    models.up()
    endpoint, before = models.deployed()
    models.models(iris={**TARGET, "rotate": 1})
    models.up()
    _, after = models.deployed()
    assert after["primary"] == before["primary"]
    assert after["secondary"] != before["secondary"]
    assert ask(endpoint, before["secondary"])[0] == 401
    assert models.ask(key="secondary") == (200, "one")


def test_blue_green_answers_every_request_while_the_model_changes(models, store):
    target = {**TARGET, "update": "blue-green"}
    models.models(iris=target)
    models.up()
    endpoint, keys = models.deployed()
    answers, stop = [], threading.Event()

    def load():
        while not stop.is_set():
            try:
                answers.append(ask(endpoint, keys["primary"]))
            except (OSError, http.client.HTTPException) as error:
                answers.append((0, repr(error)))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for one in threads:
        one.start()
    try:
        models.models("two", iris=target)
        done = models.up()
    finally:
        stop.set()
        for one in threads:
            one.join()
    assert "replace" in done.operations[GROUP, "iris"]
    assert {status for status, _ in answers} == {200}, [one for one in answers if one[0] != 200][:3]
    assert {text for _, text in answers} == {"one", "two"}
    assert answers[-1] == (200, "two")
    assert models.deployed() == (endpoint, keys)
    assert len(store.all("containerinstance:ContainerGroup")) == 1
    assert models.up("--expect-no-changes").operations == {}


def test_in_blue_green_a_version_that_does_not_become_ready_is_led_to_by_nobody(models, store):
    target = {**TARGET, "update": "blue-green"}
    models.models(iris=target)
    models.up()
    endpoint, keys = models.deployed()
    models.models("broken", iris={**target, "startupSeconds": 3})
    failed = models.up(check=False)
    assert failed.code
    assert "is not ready after 3 s" in failed.output
    assert ask(endpoint, keys["primary"]) == (200, "one")
    models.models("two", iris=target)
    models.up()
    assert ask(endpoint, keys["primary"]) == (200, "two")
    assert len(store.all("containerinstance:ContainerGroup")) == 1
    assert models.up("--expect-no-changes").operations == {}


FAULTS = [
    ("throttle", "containerinstance:ContainerGroup", "create", 9),
    ("conflict", "containerinstance:ContainerGroup", "create", 1),
    ("quota", "containerinstance:ContainerGroup", "create", 1),
    ("timeout", "containerinstance:ContainerGroup", "create", 1),
    ("fail", "containerinstance:ContainerGroup", "create", 1),
    ("fail", "containerregistry:Registry", "create", 1),
    ("timeout", "operationalinsights:Workspace", "create", 1),
]


@pytest.mark.parametrize(("what", "kind", "operation", "times"), FAULTS)
def test_after_each_failure_the_next_up_converges(models, store, what, kind, operation, times):
    faults(store, {"do": what, "type": kind, "on": operation, "times": times})
    models.models()
    assert models.up(check=False).code
    faults(store)
    models.up()
    assert models.ask() == (200, "one")
    assert models.up("--expect-no-changes").operations == {}
    models.destroy()
    assert store.all() == []


def test_what_is_protected_stays_and_the_refusal_names_it(models, store):
    models.models(config={"azure": {"location": "westeurope"}})
    models.up()
    refused = models.destroy(check=False)
    assert refused.code
    assert "protected" in refused.output
    assert {one.token for one in store.all()} >= {"containerregistry:Registry", "operationalinsights:Workspace"}
    models.models()
    models.up()
    models.destroy()
    assert store.all() == []
