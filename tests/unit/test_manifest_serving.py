"""How a model says that it is served, collected and traced: the runtime's settings that come of it, and mistakes."""

import json

import pytest

from manifest import ManifestError, load_environment, load_manifest
from manifest.model import Scoring
from manifest.serving import Collect, Serving
from scoring.collect.settings import CollectSettings
from scoring.settings import Settings
from scoring.variables import Reader


def settings(**scoring):
    return Settings.from_environment(Scoring.model_validate(scoring).variables)


def problems(tmp_path, scoring):
    (tmp_path / "models/iris").mkdir(parents=True, exist_ok=True)
    for name in ("score.py", "model.bin"):
        (tmp_path / "models/iris" / name).write_text("x")
    path = tmp_path / "models.yaml"
    path.write_text(f"models:\n- name: iris\n  version: 1\n  path: models/iris\n  scoring:\n{scoring}")
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    return [str(problem).removeprefix(f"{tmp_path}/") for problem in caught.value.problems]


def test_the_runtime_takes_what_the_manifest_says():
    given = settings(
        serving={
            "workers": 2,
            "threads": 4,
            "queue": 10,
            "timeoutSeconds": 0.5,
            "maxBody": "5Mi",
            "workerMemory": "512Mi",
            "batching": {"maxSize": 8, "maxWaitMs": 20},
        }
    )
    assert (given.workers, given.threads, given.queue, given.timeout_seconds) == (2, 4, 10, 0.5)
    assert (given.max_body_bytes, given.worker_memory) == (5 * 1024**2, 512 * 1024**2)
    assert given.batching
    assert (given.batching.max_size, given.batching.max_wait_ms) == (8, 20)


def test_what_the_manifest_calls_the_default_is_the_runtimes():
    defaults = {field.alias: field.default for field in Serving.model_fields.values() if field.default is not None}
    assert set(defaults) == {"workers", "threads", "queue", "timeoutSeconds"}
    assert settings(serving=defaults) == settings()
    batching = settings(serving={"batching": True}).batching
    assert batching
    assert batching == type(batching)()


def test_what_is_not_given_leaves_the_image_as_it_is():
    assert Scoring.model_validate({"serving": {}}).variables == {}
    assert Scoring.model_validate({"serving": {"batching": False}}).variables == {}


def test_the_variables_of_env_may_still_be_set():
    given = settings(env={"SLIPWAY_THREADS": 3, "WORKER_COUNT": 2}, serving={"queue": 1})
    assert (given.threads, given.workers, given.queue) == (3, 2, 1)


def test_the_same_said_twice_is_refused_with_all_that_is(tmp_path):
    assert problems(
        tmp_path,
        "    env: {SLIPWAY_THREADS: 2, WORKER_COUNT: 2, SLIPWAY_MAX_BODY_BYTES: 1}\n"
        "    serving: {threads: 2, workers: 2, queue: 1}\n",
    ) == [
        (
            "models.yaml:7:14: models[0].scoring.serving: says the same as SLIPWAY_THREADS, WORKER_COUNT in `env`; "
            "keep one of them"
        )
    ]


def test_all_mistakes_are_told_in_one_run_with_their_lines(tmp_path):
    assert problems(
        tmp_path,
        "    serving:\n"
        "      worker: 2\n"
        "      maxBody: 5mb\n"
        "      timeoutSeconds: 0\n"
        "      batching: 64\n"
        "    collect:\n"
        "      sample: 10\n"
        "      drop: [ssn]\n"
        "      hash: [email, SSN]\n"
        "      to: abfs://c\n"
        "    telemetry: yes\n",
    ) == [
        (
            'models.yaml:7:7: models[0].scoring.serving.worker: unknown key "worker"; did you mean "workers"? '
            "Allowed: batching, maxBody, queue, threads, timeoutSeconds, workerMemory, workers."
        ),
        (
            'models.yaml:8:16: models[0].scoring.serving.maxBody: must be a size such as "512Ki", "100Mi" or "1Gi", '
            'not "5mb"; did you mean "5Mi"?'
        ),
        "models.yaml:9:23: models[0].scoring.serving.timeoutSeconds: must be at least 0.001, not 0",
        "models.yaml:10:17: models[0].scoring.serving.batching: must be true, false or a mapping, not 64",
        "models.yaml:12:15: models[0].scoring.collect.sample: must be at most 1, not 10",
        ('models.yaml:14:13: models[0].scoring.collect.hash: "SSN" is in `drop` too; name a column in one of them'),
        (
            'models.yaml:15:7: models[0].scoring.collect.to: unknown key "to"; allowed: drop, hash, inputs, largest, '
            "outputs, sample."
        ),
        'models.yaml:16:16: models[0].scoring.telemetry: must be true or false, not "yes"; write true',
    ]


