"""What SLIPWAY_COLLECT and Azure ML's variables may say, and what is said about the rest."""

import importlib.util
import json

import pytest

from scoring.collect.settings import CollectSettings
from scoring.variables import Reader, SettingsError
from tests.unit.collect_harness import KEY, settings_of


def problems_of(text, **variables):
    reader = Reader({"SLIPWAY_COLLECT": text, **variables})
    CollectSettings.from_reader(reader)
    return reader.problems


def test_without_the_variable_nothing_is_collected():
    reader = Reader({"AZUREML_MDC_ENABLED": "true"})
    assert CollectSettings.from_reader(reader).to == ""
    assert reader.problems == []


@pytest.mark.parametrize("to", ["/data/kept", "file:///data/kept"])
def test_a_folder_is_a_path_or_a_file_url(to):
    assert settings_of(to).to == "/data/kept"


@pytest.mark.parametrize("to", ["abfs://box/kept", "abfss://box@account.dfs.core.windows.net/kept", "az://box"])
def test_blob_storage_is_a_url_without_credentials(to):
    assert settings_of(to).to == to


@pytest.mark.parametrize("name", ["fsspec", "adlfs"])
def test_a_missing_library_is_named_with_the_manifest_key_that_brings_it(monkeypatch, name):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda asked: None if asked == name else found(asked))
    with pytest.raises(SettingsError, match=f"{name}.*`collect` in models.yaml"):
        settings_of("abfs://box/kept")
    assert settings_of("/data").to == "/data"


@pytest.mark.parametrize(
    "to",
    ["abfs://box/kept?sv=1&sig=SECRET", "abfs://user:SECRET@box/kept", "https://a.blob.core.windows.net/b?sig=SECRET"],
)
def test_a_secret_in_the_address_is_refused_and_not_repeated(to):
    with pytest.raises(SettingsError) as raised:
        settings_of(to)
    assert "AZURE_STORAGE_CONNECTION_STRING" in str(raised.value)
    assert "SECRET" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"to": "data"}, "has to be absolute"),
        ({"to": "ftp://host/x"}, "allowed are an absolute folder"),
        ({"to": "abfs:///x"}, "lacks the container"),
        ({"to": 3}, "to has to be a text"),
        ({}, 'lacks "to"'),
        ({"to": "/x", "sample": 2}, "sample is 2; allowed is a number from 0 to 1"),
        ({"to": "/x", "sample": True}, "sample is true"),
        ({"to": "/x", "inputs": 1}, "inputs is 1; allowed are true and false"),
        ({"to": "/x", "drop": "ssn"}, 'drop is "ssn"; allowed is a list of column names'),
        ({"to": "/x", "rows": 0}, "rows is 0; allowed is a number of at least 1"),
        ({"to": "/x", "rows": 1.5}, "rows is 1.5"),
        ({"to": "/x", "colums": []}, "has the key 'colums'; allowed are to, inputs"),
        ({"to": "/x", "drop": ["a"], "hash": ["A"]}, "both drops and hashes a"),
        ([], "is a JSON list; allowed is an object"),
    ],
)
def test_each_mistake_has_its_message(given, said):
    problems = problems_of(json.dumps(given), SLIPWAY_COLLECT_HASH_KEY=KEY)
    assert any(said in problem for problem in problems), problems


def test_what_is_no_json_is_not_repeated():
    problems = problems_of("AccountKey=SECRET")
    assert "is not JSON" in problems[0]
    assert "SECRET" not in " ".join(problems)


def test_hashing_needs_a_key_of_some_length(tmp_path):
    text = json.dumps({"to": "/x", "hash": ["email"]})
    assert "needs a secret key" in problems_of(text)[0]
    assert "too short" in problems_of(text, SLIPWAY_COLLECT_HASH_KEY="short")[0]
    file = tmp_path / "key"
    assert "cannot be read" in problems_of(text, SLIPWAY_COLLECT_HASH_KEY_FILE=str(file))[0]
    file.write_text(KEY + "\n")
    reader = Reader({"SLIPWAY_COLLECT": text, "SLIPWAY_COLLECT_HASH_KEY_FILE": str(file)})
    settings = CollectSettings.from_reader(reader)
    assert settings.key == KEY.encode()
    assert KEY not in repr(settings)


def samples_of(given, **variables):
    reader = Reader({"SLIPWAY_COLLECT": json.dumps({"to": "/x", **given}), **variables})
    settings = CollectSettings.from_reader(reader)
    assert reader.problems == []
    return settings.sample("request"), settings.sample("response"), settings.sample("model_inputs")


def test_inputs_outputs_and_the_scripts_collections_are_sampled_at_the_rates_that_are_asked_for(tmp_path):
    assert samples_of({}) == (1, 1, 1)
    assert samples_of({"sample": 0.1, "outputs": False}) == (0.1, 0, 0.1)
    assert samples_of({"sample": 0.1}, AZUREML_MDC_SAMPLE_RATE="50") == (0.1, 0.1, 0.5)
    assert samples_of({}, AZUREML_MDC_ENABLED="False") == (1, 1, 0)
    file = tmp_path / "mdc.json"
    collections = {"Model_Inputs": {"enabled": True, "sampleRatePercentage": 20}, "response": {"enabled": False}}
    file.write_text(json.dumps({"collections": collections}))
    assert samples_of({}, AZUREML_MDC_CONFIG_PATH=str(file)) == (1, 0, 0.2)
    file.write_text("{}")
    assert samples_of({}, AZUREML_MDC_CONFIG_PATH=str(file)) == (1, 1, 0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not of the form"),
        ("[]", "is not of the form"),
        ('{"collections": {"a": {"enabled": true, "sampleRatePercentage": 101}}}', "allowed is a number from 0 to 100"),
        (None, "cannot be read"),
    ],
)
def test_a_collections_file_that_cannot_be_used_is_a_problem(tmp_path, content, said):
    file = tmp_path / "mdc.json"
    if content is not None:
        file.write_text(content)
    assert said in problems_of('{"to": "/x"}', AZUREML_MDC_CONFIG_PATH=str(file))[0]
