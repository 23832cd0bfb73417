"""Messages of an edge module: topics, alerts, and what is sent."""

import pytest
from azure.iot.device import Message as HubMessage
from azure.iot.device.iothub.pipeline import mqtt_topic_iothub
from hypothesis import given
from hypothesis import strategies as st

from scoring.edge.client import _to_hub
from scoring.edge.messages import failed, from_topic, highest, is_cut, scored
from scoring.edge.store import Rank
from scoring.edge.twin import Tuning

ABOUT = {"model": "m", "version": "2"}
TOPIC = "devices/d/modules/m/inputs/readings/"


def test_a_topic_gives_input_properties_and_id():
    found = from_topic(TOPIC + "%24.mid=one&%24.cid=two&%24.cdid=d&site=ulm%20%2F1&empty=", b"{}")
    assert (found.id, found.endpoint, found.body, found.rank) == ("one", "readings", b"{}", Rank.INPUT)
    assert found.properties == {"$.mid": "one", "$.cid": "two", "site": "ulm /1", "empty": ""}


@pytest.mark.parametrize("topic", ["devices/d/modules/m/inputs/readings", TOPIC])
def test_a_message_without_an_id_gets_one_of_its_own(topic):
    first, second = from_topic(topic, b""), from_topic(topic, b"")
    assert first.id != second.id
    assert first.endpoint == "readings"


@given(st.dictionaries(st.text(min_size=1).filter(lambda name: not name.startswith("$")), st.text(), max_size=4))
def test_properties_come_through_as_the_clients_of_azure_write_them(properties):
    sent = HubMessage(b"")
    sent.message_id = "a/b&c=d"
    sent.custom_properties = properties
    topic = mqtt_topic_iothub.encode_message_properties_in_topic(sent, TOPIC)
    assert from_topic(topic, b"").properties == {"$.mid": "a/b&c=d", **properties}


@pytest.mark.parametrize(
    ("answer", "path", "score"),
    [
        (b'{"score": 0.5}', "score", 0.5),
        (b"0.5", "score", 0.5),
        (b"[0.1, 0.9, 0.2]", "score", 0.9),
        (b'[{"score": 1}, {"score": 3}, {"other": 9}]', "score", 3),
        (b'{"predictions": [{"p": {"anomaly": 4}}, {"p": {"anomaly": 2}}]}', "predictions.p.anomaly", 4),
        (b'{"score": [[1, 2], [3]]}', "score", 3),
        (b'{"score": true}', "score", None),
        (b'{"score": "0.9"}', "score", None),
        (b'{"other": 1}', "score", None),
        (b"not JSON", "score", None),
        (b"[]", "score", None),
        (b"[" * 1000 + b"5" + b"]" * 1000, "score", 5),
    ],
)
def test_the_highest_score_of_an_answer_is_found(answer, path, score):
    assert highest(answer, path) == score


@pytest.mark.parametrize(("score", "output", "rank"), [(0.7, "alerts", Rank.ALERT), (0.69, "scores", Rank.TELEMETRY)])
def test_a_score_at_the_threshold_is_an_alert(score, output, rank):
    result = scored(
        from_topic(TOPIC + "%24.mid=one&site=ulm", b""), b'{"score": %f}' % score, Tuning(0.7), "score", ABOUT
    )
    assert (result.endpoint, result.rank) == (output, rank)
    is_alert = "true" if rank == Rank.ALERT else "false"
    assert result.properties == {
        "site": "ulm",
        "model": "m",
        "version": "2",
        "alert": is_alert,
        "$.mid": "m:one",
        "$.cid": "one",
        "$.ct": "application/json",
        "$.ce": "utf-8",
    }


def test_scoring_a_message_again_gives_the_same_id_and_another_message_another():
    message = from_topic(TOPIC, b"")
    one, again = (scored(message, b"1", Tuning(), "score", ABOUT) for _ in range(2))
    assert one.id == again.id
    assert one.id != scored(from_topic(TOPIC, b""), b"1", Tuning(), "score", ABOUT).id


