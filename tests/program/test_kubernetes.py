"""What the program asks of a cluster for models with the target aks; no engine, no cluster."""

import json

import pulumi
import pytest

from tests.program.azure_mocks import CANARIES, PRIMARY, SECONDARY, shown
from tests.program.kubernetes_mocks import KUBECONFIG, asking

DEPLOYMENT, SERVICE, HPA, BUDGET = "Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget"
IMAGE = "localhost:5050/slipway/models/iris@sha256:" + "d" * 64


@pytest.fixture
def aks(declare, project, monkeypatch):
    """Declares the project with an aks target on iris; returns the recorder."""
    with asking(declare, project, monkeypatch) as run:
        yield run


def _pod(recorder, name="iris"):
    return recorder.manifest(DEPLOYMENT, name)["spec"]["template"]["spec"]


def _container(recorder):
    (container,) = _pod(recorder)["containers"]
    return container


def _plain(container):
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}


def test_a_model_is_a_few_objects_and_nothing_in_azure_or_docker(aks):
    recorder = aks()
    assert recorder.objects == {
        ("Namespace", "slipway-prod"),
        ("ServiceAccount", "slipway-prod-models"),
        ("Secret", "iris-keys"),
        ("Deployment", "iris"),
        ("Service", "iris"),
        ("PodDisruptionBudget", "iris"),
        ("NetworkPolicy", "iris"),
    }
    assert recorder.azure == set()
    assert not recorder.of("RemoteImage")


def test_a_second_model_shares_the_namespace_and_has_objects_of_its_own(aks):
    one, two = aks(), aks(models=("iris", "digits"))
    assert two.objects - one.objects == {
        (kind, name.replace("iris", "digits")) for kind, name in one.objects if "iris" in name
    }
    pods = [two.manifest(DEPLOYMENT, name)["spec"] for name in ("iris", "digits")]
    assert pods[0]["selector"] != pods[1]["selector"]
    services = [two.manifest(SERVICE, name)["spec"]["selector"] for name in ("iris", "digits")]
    assert services[0] != services[1]
    for spec, selector in zip(pods, services, strict=True):
        assert selector.items() <= spec["template"]["metadata"]["labels"].items()


def test_the_image_is_taken_by_digest(aks):
    assert _container(aks())["image"] == IMAGE


def test_pods_have_no_rights_and_write_only_to_tmp(aks):
    pod = _pod(aks())
    container = pod["containers"][0]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [one["name"] for one in container["volumeMounts"] if not one.get("readOnly")] == ["tmp"]


def test_a_change_takes_no_pod_away_before_a_new_one_is_ready(aks):
    spec = aks({"startupSeconds": 60}).manifest(DEPLOYMENT)["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": "25%"}
    pod = spec["template"]["spec"]
    container = pod["containers"][0]
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] + 20 < pod["terminationGracePeriodSeconds"]
    assert container["startupProbe"]["failureThreshold"] * container["startupProbe"]["periodSeconds"] == 60
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/live"
    assert spec["progressDeadlineSeconds"] > 60 + spec["minReadySeconds"]
    timeouts = aks({"startupSeconds": 3600}).of(DEPLOYMENT)["iris"].options.custom_timeouts
    assert int(timeouts.update.rstrip("s")) > 3 * 3600


def test_sizes_are_as_the_manifest_says(aks):
    container = _container(aks({"cpu": 0.25, "memory": "512Mi", "gpu": 1}))
    requests, limits = container["resources"]["requests"], container["resources"]["limits"]
    assert (requests["cpu"], requests["memory"], requests["nvidia.com/gpu"]) == ("250m", "512Mi", "1")
    assert (limits["cpu"], limits["memory"], limits["nvidia.com/gpu"]) == ("500m", "512Mi", "1")
    pod = _pod(aks({"gpu": 1, "spot": True}))
    assert [one["key"] for one in pod["tolerations"]] == ["nvidia.com/gpu", "kubernetes.azure.com/scalesetpriority"]
    assert "affinity" in pod


def test_a_fixed_number_of_replicas_is_in_the_deployment(aks):
    recorder = aks({"replicas": 3})
    assert recorder.manifest(DEPLOYMENT)["spec"]["replicas"] == 3
    assert not recorder.of(HPA)


