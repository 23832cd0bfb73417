"""A device from its deployment: images, containers, networks, broker, routes, twins, methods, messages upstream."""

import base64
import json
import shutil
import time

import pytest

from standins.docker.engine import Engine
from standins.edge_runtime.clouds import FileCloud
from standins.edge_runtime.device import Device
from tests.system import edge_harness
from tests.system.checkout import ROOT, Project
from tests.system.edge_harness import until

pytestmark = [pytest.mark.engine, pytest.mark.system]
MODELS = ("sensor", "anomaly", "alert-filter")
# The images alone, with what only modules of a device have.
PROGRAM = """
from pathlib import Path
import pulumi
from components import EnvironmentImages, Project, ScoringImage
from manifest import Scoring, load_environment, load_manifest
from manifest.platforms import own_platform

Scoring.extras = property(lambda self: ("edge",))
root = Path(__file__).parent
environment = load_environment(pulumi.runtime.get_config_env(), source="test")
project = Project(root, environment, pulumi.Output.concat(environment.registry, "/edge-tests"))
environments = EnvironmentImages(project)
for model in load_manifest(root / "models.yaml").models:
    image = ScoringImage(model, environments.of(model, (own_platform(),)), project=project)
    pulumi.export(model.name, image.ref)
"""
SANDBOX = {
    "Cmd": ["edge"],
    "HostConfig": {
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "Tmpfs": {"/tmp": ""},  # noqa: S108 - in a container
        "Memory": 256 * 1024 * 1024,
    },
}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """The sample models' images, by name."""
    if not (ROOT / ".slipway/toolchain.json").exists():
        pytest.fail("the toolchain is not set up: run `make setup`")
    edge_harness.install()
    project = Project(tmp_path_factory.mktemp("edge") / "checkout")
    entries = []
    for port, name in enumerate(MODELS, 20_000):
        shutil.copytree(ROOT / "models" / name, project.folder / "models" / name)
        scoring = {"script": "score.py", "sample": "sample.json", "schema": "schema.json"}
        if name == "sensor":
            scoring["code"] = "code"
        entry = {"name": name, "version": 1, "path": f"models/{name}", "scoring": scoring}
        entries.append({**entry, "targets": [{"local-docker": {"port": port}}]})
    (project.folder / "models.yaml").write_text(json.dumps({"models": entries}))
    (project.folder / "__main__.py").write_text(PROGRAM)
    try:
        project.pulumi("stack", "init")
        project.pulumi("up", "--yes", "--skip-preview")
        yield json.loads(project.pulumi("stack", "output", "--json").stdout)
    finally:
        project.close()


def module(image, order=0, options=None, **more):
    """A module as a deployment has it; createOptions in pieces, as long ones are."""
    text = json.dumps({**SANDBOX, **(options or {})})
    pieces = [text[start : start + 512] for start in range(0, len(text), 512)]
    names = ["createOptions", *(f"createOptions{number:02}" for number in range(1, len(pieces)))]
    settings = {"image": image, **dict(zip(names, pieces, strict=True))}
    return {
        "type": "docker",
        "version": "1",
        "status": "running",
        "restartPolicy": "always",
        "startupOrder": order,
        "settings": settings,
        **more,
    }


def deployment(images):
    sensor = {"Entrypoint": ["/opt/venv/bin/python", "/var/azureml-app/sensor.py"], "Cmd": []}
    volume = {"HostConfig": {**SANDBOX["HostConfig"], "Binds": ["edge-tests-store:/var/lib/slipway/edge"]}}
    store = {"HostConfig": {**SANDBOX["HostConfig"], "Tmpfs": {"/tmp": "", "/var/lib/slipway/edge": "uid=65532"}}}  # noqa: S108 - as above
    modules = {
        "anomaly": module(images["anomaly"], 1, volume),
        "alert-filter": module(images["alert-filter"], 1, store),
        "sensor": module(images["sensor"], 2, sensor, env={"READINGS_PER_SECOND": {"value": "20"}}),
    }
    brokered = 'BrokeredEndpoint("/modules/{}/inputs/input")'.format
    routes = {
        "readings": f"FROM /messages/modules/sensor/outputs/readings INTO {brokered('anomaly')}",
        "anomalies": f"FROM /messages/modules/anomaly/outputs/alerts INTO {brokered('alert-filter')}",
        "alerts": {
            "route": "FROM /messages/modules/alert-filter/outputs/alerts WHERE alert = 'true' INTO $upstream",
            "priority": 0,
            "timeToLiveSecs": 3600,
        },
        "scores": "FROM /messages/modules/anomaly/outputs/scores INTO $upstream",
    }
    desired = "properties.desired"
    return {
        "$edgeAgent": {desired: {"schemaVersion": "1.1", "runtime": {"type": "docker"}, "modules": modules}},
        "$edgeHub": {desired: {"schemaVersion": "1.1", "routes": routes}},
        "anomaly": {desired: {"threshold": 6}},
        "alert-filter": {desired: {"threshold": 1, "sampling": 0}},
    }


class Running:
    """The device, with what reached the cloud."""

    def __init__(self, folder, content):
        self.path = folder / "deployment.json"
        self.write(content)
        self.arrived = []
        self.engine = Engine()
        self.cloud = FileCloud(self.path, self.arrived.extend)
        # Short: tests run next to each other on one engine.
        self.name = f"t{time.time_ns() % 10**9}"
        self.device = Device(self.name, folder / "device", self.cloud, self.engine)
        self.device.start()

    def write(self, content):
        self.content = content
        self.path.write_text(json.dumps(content))

    def bodies(self, name):
        meant = [one for one in list(self.arrived) if one["module"] == name]
        return [json.loads(base64.b64decode(one["body"])) for one in meant]

    def state(self, name):
        return self.cloud.reported.get("$edgeAgent", {}).get("modules", {}).get(name, {})

    def container(self, name):
        return self.engine.inspect_container(f"edge-{self.name}-{name}")

    def why(self):
        logs = []
        for name in self.device.agent.modules:
            with self.engine.doing("read logs") as api:
                logs.append(api.logs(f"edge-{self.name}-{name}", tail=30).decode())
        return "\n".join([self.device.problem, str(self.cloud.reported), *logs])


