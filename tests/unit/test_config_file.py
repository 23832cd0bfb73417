"""Environment variables out of a file."""

from __future__ import annotations

import json

import pytest

from scoring.config_file import merged
from scoring.variables import SettingsError


def variables(folder, content, **further):
    (folder / "variables.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return {"AML_APP_ROOT": str(folder), "AZUREML_CONFIG_FILE": "variables.json", **further}


def test_without_a_file_the_variables_are_those_of_the_process(tmp_path):
    given = {"AML_APP_ROOT": str(tmp_path), "A": "1"}
    assert merged(given) == given


def test_the_process_has_the_last_word(tmp_path):
    found = merged(variables(tmp_path, {"WORKER_COUNT": 2, "SERVICE_NAME": "file"}, SERVICE_NAME="process"))
    assert (found["WORKER_COUNT"], found["SERVICE_NAME"]) == ("2", "process")


def test_values_are_written_as_variables_are(tmp_path):
    found = merged(variables(tmp_path, {"A": True, "B": False, "C": 1.5, "D": "x", "E": None}))
    assert {name: found.get(name) for name in "ABCDE"} == {"A": "true", "B": "false", "C": "1.5", "D": "x", "E": None}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON: Expecting property name"),
        ("\xff", "is not JSON"),
        ([], "has to be an object of environment variables"),
        ({"A": [1], "B": {}}, "'A' is a list; allowed are a text, a number, true, false and null; "),
        ({"A": [1], "B": {}}, "'B' is an object"),
    ],
)
def test_a_file_that_cannot_be_used_is_told(tmp_path, content, message):
    with pytest.raises(SettingsError) as error:
        merged(variables(tmp_path, content))
    assert message in str(error.value)
    assert str(error.value).startswith(f"environment variable AZUREML_CONFIG_FILE: {tmp_path / 'variables.json'}")


def test_a_file_that_is_missing_is_told(tmp_path):
    with pytest.raises(SettingsError, match=r"nothing\.json cannot be read: No such file or directory"):
        merged({"AZUREML_CONFIG_FILE": str(tmp_path / "nothing.json")})


def test_config_json_in_the_app_root_counts_for_azures_variables(tmp_path):
    (tmp_path / "config.json").write_text(
        '{"SCORING_TIMEOUT_MS": 5, "SERVICE_NAME": "file", "PATH": "x", "layers": [1]}'
    )
    found = merged({"AML_APP_ROOT": str(tmp_path), "SERVICE_NAME": "process"})

    assert found == {"AML_APP_ROOT": str(tmp_path), "SCORING_TIMEOUT_MS": "5", "SERVICE_NAME": "process"}


@pytest.mark.parametrize("content", ["not JSON", "[1]"])
def test_a_models_own_config_json_does_not_matter(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    assert merged({"AML_APP_ROOT": str(tmp_path)}) == {"AML_APP_ROOT": str(tmp_path)}
