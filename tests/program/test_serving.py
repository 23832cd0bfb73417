"""What the program makes of serving, collecting and tracing: environments, images, volumes, variables."""

import json

import pulumi
import pytest
import yaml

CONTAINER, IMAGE, VOLUME = "Container", "Image", "Volume"
SECRETS = {
    "collectHashKey": "canary-of-the-hashes",
    "storageConnectionString": "canary-of-the-storage",
    "insightsConnectionString": "canary-of-the-insights",
    "otlpHeaders": "canary=of-the-collector",
}


@pytest.fixture(autouse=True)
def _encrypted():
    """The configuration's secrets are encrypted, as Pulumi tells a program."""
    pulumi.runtime.set_all_config({}, secret_keys=[f"slipway:{name}" for name in SECRETS])
    yield
    pulumi.runtime.set_all_config({}, secret_keys=[])


@pytest.fixture
def scoring(project):
    """Adds keys to a model's `scoring`."""

    def change(name="iris", **keys):
        path = project / "models.yaml"
        data = yaml.safe_load(path.read_text())
        [model] = [one for one in data["models"] if one["name"] == name]
        model["scoring"] |= keys
        path.write_text(yaml.safe_dump(data, sort_keys=False))

    return change


def _variables(recorder, name="iris"):
    """A container's variables, and whether they are secret as they leave the program."""
    envs = recorder.of(CONTAINER)[name].inputs.get("envs") or []
    # One secret makes all of the list one, on the wire.
    is_secret = isinstance(envs, dict)
    plain = envs["value"] if is_secret else envs
    return dict(one.split("=", 1) for one in plain), is_secret


def _extras(recorder):
    return sorted(
        one.inputs["buildArgs"]["EXTRAS"] for name, one in recorder.of(IMAGE).items() if name.startswith("environment-")
    )


def _tags(recorder):
    return {name: one.inputs["tags"] for name, one in recorder.of(IMAGE).items()}


def test_how_a_model_is_served_is_in_its_image_and_not_in_its_container(declare, scoring):
    scoring(serving={"workers": 2, "batching": {"maxWaitMs": 5}})
    recorder = declare()
    text = recorder.of(IMAGE)["iris"].inputs["dockerfile"]["inline"]
    for line in ('WORKER_COUNT="2"', 'SLIPWAY_BATCH_SIZE="64"', 'SLIPWAY_BATCH_WAIT_MS="5"'):
        assert f"ENV {line}\n" in text
    assert "WORKER_COUNT" not in _variables(recorder)[0]


