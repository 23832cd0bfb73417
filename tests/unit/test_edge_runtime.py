"""The parts of the stand-in for IoT Edge's runtime: routes, twins, workload API, deployments, createOptions."""

import base64
import hashlib
import json

import httpx
import pytest
from azure.iot.device.iothub.edge_hsm import IoTEdgeError, IoTEdgeHsm
from hypothesis import given
from hypothesis import strategies as st

from standins.edge_runtime.agent import check
from standins.edge_runtime.clouds import FileCloud, HubCloud
from standins.edge_runtime.containers import create_options
from standins.edge_runtime.device import difference
from standins.edge_runtime.errors import EdgeError
from standins.edge_runtime.routes import parse
from standins.edge_runtime.twins import Twins, merge
from standins.edge_runtime.waiting import Waiting
from standins.edge_runtime.workload import Workload
from tests.unit.scoring_harness import until

INTO = 'BrokeredEndpoint("/modules/b/inputs/in")'


@pytest.mark.parametrize(
    ("route", "module", "output", "properties", "is_taken"),
    [
        (f"FROM /messages/modules/a/outputs/o INTO {INTO}", "a", "o", {}, True),
        (f"FROM /messages/modules/a/outputs/o INTO {INTO}", "a", "p", {}, False),
        (f"from /messages/modules/a/outputs/* into {INTO}", "a", "p", {}, True),
        (f"FROM /messages/modules/a/* INTO {INTO}", "c", "o", {}, False),
        ("FROM /messages/* INTO $upstream", "c", "o", {}, True),
        ("FROM /* WHERE alert = 'true' INTO $upstream", "a", "o", {"alert": "true"}, True),
        ("FROM /* WHERE alert = 'true' INTO $upstream", "a", "o", {"alert": "false"}, False),
        ("FROM /* WHERE alert = 'true' INTO $upstream", "a", "o", {}, False),
        ("FROM /* WHERE alert != 'true' INTO $upstream", "a", "o", {"alert": "false"}, True),
        ("FROM /* WHERE alert <> 'true' INTO $upstream", "a", "o", {}, False),
        ("FROM /* WHERE a = 'it''s' AND b = \"2\" INTO $upstream", "a", "o", {"a": "it's", "b": "2"}, True),
        ("FROM /* WHERE a = '1' AND b = '2' OR c = '3' INTO $upstream", "a", "o", {"c": "3"}, True),
        ("FROM /* WHERE $connectionModuleId = 'a' INTO $upstream", "a", "o", {"$connectionModuleId": "a"}, True),
    ],
)
def test_a_route_takes_what_it_says(route, module, output, properties, is_taken):
    assert parse("r", route).takes(module, output, properties) == is_taken


@pytest.mark.parametrize(
    ("route", "message"),
    [
        ("INTO $upstream", "has to be FROM SOURCE"),
        (None, "has to be FROM SOURCE"),
        ("FROM /twins/* INTO $upstream", "no source"),
        ("FROM /messages/modules/a/inputs/x INTO $upstream", "no source"),
        ("FROM /* INTO upstream", "its sink"),
        ('FROM /* INTO BrokeredEndpoint("/modules/b")', "its sink"),
        ("FROM /* WHERE temperature > 20 INTO $upstream", "does not know the condition"),
    ],
)
def test_a_route_that_edge_hub_would_refuse_or_the_stand_in_does_not_know_is_refused(route, message):
    with pytest.raises(EdgeError, match=message):
        parse("r", route)


def test_a_route_has_a_target_a_priority_and_a_time_to_live():
    route = parse("r", {"route": f"FROM /* INTO {INTO}", "priority": 1, "timeToLiveSecs": 60})
    assert (route.target, route.priority, route.seconds) == (("b", "in"), 1, 60)


def test_a_twin_counts_its_versions_and_tells_what_has_changed(tmp_path):
    twins = Twins(tmp_path / "twins.json")
    assert twins.set_desired("m", {"a": 1, "b": {"c": 2}}) == {"a": 1, "b": {"c": 2}, "$version": 2}
    assert twins.set_desired("m", {"a": 1, "b": {"c": 2}}) is None
    assert twins.set_desired("m", {"a": 3}) == {"a": 3, "b": None, "$version": 3}
    assert twins.report("m", {"x": {"y": 1, "z": 2}}) == 2
    assert twins.report("m", {"x": {"y": None}}) == 3
    again = Twins(tmp_path / "twins.json")
    assert again.get("m")["desired"] == {"a": 3, "$version": 3}
    assert again.get("m")["reported"] == {"x": {"z": 2}, "$version": 3}


