"""The stand-in for an IoT hub, by azure-iot-hub's own client over TLS: identities, twins, deployments, methods."""

import json
import ssl
import threading

import httpx
import pytest
from azure.core.exceptions import ClientAuthenticationError

from iot_hub import HubClient, HubError
from standins.iot_hub import sas
from standins.iot_hub.hub import Hub
from standins.iot_hub.store import Store
from tests.unit.iot_hub_harness import EDGE, KEY, READER, configuration, content, served


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIPWAY_AZURE_STORE", str(tmp_path))
    with served(tmp_path) as one:
        yield one


@pytest.fixture
def client(hub):
    return hub.client()


@pytest.fixture
def browser(hub, tmp_path):
    verify = ssl.create_default_context(cafile=tmp_path / "iot-hub/tls/ca.pem")
    with httpx.Client(verify=verify, timeout=20, trust_env=False) as one:
        yield one


@pytest.fixture
def device(hub, client, browser):
    """A registered device, which asks as itself."""
    key = client.put_device("line-4", EDGE)["authentication"]["symmetricKey"]["primaryKey"]
    headers = {"Authorization": sas.token(f"{hub.host}/devices/line-4", key)}
    browser.base_url, browser.headers = f"https://{hub.host}/standin/devices/line-4", headers
    return browser


def status(call, *arguments):
    with pytest.raises(HubError) as refused:
        call(*arguments)
    return refused.value.status


def desired(client, module="$edgeAgent", device="line-4"):
    where = f"moduleId = '{module}' AND deviceId = '{device}'"
    (twin,) = client.query(f"SELECT * FROM devices.modules WHERE {where}")  # noqa: S608 - a query for twins
    return twin["properties"]["desired"]


def test_a_device_is_registered_once_changed_by_its_etag_and_removed(client):
    made = client.put_device("line-4", EDGE)
    assert made["capabilities"] == {"iotEdge": True}
    assert status(client.put_device, "line-4", EDGE) == 409
    assert status(client.put_device, "line-4", {**EDGE, "status": "disabled"}, "AAAA") == 412
    changed = client.put_device("line-4", {**EDGE, "status": "disabled"}, made["etag"])
    assert (changed["status"], changed["authentication"]) == ("disabled", made["authentication"])
    client.delete_device("line-4")
    assert client.device("line-4") is None
    client.delete_device("line-4")


def test_tags_are_merged_taken_away_and_held_to_their_limits(client):
    client.put_device("line-4", EDGE)
    client.set_tags("line-4", {"site": "ulm", "place": {"hall": "B", "row": 1}})
    client.set_tags("line-4", {"place": {"row": None}})
    assert client.tags("line-4") == {"site": "ulm", "place": {"hall": "B"}}
    assert status(client.set_tags, "line-4", {"a.b": 1}) == 400
    assert status(client.set_tags, "line-4", {"x": ["y" * 4000] * 3}) == 400
    assert status(client.set_tags, "gone", {"a": 1}) == 404


@pytest.mark.parametrize(
    ("scheme", "scope", "key", "policy", "seconds"),
    [
        ("", "HOST", KEY, "owner", 60),
        ("Bearer ", "HOST", KEY, "owner", 60),
        ("SharedAccessSignature ", "HOST", KEY, "nobody", 60),
        ("SharedAccessSignature ", "HOST", READER, "owner", 60),
        ("SharedAccessSignature ", "HOST", KEY, "owner", -10),
        ("SharedAccessSignature ", "elsewhere", KEY, "owner", 60),
        ("SharedAccessSignature ", "HOST/devices/line-4", KEY, "", 60),
    ],
)
def test_who_shows_no_right_signature_learns_nothing(hub, browser, scheme, scope, key, policy, seconds):
    hub.client().put_device("line-4", EDGE)
    token = sas.token(scope.replace("HOST", hub.host), key, policy, seconds)
    shown = token.replace("SharedAccessSignature ", scheme)
    url = f"https://{hub.host}/devices/line-4?api-version=2021-04-12"
    answer = browser.get(url, headers={"Authorization": shown})
    assert answer.status_code == 401
    assert answer.json()["Message"] == "ErrorCode:IotHubUnauthorizedAccess;Unauthorized"
    right = sas.token(hub.host, KEY, "owner")
    assert browser.get(url, headers={"Authorization": right}).status_code == 200


def test_a_key_gives_no_more_than_its_rights(hub, client):
    client.put_device("line-4", EDGE)
    reader = hub.client("reader", READER)
    assert reader.device("line-4")
    assert status(reader.delete_device, "line-4") == 401
    assert status(reader.set_tags, "line-4", {"a": 1}) == 401


def test_a_device_asks_for_itself_only(device, hub):
    assert device.get("/modules").status_code == 200
    other = str(device.base_url).replace("line-4", "line-5")
    assert device.get(f"{other}modules").status_code == 401
    assert device.get(f"https://{hub.host}/devices/line-4?api-version=2021-04-12").status_code == 401


