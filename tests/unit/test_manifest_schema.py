"""The JSON Schema for editors: current, complete, and of one mind with what loads the manifest."""

import json
from pathlib import Path

import jsonschema
import pytest
from pydantic import ValidationError

from manifest import Manifest
from manifest import schema as manifest_schema

ROOT = Path(__file__).parents[2]
BASE = {"name": "iris", "version": 1, "path": "models/iris"}


def model(**keys):
    return {"models": [{**BASE, **keys}]}


SOUND = [
    {"models": []},
    model(),
    model(version="1.10", description="A model\nof two lines", tags={"team": "a", "year": 2026}),
    model(path="./models/iris/model.onnx"),
    model(path="models/..iris"),
    model(scoring={}),
    model(
        scoring={
            "script": "a.py",
            "code": "src",
            "requirements": "../shared.txt",
            "sample": "s.json",
            "schema": "c.json",
        }
    ),
    model(scoring={"conda": "environment.yml", "env": {"A": "b", "C": 1}}),
    *(
        model(scoring={"serving": serving})
        for serving in (
            {},
            {"workers": 2, "threads": 4, "queue": 0, "timeoutSeconds": 0.5, "maxBody": "1Ki", "workerMemory": "512Mi"},
            {"batching": True},
            {"batching": False},
            {"batching": {}},
            {"batching": {"maxSize": 1, "maxWaitMs": 0}},
        )
    ),
    *(
        model(scoring={"collect": collect})
        for collect in (
            True,
            False,
            {},
            {"inputs": False, "outputs": True, "sample": 0.1, "drop": ["a b"], "hash": ["c"], "largest": "5Mi"},
        )
    ),
    model(scoring={"telemetry": True}),
    model(targets=[]),
    model(targets=["local-docker"]),
    model(targets=["batch"]),
    model(targets=[{"batch": {"input": "in/**/*.csv", "schedule": "0 3 * * *", "body": {"x": ["$rows"]}}}]),
    model(targets=[{"batch": {"output": "abfs://out/x", "nodes": {"lowPriority": 4}, "types": {"a": "double"}}}]),
    model(targets=[{"local-docker": None}]),
    model(targets=[{"local-docker": {}}]),
    model(
        targets=[{"local-docker": {"port": 8890, "reload": True, "cpu": 0.5, "memory": "512Mi", "startupSeconds": 1}}]
    ),
    model(targets=[{"local-docker": {"memory": "64Mi"}}]),
    *(
        model(targets=[{"aks": aks}])
        for aks in (
            {},
            {"replicas": 3},
            {"replicas": {"min": 1, "max": 20, "cpu": 60}, "cpu": 0.25, "memory": "512Mi", "gpu": 1, "spot": True},
            *(
                {"replicas": {"min": 0, "max": 5, "triggers": [trigger]}}
                for trigger in (
                    {
                        "cron": {
                            "start": "0 7 * * 1-5",
                            "end": "0 19 * * 1-5",
                            "timezone": "Europe/Berlin",
                            "replicas": 2,
                        }
                    },
                    {"prometheus": {"query": "sum(up)", "threshold": 0.5, "server": "http://prometheus:9090"}},
                    {"serviceBus": {"namespace": "orders-prod", "topic": "scored", "subscription": "iris"}},
                    {"storageQueue": {"account": "orders", "queue": "to-score", "messages": 20}},
                    {"other": {"type": "kafka", "metadata": {"topic": "orders"}, "authentication": "kafka"}},
                )
            ),
            {"host": "iris.example.com", "auth": "entra", "namespace": "team-a", "spread": False, "egress": "any"},
        )
    ),
]