def test_an_id_that_the_hub_would_not_take_is_replaced_by_one_that_is_the_same_each_time():
    message = from_topic(TOPIC + "%24.mid=" + "x" * 200, b"")
    first, again = (scored(message, b"1", Tuning(), "score", ABOUT) for _ in range(2))
    assert first.id == again.id
    assert len(first.id) <= 128


def test_sampling_keeps_its_share_and_every_alert():
    tuning = Tuning(threshold=0.5, sampling=0.25)
    batch = [from_topic(TOPIC + f"%24.mid={n}", b"") for n in range(2000)]
    kept = [one for one in batch if scored(one, b"0", tuning, "score", ABOUT)]
    assert 400 < len(kept) < 600
    assert kept == [one for one in batch if scored(one, b"0", tuning, "score", ABOUT)]
    assert all(scored(one, b"1", tuning, "score", ABOUT) for one in batch)
    assert not any(scored(one, b"0", Tuning(sampling=0), "score", ABOUT) for one in batch)


def test_a_message_that_could_not_be_scored_goes_on_with_the_reason():
    result = failed(from_topic(TOPIC + "%24.mid=one&%24.ct=text%2Fcsv", b"1,2"), 400, "no JSON " * 1000, ABOUT)
    assert (result.endpoint, result.body, result.rank) == ("errors", b"1,2", Rank.TELEMETRY)
    assert result.properties["status"] == "400"
    assert result.properties["error"].startswith("no JSON")
    assert result.properties["$.ct"] == "text/csv"
    assert len(str(result.properties)) < 2000


def test_a_reason_with_what_no_text_can_have_is_told_without_it():
    result = failed(from_topic(TOPIC + "%24.mid=one", b"1"), 500, "no file caf\udce9.bin", ABOUT)
    assert result.properties["error"] == "no file caf?.bin"


def test_an_answer_that_the_hub_would_not_take_goes_to_errors_as_the_message_with_the_reason():
    message = from_topic(TOPIC + "%24.mid=one", b"small")
    assert scored(message, b"1" * 250_000, Tuning(), "score", ABOUT).endpoint == "scores"
    result = scored(message, b"1" * 262_144, Tuning(), "score", ABOUT)
    assert (result.endpoint, result.body, result.properties["status"]) == ("errors", b"small", "413")
    assert "262144 can be" in result.properties["error"]


def test_a_message_that_is_as_large_as_can_be_goes_to_errors_without_its_body():
    result = failed(from_topic(TOPIC + "%24.mid=one", b"x" * 262_100), 500, "no", ABOUT)
    assert (result.endpoint, result.body, result.properties["error"]) == ("errors", b"", "no")


@pytest.mark.parametrize("come", ["site=" + "x" * 65_000, "%24.cid=" + "x" * 65_400, "site=" + "%C3%BC" * 10_800])
@pytest.mark.parametrize("output", ["alerts", "errors"])
def test_a_result_whose_properties_no_topic_can_have_goes_without_those_it_came_with(come, output, caplog):
    message = from_topic(f"{TOPIC}%24.mid=one&{come}", b"body")
    if output == "alerts":
        result = scored(message, b'{"score": 9}', Tuning(0.7), "score", ABOUT)
    else:
        result = failed(message, 500, "\u20ac" * 10_000, ABOUT)
    assert (result.endpoint, result.id, is_cut(result)) == (output, "m:one", True)
    assert result.properties["$.cid"] == "one"
    assert result.properties["model"] == "m"
    assert "message one: its result goes without its properties" in caplog.text
    assert _topic_length(result) < 65_535


def test_a_result_whose_properties_just_fit_keeps_them(caplog):
    message = from_topic(f"{TOPIC}%24.mid=one&site={'x' * 64_000}", b"")
    result = scored(message, b"1", Tuning(), "score", ABOUT)
    assert len(result.properties["site"]) == 64_000
    assert not is_cut(result)
    assert not caplog.text
    assert 64_000 < _topic_length(result) < 65_535


def _topic_length(message):
    """As azure-iot-device makes it, for the longest names of device and module that there can be."""
    topic = f"devices/{'d' * 128}/modules/{'m' * 128}/messages/events/"
    return len(mqtt_topic_iothub.encode_message_properties_in_topic(_to_hub(message), topic).encode())
