"""`slipway score` and `slipway status` against real services; Pulumi's answers come from a script."""

import io
import json
from types import SimpleNamespace

import pytest

from cli.errors import CliError, Exit
from cli.main import run
from cli.placements.pods import SLEEPS
from cli.releases.promotion import to_be_asked
from cli.stack.project import Project
from cli.stack.pulumi import Pulumi
from tests.unit.cli_harness import FakePulumi, service, write_iris

MANIFEST = """models:
  - name: iris
    version: 1
    path: models/iris
    scoring: {sample: sample.json}
    targets: [local-docker]
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    model = write_iris(tmp_path, MANIFEST)
    # Nowhere near the project's root, and without a Docker engine.
    monkeypatch.chdir(model)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-docker.sock")
    return FakePulumi(tmp_path)


@pytest.fixture
def iris(project):
    with service({"label": "setosa"}) as server:
        _deploy(project, server.endpoint)
        yield server


def _deploy(project, endpoint, kind="local-docker"):
    targets = {kind: {"endpoint": endpoint, "container": "shop-dev-iris", "reload": False}}
    project.answers(out={"models": {"iris": {"version": "1", "image": "r/iris@sha256:1", "targets": targets}}})


@pytest.mark.parametrize("named", [[], [""]])
def test_without_a_name_every_model_scores_its_sample(named, iris, capsys):
    assert run(["score", *named]) == Exit.OK
    assert iris.received[1] == b'{"data": [1]}'
    assert capsys.readouterr().out == 'iris   sample.json -> {"label": "setosa"}\n'


def test_without_a_name_one_models_refusal_is_a_failure(project, capsys):
    with service({"message": "no such feature"}, 400) as server:
        _deploy(project, server.endpoint)
        assert run(["score", "--json"]) == Exit.FAILED
    [answer] = json.loads(capsys.readouterr().out)["answers"]
    assert (answer["model"], answer["status"], answer["error"]) == ("iris", 400, "no such feature")


def test_a_request_for_no_model_lists_the_models(iris, capsys):
    assert run(["score", "--data", "mine.json"]) == Exit.USAGE
    assert "slipway score NAME --data mine.json, NAME being one of: iris." in capsys.readouterr().err


def test_a_model_that_is_not_deployed_yet_is_in_the_status(iris, project, capsys):
    second = MANIFEST.replace("models:\n", "").replace("iris", "wine", 1)
    (project.root / "models.yaml").write_text(MANIFEST + second)
    assert run(["status", "--json"]) == Exit.OK
    states = {one["model"]: one["state"] for one in json.loads(capsys.readouterr().out)["models"]}
    assert states["wine"] == "not deployed"


def test_a_broken_manifest_keeps_nobody_from_seeing_what_runs(iris, project, capsys):
    (project.root / "models.yaml").write_text("models: [")
    assert run(["status", "--json"]) == Exit.OK
    report = json.loads(capsys.readouterr().out)
    assert [one["model"] for one in report["models"]] == ["iris"]
    assert any("models.yaml" in note for note in report["notes"])


def test_without_data_the_models_sample_is_scored(iris, capsys):
    assert run(["score", "iris"]) == Exit.OK
    assert iris.received[1] == b'{"data": [1]}'
    assert json.loads(capsys.readouterr().out) == {"label": "setosa"}


def test_a_request_can_be_a_file_or_the_input(iris, project, monkeypatch):
    (project.root / "mine.json").write_text("[2]")
    assert run(["score", "iris", "--data", str(project.root / "mine.json")]) == Exit.OK
    assert iris.received[1] == b"[2]"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"[3]")))
    assert run(["score", "iris", "--data", "-"]) == Exit.OK
    assert iris.received[1] == b"[3]"


def test_a_request_that_is_not_there_is_wrong_usage(iris, capsys):
    assert run(["score", "iris", "--data", "nothing.json"]) == Exit.USAGE
    assert "nothing.json cannot be read: No such file" in capsys.readouterr().err


def test_as_json_the_answer_comes_with_where_it_is_from(iris, capsys):
    assert run(["score", "iris", "--json"]) == Exit.OK
    report = json.loads(capsys.readouterr().out)
    assert report.pop("milliseconds") > 0
    assert report == {
        "model": "iris",
        "version": "1",
        "target": "local-docker",
        "status": 200,
        "answer": {"label": "setosa"},
    }


def test_an_unknown_model_names_the_nearest_one(iris, capsys):
    assert run(["score", "irs"]) == Exit.USAGE
    assert 'Unknown model "irs"; did you mean "iris"?' in capsys.readouterr().err


@pytest.mark.parametrize("command", ["score", "reload", "keys", "power-query"])
@pytest.mark.parametrize(
    ("targets", "told", "to_do"),
    [
        ("[local-docker]", "not deployed in the stack dev.", "`slipway up --stack dev` deploys it, or says why"),
        (
            "[{aks: {}}, {batch: {output: out}}]",
            "not live in the stack dev: its targets are aks, batch, and Pulumi.dev.yaml has local-docker as",
            "--stack NAME",
        ),
        ("[]", "not live in the stack dev: it has no target of its own, and Pulumi.dev.yaml has local-docker as", ""),
    ],
)
def test_a_model_of_the_manifest_that_is_not_there_is_told_why_it_is_not(
    iris, project, capsys, command, targets, told, to_do
):
    second = MANIFEST.replace("models:\n", "").replace("iris", "wine", 1).replace("[local-docker]", targets)
    (project.root / "models.yaml").write_text(MANIFEST + second)
    assert run([command, "wine"]) == Exit.USAGE
    seen = capsys.readouterr().err
    assert f"wine is in models.yaml and {told}" in seen
    assert to_do in seen


def test_a_deployed_model_that_cannot_be_asked_is_not_called_unknown(iris, project, capsys):
    targets = {"wine": {"batch": {}}, "iris": {"local-docker": {"endpoint": iris.endpoint}}}
    project.answers(out={"models": {name: {"version": "1", "targets": found} for name, found in targets.items()}})
    (project.root / "models.yaml").write_text(MANIFEST + MANIFEST.replace("models:\n", "").replace("iris", "wine", 1))
    assert run(["score", "wine"]) == Exit.USAGE
    assert "wine is deployed in the stack dev, and has nothing there that could be asked." in capsys.readouterr().err


def test_an_unknown_target_names_those_of_the_model(iris, capsys):
    assert run(["score", "iris", "--target", "aks"]) == Exit.USAGE
    assert 'Unknown target of iris "aks"; allowed: local-docker.' in capsys.readouterr().err


def test_a_model_that_refuses_a_request_is_a_failure_in_its_words(project, capsys):
    with service({"message": "no such feature"}, 400) as server:
        _deploy(project, server.endpoint)
        assert run(["score", "iris"]) == Exit.FAILED
    seen = capsys.readouterr()
    assert seen.err == "iris answered 400: no such feature\n"
    assert seen.out == ""


def test_a_model_without_a_sample_asks_for_a_request(iris, project, capsys):
    (project.root / "models.yaml").write_text(MANIFEST.replace("sample: sample.json", ""))
    assert run(["score", "iris"]) == Exit.USAGE
    assert "--data FILE" in capsys.readouterr().err


def test_where_all_are_asked_a_model_without_a_sample_is_told(iris, project, capsys):
    (project.root / "models.yaml").write_text(MANIFEST.replace("sample: sample.json", ""))
    assert run(["score"]) == Exit.OK
    assert capsys.readouterr().out == (
        "iris was not asked: it has no sample in models.yaml; slipway score iris --data FILE\n"
    )
    assert run(["score", "--json"]) == Exit.OK
    [answer] = json.loads(capsys.readouterr().out)["answers"]
    assert (answer["model"], answer["status"], answer["error"]) == ("iris", None, None)


def test_scoring_needs_no_valid_manifest_when_the_request_is_given(iris, project):
    (project.root / "models.yaml").write_text("models: [")
    assert run(["score", "iris"]) == Exit.USAGE
    assert run(["score", "iris", "--data", str(project.root / "Pulumi.yaml")]) == Exit.OK


@pytest.mark.parametrize("arguments", [["score", "iris"], ["score"], ["score", "--json"]])
def test_a_model_whose_container_is_not_there_is_not_asked(iris, monkeypatch, capsys, arguments):
    """Another stack's container may answer on its port."""
    monkeypatch.setattr(
        "cli.placements.local.Engine", lambda _env: SimpleNamespace(containers=lambda _project, _stack: [])
    )
    assert run(arguments) == Exit.FAILED
    seen = capsys.readouterr()
    assert "shop-dev-iris is missing" in seen.out + seen.err
    assert "setosa" not in seen.out