UNSOUND = [
    {},
    [],
    "models",
    {"models": None},
    {"models": {}},
    {"models": [], "more": 1},
    {"models": [{}]},
    {"models": ["iris"]},
    *(model(name=name) for name in ("Iris", "1a", "a--b", "a-", "-a", "a_b", "a.b", "x" * 33, "", 1, None, "a\n")),
    *(model(version=version) for version in (1.1, True, -1, "", "a b", ".1", "1.", "x" * 33, None, [1])),
    *(
        model(path=path)
        for path in ("", "/a", "../a", "a/../b", "a/..", "..", "a b", "a\\b", "a*", "~", "$A", 'a"', 1, None)
    ),
    model(more=1),
    model(description=1),
    model(description="x" * 1025),
    model(tags={"a b": "c"}),
    model(tags={"a": 1.5}),
    model(tags={"a": "b\nc"}),
    model(tags={f"tag{number}": "x" for number in range(51)}),
    model(scoring=None),
    model(scoring="score.py"),
    model(scoring={"scirpt": "a.py"}),
    *(model(scoring={"script": script}) for script in ("a.txt", ".py", "src/.py", "../a.py", None)),
    model(scoring={"code": "../src"}),
    model(scoring={"requirements": "/a"}),
    model(scoring={"requirements": "a", "conda": "b"}),
    *(
        model(scoring={"env": env})
        for env in ({"1A": "x"}, {"A-B": "x"}, {"PATH": "x"}, {"SLIPWAY_X": "x"}, {"A": True}, [])
    ),
    *(
        model(scoring={"serving": serving})
        for serving in (
            None,
            True,
            {"worker": 2},
            *({"workers": workers} for workers in (0, 65, 1.5, "2", True, None)),
            {"threads": 257},
            {"queue": -1},
            *({"timeoutSeconds": seconds} for seconds in (0, 86_401, "1")),
            *({"maxBody": size} for size in ("0Mi", "1MB", "1Ti", 1, "")),
            {"workerMemory": "1Mi"},
            *({"batching": batching} for batching in (64, None, [], {"maxSize": 0}, {"maxWaitMs": -1}, {"size": 1})),
        )
    ),
    *(
        model(scoring={"collect": collect})
        for collect in (
            None,
            "all",
            [],
            {"to": "abfs://c"},
            {"inputs": "yes"},
            {"sample": 1.1},
            {"sample": -0.1},
            {"drop": "a"},
            {"drop": [""]},
            {"hash": [" "]},
            {"hash": [1]},
            {"largest": "1"},
        )
    ),
    *(model(scoring={"telemetry": telemetry}) for telemetry in (None, 1, "true", {})),
    model(targets="local-docker"),
    model(targets=["nomad"]),
    *(
        model(targets=[{"aks": {"replicas": {"min": 1, "max": 5, "triggers": triggers}}}])
        for triggers in (
            {"cron": {}},
            [{}],
            ["cron"],
            [{"http": {}}],
            [{"cron": {"start": "0 7 * * *"}}],
            [{"cron": {"start": "daily", "end": "0 19 * * *"}}],
            [{"cron": {"start": "0 7 * * *", "end": "0 19 * * *"}, "prometheus": {"query": "up", "threshold": 1}}],
            [{"prometheus": {"query": "up", "threshold": 0}}],
            [{"prometheus": {"query": "up", "threshold": 1, "server": "prometheus:9090"}}],
            [{"storageQueue": {"account": "Orders", "queue": "to-score"}}],
            [{"other": {"type": "kafka", "metadata": {"a b": "c"}}}],
        )
    ),
    model(targets=[{"batch": {"input": "ftp://in"}}]),
    model(targets=[{"batch": {"schedule": "daily", "input": "in"}}]),
    model(targets=[{"batch": {"nodes": {"dedicated": -1}}}]),
    model(targets=[{}]),
    model(targets=[None]),
    model(targets=[{"nomad": {}}]),
    model(targets=[{"local-docker": {}, "aci": {}}]),
    *(
        model(targets=[{"local-docker": options}])
        for options in (
            {"prot": 1},
            {"port": 0},
            {"port": 65536},
            {"port": "1"},
            {"port": None},
            {"port": True},
            {"reload": "yes"},
            {"cpu": 0},
            {"cpu": 1025},
            {"cpu": "1"},
            {"memory": "1GB"},
            {"memory": "63Mi"},
            {"memory": 512},
            {"startupSeconds": 0},
            [],
            "x",
        )
    ),
]


@pytest.fixture(scope="module")
def validator():
    schema = manifest_schema.schema()
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


@pytest.mark.parametrize("document", SOUND, ids=repr)
def test_what_loads_is_sound_to_editors(validator, document):
    assert Manifest.model_validate(document)
    validator.validate(document)


@pytest.mark.parametrize("document", UNSOUND, ids=repr)
def test_what_does_not_load_is_marked_by_editors(validator, document):
    with pytest.raises(ValidationError):
        Manifest.model_validate(document)
    # A line's end at the end of a text is the one thing that `$` forgives in Python and not in editors.
    assert not validator.is_valid(document) or document == model(name="a\n")


def test_the_file_is_current():
    assert manifest_schema.main(["--check", str(ROOT / "models.schema.json")]) == 0


def test_the_default_manifest_is_sound_to_editors(validator):
    import yaml  # noqa: PLC0415 - only here another reader than our own

    validator.validate(yaml.safe_load((ROOT / "models.yaml").read_text()))


def test_every_key_has_a_description(validator):
    def undescribed(schema):
        for name, one in schema.get("properties", {}).items():
            if "description" not in one and not any("$ref" in way for way in one.get("anyOf", [])):
                yield name

    parts = [validator.schema, *validator.schema["definitions"].values()]
    assert [name for part in parts for name in undescribed(part)] == []


def test_every_mapping_refuses_unknown_keys(validator):
    def mappings(value):
        if isinstance(value, dict):
            if value.get("type") == "object":
                yield value
            for one in value.values():
                yield from mappings(one)
        elif isinstance(value, list):
            for one in value:
                yield from mappings(one)

    found = list(mappings(validator.schema))
    # Docker's and the twin's own keys are theirs to say.
    open_to_others = [one for one in found if one["additionalProperties"] is True]
    assert {one["description"] for one in open_to_others} == {
        "Docker's create options: bindings, privileges, mounts and the like.",
        "Of an image: its twin's desired properties.",
    }
    closed = [one for one in found if one not in open_to_others]
    assert len(closed) >= 15
    assert all(one["additionalProperties"] is False for one in closed)


def test_an_outdated_file_is_told_and_written_anew(tmp_path, capsys):
    file = tmp_path / "models.schema.json"
    assert manifest_schema.main(["--check", str(file)]) == 1
    assert "is not current; run: python -m manifest.schema --write" in capsys.readouterr().err
    assert manifest_schema.main(["--write", str(file)]) == 0
    assert manifest_schema.main(["--check", str(file)]) == 0
    assert json.loads(file.read_text())["title"] == "Slipway models"
    assert [one.name for one in tmp_path.iterdir()] == ["models.schema.json"]


def test_a_file_that_cannot_be_written_is_told(tmp_path, capsys):
    assert manifest_schema.main(["--write", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err
