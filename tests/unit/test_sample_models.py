"""The sample models answer their samples, are as good as they should be, and come out of their training again."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_diabetes, load_digits, load_iris

from scoring.job import Job
from scoring.request import Request
from scoring.schema import Schema, SchemaError
from scoring.scorer import Failed, Scored, Scorer

MODELS = Path(__file__).parents[2] / "models"
NAMES = ["iris", "diabetes", "digits"]


def load(name, monkeypatch, model_dir=None):
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(model_dir or MODELS / name))
    return Scorer.load(MODELS / name / "score.py", MODELS / name, max_body_bytes=1 << 20)


def outcome_of(scorer, text):
    job = Job(Request("POST", "/score", body=text.encode()))
    scorer.score(job)
    return job.outcome


def ask(scorer, request):
    outcome = outcome_of(scorer, request if isinstance(request, str) else json.dumps(request))
    assert isinstance(outcome, Scored), outcome
    return json.loads(outcome.answer.body)


def training_requests(name):
    """What the model was trained on, as one or many requests, and the right answers."""
    if name == "iris":
        data = load_iris()
        return [{"data": data.data.tolist()}], data.target_names[data.target]
    if name == "diabetes":
        data = load_diabetes(scaled=False)
        return [
            {"patients": [dict(zip(data.feature_names, row, strict=True)) for row in data.data.tolist()]}
        ], data.target
    data = load_digits()
    return [{"image": as_png(image * (255 / 16))} for image in data.images[:200]], data.target[:200]


def as_png(pixels, size=(48, 48)):
    file = io.BytesIO()
    Image.fromarray(pixels.astype("uint8")).resize(size, Image.Resampling.NEAREST).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def answers(name, scorer):
    replies = [ask(scorer, request) for request in training_requests(name)[0]]
    if name == "iris":
        return [prediction["species"] for prediction in replies[0]["predictions"]]
    if name == "diabetes":
        return replies[0]["progression"]
    return [reply["digit"] for reply in replies]


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_answered_and_fits_its_schema(name, monkeypatch):
    schema = Schema(MODELS / name / "schema.json")
    sample = (MODELS / name / "sample.json").read_text()
    schema.check("input", json.loads(sample))

    answer = ask(load(name, monkeypatch), sample)

    schema.check("output", answer)
    assert answer


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_request_does_not_fit_the_schema(name):
    with pytest.raises(SchemaError, match="data must contain"):
        Schema(MODELS / name / "schema.json").check("input", {})


@pytest.mark.parametrize(("name", "least"), [("iris", 0.95), ("digits", 0.97)])
def test_a_classifier_knows_what_it_was_trained_on(name, least, monkeypatch):
    right = training_requests(name)[1]
    assert np.mean(np.array(answers(name, load(name, monkeypatch))) == right) >= least


def test_the_regression_explains_most_of_what_it_was_trained_on(monkeypatch):
    right = training_requests("diabetes")[1]
    residual = right - np.array(answers("diabetes", load("diabetes", monkeypatch)))
    assert 1 - residual.var() / right.var() > 0.7


@pytest.mark.parametrize("name", NAMES)
def test_training_again_gives_a_model_that_answers_equally(name, monkeypatch, tmp_path):
    spec = importlib.util.spec_from_file_location(f"train_{name}", MODELS / "train" / f"{name}.py")
    training = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(training)
    training.train(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [file.name for file in (MODELS / name).glob("model.*")]

    committed, again = answers(name, load(name, monkeypatch)), answers(name, load(name, monkeypatch, tmp_path))

    if name == "diabetes":
        assert again == pytest.approx(committed, rel=1e-3)
    else:
        assert again == committed


@pytest.mark.parametrize("name", NAMES)
def test_requirements_pin_the_versions_that_are_tested_here(name):
    lines = (MODELS / name / "requirements.txt").read_text().splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]

    assert pins
    assert {package: version(package) for package, _ in pins} == dict(pins)


@pytest.mark.parametrize("name", NAMES)
def test_committed_artefacts_are_small(name):
    assert all(file.stat().st_size < 300_000 for file in (MODELS / name).iterdir() if file.is_file())


@pytest.mark.parametrize(
    ("name", "request_", "message"),
    [
        ("iris", {"data": [[1, 2, 3]]}, "a list of flowers with 4 measures each"),
        ("iris", {"data": [1, 2, 3, 4]}, "a list of flowers with 4 measures each"),
        ("diabetes", {"patients": [{"age": 1}]}, "missing: sex, bmi, bp"),
        ("digits", {"image": as_png(np.zeros((8, 8)), (3000, 2000))}, "3000x2000 pixels"),
    ],
)
def test_a_request_that_cannot_be_answered_is_explained(name, request_, message, monkeypatch):
    outcome = outcome_of(load(name, monkeypatch), json.dumps(request_))

    assert isinstance(outcome, Failed)
    assert message in str(outcome.error)


EDGE = {"anomaly": "score.py", "alert-filter": "score.py", "sensor": "code/score.py"}


def load_edge(name, monkeypatch, model_dir=None):
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(model_dir or MODELS / name))
    script = MODELS / name / EDGE[name]
    return Scorer.load(script, script.parent, max_body_bytes=1 << 20)


@pytest.mark.parametrize("name", EDGE)
def test_a_models_sample_for_devices_is_answered_and_fits_its_schema(name, monkeypatch):
    schema = Schema(MODELS / name / "schema.json")
    sample = (MODELS / name / "sample.json").read_text()
    schema.check("input", json.loads(sample))
    schema.check("output", ask(load_edge(name, monkeypatch), sample))


def test_the_anomaly_model_tells_the_sensors_anomalies_from_its_other_readings_also_when_it_is_trained_again(
    monkeypatch, tmp_path
):
    sensor = load_edge("sensor", monkeypatch)
    readings = [ask(sensor, {"n": number}) for number in range(400)]
    spec = importlib.util.spec_from_file_location("train_anomaly", MODELS / "train" / "anomaly.py")
    training = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(training)
    training.train(tmp_path)
    for model_dir in (None, tmp_path):
        anomaly = load_edge("anomaly", monkeypatch, model_dir)
        scores = [ask(anomaly, reading)["score"] for reading in readings]
        assert all((score >= 6) == (number % 40 >= 38) for number, score in enumerate(scores))


def test_the_filter_lets_one_alert_through_for_each_spell(monkeypatch):
    scorer = load_edge("alert-filter", monkeypatch)
    numbers = [38, 39, 78, 79, 89, 100]
    scores = [ask(scorer, {"score": 9, "reading": {"n": number}})["score"] for number in numbers]
    assert scores == [1, 0, 1, 0, 0, 1]


@pytest.mark.parametrize("size", [(8, 8), (60, 60), (200, 200)])
def test_a_digit_may_have_any_size_and_be_dark_on_light(size, monkeypatch):
    data = load_digits()
    scorer = load("digits", monkeypatch)
    for image, digit in zip(data.images[:20], data.target[:20], strict=True):
        light = image * (255 / 16)
        assert ask(scorer, {"image": as_png(light, size)})["digit"] == digit
        assert ask(scorer, {"image": as_png(255 - light, size)})["digit"] == digit