def test_where_the_load_decides_the_deployment_says_no_number(aks):
    recorder = aks({"replicas": {"min": 2, "max": 9, "cpu": 55}})
    assert "replicas" not in recorder.manifest(DEPLOYMENT)["spec"]
    spec = recorder.manifest(HPA)["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 9)
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "iris"}
    assert spec["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 55}


def test_one_replica_keeps_no_node_from_being_emptied(aks):
    assert not aks({"replicas": 1}).of(BUDGET)
    assert aks({"replicas": {"min": 1, "max": 3}}).manifest(BUDGET)["spec"]["maxUnavailable"] == 1


def test_pods_are_spread_over_zones_and_nodes_unless_the_manifest_says_otherwise(aks):
    keys = [one["topologyKey"] for one in _pod(aks())["topologySpreadConstraints"]]
    assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    assert "topologySpreadConstraints" not in _pod(aks({"spread": False}))


def test_keys_are_in_a_secret_that_the_pods_mount_and_stand_nowhere_else(aks):
    recorder = aks()
    assert recorder.manifest("Secret")["stringData"] == {"primary": PRIMARY, "secondary": SECONDARY}
    assert shown(recorder.one("Secret").inputs["stringData"]) == ""
    container = _container(recorder)
    assert _plain(container)["SLIPWAY_AUTH"] == "key"
    (mount,) = [one for one in container["volumeMounts"] if one.get("readOnly")]
    assert _plain(container)["SLIPWAY_KEYS_DIR"] == mount["mountPath"]
    (volume,) = [one for one in _pod(recorder)["volumes"] if "secret" in one]
    assert volume["secret"]["secretName"] == recorder.manifest("Secret")["metadata"]["name"]
    for one in recorder.registered:
        assert not [canary for canary in (*CANARIES, "canary-token") if canary in shown(one.inputs)], one.name


def test_secret_variables_are_in_an_object_named_by_them_so_that_pods_follow(aks):
    config = {"collect": {"to": "abfs://collected/prod"}, "storageConnectionString": "canary-theirs"}
    options = {"scoring": {"collect": True}, "secrets": ["storageConnectionString"]}
    recorder = aks(config=config, **options)
    secret = recorder.manifest("Secret", "iris-variables")
    assert secret["immutable"] is True
    assert secret["stringData"] == {"AZURE_STORAGE_CONNECTION_STRING": "canary-theirs"}
    container = _container(recorder)
    (given,) = [one for one in container["env"] if "valueFrom" in one]
    assert given["valueFrom"]["secretKeyRef"]["name"] == secret["metadata"]["name"]
    other = aks(config={**config, "storageConnectionString": "canary-other"}, **options)
    assert other.manifest("Secret", "iris-variables")["metadata"]["name"] != secret["metadata"]["name"]
    assert "canary-theirs" not in "".join(shown(one.inputs) for one in recorder.registered)


def test_models_let_requests_in_at_one_port_and_call_only_what_is_outside(aks):
    spec = aks().manifest("NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["ingress"] == [{"ports": [{"port": 8080, "protocol": "TCP"}]}]
    dns, outside = spec["egress"]
    assert {one["port"] for one in dns["ports"]} == {53}
    blocks = [one["ipBlock"] for one in outside["to"]]
    assert {"10.0.0.0/8", "169.254.0.0/16"} <= set(blocks[0]["except"])
    assert len(aks({"egress": "none"}).manifest("NetworkPolicy")["spec"]["egress"]) == 1
    assert aks({"egress": "any"}).manifest("NetworkPolicy")["spec"]["egress"] == [{}]


@pytest.mark.parametrize(
    ("settings", "endpoint"),
    [
        ({}, "http://iris.slipway-prod.svc.cluster.local"),
        ({"service": "NodePort"}, "http://10.1.2.3:30123"),
        ({"service": "NodePort", "node": "127.0.0.1"}, "http://127.0.0.1:30123"),
        ({"service": "LoadBalancer"}, "http://192.0.2.7"),
    ],
)
def test_the_endpoint_is_where_the_service_is_reached(aks, settings, endpoint):
    recorder = aks(**settings)
    assert recorder.manifest(SERVICE)["spec"]["type"] == settings.get("service", "ClusterIP")
    assert recorder.exported["models"]["iris"]["targets"]["aks"] == {
        "endpoint": endpoint,
        "namespace": "slipway-prod",
        "deployment": "iris",
        "service": settings.get("service", "ClusterIP"),
        "auth": "key",
    }


def test_a_host_is_led_to_the_model_by_the_gateway_or_the_ingress(aks):
    target = {"host": "iris.example.com"}
    by_gateway = aks(target, gateway={"name": "public", "namespace": "gateways"})
    route = by_gateway.manifest("HTTPRoute")["spec"]
    assert route["parentRefs"] == [{"name": "public", "namespace": "gateways"}]
    assert route["hostnames"] == ["iris.example.com"]
    by_ingress = aks(target, ingress={"class": "nginx", "issuer": "letsencrypt"})
    found = by_ingress.manifest("Ingress")
    assert found["spec"]["tls"] == [{"hosts": ["iris.example.com"], "secretName": "iris-tls"}]
    assert found["metadata"]["annotations"]["cert-manager.io/cluster-issuer"] == "letsencrypt"
    for recorder in (by_gateway, by_ingress):
        assert recorder.exported["models"]["iris"]["targets"]["aks"]["endpoint"] == "https://iris.example.com"


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ({"host": "iris.example.com"}, {}, "`host` needs slipway:kubernetes with `gateway"),
        ({"auth": "none"}, {"service": "NodePort"}, "inside the cluster only"),
        ({"auth": "entra"}, {}, "needs slipway:entra"),
        ({}, {"context": "elsewhere"}, r"without the context elsewhere. It has: here\."),
        ({}, {"kubeconfig": "none-such"}, "cannot be read: No such file"),
        ({}, {"config": {"kubeconfig": KUBECONFIG}}, "both say which cluster"),
        ({}, {"scoring": {"collect": True}, "config": {"collect": {"to": "volume"}}}, "would be lost with each pod"),
    ],
)
def test_what_manifest_and_configuration_say_only_apart_is_refused(aks, target, options, message):
    with pytest.raises(pulumi.RunError, match=message):
        aks(target, **options)