@pytest.mark.parametrize("arguments", [["score", "iris"], ["status"]])
def test_a_stack_without_deployments_says_how_to_deploy(arguments, project, capsys):
    project.answers(err="error: no stack named 'dev' found", code=6)
    run(arguments)
    seen = capsys.readouterr()
    assert "`slipway up` deploys models.yaml." in seen.out + seen.err


def test_the_status_is_told_even_without_a_docker_engine(project, capsys):
    with service({"state": "busy", "error": None, "reload": {"enabled": False}}) as server:
        _deploy(project, server.endpoint)
        assert run(["status", "--json"]) == Exit.OK
    seen = capsys.readouterr()
    report = json.loads(seen.out)
    assert report["stack"] == "dev"
    assert [(one["model"], one["state"], one["endpoint"]) for one in report["models"]] == [
        ("iris", "busy", server.endpoint)
    ]
    assert "No Docker engine answers at unix://" in seen.err


def test_a_service_that_is_gone_is_unreachable_in_the_table(project, capsys):
    with service({}) as server:
        _deploy(project, server.endpoint, kind="aks")
    assert run(["status"]) == Exit.OK
    assert capsys.readouterr().out.splitlines()[1].split() == ["iris", "1", "aks", "unreachable", server.endpoint]


def test_a_second_down_finds_nothing_even_when_docker_was_stopped_by_the_first(project, capsys):
    project.answers(err="error: no stack named 'dev' found", code=6)
    assert run(["down"]) == Exit.OK
    assert "Nothing to remove" in capsys.readouterr().out


