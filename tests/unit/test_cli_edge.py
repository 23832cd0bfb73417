"""Models on devices: the status of a fleet in a few queries, and what goes through the hub to one device."""

import json
import threading

import pytest

from cli.diagnosis.checks import last_error
from cli.diagnosis.context import Context
from cli.errors import Exit
from cli.main import run
from cli.stack.project import find_project
from tests.unit.cli_harness import FakePulumi, write_iris
from tests.unit.iot_hub_harness import EDGE, KEY, configuration, content, served

MANIFEST = """models:
  - name: iris
    version: 1
    path: models/iris
    scoring: {sample: sample.json}
    targets:
      - iot-edge: {targetCondition: "STARTS_WITH(deviceId, 'd-')"}
"""
CONFIG = "config:\n  slipway:targets: [iot-edge]\n  slipway:azure: {location: westeurope}\n"
IMAGE = "made.azurecr.io/shop/models/iris@sha256:" + 64 * "a"
CONDITION = "STARTS_WITH(deviceId, 'd-')"
OLD = IMAGE[:-1] + "b"
# What a module says of itself.
TOLD = {"name": "iris", "version": "1", "image": IMAGE}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIPWAY_AZURE_STORE", str(tmp_path / "azure"))
    with served(tmp_path / "azure") as one:
        yield one


@pytest.fixture
def project(tmp_path, monkeypatch, hub):
    write_iris(tmp_path, MANIFEST)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-docker.sock")
    made = FakePulumi(tmp_path)
    made.configure(CONFIG)
    targets = {"iot-edge": {"deployment": "iris-1", "hub": hub.host, "condition": CONDITION, "module": "iris"}}
    resources = [
        {
            "type": "slipway:index:EdgeDeployment",
            "urn": "urn:pulumi:dev::shop::slipway:index:EdgeDeployment::iris",
            "inputs": {"hub": hub.host, "connectionString": _secret(hub.connection())},
        },
        {
            "type": "slipway:index:EdgeDevice",
            "urn": "urn:pulumi:dev::shop::slipway:index:EdgeDevice::d-1",
            "inputs": {"hub": hub.host, "deviceId": "d-1", "connectionString": _secret(hub.connection())},
            "outputs": {"deviceConnectionString": _secret("HostName=h;DeviceId=d-1;SharedAccessKey=canary")},
        },
    ]
    made.answers(
        out={
            "models": {"iris": {"version": "1", "image": IMAGE, "targets": targets}},
            "azure": {"resourceGroup": "shop-dev", "subscription": "1f", "location": "x"},
            "deployment": {"resources": resources},
        }
    )
    return made


def _secret(text):
    return {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "plaintext": json.dumps(text)}


@pytest.fixture
def fleet(hub):
    """Five devices with the deployment; `tell` reports for one of them."""
    client = hub.client()
    client.put_configuration(configuration("base", CONDITION))
    client.put_configuration(configuration("iris-1", CONDITION, priority=21, content=content(iris={"settings": {}})))
    for number in range(1, 6):
        client.put_device(f"d-{number}", EDGE)

    def tell(device, running="running", state="ready", error=None, code=200, image=IMAGE, model=TOLD, **module):
        version = hub.hub.module(device, "$edgeAgent")["twin"]["desiredVersion"]
        hub.hub.report(
            device,
            "$edgeAgent",
            {
                "lastDesiredVersion": version,
                "lastDesiredStatus": {"code": code, "description": module.pop("description", "")},
                "modules": {"iris": {"runtimeStatus": running, "settings": {"image": image}, **module}},
            },
        )
        hub.hub.report(device, "iris", {"model": model, "state": state, "error": error})

    return tell


def status(capsys):
    assert run(["status", "--json"]) == Exit.OK
    [told] = json.loads(capsys.readouterr().out)["models"]
    return told, {one["device"]: (one["state"], one["error"]) for one in told["devices"]}