def test_another_version_of_the_interface_is_refused(hub, browser):
    headers = {"Authorization": sas.token(hub.host, KEY, "owner")}
    for query, known in (("?api-version=2021-04-12", True), ("?api-version=2019-01-01", False), ("", False)):
        answer = browser.get(f"https://{hub.host}/devices{query}", headers=headers)
        assert (answer.status_code == 200) is known


def test_a_deployment_reaches_the_devices_of_its_condition_and_no_others(client):
    for name, site in (("line-4", "ulm"), ("line-5", "kiel")):
        client.put_device(name, EDGE)
        client.set_tags(name, {"site": site})
    client.put_device("plain", {**EDGE, "capabilities": {"iotEdge": False}})
    client.put_configuration(configuration("base", "tags.site = 'ulm'", content=content({"a": {"type": "docker"}})))
    assert desired(client)["modules"] == {"a": {"type": "docker"}}
    assert desired(client, device="line-5").keys() == {"$version", "$metadata"}
    client.set_tags("line-5", {"site": "ulm"})
    assert desired(client, device="line-5")["modules"] == {"a": {"type": "docker"}}
    results = client.configuration("base")["systemMetrics"]["results"]
    assert (results["targetedCount"], results["appliedCount"], results["reportedSuccessfulCount"]) == (2, 2, 0)


def test_layers_lie_over_the_base_by_priority_and_are_nothing_without_it(client):
    client.put_device("line-4", EDGE)
    client.put_configuration(configuration("layer", priority=5, content=content(a={"n": 1})))
    assert "modules" not in desired(client)
    client.put_configuration(configuration("base", priority=1))
    assert desired(client)["modules"] == {"a": {"n": 1}}
    client.put_configuration(configuration("higher", priority=6, content=content(a={"n": 2}, b={"n": 3})))
    assert desired(client)["modules"] == {"a": {"n": 2}, "b": {"n": 3}}
    client.put_configuration(configuration("below-the-base", priority=0, content=content(c={"n": 4})))
    assert "c" not in desired(client)["modules"]
    client.delete_configuration("higher")
    assert desired(client)["modules"] == {"a": {"n": 1}}
    client.delete_configuration("base")
    assert "modules" not in desired(client)


def test_of_two_full_deployments_a_device_takes_the_higher_and_of_equal_ones_the_later(client):
    client.put_device("line-4", EDGE)
    client.put_configuration(configuration("first", content=content({"a": {}})))
    client.put_configuration(configuration("second", content=content({"b": {}})))
    assert desired(client)["modules"].keys() == {"b"}
    found = client.configuration("first")
    client.put_configuration({**found, "priority": 9}, found["etag"])
    assert desired(client)["modules"].keys() == {"a"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"id": "Upper"}, 400),
        ({"priority": -1}, 400),
        ({"targetCondition": "tags.a == 1"}, 400),
        ({"content": {"modulesContent": {"$edgeAgent": {}}}}, 400),
        ({"content": {"modulesContent": {"$edgeAgent": {"properties.desired": {}}, "$edgeHub": {}}}}, 400),
        ({"content": {"modulesContent": content({f"m{n}": {} for n in range(51)})}}, 400),
        ({"content": {"modulesContent": {"$edgeAgent": {"tags.x": 1}, "$edgeHub": {}}}}, 400),
    ],
)
def test_what_the_hub_would_not_deploy_is_refused(client, change, code):
    assert status(client.put_configuration, {**configuration("base"), **change}) == code
    assert client.configurations() == []


def test_a_configuration_is_made_once_keeps_its_content_and_changes_by_its_etag(client):
    made = client.put_configuration(configuration("base"))
    assert status(client.put_configuration, configuration("base")) == 409
    other = {**made, "content": {"modulesContent": content({"x": {}})}}
    assert status(client.put_configuration, other, made["etag"]) == 400
    changed = client.put_configuration({**made, "priority": 7, "labels": {"a": "b"}}, made["etag"])
    assert (changed["priority"], changed["labels"]) == (7, {"a": "b"})
    assert status(client.put_configuration, {**made, "priority": 8}, made["etag"]) == 412
    assert status(client.delete_configuration, "base", "AAAA") == 412
    assert status(client.put_configuration, configuration("none"), "AAAA") == 404


def test_a_hub_takes_a_hundred_deployments(client):
    for number in range(100):
        client.put_configuration(configuration(f"c-{number}"))
    assert status(client.put_configuration, configuration("one-more")) == 403


def test_queries_page_select_and_count(client):
    for number in range(7):
        client.put_device(f"d-{number}", EDGE)
    assert [one["n"] for one in client.query("SELECT COUNT() AS n FROM devices")] == [7]
    names = [one["deviceId"] for one in client.query("SELECT deviceId FROM devices WHERE deviceId <> 'd-3'")]
    assert names == ["d-0", "d-1", "d-2", "d-4", "d-5", "d-6"]
    pages, more = [], None
    while True:
        headers = {"x-ms-max-item-count": "3", **({"x-ms-continuation": more} if more else {})}
        answer = client._request("POST", "/devices/query", {"query": "SELECT * FROM devices"}, headers)
        pages.append(len(answer.json()))
        if not (more := answer.headers.get("x-ms-continuation")):
            break
    assert pages == [3, 3, 1]
    with pytest.raises(HubError, match="Query is invalid"):
        list(client.query("DELETE FROM devices"))


