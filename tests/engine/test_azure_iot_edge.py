"""Models on IoT Edge devices, on the real engine and the stand-ins for Azure and its IoT hub."""

import json
import ssl
import subprocess
import sys
import threading
import time

import httpx
import pytest

from iot_hub import HubClient
from standins.azure_native.kinds import iot_hub
from standins.azure_native.store import Store
from standins.iot_hub import sas
from tests.engine.conftest import ROOT, Stack, own_state

pytestmark = pytest.mark.engine

PROGRAM = """
import sys
import threading
import time
sys.path.insert(0, root)
from pathlib import Path
from components import Project
from components.azure import Platform
from components.iot_edge_module import IotEdgeBase, IotEdgeModule
from manifest import IotEdgeTarget, Model, load_environment

given = {"targets": ["iot-edge"], "azure": {"location": "westeurope", "protect": False, "iotHub": hub}}
environment = load_environment({**given, **config, **pulumi.runtime.get_config_env()}, source="test")
platform = Platform(environment)
project = Project(Path(root), environment, "unused")
targets = {name: IotEdgeTarget(**target) for name, target in targets.items()}
base = IotEdgeBase(targets.values(), project=project, platform=platform)
exported = {}
for name, target in targets.items():
    model = Model(name=name, version=version, path="models/iris")
    image = f"registry.test/{name}@sha256:{version * 64}"
    module = IotEdgeModule(model, target, {name: image}, base=base, platform=platform)
    exported[name] = {"version": version, "targets": {"iot-edge": module.outputs}}
pulumi.export("models", exported)
pulumi.export("azure", platform.outputs)
"""
DEPLOYMENT, DEVICE, HUB = "EdgeDeployment", "EdgeDevice", "IotHubResource"
PASSWORD = "a-password-of-this-test-only"


class Edge(Stack):
    """A stack of models on devices."""

    def __init__(self, folder, env, store, project="engine-test"):
        super().__init__(folder, env, project=project)
        self.store = store
        project = json.loads((folder / "Pulumi.yaml").read_text())
        project["plugins"] = {"providers": [{"name": "slipway", "path": str(ROOT / "provider/slipway")}]}
        (folder / "Pulumi.yaml").write_text(json.dumps(project))

    def models(self, version="1", *, hub=None, config=None, **targets):
        """Write the program; targets by model, else iris on line-4 alone."""
        self.program(
            PROGRAM,
            root=str(ROOT),
            version=version,
            hub=hub if hub is not None else {"devices": {"line-4": {"tags": {"site": "ulm"}}}},
            config=config or {},
            targets=targets or {"iris": {"device": "line-4"}},
        )

    @property
    def record(self):
        """The hub in the store."""
        (found,) = self.store.all(iot_hub.TOKEN)
        return found

    def hub(self):
        """Return a client with all rights."""
        host = iot_hub.serve(self.store, self.record)
        key = iot_hub.policies(self.store, self.record)["iothubowner"]["keys"][0]
        text = f"HostName={host};SharedAccessKeyName=iothubowner;SharedAccessKey={key}"
        return HubClient(host, text, patience=10)

    def agent(self, device="line-4"):
        """Return the twin of a device's edge agent."""
        where = f"moduleId = '$edgeAgent' AND deviceId = '{device}'"
        (twin,) = self.hub().query(f"SELECT * FROM devices.modules WHERE {where}")  # noqa: S608 - a twin query
        return twin

    def layers(self, model="iris"):
        """Return the id and the owner of a model's deployment."""
        (found,) = (one for one in self.hub().configurations() if one["labels"].get("slipway-model", "base") == model)
        return found["id"], found["labels"]["slipway-owner"]

    def requests(self):
        """Return how many requests the hub has had."""
        host = iot_hub.serve(self.store, self.record)
        key = iot_hub.policies(self.store, self.record)["iothubowner"]["keys"][0]
        asked = httpx.get(
            f"https://{host}/standin/requests",
            headers={"Authorization": sas.token(host, key, "iothubowner")},
            verify=ssl.create_default_context(cafile=str(self.store.folder / "iot-hub/tls/ca.pem")),
        )
        return sum(asked.json().values())

    def image(self, module="iris", device="line-4"):
        """Return the image that a device is to run."""
        return self.agent(device)["properties"]["desired"]["modules"][module]["settings"]["image"]