def test_each_device_is_told_with_its_state_and_the_reason_of_those_that_fail(project, hub, fleet, capsys):
    fleet("d-1")
    fleet("d-2", running="backoff", exitCode=137, statusDescription="Failed with 137: out of memory")
    fleet("d-3", state="failed", error="ValueError: no weights")
    fleet("d-4", image="made.azurecr.io/shop/models/iris@sha256:old")
    before = dict(hub.service.counted)
    told, devices = status(capsys)
    assert devices == {
        "d-1": ("ready", None),
        "d-2": ("failed", "backoff: Failed with 137: out of memory"),
        "d-3": ("failed", "ValueError: no weights"),
        "d-4": ("rolling", None),
        "d-5": ("rolling", None),
    }
    assert told["state"] == "failed"
    # However many devices there are.
    after = hub.service.counted
    assert sum(after.values()) - sum(before.values()) == 3
    assert run(["status"]) == Exit.OK
    shown = capsys.readouterr().out
    assert "1 of 5 devices ready, 2 failed, 2 rolling" in shown
    assert "d-2: backoff: Failed with 137: out of memory" in shown


def test_what_the_version_before_said_of_itself_does_not_count_for_the_new_one(project, fleet, capsys):
    fleet("d-1", model={"name": "iris", "version": "0"})
    # The same version, built anew.
    fleet("d-2", model=TOLD | {"image": OLD})
    # A module of a deployment that does not tell it its image.
    fleet("d-3", model={"name": "iris", "version": "1"})
    stale = {"state": "failed", "error": "ValueError: mended since", "model": {"name": "iris", "version": "0"}}
    fleet("d-4", **stale)
    fleet("d-5", running="backoff", statusDescription="Failed with 137", **stale)
    assert status(capsys)[1] == {
        "d-1": ("rolling", None),
        "d-2": ("rolling", None),
        "d-3": ("ready", None),
        "d-4": ("rolling", None),
        "d-5": ("failed", "backoff: Failed with 137"),
    }


def test_a_diagnosis_tells_of_devices_that_fail_and_of_a_condition_that_no_device_meets(project, hub, fleet, capsys):
    def health():
        run(["diagnose", "--json"])
        found = json.loads(capsys.readouterr().out)["findings"]
        (one,) = (one for one in found if one["check"] == "health")
        return one["status"], one["message"]

    fleet("d-1", running="failed", exitCode=3)
    assert health() == ("problem", "0 of 5 devices ready, 1 failed, 4 rolling:\nd-1: failed: exit code 3")
    for number in range(1, 6):
        fleet(f"d-{number}")
    assert health() == ("ok", "5 of 5 devices ready.")
    for number in range(1, 6):
        hub.client().delete_device(f"d-{number}")
    assert health() == ("warning", f"No device of the hub meets {CONDITION}.")


def test_all_ready_is_ready_and_a_device_without_the_deployment_waits(project, hub, fleet, capsys):
    for number in range(1, 6):
        fleet(f"d-{number}")
    assert status(capsys)[0]["state"] == "ready"
    found = hub.client().configuration("iris-1")
    hub.client().put_configuration({**found, "targetCondition": "deviceId <> 'd-3'"}, found["etag"])
    told, devices = status(capsys)
    assert (told["state"], devices["d-3"]) == ("waiting", ("waiting", None))


def test_what_the_edge_agent_could_not_apply_is_told(project, fleet, capsys):
    fleet("d-1", running="unknown", code=400, description="the schema is not supported")
    _, devices = status(capsys)
    assert devices["d-1"] == ("failed", "the schema is not supported")


def test_a_hub_that_cannot_be_asked_leaves_the_rest_of_the_status(project, hub, capsys):
    state = json.loads(project.env["FAKE_PULUMI_OUT"])
    state["deployment"]["resources"][0]["inputs"]["connectionString"] = _secret(hub.connection("owner", "V1JPTkc="))
    project.answers(out=state)
    assert run(["status"]) == Exit.OK
    seen = capsys.readouterr()
    assert "How the devices are could not be found out" in seen.err
    assert "iris" in seen.out
    assert "V1JPTkc=" not in seen.out + seen.err