def test_a_device_is_told_once_something_changes_and_reports_back(device, client):
    first = device.get("/modules").json()
    assert first["modules"].keys() == {"$edgeAgent", "$edgeHub"}
    assert device.get("/modules", params={"etag": first["etag"], "wait": 0}).status_code == 304
    found = []
    waiting = threading.Thread(
        target=lambda: found.append(device.get("/modules", params={"etag": first["etag"], "wait": 15}).json())
    )
    waiting.start()
    client.put_configuration(configuration("base", content=content({"iris": {"n": 1}})))
    waiting.join()
    agent = found[0]["modules"]["$edgeAgent"]["desired"]
    assert agent["modules"] == {"iris": {"n": 1}}
    ok = {"lastDesiredVersion": agent["$version"], "lastDesiredStatus": {"code": 200}}
    assert (
        device.patch("/modules/$edgeAgent/reported", json={**ok, "modules": {"iris": 1, "old": 2}}).status_code == 200
    )
    version = device.patch("/modules/$edgeAgent/reported", json={"modules": {"old": None}}).json()["$version"]
    results = client.configuration("base")["systemMetrics"]["results"]
    assert (results["reportedSuccessfulCount"], results["reportedFailedCount"]) == (1, 0)
    device.patch("/modules/$edgeAgent/reported", json={"lastDesiredStatus": {"code": 500, "description": "no image"}})
    results = client.configuration("base")["systemMetrics"]["results"]
    assert (results["reportedSuccessfulCount"], results["reportedFailedCount"]) == (0, 1)
    (twin,) = client.query("SELECT * FROM devices.modules WHERE moduleId = '$edgeAgent'")
    assert twin["properties"]["reported"]["modules"] == {"iris": 1}
    assert version == 3


def test_a_method_reaches_a_device_that_is_there_and_its_answer_comes_back(device, client):
    assert status(client.call, "line-4", "$edgeAgent", "ping", None) == 404

    def answer():
        (call,) = device.get("/methods", params={"wait": 15}).json()
        device.post(f"/methods/{call['rid']}", json={"status": 201, "payload": {"got": call["payload"]}})

    device.get("/methods", params={"wait": 0})
    answering = threading.Thread(target=answer)
    answering.start()
    assert client.call("line-4", "$edgeAgent", "ping", [1, 2], 15) == (201, {"got": [1, 2]})
    answering.join()
    assert device.post("/methods/none", json={"status": 200}).status_code == 404


def test_a_device_that_does_not_answer_in_time_is_told(device, hub):
    device.get("/methods", params={"wait": 0})
    client = hub.client(patience=0.1)
    client._manager.protocol.config.connection.timeout = 10
    body = {"methodName": "x", "responseTimeoutInSeconds": 1}
    with pytest.raises(HubError, match="GatewayTimeout"):
        client._request("POST", "/twins/line-4/modules/$edgeAgent/methods", body, {})


def test_a_content_for_one_device_holds_until_a_deployment_is_meant_for_it(device, client):
    body = {"modulesContent": content({"by-hand": {}})}
    client._request("POST", "/devices/line-4/applyConfigurationContent", body, {})
    assert desired(client)["modules"].keys() == {"by-hand"}
    client.put_configuration(configuration("base", content=content({"a": {}})))
    assert desired(client)["modules"].keys() == {"a"}
    client.delete_configuration("base")
    assert desired(client)["modules"].keys() == {"by-hand"}


def test_what_was_answered_outlives_the_process_and_no_two_serve_one_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIPWAY_AZURE_STORE", str(tmp_path))
    with served(tmp_path) as one:
        client = one.client()
        client.put_device("line-4", EDGE)
        client.put_configuration(configuration("base"))
        # What a process holds that is killed now is in the file already.
        with pytest.raises(BlockingIOError):
            Store(one.folder)
        saved = {kind: json.dumps(one.store.all(kind), sort_keys=True) for kind in ("devices", "configurations")}
    again = Store(one.folder)
    assert {kind: json.dumps(again.all(kind), sort_keys=True) for kind in saved} == saved
    assert Hub(again).device("line-4")["deviceId"] == "line-4"
    again.close()


def test_without_a_key_a_hub_is_asked_as_the_one_who_deploys(hub, monkeypatch):
    for name in ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET"):
        monkeypatch.setenv(f"ARM_{name}", "x")
    asked = []

    def refuse(_self, *scopes, **_options):
        asked.extend(scopes)
        raise ClientAuthenticationError("AADSTS7000215: Invalid client secret")

    monkeypatch.setattr("azure.identity.ClientSecretCredential.get_token_info", refuse)
    with pytest.raises(HubError, match=r"not signed in to Azure for .*: AADSTS7000215: Invalid client secret"):
        HubClient(hub.host, patience=0).device("line-4")
    assert asked == ["https://iothubs.azure.net/.default"]