def _made(toolchain_env, folder):
    store = Store(folder / "azure")
    env = own_state(toolchain_env, folder) | {"SLIPWAY_AZURE_STORE": str(store.folder), "SLIPWAY_AZURE": "stand-in"}
    with pytest.MonkeyPatch.context() as patch:
        # For the client of the hub, in this process.
        patch.setenv("SLIPWAY_AZURE_STORE", str(store.folder))
        made = Edge(folder / "program", env, store)
        yield made
        made.destroy("--refresh", check=False)
        tool = [sys.executable, "-m", "standins.azure_native.tool", "reset"]
        subprocess.run(tool, env=env, cwd=ROOT, check=False, timeout=120)


@pytest.fixture
def new(toolchain_env, tmp_path):
    """A stack on a subscription of its own; what is left in it is removed after the test."""
    yield from _made(toolchain_env, tmp_path)


@pytest.fixture(scope="module")
def edge(toolchain_env, tmp_path_factory):
    """One that all other tests share, each with a program of its own: a hub takes a while to make and to remove."""
    yield from _made(toolchain_env, tmp_path_factory.mktemp("edge"))


def test_from_an_empty_subscription_to_devices_and_back_without_a_secret_to_be_seen(new):
    store = new.store
    new.pulumi("config", "set", "--secret", "slipway:edgeRegistryPassword", PASSWORD, "--stack", "test")
    new.models(hub={"registryUser": "puller", "devices": {"line-4": {"tags": {"site": "ulm"}}}})
    foretold = new.preview()
    assert store.all() == []
    done = new.up("--show-config")
    assert done.operations == foretold.operations
    agent = new.agent()
    deployed = new.outputs()["models"]["iris"]["targets"]["iot-edge"]
    desired = agent["properties"]["desired"]
    assert {"runtime", "systemModules", "modules"} <= desired.keys()
    assert new.image() == f"registry.test/iris@sha256:{'1' * 64}"
    assert deployed["deployment"] in agent["configurations"]
    assert len(agent["configurations"]) == 2
    assert desired["runtime"]["settings"]["registryCredentials"]["images"]["password"] == PASSWORD
    device = new.hub().device("line-4")["authentication"]["symmetricKey"]["primaryKey"]
    owner = iot_hub.policies(store, new.record)["iothubowner"]["keys"][0]
    state, shown = json.dumps(new.export()), done.output + json.dumps(done.events) + json.dumps(new.outputs())
    for secret in (PASSWORD, device, owner):
        assert secret not in state
        assert secret not in shown
    assert new.up("--expect-no-changes").operations == {}
    assert new.preview("--refresh", "--expect-no-changes").operations == {}
    new.destroy()
    assert store.all() == []
    assert not list((store.folder / "iot-hub").glob("*/served.json"))
    assert new.resources().keys() <= {("Stack", "engine-test-test")}


def test_a_new_version_is_there_before_the_old_one_goes(edge):
    edge.models()
    edge.up()
    hub, (before, owner) = edge.hub(), edge.layers()
    seen, over = [], threading.Event()

    def watch():
        while not over.is_set():
            seen.append(edge.image())
            time.sleep(0.02)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        edge.models("2")
        done = edge.up()
    finally:
        over.set()
        watching.join()
    assert done.operations == {(DEPLOYMENT, "iris"): {"create-replacement", "replace", "delete-replaced"}}
    # At every moment the device had the one or the other, and it went from the one to the other once.
    images = [f"registry.test/iris@sha256:{version * 64}" for version in "12"]
    assert set(seen) == set(images)
    assert seen == sorted(seen)
    (after, _) = edge.layers()
    assert after != before
    assert owner != edge.layers()[1]
    assert hub.configuration(after)["priority"] == 2 * 10 + 1