def test_a_kubeconfig_in_the_configuration_has_to_be_encrypted(aks):
    with pytest.raises(pulumi.RunError, match="has to be encrypted"):
        aks(config={"kubeconfig": KUBECONFIG, "kubernetes": {}})
    recorder = aks(config={"kubeconfig": KUBECONFIG, "kubernetes": {}}, secrets=["kubeconfig"])
    (provider,) = [one for one in recorder.registered if one.type == "pulumi:providers:kubernetes"]
    assert "canary-token" not in shown(provider.inputs)


def test_a_kubeconfig_of_a_file_is_in_the_state_by_its_path_and_the_cluster_by_its_address(aks, project):
    (provider,) = [one for one in aks().registered if one.type == "pulumi:providers:kubernetes"]
    assert provider.inputs["kubeconfig"] == str(project / "kubeconfig")
    assert provider.inputs["clusterIdentifier"] == "https://10.1.2.3:6443"
    assert "canary-token" not in json.dumps(provider.inputs)


def test_in_a_namespace_of_others_objects_carry_the_stacks_name(aks):
    recorder = aks(namespace="team-a")
    assert not recorder.of("Namespace")
    metadata = recorder.manifest(DEPLOYMENT)["metadata"]
    assert (metadata["namespace"], metadata["name"]) == ("team-a", "slipway-prod-iris")
    assert recorder.manifest("Secret")["metadata"]["name"] == "slipway-prod-iris-keys"


def test_namespaces_that_the_stack_makes_have_their_quotas(aks):
    recorder = aks({"namespace": "team-a"}, namespaces={"team-a": {"quota": {"cpu": 20, "pods": 30}}})
    assert set(recorder.of("Namespace")) == {"team-a"}
    assert recorder.manifest("ResourceQuota")["spec"]["hard"] == {"requests.cpu": "20", "pods": "30"}


def test_metrics_are_collected_with_the_models_key(aks):
    spec = aks(monitor=True).manifest("ServiceMonitor")["spec"]
    (endpoint,) = spec["endpoints"]
    assert endpoint["authorization"]["credentials"] == {"name": "iris-keys", "key": "primary"}


def test_with_entra_there_are_no_keys_and_the_image_can_check_tokens(aks):
    entra = {"tenant": "example.com", "audience": "api://iris"}
    recorder = aks({"auth": "entra"}, config={"entra": entra})
    assert not recorder.of("AccessKeys")
    assert not recorder.of("Secret")
    given = _plain(_container(recorder))
    assert (given["SLIPWAY_AUTH"], given["SLIPWAY_ENTRA_TENANT"]) == ("entra", "example.com")
    (environment,) = [one for name, one in recorder.of("Image").items() if name.startswith("environment-")]
    assert environment.inputs["buildArgs"]["EXTRAS"] == "entra"


def test_an_unchanged_manifest_asks_for_the_same(aks):
    first, second = (aks({"replicas": {"min": 1, "max": 3}}, service="NodePort") for _ in range(2))
    # Registrations come in any order.
    asked = [{(one.type, one.name): one.inputs for one in recorder.registered} for recorder in (first, second)]
    assert asked[0] == asked[1]


