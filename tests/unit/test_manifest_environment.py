"""A stack's configuration, as Pulumi hands it out and as Python values."""

import pytest

from manifest import ManifestError, load_environment
from manifest.targets import TARGETS


def problems(values, **keywords):
    with pytest.raises(ManifestError) as caught:
        load_environment(values, source="Pulumi.dev.yaml", **keywords)
    return [str(problem) for problem in caught.value.problems]


def test_what_is_not_given_has_defaults():
    environment = load_environment({"slipway:targets": ["local-docker"]}, source="Pulumi.dev.yaml")
    assert environment.targets == ("local-docker",)
    assert not environment.development
    assert (environment.registry, environment.builder) == ("localhost:5050", "slipway")
    assert environment.base_image == "python:3.11-slim"
    assert (environment.local_docker.port_offset, environment.local_docker.cpu) == (0, 1)
    assert environment.local_docker.memory_mib == 1024
    assert environment.pip is None
    assert environment.ca_bundle is None


def test_the_text_that_pulumi_hands_out_is_read_as_the_values_it_stands_for():
    as_text = {
        "slipway:targets": '["local-docker"]',
        "slipway:development": "true",
        "slipway:registry": "registry.example.com/team",
        "slipway:baseImage": "mirror.example.com:5000/python:3.11-slim",
        "slipway:localDocker": '{"portOffset":1000,"cpu":0.5,"memory":"512Mi"}',
        "slipway:pip": '{"indexUrl":"https://user:key@pypi.example.com/simple","trustedHosts":["pypi.example.com:8443"]}',
        "slipway:caBundle": "certificates/ca.pem",
        "docker:host": "unix:///run/docker.sock",
    }
    as_values = {
        "targets": ["local-docker"],
        "development": True,
        "registry": "registry.example.com/team",
        "baseImage": "mirror.example.com:5000/python:3.11-slim",
        "localDocker": {"portOffset": 1000, "cpu": 0.5, "memory": "512Mi"},
        "pip": {"indexUrl": "https://user:key@pypi.example.com/simple", "trustedHosts": ["pypi.example.com:8443"]},
        "caBundle": "certificates/ca.pem",
    }
    environment = load_environment(as_text, source="Pulumi.dev.yaml")
    assert environment == load_environment(as_values, source="Pulumi.dev.yaml")
    assert environment.local_docker.port_offset == 1000
    assert environment.pip
    assert environment.pip.trusted_hosts == ("pypi.example.com:8443",)


def test_everything_wrong_is_told_in_one_run():
    assert problems(
        {
            "slipway:targest": '["local-docker"]',
            "slipway:development": "yes",
            "slipway:registry": "https://localhost:5050",
            "slipway:localDocker": '{"portOfset": 1, "cpu": 0}',
            "slipwy:builder": "x",
            "aws:region": "x",
        }
    ) == [
        'Pulumi.dev.yaml: slipway:development: must be true or false, not "yes"; write true',
        "Pulumi.dev.yaml: slipway:localDocker.cpu: must be more than 0, not 0",
        (
            'Pulumi.dev.yaml: slipway:localDocker.portOfset: unknown key "portOfset"; did you mean "portOffset"? '
            "Allowed: cpu, memory, portOffset."
        ),
        (
            'Pulumi.dev.yaml: slipway:registry: must be a registry as in "localhost:5050" or '
            '"registry.example.com/team", without a scheme and in lower case, not "https://localhost:5050"'
        ),
        (
            'Pulumi.dev.yaml: slipway:targest: unknown key "targest"; did you mean "targets"? '
            "Allowed: azure, baseImage, builder, caBundle, collect, collectHashKey, development, edgeRegistryPassword, "
            "entra, insightsConnectionString, kubeconfig, kubernetes, localDocker, modelRegistry, otlpHeaders, pip, "
            "platforms, policies, promoteFrom, registry, releases, storageConnectionString, supplyChain, targets, "
            "telemetry, tlsKey."
        ),
        "Pulumi.dev.yaml: slipway:targets: is missing and has no default",
        'Pulumi.dev.yaml: slipwy:builder: unknown namespace "slipwy"; did you mean "slipway:builder"?',
    ]


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ('["nomad"]', f'unknown target "nomad"; allowed: {", ".join(sorted(TARGETS))}.'),
        ('["local-dokcer"]', 'unknown target "local-dokcer"; did you mean "local-docker"?'),
        ('["local-docker", "local-docker"]', 'names "local-docker" twice'),
        ("local-docker", 'must be a list, not "local-docker"'),
        ("[1]", "slipway:targets[0]: must be text, not 1"),
        ("null", "has no value"),
    ],
)
def test_targets_are_a_list_of_known_names(targets, message):
    (said,) = problems({"slipway:targets": targets})
    assert message in said


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("registry", "Localhost:5050"),
        ("registry", "localhost:0"),
        ("registry", "localhost:65536"),
        ("registry", ""),
        ("builder", "my builder"),
        ("baseImage", "python:3.11 slim"),
        ("caBundle", ""),
        ("pip", '{"indexUrl": "ftp://example.com"}'),
        ("pip", '{"trustedHosts": ["https://example.com"]}'),
        ("pip", '{"extraIndexUrls": "https://example.com/simple"}'),
        ("localDocker", '{"memory": "1GB"}'),
        ("localDocker", "[]"),
        ("development", "1"),
    ],
)
def test_a_value_that_no_tool_would_take_is_refused(key, value):
    assert problems({"targets": ["local-docker"], key: value})