@pytest.mark.parametrize(
    "patch", [[], "x", {"a.b": 1}, {"$a": 1}, {"a b": 1}, {"": 1}, {"a": "x" * 5000}, {"a": ["x" * 3000] * 20}]
)
def test_reported_properties_that_iot_hub_would_refuse_are_refused(tmp_path, patch):
    with pytest.raises(ValueError, match=r"."):
        Twins(tmp_path / "twins.json").report("m", patch)


def test_too_deep_properties_are_refused(tmp_path):
    patch = {"a": 1}
    for _ in range(11):
        patch = {"a": patch}
    with pytest.raises(ValueError, match="deeper"):
        Twins(tmp_path / "twins.json").report("m", patch)


VALUES = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


@given(OBJECTS, OBJECTS)
def test_the_difference_of_two_objects_makes_the_one_of_the_other(old, new):
    assert merge(old, difference(old, new)) == new


def test_the_workload_api_signs_for_its_own_module_as_the_client_asks(tmp_path):
    (tmp_path / "ca.pem").write_text("CERTIFICATE")
    workload = Workload(tmp_path / "m", "m", tmp_path / "ca.pem")
    try:
        uri = f"unix://{tmp_path}/m/workload.sock"
        own = IoTEdgeHsm("m", "1", uri, "2019-01-30")
        assert own.get_certificate() == "CERTIFICATE"
        assert len(base64.b64decode(own.sign("data"))) == hashlib.sha256().digest_size
        assert own.sign("data") == own.sign("data") != own.sign("other")
        for other in (IoTEdgeHsm("n", "1", uri, "x"), IoTEdgeHsm("m", "2", uri, "x")):
            with pytest.raises(IoTEdgeError):
                other.sign("data")
    finally:
        workload.close()


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"data": "???", "algo": "HMACSHA256"}', b'{"data": "YQ==", "algo": "MD5"}']
)
def test_what_is_no_request_to_sign_is_refused(tmp_path, body):
    workload = Workload(tmp_path / "m", "m", tmp_path / "ca.pem")
    try:
        with httpx.Client(transport=httpx.HTTPTransport(uds=f"{tmp_path}/m/workload.sock")) as client:
            assert client.post("http://edge/modules/m/genid/1/sign", content=body).status_code == 400
            assert client.get("http://edge/modules").status_code == 404
    finally:
        workload.close()


MODULE = {"type": "docker", "settings": {"image": "x"}}


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({}, "schemaVersion"),
        ({"schemaVersion": "1.2"}, "schemaVersion"),
        ({"schemaVersion": "1.1"}, "runtime.type"),
        ({"schemaVersion": "1.1", "runtime": {"type": "docker"}, "modules": {"m": {}}}, "settings.image"),
        (
            {"schemaVersion": "1.1", "runtime": {"type": "docker"}, "modules": {"m": {**MODULE, "status": "on"}}},
            "status",
        ),
        (
            {"schemaVersion": "1.1", "runtime": {"type": "docker"}, "modules": {"m": {**MODULE, "restartPolicy": "x"}}},
            "restartPolicy",
        ),
    ],
)
def test_a_deployment_that_the_real_agent_would_refuse_is_refused(properties, message):
    with pytest.raises(EdgeError, match=message):
        check(properties)


def test_create_options_come_in_pieces():
    text = json.dumps({"Env": ["x" * 700]})
    assert create_options("m", {"createOptions": text[:512], "createOptions01": text[512:]}) == json.loads(text)
    for wrong in ("{", "[]"):
        with pytest.raises(EdgeError, match="createOptions"):
            create_options("m", {"createOptions": wrong})


def test_what_waits_goes_by_priority_and_outlives_its_process(tmp_path):
    arrived, is_there = [], False

    def send(messages):
        if not is_there:
            raise ConnectionError
        arrived.extend(one["n"] for one in messages)

    first = Waiting(tmp_path / "w.db", send)
    for n, priority in enumerate([5, 5, 0, 5, 0]):
        first.put({"n": n}, priority, 3600)
    first.put({"n": "old"}, 0, -1)
    first.close()
    is_there = True
    second = Waiting(tmp_path / "w.db", send)
    until(lambda: second.count == 0, "all is sent")
    second.close()
    assert arrived == [2, 4, 0, 1, 3]


def test_a_file_that_is_no_deployment_and_a_wrong_connection_string_are_told(tmp_path):
    (tmp_path / "d.json").write_text('{"$edgeAgent": {}}')
    with pytest.raises(EdgeError, match="no deployment"):
        FileCloud(tmp_path / "d.json", list).modules("", 0)
    with pytest.raises(EdgeError, match="HostName="):
        HubCloud("HostName=x", tmp_path)
