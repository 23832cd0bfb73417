"""`azureml` beside what is installed under the same name, and the collectors of azureml.ai.monitoring."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pandas as pd
import pytest

from scoring import collect
from scoring.context import REQUEST_ID
from tests.unit.compat_packages import FOLDER


def python(code, *folders):
    """Run a program with our packages ahead of others."""
    path = os.pathsep.join([FOLDER, *map(str, folders)])
    return subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True, timeout=120
    ).stdout.split()


def package(folder, name, text=""):
    path = folder.joinpath(*name.split("."))
    path.mkdir(parents=True)
    (path / "__init__.py").write_text(text)


EXTENDED = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"


@pytest.mark.parametrize("beginning", ["", EXTENDED], ids=["a plain package", "a package that others extend"])
def test_what_is_installed_below_azureml_goes_on_working(tmp_path, beginning):
    for name in ("azureml", "azureml.core", "azureml.ai", "azureml.ai.monitoring", "azureml.ai.other"):
        package(tmp_path, name, beginning + f"NAME = {name!r}\n")
    (tmp_path / "azureml" / "contrib" / "portion").mkdir(parents=True)
    (tmp_path / "azureml" / "contrib" / "portion" / "module.py").write_text("NAME = 'a namespace'\n")

    printed = python(
        "import azureml.core, azureml.ai.other, azureml.contrib.portion.module\n"
        "import azureml.ai.monitoring, azureml.contrib.services.aml_request, inference_schema\n"
        "print(azureml.core.NAME, azureml.ai.other.NAME, hasattr(azureml.ai.monitoring, 'NAME'))",
        tmp_path,
    )
    assert printed == ["azureml.core", "azureml.ai.other", "False"]


def test_ours_is_found_ahead_of_an_installed_one(tmp_path):
    for name in ("inference_schema", "azureml_inference_server_http", "azureml_inference_server_http.api"):
        package(tmp_path, name, "raise AssertionError")

    assert python(
        "import inference_schema.schema_decorators, azureml_inference_server_http.api.aml_response as api\n"
        "print(api.AMLResponse.__name__)",
        tmp_path,
    ) == ["AMLResponse"]


def test_a_script_that_takes_requests_raw_loads_nothing_heavy():
    printed = python(
        "import sys, slipway\n"
        "import azureml_inference_server_http.api.aml_request, azureml_inference_server_http.api.aml_response\n"
        "import azureml.ai.monitoring, inference_schema.schema_decorators\n"
        "import inference_schema.parameter_types.standard_py_parameter_type\n"
        "print([name for name in ('numpy', 'pandas', 'pyarrow', 'scoring') if name in sys.modules])"
    )
    assert printed == ["[]"]


@pytest.fixture
def collector():
    from azureml.ai.monitoring import Collector  # noqa: PLC0415 - found by the path that the import above set

    return Collector


@pytest.fixture
def context():
    from azureml.ai.monitoring import context  # noqa: PLC0415 - as above

    return context


FRAME = pd.DataFrame({"a": [1, 2]})


class Sink:
    """What the runtime collects with."""

    def __init__(self):
        self.put = []

    def put_frame(self, collection, frame, *, request_id, correlation):
        self.put.append((collection, frame.to_dict("list"), request_id, correlation))


@pytest.fixture
def sink(monkeypatch):
    made = Sink()
    monkeypatch.setattr(collect, "sink", lambda: made)
    return made


def test_what_is_collected_is_handed_to_the_runtime(sink, collector, context):
    given = context.BasicCorrelationContext(id="the-id", headers={"X-Request-Id": "the-request"})

    assert collector(name="model_inputs").collect(FRAME, given) is given
    assert sink.put == [("model_inputs", {"a": [1, 2]}, "the-request", "the-id")]


def test_outputs_are_tied_to_inputs_by_what_collecting_these_returned(sink, collector):
    token = REQUEST_ID.set("the-request")
    try:
        made = collector(name="model_inputs").collect(FRAME)
        collector(name="model_outputs").collect(FRAME, made)
    finally:
        REQUEST_ID.reset(token)

    (_, _, first_request, first), (_, _, second_request, second) = sink.put
    assert first == second == made.get_id() == str(made)
    assert first_request == second_request == "the-request"


def test_a_collector_that_is_off_harms_nobody(collector, caplog):
    caplog.set_level(logging.INFO, logger="slipway")
    made = collector(name="model_inputs")

    assert made.collect(FRAME).get_id()
    assert made.collect("not a data frame").get_id()
    assert caplog.messages == ["collection is off: what is given to the collector 'model_inputs' is not kept"]


def test_whoever_wants_to_know_is_told_that_collection_is_off(collector):
    told = []
    collector(name="model_inputs", on_error=told.append).collect(FRAME)
    assert [str(error) for error in told] == ["collection is off: what is given to 'model_inputs' is not kept"] * 2


def test_what_is_no_data_frame_is_told(sink, collector):
    with pytest.raises(TypeError, match=r"Collector\('model_inputs'\).collect takes a pandas DataFrame, given list"):
        collector(name="model_inputs").collect([1])
    told = []
    collector(name="model_inputs", on_error=told.append).collect([1])
    assert isinstance(told[0], TypeError)
    assert sink.put == []


def test_a_collection_needs_a_name(sink, collector):
    with pytest.raises(ValueError, match="the collection has no name"):
        collector(name="")


def test_a_context_makes_up_what_is_not_given(context):
    made = context.get_context()
    assert made.get_id() != context.get_context().get_id()
    assert made.get_timestamp() > 0
    assert made.get_headers() == {}
    assert context.CorrelationContext().get_id() == ""
