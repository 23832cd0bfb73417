"""What a stack has deployed: its outputs, what Docker runs, and what the services say, joined."""

import json
from dataclasses import asdict, replace

from cli.placements.containers import Running
from cli.placements.local import with_containers
from cli.placements.overview import _asked
from cli.placements.placement import Placement, recorded

DIGEST = "localhost:5050/shop/models/iris@sha256:" + 64 * "a"
OUTPUTS = {
    "models": {
        "iris": {
            "version": "2",
            "image": DIGEST,
            "targets": {
                "local-docker": {"endpoint": "http://127.0.0.1:8890", "container": "shop-dev-iris", "reload": True}
            },
        },
        "digits": {"version": "1", "image": DIGEST, "targets": {}},
    }
}
IRIS = Placement(
    model="iris",
    version="2",
    target="local-docker",
    endpoint="http://127.0.0.1:8890",
    image=DIGEST,
    container="shop-dev-iris",
    reload=True,
)
RUNNING = Running(
    id="1f",
    name="shop-dev-iris",
    stack="dev",
    model="iris",
    version="2",
    state="running",
    endpoint=IRIS.endpoint,
    created=1796033000,
)


def test_each_target_of_each_model_is_a_row():
    assert recorded(OUTPUTS) == [IRIS]


def test_a_stack_without_models_has_no_rows():
    for outputs in (None, {}, {"models": None}, {"models": {}}, {"other": 1}):
        assert recorded(outputs) == []


def test_a_container_that_is_gone_or_stopped_is_said_to_be():
    assert with_containers([IRIS], []) == [replace(IRIS, state="missing")]
    for docker, told in {
        "exited": "stopped",
        "created": "stopped",
        "paused": "paused",
        "restarting": "restarting",
    }.items():
        assert with_containers([IRIS], [replace(RUNNING, state=docker)]) == [replace(IRIS, state=told)]


def test_a_container_that_no_output_tells_of_is_shown_all_the_same():
    [found] = with_containers([], [RUNNING])
    assert found == Placement("iris", "2", "local-docker", endpoint=IRIS.endpoint, container="shop-dev-iris")


def test_the_version_is_the_one_that_runs():
    [found] = with_containers([IRIS], [replace(RUNNING, version="1")])
    assert found.version == "1"


def test_a_target_without_a_container_is_left_to_its_endpoint():
    remote = Placement("iris", "2", "aks", endpoint="https://iris.example.com")
    assert with_containers([remote], []) == [remote]


def test_the_state_is_the_services_own_word():
    status = {"state": "failed", "error": "no model", "reload": {"enabled": True, "error": "line 3"}}
    told = _asked(IRIS, {IRIS.endpoint: status})
    assert (told.state, told.error, told.reload_error) == ("failed", "no model", "line 3")
    assert _asked(IRIS, {IRIS.endpoint: {"state": "ready"}}) == replace(IRIS, state="ready")


def test_a_service_that_runs_but_does_not_answer_is_unreachable():
    assert _asked(IRIS, {}).state == "unreachable"
    stopped = replace(IRIS, state="stopped")
    assert _asked(stopped, {IRIS.endpoint: {"state": "ready"}}) == stopped


def test_a_row_can_be_printed_as_json():
    assert json.loads(json.dumps(asdict(IRIS)))["image"] == DIGEST