@pytest.fixture
def running(tmp_path, images):
    made = Running(tmp_path, deployment(images))
    yield made
    made.device.stop(volumes=True)
    with made.engine.doing("clean up") as api:
        left = api.containers(all=True, filters={"label": [f"io.slipway.edge.device={made.name}"]})
        left += api.volumes(filters={"label": [f"io.slipway.edge.device={made.name}"]})["Volumes"] or []
        left += api.networks(filters={"label": [f"io.slipway.edge.device={made.name}"]})
    assert left == []


def test_a_deployment_becomes_modules_whose_alerts_reach_the_cloud(running, images):  # noqa: PLR0915 - one device, for all
    until(lambda: len(running.bodies("alert-filter")) >= 2, running.why, 120)
    # Two anomalous readings in a row, one alert; the others are scores.
    alerts = [one["anomaly"]["reading"]["n"] for one in running.bodies("alert-filter")]
    assert alerts == [38 + 40 * number for number in range(len(alerts))]
    until(lambda: len(running.bodies("anomaly")) >= 60, running.why)
    assert all(one["reading"]["n"] % 40 < 38 for one in running.bodies("anomaly"))
    numbers = [one["reading"]["n"] for one in running.bodies("anomaly")]
    assert numbers == [n for n in range(numbers[-1] + 1) if n % 40 < 38]
    # What the cloud is told: applied, running, and what each module made of its twin.
    assert running.cloud.reported["$edgeAgent"]["lastDesiredStatus"] == {"code": 200, "description": ""}
    until(lambda: running.state("anomaly").get("runtimeStatus") == "running", running.why)
    until(lambda: running.cloud.reported.get("anomaly", {}).get("state") == "ready", running.why)
    assert running.cloud.reported["anomaly"]["settings"]["threshold"]["value"] == 6
    # No key is in the container's settings; neighbours ask over HTTP, by the module's name.
    environment = "\n".join(running.container("anomaly")["Config"]["Env"])
    assert "IOTEDGE_WORKLOADURI=unix:///var/run/iotedge/workload.sock" in environment
    assert "SharedAccessKey" not in environment
    ask = "import urllib.request as u; print(u.urlopen('http://anomaly:8080/ready').read().decode())"
    with running.engine.doing("ask a neighbour") as api:
        command = api.exec_create(running.container("sensor")["Id"], ["/opt/venv/bin/python", "-c", ask])
        assert "ready" in api.exec_start(command["Id"]).decode()
    assert running.device.hub.call("anomaly", "diagnose", None)[0] == 200

    # A module that is killed comes back by its policy, and goes on.
    before = len(running.bodies("anomaly"))
    with running.engine.doing("kill a module") as api:
        api.kill(running.container("anomaly")["Id"])
    until(lambda: running.state("anomaly").get("restartCount") == 1, running.why)
    until(lambda: len(running.bodies("anomaly")) > before + 5, running.why)
    # A broker that is killed too.
    running.device.agent.broker("anomaly").stop()
    before = len(running.bodies("anomaly"))
    until(lambda: len(running.bodies("anomaly")) > before + 40, running.why)
    numbers = list(dict.fromkeys(one["reading"]["n"] for one in running.bodies("anomaly")))
    assert sorted(numbers) == [n for n in range(max(numbers) + 1) if n % 40 < 38]

    # Another twin reaches the module; another setting replaces its container; a module that goes is removed.
    content = running.content
    content["anomaly"]["properties.desired"]["threshold"] = 100
    kept = running.container("anomaly")["Id"]
    running.write(content)
    until(lambda: running.cloud.reported["anomaly"]["settings"]["threshold"]["value"] == 100, running.why)
    assert running.container("anomaly")["Id"] == kept
    modules = content["$edgeAgent"]["properties.desired"]["modules"]
    modules["anomaly"]["env"] = {"SLIPWAY_EDGE_SCORE": {"value": "score"}}
    del modules["sensor"], content["$edgeHub"]["properties.desired"]["routes"]["readings"]
    running.write(content)
    until(lambda: running.container("sensor") is None, running.why)
    until(lambda: (running.container("anomaly") or {"Id": kept})["Id"] != kept, running.why)
    until(lambda: "sensor" not in running.cloud.reported["$edgeAgent"]["modules"], running.why)

    # What the real agent and hub would refuse is refused, and what runs goes on.
    content["$edgeHub"]["properties.desired"]["routes"]["wrong"] = "FROM /messages/modules/nobody/* INTO $upstream"
    running.write(content)
    until(lambda: running.cloud.reported["$edgeHub"]["lastDesiredStatus"]["code"] == 400, running.why)
    assert "nobody" in running.cloud.reported["$edgeHub"]["lastDesiredStatus"]["description"]
    del content["$edgeHub"]["properties.desired"]["routes"]["wrong"]
    modules["alert-filter"]["settings"] = {"image": images["anomaly"][:-4] + "0000"}
    running.write(content)
    until(lambda: running.cloud.reported["$edgeAgent"]["lastDesiredStatus"]["code"] == 500, running.why)
    assert "alert-filter" in running.cloud.reported["$edgeAgent"]["lastDesiredStatus"]["description"]
    until(lambda: running.state("anomaly").get("runtimeStatus") == "running", running.why)
