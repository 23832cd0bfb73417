"""What the program asks of a cluster with KEDA for models with triggers; no engine, no cluster."""

import pulumi
import pytest

from tests.program.kubernetes_mocks import asking

SCALED, DEPLOYMENT, HPA = "ScaledObject", "Deployment", "HorizontalPodAutoscaler"
CRON = {"cron": {"start": "0 7 * * 1-5", "end": "0 19 * * 1-5", "timezone": "Europe/Berlin", "replicas": 2}}
QUEUE = {"storageQueue": {"account": "orders", "queue": "to-score"}}
BUS = {"serviceBus": {"namespace": "orders-prod", "topic": "scored", "subscription": "iris", "messages": 20}}
NUMBER = {"prometheus": {"query": "sum(rate(requests[1m]))", "threshold": 0.5}}
CLIENT = "11111111-2222-3333-4444-555555555555"
MANAGED = "https://theirs-abcd.westeurope.prometheus.monitor.azure.com"


@pytest.fixture
def aks(declare, project, monkeypatch):
    """Declares the project with an aks target on iris; returns the recorder."""
    with asking(declare, project, monkeypatch) as run:
        yield run


def sleeping(*triggers, **replicas):
    return {"replicas": {"min": 0, "max": 5, "triggers": list(triggers or [CRON]), **replicas}}


def test_a_model_that_sleeps_is_scaled_by_keda_and_by_nothing_else(aks):
    recorder = aks(sleeping(idleSeconds=60), keda=True)
    assert recorder.objects == {
        ("Namespace", "slipway-prod"),
        ("ServiceAccount", "slipway-prod-models"),
        ("Secret", "iris-keys"),
        ("Deployment", "iris"),
        ("ScaledObject", "iris"),
        ("Service", "iris"),
        ("PodDisruptionBudget", "iris"),
        ("NetworkPolicy", "iris"),
    }
    found = recorder.manifest(SCALED)
    assert (found["apiVersion"], found["metadata"]["namespace"]) == ("keda.sh/v1alpha1", "slipway-prod")
    spec = found["spec"]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "iris"}
    assert (spec["minReplicaCount"], spec["maxReplicaCount"], spec["cooldownPeriod"]) == (0, 5, 60)
    deployment = recorder.manifest(DEPLOYMENT)
    # KEDA's to set, also at zero.
    assert "replicas" not in deployment["spec"]
    assert deployment["metadata"]["annotations"] == {"slipway.io/sleeps": "true"}


def test_the_first_version_is_ready_before_keda_may_put_it_to_sleep(aks):
    recorder = aks(sleeping(), keda=True)
    (scaled,) = recorder.of(SCALED).values()
    kinds = {type(one).__name__ for one in scaled.options.depends_on}
    assert DEPLOYMENT in kinds


def test_a_load_goes_on_adding_pods_beside_the_triggers_and_a_model_that_never_sleeps_has_no_mark(aks):
    recorder = aks(sleeping(min=1, cpu=40), keda=True)
    spec = recorder.manifest(SCALED)["spec"]
    assert spec["triggers"][-1] == {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "40"}}
    assert "cooldownPeriod" not in spec
    assert "annotations" not in recorder.manifest(DEPLOYMENT)["metadata"]
    assert not recorder.of(HPA)


def test_without_triggers_kubernetes_own_autoscaler_stays_where_keda_is(aks):
    recorder = aks({"replicas": {"min": 1, "max": 3}}, keda=True)
    assert recorder.of(HPA)
    assert not recorder.of(SCALED)


@pytest.mark.parametrize(
    ("trigger", "asked"),
    [
        (
            CRON,
            {
                "type": "cron",
                "metadata": {
                    "start": "0 7 * * 1-5",
                    "end": "0 19 * * 1-5",
                    "timezone": "Europe/Berlin",
                    "desiredReplicas": "2",
                },
            },
        ),
        (
            NUMBER,
            {
                "type": "prometheus",
                "metadata": {
                    "serverAddress": "http://prometheus.monitoring:9090",
                    "query": "sum(rate(requests[1m]))",
                    "threshold": "0.5",
                    "activationThreshold": "0",
                },
            },
        ),
        (
            BUS,
            {
                "type": "azure-servicebus",
                "metadata": {
                    "namespace": "orders-prod",
                    "topicName": "scored",
                    "subscriptionName": "iris",
                    "messageCount": "20",
                },
                "authenticationRef": {"name": "iris-keda"},
            },
        ),
        (
            QUEUE,
            {
                "type": "azure-queue",
                "metadata": {"accountName": "orders", "queueName": "to-score", "queueLength": "5"},
                "authenticationRef": {"name": "iris-keda"},
            },
        ),
        (
            {"other": {"type": "kafka", "metadata": {"topic": "orders", "lagThreshold": 5}, "authentication": "kafka"}},
            {
                "type": "kafka",
                "metadata": {"topic": "orders", "lagThreshold": "5"},
                "authenticationRef": {"name": "kafka"},
            },
        ),
    ],
)
def test_each_trigger_is_asked_of_its_scaler_with_texts_alone(aks, trigger, asked):
    keda = {"identity": CLIENT, "prometheus": "http://prometheus.monitoring:9090"}
    first, _ = aks(sleeping(trigger), keda=keda).manifest(SCALED)["spec"]["triggers"]
    assert first == asked


def test_azure_is_asked_as_the_environments_identity(aks):
    recorder = aks(sleeping(QUEUE, CRON), keda={"identity": CLIENT})
    authentication = recorder.manifest("TriggerAuthentication")
    assert authentication["metadata"]["name"] == "iris-keda"
    assert authentication["spec"] == {"podIdentity": {"provider": "azure-workload", "identityId": CLIENT}}
    assert not aks(sleeping(CRON), keda={"identity": CLIENT}).of("TriggerAuthentication")


def test_azures_prometheus_is_asked_with_the_identity_and_any_other_without(aks):
    def references(server):
        spec = aks(sleeping(NUMBER), keda={"identity": CLIENT, "prometheus": server}).manifest(SCALED)["spec"]
        return [one.get("authenticationRef") for one in spec["triggers"]]

    assert references(MANAGED) == [{"name": "iris-keda"}, None]
    assert references("https://prometheus.example.com/prometheus.monitor.azure.com") == [None, None]


@pytest.mark.parametrize(
    ("trigger", "keda", "message"),
    [
        (CRON, None, "`replicas.triggers` needs KEDA: slipway:kubernetes with `keda: true`"),
        (CRON, False, "`replicas.triggers` needs KEDA"),
        (NUMBER, True, "a trigger `prometheus` needs `server`"),
        (NUMBER, {"prometheus": MANAGED}, "Azure's Prometheus .* needs an identity"),
        (QUEUE, True, "triggers of Azure's queues need an identity"),
    ],
)
def test_triggers_that_the_environment_lacks_something_for_are_refused_with_what_to_write(aks, trigger, keda, message):
    with pytest.raises(pulumi.RunError, match=f"model iris: aks: {message}"):
        aks(sleeping(trigger), **({} if keda is None else {"keda": keda}))


def test_a_preview_registers_what_a_deployment_does(aks):
    assert aks(sleeping(), keda=True, unknown=True).objects == aks(sleeping(), keda=True).objects