@pytest.fixture
def answering(hub, tmp_path):
    """Lets a device answer the next direct method."""
    threads = []

    def run_on(device, status, payload):
        seen = []
        hub.hub.seen(device)

        def answer():
            (call,) = hub.hub.calls_for(device, 20)
            seen.append((call.module, call.name, call.payload))
            hub.hub.answer(device, call.rid, {"status": status, "payload": payload})

        threads.append(threading.Thread(target=answer))
        threads[-1].start()
        return seen

    yield run_on
    for one in threads:
        one.join()


def test_a_request_goes_to_the_model_on_a_device_through_the_hub(project, fleet, answering, capsys):
    fleet("d-2")
    seen = answering("d-2", 200, {"score": 0.9})
    assert run(["score", "iris", "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["answer"] == {"score": 0.9}
    assert seen == [("iris", "score", {"data": [1]})]
    answering("d-4", 400, {"message": "column missing"})
    assert run(["score", "iris", "--device", "d-4"]) == Exit.FAILED
    assert "iris answered 400: column missing" in capsys.readouterr().err


def test_who_cannot_be_asked_is_told_with_what_to_look_at(project, fleet, capsys):
    assert run(["score", "iris"]) == Exit.FAILED
    assert "iris is ready on no device: 0 of 5 devices ready, 5 rolling" in capsys.readouterr().err
    assert run(["score", "iris", "--device", "d-1"]) == Exit.FAILED
    assert "isn't online" in capsys.readouterr().err
    assert run(["score", "digits", "--device", "d-1"]) == Exit.USAGE


def test_a_log_is_read_by_the_devices_edge_agent(project, fleet, answering, capsys):
    fleet("d-1")
    seen = answering("d-1", 200, [{"id": "iris", "payload": "first\nsecond\n"}])
    assert run(["logs", "iris", "--tail", "5"]) == Exit.OK
    assert capsys.readouterr().out.splitlines() == ["first", "second"]
    [(module, name, payload)] = seen
    assert (module, name) == ("$edgeAgent", "GetModuleLogs")
    assert payload["items"] == [{"id": "iris", "filter": {"tail": 5}}]
    answering("d-1", 400, "not known here")
    assert run(["logs", "iris", "--device", "d-1"]) == Exit.FAILED
    assert "On the device: iotedge logs iris" in capsys.readouterr().err


def test_a_diagnosis_finds_the_last_error_on_a_device_that_fails_before_one_that_serves(project, fleet, answering):
    [found] = last_error.check(Context(find_project(), "dev"))
    assert (found.status, found.model) == ("skipped", "iris")
    fleet("d-1")
    fleet("d-2", running="failed", exitCode=3)
    boom = "2026-01-01T00:00:01Z ERROR   slipway: boom"
    answering("d-2", 200, [{"id": "iris", "payload": f"first\n{boom}\n"}])
    [found] = last_error.check(Context(find_project(), "dev"))
    assert (found.status, found.model, found.message) == ("warning", "iris", f"Its last error: {boom}")
    assert "`slipway logs iris --device d-2`" in found.mend


def test_the_connection_string_of_a_registered_device_is_printed_alone(project, capsys):
    assert run(["keys", "--device", "d-1"]) == Exit.OK
    seen = capsys.readouterr()
    assert seen.out == "HostName=h;DeviceId=d-1;SharedAccessKey=canary\n"
    assert "canary" not in seen.err
    assert run(["keys", "--device", "d-2"]) == Exit.USAGE
    assert "has registered no device d-2" in capsys.readouterr().err
    assert run(["keys"]) == Exit.USAGE


def test_no_key_of_the_hub_is_shown_by_a_command_that_asks_it(project, hub, fleet, answering, capsys):
    """Each of them comes to its end, with a device that answers: what fails early shows no key either way."""
    fleet("d-1")
    for command, answer in (
        (["status"], None),
        (["status", "--json"], None),
        (["score", "iris"], {"score": 0.9}),
        (["logs", "iris"], [{"id": "iris", "payload": "a line\n"}]),
    ):
        seen = answering("d-1", 200, answer) if answer else None
        assert run(command) == Exit.OK
        shown = capsys.readouterr()
        assert shown.out
        assert seen is None or len(seen) == 1
        for key in (hub.connection(), KEY):
            assert key not in shown.out + shown.err