def test_a_stack_with_containers_is_not_destroyed_while_docker_is_away(project, capsys):
    project.answers(out={"deployment": {"resources": [{"type": "docker:index/container:Container"}]}})
    assert run(["down"]) == Exit.FAILED
    assert "Start Docker" in capsys.readouterr().err
    assert not [call for _, call in project.calls() if call.startswith(("destroy", "stack rm"))]


def test_a_stack_that_has_nothing_on_docker_is_destroyed_without_it(project, capsys):
    project.answers(out={"deployment": {"resources": [{"type": "kubernetes:apps/v1:Deployment"}]}})
    assert run(["down"]) == Exit.OK
    assert "The stack dev is gone" in capsys.readouterr().out
    assert [call for _, call in project.calls() if call.startswith("destroy")]


def test_a_graph_to_a_hyphen_goes_to_the_output(iris, project, capsysbinary):
    assert run(["graph", "-o", "-"]) == Exit.OK
    assert capsysbinary.readouterr().out.startswith(b"<svg")
    assert not (project.root / "models/iris/-").exists()


def test_what_pulumi_cannot_do_is_a_failure_in_its_words(project, capsys):
    project.answers(err="error: engine on fire", code=255)
    assert run(["status"]) == Exit.FAILED
    assert capsys.readouterr().err == "Pulumi cannot read the stack's outputs: engine on fire\n"


