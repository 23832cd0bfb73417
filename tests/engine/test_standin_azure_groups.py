"""Container groups of the stand-in for azure-native: init containers, volumes, limits, ends, probes and views."""

import threading
import time
import uuid

import pytest

from provider.resource import Call, InitFailedError, State
from standins.azure_native.plugin import AzurePackage

pytestmark = pytest.mark.engine

REQUESTS = {"requests": {"cpu": 0.5, "memoryInGB": 0.1}}
SLEEP = ["sleep", "1000"]


@pytest.fixture
def azure(tmp_path, monkeypatch, toolchain_env):
    monkeypatch.setenv("SLIPWAY_AZURE_STORE", str(tmp_path / "azure"))
    monkeypatch.setenv("SLIPWAY_AZURE", "stand-in")
    if host := toolchain_env.get("DOCKER_HOST"):
        monkeypatch.setenv("DOCKER_HOST", host)
    made = AzurePackage()
    resource = made.resources["azure-native:resources:ResourceGroup"]
    group = resource.create(call(), {"resourceGroupName": "rg", "location": "westeurope"})
    yield made
    resource.delete(call(), group)


def call():
    return Call("urn:pulumi:t::t::azure-native:x::one", threading.Event(), lambda *_: None)


def groups(azure):
    return azure.resources["azure-native:containerinstance:ContainerGroup"]


def create(azure, containers, **options):
    inputs = {
        "resourceGroupName": "rg",
        "location": "westeurope",
        "containerGroupName": f"box-{uuid.uuid4().hex[:6]}",
        "osType": "Linux",
        "containers": [{"resources": REQUESTS, **one} for one in containers],
        **options,
    }
    assert groups(azure).check(call(), None, inputs)[1] == []
    return groups(azure).create(call(), inputs)


def seen(azure, made, condition):
    deadline = time.monotonic() + 180
    while True:
        outputs = groups(azure).read(call(), State(made.id, made.inputs, made.outputs)).outputs
        if condition(outputs):
            return outputs
        assert time.monotonic() < deadline, outputs
        time.sleep(0.1)


def container(engine, made, name):
    [one] = [
        one
        for one in engine.containers.list(all=True, filters={"label": f"io.slipway.azure.group={made.id.lower()}"})
        if one.labels["io.slipway.azure.container"] == name
    ]
    return one


def test_init_containers_run_first_and_share_the_volumes(azure, image, engine):
    made = create(
        azure,
        [
            {
                "name": "model",
                "image": image,
                "command": ["sh", "-c", "cat /data/a; sleep 1000"],
                "volumeMounts": [{"name": "data", "mountPath": "/data", "readOnly": True}],
                "securityContext": {"runAsUser": 1000, "runAsGroup": 1001, "allowPrivilegeEscalation": False},
            }
        ],
        initContainers=[
            {
                "name": "first",
                "image": image,
                "command": ["sh", "-c", "echo prepared > /data/a"],
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }
        ],
        volumes=[{"name": "data", "emptyDir": {}}],
    )
    model = container(engine, made, "model")
    deadline = time.monotonic() + 180
    while model.logs() != b"prepared\n":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    host = model.attrs["HostConfig"]
    assert (host["NanoCpus"], host["Memory"]) == (500_000_000, 100_000_000)
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert model.attrs["Config"]["User"] == "1000:1001"


def test_an_init_container_that_fails_leaves_a_failed_group_with_its_words(azure, image):
    with pytest.raises(InitFailedError, match="exit code 4: broken") as failed:
        create(
            azure,
            [{"name": "model", "image": image, "command": SLEEP}],
            initContainers=[{"name": "first", "image": image, "command": ["sh", "-c", "echo broken; exit 4"]}],
        )
    assert failed.value.state.outputs["provisioningState"] == "Failed"


def test_ends_and_restarts_are_in_the_instance_view(azure, image):
    ended = create(azure, [{"name": "model", "image": image, "command": ["sh", "-c", "exit 3"]}], restartPolicy="Never")
    outputs = seen(azure, ended, lambda found: found["instanceView"]["state"] == "Failed")
    now = outputs["containers"][0]["instanceView"]["currentState"]
    assert (now["state"], now["exitCode"], now["detailStatus"]) == ("Terminated", 3, "Error")
    again = create(azure, [{"name": "model", "image": image, "command": ["sh", "-c", "exit 0"]}])
    seen(azure, again, lambda found: found["containers"][0]["instanceView"]["restartCount"] > 1)


def test_probes_show_as_events(azure, image):
    serve = (
        "import http.server; http.server.HTTPServer(('', 8080), http.server.SimpleHTTPRequestHandler).serve_forever()"
    )
    made = create(
        azure,
        [
            {
                "name": "good",
                "image": image,
                "command": ["python3", "-c", serve],
                "readinessProbe": {"httpGet": {"path": "/", "port": 8080}},
                "livenessProbe": {"exec": {"command": ["true"]}},
            },
            {
                "name": "bad",
                "image": image,
                "command": SLEEP,
                "readinessProbe": {"httpGet": {"path": "/never", "port": 8080}},
                "livenessProbe": {"exec": {"command": ["sh", "-c", "exit 7"]}},
            },
        ],
    )

    def events(outputs, index):
        return [one["message"] for one in outputs["containers"][index]["instanceView"]["events"]]

    outputs = seen(azure, made, lambda found: events(found, 0) == ["Started container"])
    assert events(outputs, 1) == [
        "Started container",
        "Liveness probe failed: exit code 7",
        "Readiness probe failed: HTTP probe failed with statuscode: 404",
    ]
