"""How the command finds a stack's cluster: as Pulumi does, without showing what is secret."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from cli.batch.target import _engine
from cli.errors import CliError
from cli.placements.cluster import Cluster
from cli.placements.placement import Placement

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{{name: here, context: {{cluster: local, user: me}}}}, {{name: other, context: {{cluster: far, user: me}}}}]
clusters: [{{name: local, cluster: {{server: "{server}"}}}}, {{name: far, cluster: {{server: "https://far:1"}}}}]
users: [{{name: me, user: {{token: canary-token}}}}]
"""


class Pulumi:
    """A stack with a configuration and a state."""

    def __init__(self, root, values=None, resources=()):
        self.project = SimpleNamespace(name="shop", root=root)
        self.stack = "org/shop/dev"
        self.config = SimpleNamespace(values=values or {})
        self._resources = list(resources)
        self.asked = 0

    def state(self, *, show_secrets):
        assert show_secrets
        self.asked += 1
        return {"deployment": {"resources": self._resources}}


def provider(kubeconfig, **more):
    inputs = {"kubeconfig": kubeconfig}
    return {"type": "pulumi:providers:kubernetes", "inputs": inputs, **more}


def host(cluster):
    return cluster.api.configuration.host


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "kubeconfig"
    path.write_text(KUBECONFIG.format(server="https://file:1"))
    return path


def test_a_file_is_read_where_pulumi_reads_it_and_the_state_is_left_alone(tmp_path, file):
    pulumi = Pulumi(tmp_path, {"slipway:kubernetes": {"kubeconfig": "kubeconfig"}})
    assert host(Cluster(pulumi)) == "https://file:1"
    other = Pulumi(tmp_path, {"slipway:kubernetes": {"kubeconfig": "kubeconfig", "context": "other"}})
    assert host(Cluster(other)) == "https://far:1"
    assert not pulumi.asked


def test_a_context_alone_is_one_of_the_users_own_kubeconfig(tmp_path, file, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(file))
    assert host(Cluster(Pulumi(tmp_path, {"slipway:kubernetes": {"context": "here"}}))) == "https://file:1"


def test_a_secret_kubeconfig_and_one_of_azures_come_from_the_state(tmp_path):
    content = KUBECONFIG.format(server="https://state:1")
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "plaintext": json.dumps(content)}
    old = provider("gone", delete=True)
    pulumi = Pulumi(tmp_path, resources=[old, provider(secret)])
    assert host(Cluster(pulumi)) == "https://state:1"


@pytest.mark.parametrize("settings", [{}, {"kubernetes": {"kubeconfig": "kubeconfig"}}])
def test_batch_jobs_are_on_the_cluster_of_the_stack_whatever_the_users_kubeconfig_says(
    tmp_path, file, monkeypatch, settings
):
    users = tmp_path / "elsewhere/config"
    users.parent.mkdir()
    users.write_text(KUBECONFIG.format(server="https://users:1"))
    monkeypatch.setenv("KUBECONFIG", str(users))
    monkeypatch.chdir(users.parent)
    secret = {"plaintext": json.dumps(KUBECONFIG.format(server="https://state:1"))}
    values = {f"slipway:{name}": value for name, value in settings.items()}
    engine = _engine(
        Pulumi(tmp_path, values, [provider(secret)]), {"engine": "kubernetes", "namespace": "shop-dev"}, local=False
    )
    expected = "https://file:1" if settings else "https://state:1"
    assert engine._batch.api_client.configuration.host == expected


def test_namespaces_are_the_stacks_those_of_the_configuration_and_those_of_its_models(tmp_path, file):
    settings = {"kubeconfig": "kubeconfig", "namespaces": {"team-a": {}}}
    placements = [Placement("iris", "1", "aks", namespace="team-b"), Placement("iris", "1", "aci")]
    cluster = Cluster.of(Pulumi(tmp_path, {"slipway:kubernetes": settings}), placements)
    assert cluster.namespaces == ["shop-dev", "team-a", "team-b"]


def test_a_stack_that_was_never_deployed_has_no_cluster(tmp_path):
    with pytest.raises(CliError, match="has no cluster yet"):
        Cluster(Pulumi(tmp_path))


@pytest.mark.parametrize("text", ["canary: [", "[canary-token]", "users: [{name: canary-token}]"])
def test_what_is_no_kubeconfig_is_told_without_being_shown(tmp_path, text):
    (tmp_path / "kubeconfig").write_text(text)
    with pytest.raises(CliError, match="does not lead to a cluster") as refused:
        Cluster(Pulumi(tmp_path, {"slipway:kubernetes": {"kubeconfig": "kubeconfig"}}))
    assert "canary" not in str(refused.value)


def test_a_cluster_that_does_not_answer_is_told_in_one_line(tmp_path, file):
    Path(file).write_text(KUBECONFIG.format(server="http://127.0.0.1:9"))
    cluster = Cluster(Pulumi(tmp_path, {"slipway:kubernetes": {"kubeconfig": "kubeconfig"}}))
    with pytest.raises(CliError, match="does not answer") as refused:
        cluster.pods()
    assert "\n" not in str(refused.value)