def test_a_wrong_manifest_is_named_by_the_way_to_it_from_here(project, capsys):
    (project.root / "models.yaml").write_text(MANIFEST.replace("path", "pth"))
    assert run(["up"]) == Exit.USAGE
    assert capsys.readouterr().err.startswith("../../models.yaml:2:5: ")


class Cluster:
    """Has one Deployment, without pods, which may sleep or not."""

    annotations = None

    @classmethod
    def of(cls, _pulumi, _placements):
        return cls()

    def deployments(self):
        metadata = SimpleNamespace(namespace="shop-dev", name="iris", annotations=self.annotations)
        spec = SimpleNamespace(replicas=0, selector=SimpleNamespace(match_labels={"app.kubernetes.io/name": "iris"}))
        return [SimpleNamespace(metadata=metadata, spec=spec, status=SimpleNamespace(conditions=None))]

    def pods(self):
        return []


@pytest.fixture
def no_pods(project, monkeypatch):
    """A model on a cluster, of which nobody answers; returns what says whether it may sleep."""
    placed = {"endpoint": "http://127.0.0.1:1", "namespace": "shop-dev", "deployment": "iris"}
    project.answers(out={"models": {"iris": {"version": "1", "image": "r/iris@sha256:1", "targets": {"aks": placed}}}})
    monkeypatch.setattr("cli.placements.workloads.Cluster", Cluster)
    return lambda annotations: monkeypatch.setattr(Cluster, "annotations", annotations)


def _state(capsys):
    assert run(["status", "--json"]) == Exit.OK
    (found,) = [one for one in json.loads(capsys.readouterr().out)["models"] if one["target"] == "aks"]
    return found["state"], found["error"]


def test_a_model_that_sleeps_is_not_asked_and_says_so(no_pods, capsys):
    no_pods({SLEEPS: "true"})
    assert run(["score", "iris"]) == Exit.FAILED
    assert "iris is asleep: it has no pods until one of its triggers asks for one" in capsys.readouterr().err
    assert run(["score"]) == Exit.OK
    assert "iris is asleep, and a request would not wake it up: it was not asked." in capsys.readouterr().out
    assert run(["score", "--json"]) == Exit.OK
    [answer] = json.loads(capsys.readouterr().out)["answers"]
    assert (answer["model"], answer["status"], answer["error"]) == ("iris", None, None)
    assert _state(capsys) == ("asleep", None)


def test_a_model_that_sleeps_is_not_held_against_a_promotion_and_one_that_was_stopped_is_asked(no_pods, project):
    shop = Project(project.root, "shop")
    pulumi = Pulumi(shop, "dev", shop.environment())
    no_pods({SLEEPS: "true"})
    with to_be_asked(pulumi) as at:
        assert at == {}
    no_pods(None)
    with to_be_asked(pulumi) as at:
        assert at["iris"].endpoint == "http://127.0.0.1:1"


def test_a_model_without_pods_that_may_not_sleep_was_stopped_and_does_not_answer(no_pods, capsys):
    no_pods(None)
    assert run(["score", "iris"]) == Exit.FAILED
    assert "cannot be reached" in capsys.readouterr().err
    assert run(["score"]) == Exit.FAILED
    capsys.readouterr()
    assert _state(capsys) == ("stopped", None)


def test_who_is_not_let_into_the_cluster_asks_the_model_all_the_same(project, capsys, monkeypatch):
    def refuses(_pulumi, _placements):
        raise CliError("The cluster refuses.")

    monkeypatch.setattr("cli.placements.workloads.Cluster.of", refuses)
    with service({"label": "setosa"}) as server:
        placed = {"endpoint": server.endpoint, "namespace": "shop-dev", "deployment": "iris"}
        targets = {"aks": placed}
        project.answers(out={"models": {"iris": {"version": "1", "image": "r/iris@sha256:1", "targets": targets}}})
        assert run(["score", "iris"]) == Exit.OK
    assert json.loads(capsys.readouterr().out) == {"label": "setosa"}