def test_the_largest_request_is_shared_out_among_workers_unless_it_is_said(declare, scoring):
    scoring(serving={"workers": 4})
    assert _variables(declare())[0]["SLIPWAY_MAX_BODY_BYTES"] == str(1024**3 // 10 // 4)
    scoring(serving={"workers": 4, "maxBody": "50Mi"})
    assert "SLIPWAY_MAX_BODY_BYTES" not in _variables(declare())[0]


def test_models_with_the_same_extras_and_requirements_share_one_environment(declare, scoring, project):
    same = (project / "models/iris/requirements.txt").read_text()
    for name in ("diabetes", "digits"):
        (project / f"models/{name}/requirements.txt").write_text(same)
    scoring("iris", telemetry=True)
    scoring("digits", telemetry=True)
    assert _extras(declare()) == ["", "telemetry"]


def test_extras_are_in_the_environment_of_the_model_that_asks_and_leave_others_as_they_are(declare, scoring):
    before = _tags(declare())
    scoring(collect=True, telemetry=True)
    recorder = declare(collect={"to": "volume"})
    assert _extras(recorder) == ["", "collect telemetry"]
    after = _tags(recorder)
    assert after["diabetes"] == before["diabetes"]
    assert after["iris"] != before["iris"]


def test_an_extras_lock_counts_where_it_is_installed_and_only_there(declare, scoring, project):
    scoring("iris", collect=True)
    before = _tags(declare(collect={"to": "volume"}))
    lock = project / "scoring/requirements.collect.lock"
    lock.write_text(lock.read_text() + "# newer\n")
    after = _tags(declare(collect={"to": "volume"}))
    assert after["iris"] != before["iris"]
    assert after["digits"] == before["digits"]


def test_what_is_collected_and_where_to_is_no_part_of_the_image(declare, scoring):
    scoring(collect=True)
    before = _tags(declare(collect={"to": "volume"}))
    scoring(collect={"sample": 0.5, "drop": ["ssn"]})
    assert _tags(declare(stack="prod", collect={"to": "/srv/kept"})) == before


def test_a_volume_keeps_what_is_collected_and_is_kept(declare, scoring):
    scoring(collect={"sample": 0.5, "drop": ["ssn"]})
    recorder = declare(collect={"to": "volume", "seconds": 5})
    variables, is_secret = _variables(recorder)
    assert json.loads(variables["SLIPWAY_COLLECT"]) == {
        "to": "/var/lib/slipway/collected",
        "sample": 0.5,
        "drop": ["ssn"],
        "seconds": 5,
    }
    assert not is_secret
    assert list(recorder.of(VOLUME)) == ["iris"]
    volume = recorder.of(VOLUME)["iris"]
    assert volume.inputs["name"] == "slipway-dev-iris-collected"
    assert volume.options.retain_on_delete
    assert recorder.of(CONTAINER)["iris"].inputs["mounts"] == [
        {"type": "volume", "source": "slipway-dev-iris-collected", "target": "/var/lib/slipway/collected"}
    ]


def test_a_folder_is_mounted_as_it_is_beside_the_code(declare, scoring):
    scoring(collect=True)
    recorder = declare(development=True, collect={"to": "/srv/kept"})
    code, kept = recorder.of(CONTAINER)["iris"].inputs["mounts"]
    assert code["target"] == "/mnt/source"
    assert kept == {"type": "bind", "source": "/srv/kept", "target": "/var/lib/slipway/collected"}
    assert not recorder.of(VOLUME)


def test_blob_storage_takes_its_secret_to_the_container_encrypted(declare, scoring):
    scoring(collect={"hash": ["email"]})
    recorder = declare(collect={"to": "abfs://kept/rows"}, **SECRETS)
    variables, is_secret = _variables(recorder)
    assert json.loads(variables["SLIPWAY_COLLECT"]) == {"to": "abfs://kept/rows", "hash": ["email"]}
    assert variables["AZURE_STORAGE_CONNECTION_STRING"] == SECRETS["storageConnectionString"]
    assert variables["SLIPWAY_COLLECT_HASH_KEY"] == SECRETS["collectHashKey"]
    assert is_secret
    container = recorder.of(CONTAINER)["iris"]
    assert container.options.additional_secret_outputs == ["envs"]
    assert not container.inputs.get("mounts")


def test_traces_go_where_the_stack_says_with_its_secrets_encrypted(declare, scoring):
    scoring(telemetry=True)
    variables, is_secret = _variables(declare(telemetry={"otlp": "https://collector.example.com:4318"}, **SECRETS))
    assert variables["OTEL_EXPORTER_OTLP_ENDPOINT"] == "https://collector.example.com:4318"
    assert variables["OTEL_EXPORTER_OTLP_HEADERS"] == SECRETS["otlpHeaders"]
    assert variables["APPLICATIONINSIGHTS_CONNECTION_STRING"] == SECRETS["insightsConnectionString"]
    assert is_secret
    variables, is_secret = _variables(declare(telemetry={"otlp": "https://collector.example.com:4318"}))
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in variables
    assert not is_secret


def test_a_model_that_is_traced_nowhere_is_named(declare, scoring, monkeypatch):
    told = []
    monkeypatch.setattr(pulumi.log, "info", told.append)
    scoring(telemetry=True)
    declare(telemetry={"otlp": "https://collector.example.com:4318"})
    assert not any("telemetry" in one for one in told)
    declare()
    assert any("iris has `telemetry`, and nothing is traced here" in one for one in told)


def test_secrets_reach_the_containers_that_need_them_and_nothing_else(declare, scoring):
    scoring("iris", collect={"hash": ["email"]})
    recorder = declare(collect={"to": "abfs://kept"}, telemetry={"otlp": "https://c:4318"}, **SECRETS)
    holders = {(one.type.rpartition(":")[2], one.name) for one in recorder.registered if "canary" in str(one.inputs)}
    assert holders == {(CONTAINER, "iris")}
    assert "canary-of-the-insights" not in str(recorder.of(CONTAINER)["iris"].inputs)


def test_a_model_that_does_not_ask_is_neither_collected_nor_traced(declare):
    recorder = declare(collect={"to": "volume"}, telemetry={"otlp": "https://c:4318"}, **SECRETS)
    assert not recorder.of(VOLUME)
    for name in recorder.of(CONTAINER):
        assert _variables(recorder, name)[0].keys() <= {"SLIPWAY_MAX_BODY_BYTES"}


def test_a_stack_may_collect_nothing(declare, scoring):
    scoring(collect={"hash": ["email"]})
    recorder = declare(collect={"to": "none"})
    assert "SLIPWAY_COLLECT" not in _variables(recorder)[0]
    assert not recorder.of(VOLUME)


def test_development_is_told_to_the_container(declare):
    assert _variables(declare(development=True))[0]["SLIPWAY_DEVELOPMENT"] == "1"
    assert "SLIPWAY_DEVELOPMENT" not in _variables(declare())[0]


def test_collecting_without_a_place_is_refused_with_what_to_set(declare, scoring):
    scoring(collect=True)
    with pytest.raises(pulumi.RunError, match=r"iris has `collect`.*Pulumi\.dev\.yaml.*slipway:collect: {to: \.\.\.}"):
        declare()


@pytest.mark.parametrize(
    ("collect", "to", "key"),
    [({"hash": ["email"]}, "volume", "collectHashKey"), (True, "abfs://kept", "storageConnectionString")],
)
def test_a_secret_that_is_needed_and_missing_is_refused_with_how_to_set_it(declare, scoring, collect, to, key):
    scoring(collect=collect)
    with pytest.raises(pulumi.RunError, match=rf"iris .*`pulumi config set --secret slipway:{key}`"):
        declare(collect={"to": to})


def test_a_secret_that_stands_in_the_configuration_as_it_is_is_refused_without_showing_it(declare, scoring):
    pulumi.runtime.set_all_config({}, secret_keys=[])
    scoring(collect={"hash": ["email"]})
    with pytest.raises(pulumi.RunError, match="collectHashKey stands in the configuration as it is") as caught:
        declare(collect={"to": "volume"}, **SECRETS)
    assert "canary" not in str(caught.value)
