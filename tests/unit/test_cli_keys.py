"""Models that want a key: it is read from the state when it is needed, sent, and shown to nobody who did not ask."""

import json

import pytest

from cli.diagnosis.checks import health
from cli.diagnosis.context import Context
from cli.diagnosis.run import diagnose
from cli.errors import CliError, Exit
from cli.main import run
from cli.placements.keys import Keys
from cli.placements.placement import recorded
from cli.placements.service import score
from cli.releases.log import record_release
from cli.releases.promotion import objections
from cli.stack.project import Project, find_project
from cli.stack.pulumi import Pulumi
from cli.stack.wanted import checked_manifest, repository_of
from tests.unit.cli_harness import ACI_MANIFEST, FakePulumi, service, write_iris

PRIMARY, SECONDARY = "p" * 64, "s" * 64
CONFIG = "config:\n  slipway:targets: [aci]\n  slipway:azure: {location: westeurope}\n"
IMAGE = "made.azurecr.io/shop/models/iris@sha256:" + 64 * "a"


@pytest.fixture
def project(tmp_path, monkeypatch):
    write_iris(tmp_path, ACI_MANIFEST)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-docker.sock")
    made = FakePulumi(tmp_path)
    made.configure(CONFIG)
    return made


@pytest.fixture
def guarded():
    """A service that wants the primary key for everything."""
    with service({"state": "ready", "label": "setosa"}, keys=(PRIMARY,)) as server:
        yield server


def _secret(text):
    return {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "plaintext": json.dumps(text)}


def _keys(name="iris-aci", primary=PRIMARY, **rest):
    return {
        "urn": f"urn:pulumi:dev::shop::slipway:index:AciService$slipway:index:AccessKeys::{name}",
        "type": "slipway:index:AccessKeys",
        "outputs": {"primary": _secret(primary), "secondary": _secret(SECONDARY), "rotate": 0},
        **rest,
    }


def _deploy(project, endpoint, *resources, auth="key", registry="made.azurecr.io"):
    """Have the script answer as `stack output` and `stack export` would, both at once."""
    targets = {"aci": {"endpoint": endpoint, "group": "shop-dev-iris", "auth": auth}}
    project.answers(
        out={
            "models": {"iris": {"version": "1", "image": IMAGE, "targets": targets}},
            "azure": {"resourceGroup": "shop-dev", "subscription": "1f", "location": "x", "registry": registry},
            "deployment": {"resources": list(resources)},
        }
    )


def _pulumi(project):
    shop = Project(project.root, "shop")
    return Pulumi(shop, "dev", shop.environment())


def _exports(project):
    return [call for _, call in project.calls() if "export" in call]


def test_a_model_that_wants_a_key_scores_with_it(project, guarded, capsys):
    _deploy(project, guarded.endpoint, _keys())
    assert run(["score", "iris"]) == Exit.OK
    assert guarded.received[2]["Authorization"] == f"Bearer {PRIMARY}"
    assert run(["score"]) == Exit.OK
    assert run(["score", "--json"]) == Exit.OK
    seen = capsys.readouterr()
    assert PRIMARY not in seen.out + seen.err
    assert SECONDARY not in seen.out + seen.err
    # Once for each command.
    assert len(_exports(project)) == 3
    assert all("--show-secrets" in call for call in _exports(project))


def test_the_status_is_asked_with_the_key(project, guarded, capsys):
    _deploy(project, guarded.endpoint, _keys())
    assert run(["status", "--json"]) == Exit.OK
    [told] = json.loads((seen := capsys.readouterr()).out)["models"]
    assert (told["state"], told["auth"], told["group"]) == ("ready", "key", "shop-dev-iris")
    assert PRIMARY not in seen.out + seen.err


@pytest.mark.parametrize("command", [["status"], ["diagnose"]])
def test_the_way_to_the_cluster_and_the_keys_are_read_from_one_export_of_the_state(project, guarded, command, capsys):
    project.configure("config:\n  slipway:targets: [aks]\n  slipway:kubeconfig: {secure: v1:abc}\n")
    nowhere = {"clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}], "current-context": "c"}
    nowhere |= {
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {}}],
    }
    provider = {"type": "pulumi:providers:kubernetes", "inputs": {"kubeconfig": _secret(json.dumps(nowhere, indent=1))}}
    target = {"endpoint": guarded.endpoint, "namespace": "shop-dev", "deployment": "iris", "auth": "key"}
    project.answers(
        out={
            "models": {"iris": {"version": "1", "image": IMAGE, "targets": {"aks": target}}},
            "deployment": {"resources": [provider, _keys("iris-aks")]},
        }
    )
    run(command)
    seen = capsys.readouterr()
    # Both were used.
    assert "The cluster does not answer" in seen.out + seen.err
    assert "ready" in seen.out
    assert len(_exports(project)) == 1


@pytest.mark.parametrize("resources", [[], [_keys(primary="w" * 64)], [_keys("other-aci")], [_keys(delete=True)]])
def test_a_service_that_takes_no_key_of_the_state_is_unauthorized(project, guarded, resources, capsys):
    _deploy(project, guarded.endpoint, *resources)
    assert run(["status"]) == Exit.OK
    assert "unauthorized" in capsys.readouterr().out
    assert run(["score", "iris"]) == Exit.FAILED
    assert "iris answered 401" in capsys.readouterr().err
    [found] = health.check(Context(find_project(project.root), "dev"))
    assert found.mend.endswith("`slipway up --stack dev -- --refresh` restores it.")


