"""`replicas` with triggers, and what the stack says of KEDA: what is taken, and what is refused."""

import zoneinfo

import pytest
from pydantic import ValidationError

from manifest import AksTarget, ManifestError, load_environment, load_manifest
from manifest.kubernetes import KedaSettings

CRON = {"cron": {"start": "0 7 * * 1-5", "end": "0 19 * * 1-5"}}
EARLIER = {"version": "1", "digest": "sha256:" + "a" * 64}
CLIENT = "11111111-2222-3333-4444-555555555555"


def replicas(**given):
    return AksTarget.model_validate({"replicas": {"min": 0, "max": 5, "triggers": [CRON], **given}}).replicas


def said(**given):
    with pytest.raises(ValidationError) as refused:
        replicas(**given)
    return str(refused.value)


def test_a_model_may_sleep_until_a_trigger_wakes_it():
    found = replicas(idleSeconds=60)
    assert (found.sleeps, found.autoscaled, found.idle_seconds) == (True, True, 60)
    (trigger,) = found.triggers
    assert (trigger.cron.timezone, trigger.cron.replicas, trigger.needs_identity) == ("UTC", 1, False)
    assert not replicas(min=1).sleeps


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"triggers": []}, "has min: 0 and no `triggers`: nothing would wake the model up. Give one, as in triggers:"),
        ({"min": 1, "max": 1}, "give a `max` above `min`, 1"),
        ({"min": 1, "idleSeconds": 60}, "idleSeconds, which belongs to min: 0"),
        ({"triggers": [{"cron": {**CRON["cron"], "replicas": 6}}]}, "replicas: 6, above `max`, 5"),
        ({"triggers": [{}]}, "a mapping with one key, the trigger's kind"),
        ({"triggers": [{**CRON, "other": {"type": "kafka", "metadata": {}}}]}, "a mapping with one key"),
        ({"triggers": [{"http": {}}]}, "requests do not wake a model up: that takes KEDA's HTTP add-on"),
    ],
)
def test_what_would_never_wake_up_or_never_change_is_refused_with_the_way(given, message):
    assert message in said(**given)


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        ("cron", {"start": "7:00"}, '"minute hour day month weekday", in `timezone`, as in'),
        ("cron", {"start": "0 25 * * *"}, 'has "25" for the hour; allowed are numbers from 0 to 23'),
        ("cron", {"start": "0 7 * * 7"}, "has 7 for the day of the week"),
        ("cron", {"start": "0 7 * * 1-7"}, "has 7 for the day of the week"),
        ("cron", {"start": "0 7 1 * *", "end": "0  7 1 * *"}, "is the same as `start`"),
        ("cron", {"timezone": "Berlin time"}, 'a time zone\'s name as in "Europe/Berlin"'),
        ("cron", {"replicas": 0}, "greater than or equal to 1"),
        ("prometheus", {"query": ""}, "a query of one line"),
        ("prometheus", {"threshold": 0}, "greater than or equal to 0.001"),
        ("prometheus", {"server": "http://user:secret@prometheus"}, "without a password"),
        ("serviceBus", {"topic": "scored", "subscription": "iris"}, "either `queue`, or `topic` and `subscription`"),
        ("serviceBus", {"queue": "to-score", "subscription": "iris"}, "either `queue`, or"),
        ("serviceBus", {"namespace": "orders.servicebus.windows.net"}, "without its domain"),
        ("storageQueue", {"account": "my-orders"}, "3 to 24 lower-case letters"),
        ("storageQueue", {"messages": 0}, "greater than or equal to 1"),
        ("other", {"type": "cpu"}, '"cpu" is a load, and what sleeps has none'),
        ("other", {"metadata": {"url": "amqp://me:canary@host"}}, "must not hold a credential"),
        ("other", {"authentication": "My Own"}, "a TriggerAuthentication's name"),
    ],
)
def test_a_trigger_that_keda_would_not_take_is_refused_with_what_is_allowed(kind, given, message):
    sound = {
        "cron": {"start": "0 7 * * *", "end": "0 19 * * *"},
        "prometheus": {"query": "sum(up)", "threshold": 5},
        "serviceBus": {"namespace": "orders-prod", "queue": "to-score"},
        "storageQueue": {"account": "orders", "queue": "to-score"},
        "other": {"type": "kafka", "metadata": {"topic": "orders"}},
    }[kind]
    assert replicas(triggers=[{kind: sound}])
    assert message in said(triggers=[{kind: {**sound, **given}}])


