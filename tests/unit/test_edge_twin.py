"""Twin settings: applied or refused, each with a word on it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.edge.twin import Tuning, Twin, as_property
from standins.edge_runtime.twins import Twins

ALL = {
    "threshold": 0.7,
    "batchSize": 16,
    "batchWaitMs": 5,
    "sampling": 0.5,
    "logLevel": "debug",
    "storeMaxBytes": 1_000_000,
    "storeMaxAgeSeconds": 3600,
}


def test_all_that_the_twin_sets_is_applied_and_reported_with_its_version():
    twin = Twin(Tuning())
    report = twin.replace({**ALL, "$version": 7})
    assert twin.tuning == Tuning(0.7, 16, 5, 0.5, "debug", 1_000_000, 3600)
    for name, value in ALL.items():
        assert report[name] == {"value": value, "ac": 200, "av": 7, "ad": "applied"}


def test_without_a_word_of_the_twin_the_defaults_hold_and_are_reported():
    twin = Twin(Tuning(log_level="error"))
    report = twin.replace({"$version": 1})
    assert twin.tuning == Tuning(log_level="error")
    assert report["logLevel"] == {"value": "error", "ac": 200, "av": 1, "ad": "default"}
    assert report.keys() == ALL.keys()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threshold", "high"),
        ("threshold", True),
        ("threshold", float("nan")),
        ("batchSize", 0),
        ("batchSize", 1.5),
        ("batchSize", 1025),
        ("batchWaitMs", -1),
        ("sampling", 1.1),
        ("sampling", [1]),
        ("logLevel", "loud"),
        ("storeMaxBytes", 1),
        ("storeMaxAgeSeconds", 0),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_by_itself_and_what_held_goes_on_holding(name, value):
    twin = Twin(Tuning())
    twin.replace({**ALL, "$version": 1})
    before = twin.tuning
    report = twin.patch({name: value, "$version": 2})
    assert twin.tuning == before
    assert report[name]["ac"] == 400
    assert report[name]["value"] == ALL[name]
    assert "goes on holding" in report[name]["ad"]
    assert all(report[other]["ac"] == 200 for other in ALL if other != name)
    # And is applied when it is mended.
    assert twin.patch({name: ALL[name], "$version": 3})[name]["ac"] == 200


def test_an_unknown_property_is_reported_as_such_and_forgotten_when_it_goes():
    twin = Twin(Tuning())
    report = twin.replace({"treshold": 1, "$version": 1})
    assert report["treshold"]["ac"] == 404
    assert "threshold" in report["treshold"]["ad"]
    assert twin.patch({"treshold": None, "$version": 2})["treshold"] is None
    assert "treshold" not in twin.patch({"$version": 3})


def test_null_takes_a_property_back_to_its_default():
    twin = Twin(Tuning())
    twin.replace({"threshold": 1, "sampling": 0.1, "$version": 1})
    twin.patch({"threshold": None, "$version": 2})
    assert twin.tuning == Tuning(sampling=0.1)


def test_the_whole_twin_forgets_what_it_does_not_say():
    twin = Twin(Tuning())
    twin.replace({"threshold": 1, "$version": 1})
    twin.replace({"sampling": 0.1, "$version": 2})
    assert twin.tuning == Tuning(sampling=0.1)


@pytest.mark.parametrize(
    "desired",
    [
        dict.fromkeys(ALL, "x" * 4000),
        {f"{'n' * 1000}{number}": 1 for number in range(31)},
        {f"n{number}": 1 for number in range(2000)},
    ],
    ids=["long values", "long names", "many names"],
)
def test_what_is_reported_of_properties_that_the_hub_takes_the_hub_takes(tmp_path, desired):
    report = Twin(Tuning()).replace({**desired, "$version": 1})
    hub = Twins(tmp_path / "twins.json")
    hub.report("m", {"error": as_property("x" * 10_000), "settings": report})
    assert hub.get("m")["reported"]["settings"].keys() >= ALL.keys()


@pytest.mark.parametrize("text", ["x" * 5000, "ü" * 3000, "字" * 2000, "\ud800" * 3000])
def test_a_long_text_keeps_its_beginning_and_its_end_as_a_property(text):
    found = as_property(f"ValueError: {text} (score.py, line 3)")
    assert len(found.encode()) <= 2048
    assert found.startswith("ValueError: ")
    assert found.endswith(" (score.py, line 3)")
    assert as_property("short") == "short"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.lists(st.dictionaries(st.sampled_from([*ALL, "other"]), JSON, max_size=4), max_size=5))
def test_whatever_the_twin_says_something_allowed_holds_and_every_property_is_reported(patches):
    twin = Twin(Tuning())
    for version, patch in enumerate(patches, 1):
        report = twin.patch({**patch, "$version": version})
        assert ALL.keys() <= report.keys()
        tuning = twin.tuning
        assert 1 <= tuning.batch_size <= 1024
        assert 0 <= tuning.sampling <= 1
        assert tuning.store_max_bytes >= 64 * 1024
        assert tuning.log_level in {"debug", "info", "warning", "error"}