def test_nobody_reads_the_state_for_a_model_that_wants_no_key(project):
    with service({"state": "ready"}) as server:
        _deploy(project, server.endpoint, _keys(), auth="none")
        assert run(["status"]) == Exit.OK
        assert run(["score", "iris"]) == Exit.OK
        assert "Authorization" not in server.received[2]
    assert _exports(project) == []


def test_a_state_that_cannot_be_decrypted_is_told_once_and_in_pulumis_words(project, guarded):
    _deploy(project, guarded.endpoint, _keys())
    pulumi = _pulumi(project)
    [placement] = recorded(pulumi.outputs())
    keys = Keys(pulumi)
    project.answers(err="error: incorrect passphrase", code=255)
    pulumi.env.update(project.env)
    for _ in range(2):
        with pytest.raises(CliError, match="incorrect passphrase"):
            keys.of(placement)
    assert len(_exports(project)) == 1


def test_keys_are_shown_to_who_asks_for_them_and_the_warning_is_beside(project, capsys):
    _deploy(project, "http://127.0.0.1:1", _keys())
    assert run(["keys", "iris"]) == Exit.OK
    seen = capsys.readouterr()
    assert [line.split() for line in seen.out.splitlines()[1:]] == [
        ["aci", "primary", PRIMARY],
        ["aci", "secondary", SECONDARY],
    ]
    assert "These are secrets" in seen.err
    assert run(["keys", "iris", "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out) == {
        "model": "iris",
        "keys": [
            {"target": "aci", "endpoint": "http://127.0.0.1:1", "primary": PRIMARY, "secondary": SECONDARY},
        ],
    }


def test_a_model_without_keys_is_said_to_have_none(project, capsys):
    _deploy(project, "http://127.0.0.1:1", auth="none")
    assert run(["keys", "iris"]) == Exit.FAILED
    assert "iris has no keys in the stack dev" in capsys.readouterr().err
    _deploy(project, "http://127.0.0.1:1")
    assert run(["keys", "iris"]) == Exit.FAILED
    assert "`slipway up --stack dev` makes them." in capsys.readouterr().err
    assert run(["keys", "irs"]) == Exit.USAGE


def test_a_key_pair_does_not_show_itself(project):
    _deploy(project, "http://127.0.0.1:1", _keys())
    pulumi = _pulumi(project)
    [placement] = recorded(pulumi.outputs())
    assert PRIMARY not in repr(Keys(pulumi).pair(placement))


def test_a_release_is_recorded_and_checked_with_the_key(project, guarded):
    _deploy(project, guarded.endpoint, _keys())
    pulumi = _pulumi(project)
    release = record_release(pulumi, checked_manifest(pulumi.project))
    assert json.loads(release.models[0].answer)["label"] == "setosa"
    guarded.received = None
    assert record_release(pulumi, checked_manifest(pulumi.project)) is None
    # What is on record already is not asked again: samples may be collected like any input.
    assert guarded.received is None
    assert objections(pulumi, release) == ([], None)
    guarded.answer = (200, {"state": "ready", "label": "virginica"})
    [reason], _ = objections(pulumi, release)
    assert "answers otherwise" in reason
    guarded.keys = ("another",)
    [reason], _ = objections(pulumi, release)
    assert reason == "iris is unauthorized on aci in dev"
    written = [file.read_text() for file in (project.root / ".slipway/releases").rglob("*") if file.is_file()]
    assert written
    assert not any(PRIMARY in text for text in written)


def test_a_proxy_never_sees_the_key_of_a_container_group_of_this_machine(monkeypatch):
    with service({"state": "ready"}) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.endpoint)
        monkeypatch.setenv("http_proxy", proxy.endpoint)
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("no_proxy", "")
        # Nothing listens there: a proxy would answer.
        with pytest.raises(CliError, match="cannot be reached"):
            score("http://127.9.8.7:1", b"1", 5, PRIMARY)


@pytest.mark.parametrize(
    ("config", "repository"),
    [
        (CONFIG, "made.azurecr.io/shop"),
        (f"{CONFIG}  slipway:registry: named.example.com\n", "named.example.com/shop"),
        ("config:\n  slipway:targets: [local-docker]\n  slipway:registry: r\n", "r/shop"),
    ],
)
def test_images_are_in_the_registry_that_is_configured_else_in_the_stacks_own(project, config, repository):
    project.configure(config)
    _deploy(project, "http://127.0.0.1:1")
    assert repository_of(_pulumi(project)) == repository


def test_without_a_registry_of_its_own_yet_images_are_where_others_are(project):
    _deploy(project, "http://127.0.0.1:1", registry=None)
    pulumi = _pulumi(project)
    pulumi.env["SLIPWAY_REGISTRY"] = "localhost:5999"
    assert repository_of(pulumi) == "localhost:5999/shop"


def _health(project):
    found = diagnose(Context(Project(project.root, "shop"), "dev"), 20.0)
    return [(one.status, one.message) for one in found if one.check == "health"]


def test_the_health_of_a_model_that_wants_a_key_is_asked_with_it(project, guarded):
    _deploy(project, guarded.endpoint, _keys())
    assert _health(project) == [("ok", f"It is ready at {guarded.endpoint}.")]
    _deploy(project, guarded.endpoint)
    [(status, message)] = _health(project)
    assert status == "problem"
    assert "does not take the key" in message


def test_a_configuration_that_is_encrypted_in_part_is_looked_at_all_the_same(project):
    project.configure(f"{CONFIG}  slipway:tlsKey: {{secure: v1:abc}}\n")
    assert Context(Project(project.root, "shop"), "dev").environment.targets == ("aci",)