def test_a_preview_of_an_empty_cluster_registers_everything(aks):
    target = {"replicas": {"min": 1, "max": 3}}
    assert aks(target, unknown=True).objects == aks(target).objects


EARLIER = {"version": "0.9", "digest": "sha256:" + "e" * 64}


def test_a_canary_runs_beside_the_earlier_version_with_its_share_of_the_pods(aks, caplog):
    recorder = aks({"replicas": 10, "canary": {"from": EARLIER, "weight": 20}})
    stable, canary = (recorder.manifest(DEPLOYMENT, name) for name in ("iris", "iris-canary"))
    images = [one["spec"]["template"]["spec"]["containers"][0]["image"] for one in (stable, canary)]
    assert images == ["localhost:5050/slipway/models/iris@" + EARLIER["digest"], IMAGE]
    assert [one["spec"]["replicas"] for one in (stable, canary)] == [8, 2]
    service = recorder.manifest(SERVICE)["spec"]["selector"]
    for one in (stable, canary):
        assert service.items() <= one["spec"]["template"]["metadata"]["labels"].items()
    assert stable["spec"]["selector"] != canary["spec"]["selector"]
    assert recorder.exported["models"]["iris"]["targets"]["aks"]["canary"] == {
        "version": "1",
        "percent": 20,
        "by": "replicas",
    }


def test_what_serves_is_the_same_deployment_before_and_while_a_canary_is_tried(aks):
    def before(recorder):
        found = recorder.manifest(DEPLOYMENT, "iris")
        found["spec"].pop("replicas")
        return found

    assert before(aks({"canary": {"from": {"version": 1, "digest": "sha256:" + "d" * 64}}})) == before(aks())


def test_a_share_that_few_pods_cannot_give_is_told(aks, monkeypatch):
    said = []
    monkeypatch.setattr(pulumi.log, "info", lambda text, *_: said.append(text))
    recorder = aks({"replicas": 2, "canary": {"from": EARLIER, "weight": 10}})
    assert [recorder.manifest(DEPLOYMENT, name)["spec"]["replicas"] for name in ("iris", "iris-canary")] == [1, 1]
    (line,) = [one for one in said if "canary" in one]
    assert "50 % of the requests by its share of the pods (1 of 2)" in line
    assert "10 % were asked for" in line


def test_autoscaled_versions_keep_their_shares(aks):
    recorder = aks({"replicas": {"min": 4, "max": 20}, "canary": {"from": EARLIER, "weight": 25}})
    bounds = [
        (one["spec"]["minReplicas"], one["spec"]["maxReplicas"], one["spec"]["scaleTargetRef"]["name"])
        for one in (recorder.manifest(HPA, name) for name in ("iris", "iris-canary"))
    ]
    assert bounds == [(3, 15, "iris"), (1, 5, "iris-canary")]


GATEWAY = {"gateway": {"name": "public", "namespace": "gateways"}}


def test_a_gateway_shares_requests_out_by_weights(aks):
    target = {"host": "iris.example.com", "replicas": 4, "canary": {"from": EARLIER, "weight": 5}}
    recorder = aks(target, **GATEWAY)
    (rule,) = recorder.manifest("HTTPRoute")["spec"]["rules"]
    assert rule["backendRefs"] == [
        {"name": "iris-stable", "port": 80, "weight": 95},
        {"name": "iris-canary", "port": 80, "weight": 5},
    ]
    for name in ("iris-stable", "iris-canary"):
        assert recorder.manifest(SERVICE, name)["spec"]["selector"]["slipway.io/track"] == name.rpartition("-")[2]
    assert recorder.manifest(DEPLOYMENT, "iris")["spec"]["replicas"] == 4
    assert recorder.exported["models"]["iris"]["targets"]["aks"]["canary"]["by"] == "gateway"


def test_a_shadow_gets_copies_and_answers_nobody(aks):
    recorder = aks({"host": "iris.example.com", "shadow": {"from": EARLIER}}, **GATEWAY)
    (rule,) = recorder.manifest("HTTPRoute")["spec"]["rules"]
    assert rule["backendRefs"] == [{"name": "iris-stable", "port": 80}]
    (mirror,) = rule["filters"]
    assert mirror["requestMirror"]["backendRef"]["name"] == "iris-shadow"
    shadow = recorder.manifest(DEPLOYMENT, "iris-shadow")["spec"]["template"]["metadata"]["labels"]
    assert not recorder.manifest(SERVICE, "iris")["spec"]["selector"].items() <= shadow.items()
    with pytest.raises(pulumi.RunError, match="nothing else copies requests"):
        aks({"host": "iris.example.com", "shadow": {"from": EARLIER}}, ingress={"class": "nginx"})