@pytest.mark.parametrize("key", ["modelRegistry", "releases", "caBundle"])
def test_a_home_is_no_place_for_what_a_project_shares(key):
    (said,) = problems({"targets": ["local-docker"], key: "~nobody/x"})
    assert 'not "~nobody/x"; ~ stands for no home here' in said
    assert load_environment({"targets": ["local-docker"], key: "./~nobody/x"}, source="Pulumi.dev.yaml")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kubernetes", '{"kubeconfig": "~nobody/x"}'),
        ("supplyChain", '{"sign": {"key": "~nobody/x"}, "verify": {"key": "~/x"}}'),
    ],
)
def test_somebody_elses_home_is_no_place_for_what_is_ones_own(key, value):
    (said,) = problems({"targets": ["local-docker"], key: value})
    assert "with ~/ for your own home alone" in said


def test_a_password_in_an_address_is_not_repeated():
    secret = "hunter2"
    for value in (
        {"indexUrl": f"ftp://user:{secret}@host"},
        {"indexUrl": [f"https://user:{secret}@host"]},
        f"https://user:{secret}@host",
    ):
        said = problems({"targets": ["local-docker"], "pip": value})
        assert secret not in "\n".join(said)


def test_the_file_gives_lines(tmp_path):
    path = tmp_path / "Pulumi.dev.yaml"
    path.write_text(
        "config:\n"
        "  slipway:targets:\n"
        "    - nomad\n"
        "  slipway:localDocker:\n"
        "    portOfset: 1\n"
        "  slipway:pip:\n"
        "    secure: v1:abc\n"
    )
    values = {"slipway:targets": '["nomad"]', "slipway:localDocker": '{"portOfset": 1}', "slipway:pip": '{"x": 1}'}
    assert [one.split(": ")[0] for one in problems(values, path=path)] == [
        "Pulumi.dev.yaml:3:5",
        "Pulumi.dev.yaml:5:5",
        "Pulumi.dev.yaml:7:5",
    ]
    path.write_text("config: [")
    assert all(one.startswith("Pulumi.dev.yaml: slipway:") for one in problems(values, path=path))


def test_a_local_registry_at_another_port_is_the_default_one(monkeypatch):
    monkeypatch.setenv("SLIPWAY_REGISTRY", "localhost:5999")
    assert load_environment({"targets": []}, source="Pulumi.dev.yaml").registry == "localhost:5999"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"slipway:azure": '{"location": "westeurope", "iotHub": {"devices": {"line-4": {"foo": 1}}}}'},
            'slipway:azure.iotHub.devices.line-4.foo: unknown key "foo"; allowed: auth, enabled, tags.',
        ),
        (
            {"slipway:kubernetes": '{"context": "a", "namespaces": {"team": {"quotas": 1}}}'},
            'slipway:kubernetes.namespaces.team.quotas: unknown key "quotas"; did you mean "quota"?',
        ),
    ],
)
def test_an_unknown_key_below_a_name_of_the_users_is_told_with_those_that_there_are(values, message):
    (said,) = problems({"slipway:targets": "[]", **values})
    assert message in said


def test_a_stacks_name_of_digits_is_a_name():
    given = {"slipway:targets": "[]", "slipway:promoteFrom": "2024"}
    assert load_environment(given, source="Pulumi.dev.yaml").promote_from == "2024"