def test_collecting_is_what_the_runtime_reads():
    collect = Scoring.model_validate(
        {"collect": {"outputs": False, "sample": 0.5, "drop": ["Ssn"], "hash": ["Email"], "largest": "2Mi"}}
    ).collect
    environment = load_environment(
        {"targets": [], "collect": {"to": "/kept", "rows": 5, "seconds": 2, "memory": "64Mi"}}, source="x"
    )
    assert collect
    assert environment.collect
    given = {"to": "/kept", **collect.settings(), **environment.collect.settings()}
    reader = Reader({"SLIPWAY_COLLECT": json.dumps(given), "SLIPWAY_COLLECT_HASH_KEY": "k" * 16})
    read = CollectSettings.from_reader(reader)
    reader.finish()
    assert (read.to, read.rows, read.seconds, read.memory, read.largest) == ("/kept", 5, 2, 64 * 1024**2, 2 * 1024**2)
    assert (read.sample("request"), read.sample("response")) == (0.5, 0)
    assert (read.drop, read.hash) == ({"ssn"}, {"email"})


def test_what_the_manifest_calls_the_default_of_collecting_is_the_runtimes():
    collect = Collect.model_validate({field.alias: field.default for field in Collect.model_fields.values()})
    kinds = load_environment({"targets": [], "collect": {"to": "/kept"}}, source="x").collect
    assert kinds
    fields = {field.alias: field.default for name, field in type(kinds).model_fields.items() if name != "to"}
    where = type(kinds).model_validate({"to": "/kept", **fields})
    spelt_out, left_out = (
        CollectSettings.from_reader(Reader({"SLIPWAY_COLLECT": json.dumps({"to": "/kept", **given})}))
        for given in ({**collect.settings(), **where.settings()}, {})
    )
    assert spelt_out == left_out


def test_collecting_may_be_switched_on_and_off_by_a_word():
    assert Scoring.model_validate({"collect": True}).collect == Collect()
    assert Scoring.model_validate({"collect": False}).collect is None


def test_an_image_has_the_extras_that_its_model_asks_for():
    assert Scoring().extras == ()
    assert Scoring.model_validate({"collect": True}).extras == ("collect",)
    assert Scoring.model_validate({"collect": {}, "telemetry": True}).extras == ("collect", "telemetry")
    assert Scoring.model_validate({"collect": False, "telemetry": False}).extras == ()


@pytest.mark.parametrize(
    "to",
    ["volume", "none", "/srv/kept", "abfs://c", "abfss://c@a.dfs.core.windows.net/p"],
)
def test_places_to_collect_to(to):
    environment = load_environment({"targets": [], "collect": {"to": to}}, source="x")
    assert environment.collect
    assert environment.collect.to == to


@pytest.mark.parametrize(
    "values",
    [
        {"collect": {"to": "abfs://c/p?sig=canary"}},
        {"collect": {"to": "abfs://u:canary@a.dfs.core.windows.net/p"}},
        {"telemetry": {"otlp": "https://u:canary@collector.example.com"}},
        {"telemetry": {"otlp": "https://collector.example.com/v1?key=canary"}},
        {"collectHashKey": "canary"},
        {"otlpHeaders": "key=canary\nx"},
        {"storageConnectionString": "canary\t"},
    ],
)
def test_a_mistake_with_a_secret_in_it_does_not_show_it(values):
    with pytest.raises(ManifestError) as caught:
        load_environment({"targets": [], **values}, source="x")
    assert "canary" not in str(caught.value)
    [name] = values
    assert f"slipway:{name}" in str(caught.value)


def test_a_secret_of_digits_is_text_and_no_secret_is_shown_with_the_rest():
    environment = load_environment({"targets": "[]", "collectHashKey": "1234567890123456"}, source="x")
    assert environment.collect_hash_key == "1234567890123456"
    assert "1234567890123456" not in repr(environment)


def test_a_place_that_cannot_be_is_told_with_what_can():
    with pytest.raises(
        ManifestError, match=r"abfs://CONTAINER/PATH, an absolute folder .* volume .* none, not \"here\""
    ):
        load_environment({"targets": [], "collect": {"to": "here"}}, source="x")