def test_steps_and_days_that_keda_takes_are_taken():
    for start in ("*/7 * * * *", "0 17 * * 0", "7 7 7 7 0-6", "0 7 * * */7"):
        assert replicas(triggers=[{"cron": {**CRON["cron"], "start": start}}])


def test_a_credential_is_not_shown():
    other = {"type": "rabbitmq", "metadata": {"host": "amqp://me:canary@host"}}
    with pytest.raises(ValidationError) as refused:
        replicas(triggers=[{"other": other}])
    (problem,) = refused.value.errors()
    assert "canary" not in problem["msg"]


@pytest.mark.skipif(not zoneinfo.available_timezones(), reason="this machine has no list of time zones")
def test_a_zone_that_nobody_knows_is_refused_with_the_nearest():
    assert 'did you mean "Europe/Berlin"?' in said(triggers=[{"cron": {**CRON["cron"], "timezone": "Europe/Berlni"}}])


def test_a_machine_without_time_zones_takes_any_that_looks_like_one(monkeypatch):
    monkeypatch.setattr(zoneinfo, "available_timezones", set)
    assert replicas(triggers=[{"cron": {**CRON["cron"], "timezone": "Mars/Olympus"}}])


def test_nothing_is_tried_beside_what_may_sleep():
    for tried in ("canary", "shadow"):
        given = {
            "host": "iris.example.com",
            "replicas": {"min": 1, "max": 5, "triggers": [CRON]},
            tried: {"from": EARLIER},
        }
        with pytest.raises(ValidationError, match="needs both versions awake"):
            AksTarget.model_validate(given)


def test_a_report_leads_to_the_line_and_to_the_nearest_kind(tmp_path):
    (tmp_path / "model").mkdir()
    for name in ("score.py", "model.bin"):
        (tmp_path / "model" / name).write_text("x")
    (tmp_path / "models.yaml").write_text("""models:
  - name: iris
    version: 1
    path: model
    targets:
      - aks:
          replicas:
            min: 0
            max: 3
            triggers:
              - prometeus: {query: up, threshold: 1}
              - cron: {start: "0 7 * * *", end: "0 19 * * *", timzone: UTC}
""")
    with pytest.raises(ManifestError) as refused:
        load_manifest(tmp_path / "models.yaml")
    first, second = refused.value.problems
    assert (first.line, first.key) == (11, "models[0].targets[0].aks.replicas.triggers[0].prometeus")
    assert 'unknown key "prometeus"; did you mean "prometheus"?' in first.message
    assert (second.line, second.message.partition("?")[0]) == (12, 'unknown key "timzone"; did you mean "timezone"')


@pytest.mark.parametrize(
    ("given", "keda"),
    [
        (True, KedaSettings()),
        (False, None),
        ({}, KedaSettings()),
        ({"identity": CLIENT}, KedaSettings(identity=CLIENT)),
    ],
)
def test_a_stack_says_that_its_cluster_has_keda(given, keda):
    environment = load_environment(
        {"targets": ["aks"], "kubernetes": {"context": "mine", "keda": given}}, source="prod"
    )
    assert environment.kubernetes.keda == keda


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("yes", "must be a mapping"),
        ({"identity": "keda"}, "a GUID"),
        ({"prometheus": "prometheus:9090"}, "an http or https address"),
        ({"promtheus": "http://prometheus"}, 'did you mean "prometheus"?'),
    ],
)
def test_what_keda_cannot_be_told_is_refused_with_what_is_allowed(given, message):
    with pytest.raises(ManifestError) as refused:
        load_environment({"targets": ["aks"], "kubernetes": {"context": "mine", "keda": given}}, source="prod")
    (problem,) = refused.value.problems
    assert message in str(problem)