def test_condition_priority_and_settings_change_no_more_than_they_say(edge):
    edge.models()
    edge.up()
    name = edge.layers()[0]
    edge.models(iris={"targetCondition": "tags.site = 'ulm'", "priority": 20})
    done = edge.up()
    assert done.operations == {(DEPLOYMENT, "iris"): {"update"}, (DEPLOYMENT, "iot-edge-base"): {"update"}}
    assert edge.layers()[0] == name
    assert edge.hub().configuration(name)["priority"] == 41
    edge.models(iris={"targetCondition": "tags.site = 'ulm'", "priority": 20, "settings": {"threshold": 0.9}})
    assert "replace" in edge.up().operations[DEPLOYMENT, "iris"]
    (twin,) = edge.hub().query("SELECT * FROM devices.modules WHERE moduleId = 'iris'")
    assert twin["properties"]["desired"]["threshold"] == 0.9


def test_a_fleet_takes_a_deployment_without_a_request_for_each_device(edge):
    edge.models(iris={"targetCondition": "STARTS_WITH(deviceId, 'd-')"})
    edge.up()
    hub = edge.hub()
    identity = {"status": "enabled", "capabilities": {"iotEdge": True}, "authentication": {"type": "sas"}}
    for number in range(500):
        hub.put_device(f"d-{number:03d}", identity)
    edge.models("2", iris={"targetCondition": "STARTS_WITH(deviceId, 'd-')"})
    before = edge.requests()
    edge.up()
    asked = edge.requests() - before
    images = [
        one["modules"]["iris"]["settings"]["image"]
        for one in hub.query(
            "SELECT deviceId, properties.desired.modules AS modules FROM devices.modules WHERE moduleId = '$edgeAgent'"
        )
        if one["deviceId"] != "line-4"
    ]
    assert images == [f"registry.test/iris@sha256:{'2' * 64}"] * 500
    # The same as for one device: what there is, the old one put lower, the new one, and the old one looked at and gone.
    assert asked <= 6
    metrics = hub.configuration(edge.layers()[0])["systemMetrics"]["results"]
    assert (metrics["targetedCount"], metrics["appliedCount"]) == (500, 500)


def test_what_was_changed_behind_the_stack_is_seen_and_mended(edge):
    edge.models()
    edge.up()
    hub, gone = edge.hub(), edge.layers("base")[0]
    name = edge.layers()[0]
    found = hub.configuration(name)
    hub.put_configuration({**found, "targetCondition": "tags.x = 1", "priority": 3}, found["etag"])
    hub.set_tags("line-4", {"site": "elsewhere", "of": "others"})
    hub.delete_configuration(gone)
    assert edge.up("--refresh").operations == {
        (DEPLOYMENT, "iris"): {"update"},
        (DEVICE, "line-4"): {"update"},
        (DEPLOYMENT, "iot-edge-base"): {"create"},
    }
    assert hub.configuration(name)["targetCondition"] == "deviceId = 'line-4'"
    # What others have put there is theirs.
    assert hub.tags("line-4") == {"site": "ulm", "of": "others"}
    assert edge.image()


def test_stacks_share_a_hub_and_its_devices_and_leave_what_is_not_theirs(edge, tmp_path):
    edge.models()
    edge.up()
    second = Edge(tmp_path / "second", edge.env, edge.store, "second")
    hub = {"id": edge.record.id, "base": False, "devices": {"line-5": {}}}
    second.models(hub=hub, digits={"device": "line-4"})
    second.up()
    assert edge.agent()["properties"]["desired"]["modules"].keys() == {"iris", "digits"}
    second.destroy()
    assert edge.hub().device("line-5") is None
    assert edge.agent()["properties"]["desired"]["modules"].keys() == {"iris"}
