"""What each rule of the policy pack lets pass, and what it refuses, by the bodies of resources."""

import json
from copy import deepcopy
from itertools import permutations

import pytest

from policies.rules import RULES, JointRule, Resource
from policies.rules.rule import UNKNOWN

DIGEST = "registry.example.com/iris@sha256:" + "a" * 64
NAMED = {rule.name: rule for rule in RULES}
DOCKER, REMOTE = "docker:index/container:Container", "docker:index/remoteImage:RemoteImage"
GROUP, POOL = "azure-native:containerinstance:ContainerGroup", "azure-native:batch:Pool"
EDGE, SCHEDULE = "slipway:index:EdgeDeployment", "slipway:index:BatchJobSchedule"
DEPLOYMENT, CRON = "kubernetes:apps/v1:Deployment", "kubernetes:batch/v1:CronJob"
CLUSTER, AGENTS = "azure-native:containerservice:ManagedCluster", "azure-native:containerservice:AgentPool"
ACCOUNT, BLOBS = "azure-native:storage:StorageAccount", "azure-native:storage:BlobContainer"
REGISTRY = "azure-native:containerregistry:Registry"


def container(**changes):
    """A container of the Docker engine, as LocalDocker makes it."""
    return {
        "image": "sha256:" + "b" * 64,
        "memory": 512.0,
        "cpus": "1",
        "networkMode": "bridge",
        "capabilities": {"drops": ["ALL"]},
        "ports": [{"internal": 8080.0, "external": 8890.0, "ip": "127.0.0.1"}],
        "envs": ["SLIPWAY_DEVELOPMENT=1"],
        **changes,
    }


def group(*, address="Public", auth="key", model=(), **changes):
    """A container group, as AciService makes it: a proxy beside a model."""
    limits = {"requests": {"cpu": 1.0, "memoryInGB": 1.5}}
    variables = [{"name": "SLIPWAY_AUTH", "value": auth}] if auth else []
    return {
        "location": "westeurope",
        "ipAddress": {"type": address, "ports": [{"port": 443.0}]},
        "containers": [
            {"name": "model", "image": DIGEST, "resources": limits, "environmentVariables": variables, **dict(model)},
            {"name": "tls", "image": DIGEST, "resources": limits},
        ],
        **changes,
    }


def pod(*, auth="key", security=None, spec=None, **changes):
    """A pod's template, as components/kubernetes makes it."""
    one = {
        "name": "model",
        "image": DIGEST,
        "resources": {"limits": {"cpu": "1", "memory": "512Mi"}},
        "env": [{"name": "SLIPWAY_AUTH", "value": auth}, {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s"}}}],
        "securityContext": security or {},
        **changes,
    }
    user = {"securityContext": {"runAsNonRoot": True, "runAsUser": 65532.0}}
    return {"metadata": {"labels": {"app": "iris"}}, "spec": {**user, "containers": [one], **(spec or {})}}


def deployment(**changes):
    return {"metadata": {"name": "iris", "namespace": "ml"}, "spec": {"template": pod(**changes)}}


def cron(**changes):
    return {"spec": {"jobTemplate": {"spec": {"template": pod(**changes)}}}}


def edge(*, image=DIGEST, env=None, options=None, host=None):
    """A layer of IoT Edge, as manifest/edge makes it."""
    made = {"HostConfig": {"Memory": 536870912, **(host or {})}, **(options or {})}
    settings = {"image": image, "createOptions": json.dumps(made)}
    module = {"settings": settings, "env": {name: {"value": value} for name, value in (env or {}).items()}}
    return {"content": {"$edgeAgent": {"properties.desired.modules.iris": module}, "$edgeHub": {}}}


def pool(**changes):
    machine = {"containerConfiguration": {"containerImageNames": [DIGEST]}}
    return {"vmSize": "STANDARD_D2S_V5", "deploymentConfiguration": {"virtualMachineConfiguration": machine}, **changes}


def start(user=None, **settings):
    return pool(startTask={"containerSettings": {"imageName": DIGEST, **settings}, "userIdentity": user})


def found(rule, kind, body, **options):
    return list(NAMED[rule].check(Resource(kind, "iris", body, "urn"), options))


ADMIN = {"autoUser": {"elevationLevel": "Admin"}}
LIMITED = {"name": "first", "resources": {"limits": {"cpu": "1", "memory": "64Mi"}}}
UNLIMITED = {"resources": {"limits": {"memory": "1Gi"}}}

GOOD = [
    ("images-by-digest", REMOTE, {"name": DIGEST}),
    ("images-by-digest", REMOTE, {"name": UNKNOWN}),
    ("images-by-digest", DOCKER, container()),
    ("images-by-digest", GROUP, group()),
    ("images-by-digest", "azure-native:containerinstance/v20230501:ContainerGroup", group()),
    ("images-by-digest", DEPLOYMENT, deployment()),
    ("images-by-digest", EDGE, edge()),
    ("images-by-digest", EDGE, {"content": UNKNOWN}),
    ("images-by-digest", POOL, pool()),
    ("images-by-digest", SCHEDULE, {"image": DIGEST}),
    ("images-by-digest", "docker-build:index:Image", {"tags": ["registry.example.com/iris:1"]}),
    ("container-limits", DOCKER, container()),
    ("container-limits", GROUP, group()),
    ("container-limits", DEPLOYMENT, deployment()),
    ("container-limits", DEPLOYMENT, deployment(resources=UNKNOWN)),
    ("container-limits", CRON, cron(resources={"limits": {"memory": "1Gi"}, "requests": {"cpu": "1"}})),
    ("container-limits", EDGE, edge()),
    ("least-privilege", DOCKER, container(user="65532:65532")),
    ("least-privilege", DOCKER, container(user="1000", privileged=False, capabilities={"adds": ["NET_BIND_SERVICE"]})),
    ("least-privilege", GROUP, group()),
    ("least-privilege", DEPLOYMENT, deployment()),
    ("least-privilege", DEPLOYMENT, deployment(spec={"securityContext": {}}, security={"runAsUser": 1000.0})),
    ("least-privilege", EDGE, edge(host={"CapDrop": ["ALL"]})),
    ("least-privilege", POOL, start(containerRunOptions="--user 65532 --network bridge")),
    ("authenticated-endpoints", DOCKER, container()),
    ("authenticated-endpoints", DOCKER, container(ports=[{"internal": 8080.0}])),
    ("authenticated-endpoints", DOCKER, container(ports=[{"external": 80.0}], envs=["SLIPWAY_AUTH=key", UNKNOWN])),
    ("authenticated-endpoints", GROUP, group()),
    ("authenticated-endpoints", GROUP, group(auth="entra")),
    ("authenticated-endpoints", GROUP, group(auth=UNKNOWN)),
    ("authenticated-endpoints", GROUP, group(address="Private", auth="none")),
    ("authenticated-endpoints", EDGE, edge(env={"SLIPWAY_AUTH": "none"})),
    ("no-anonymous-access", ACCOUNT, {"allowBlobPublicAccess": False}),
    ("no-anonymous-access", BLOBS, {"publicAccess": "None"}),
    ("no-anonymous-access", REGISTRY, {"adminUserEnabled": False, "anonymousPullEnabled": False}),
    ("no-anonymous-access", "azure-native:other:Thing", {"adminUserEnabled": True}),
]

BAD = [
    ("images-by-digest", REMOTE, {"name": "nginx:1.27"}, "nginx:1.27"),
    ("images-by-digest", DOCKER, container(image="nginx"), "the image nginx,"),
    ("images-by-digest", GROUP, group(model={"image": "iris:1"}), "container model has the image iris:1"),
    ("images-by-digest", GROUP, group(initContainers=[{"name": "first", "image": "x"}]), "container first"),
    ("images-by-digest", DEPLOYMENT, deployment(image="iris@sha256:" + "a" * 63), "container model"),
    ("images-by-digest", DEPLOYMENT, deployment(spec={"initContainers": [{**LIMITED, "image": "x:1"}]}), "x:1"),
    ("images-by-digest", CRON, cron(image="iris:1"), "iris:1"),
    ("images-by-digest", EDGE, edge(image="iris:1"), "module iris has the image iris:1"),
    ("images-by-digest", SCHEDULE, {"image": "iris:1"}, "the task"),
    ("images-by-digest", POOL, start(imageName="setup:1"), "the start task has the image setup:1"),
    ("container-limits", DOCKER, container(memory=None), "without memory."),
    ("container-limits", DOCKER, container(cpus=None, memory=None), "memory and cpus"),
    ("container-limits", GROUP, group(model={"resources": {"requests": {"cpu": 1.0}}}), "resources.limits.memoryInGB"),
    ("container-limits", DEPLOYMENT, deployment(resources={}), "limits.memory and resources.limits.cpu"),
    ("container-limits", CRON, cron(**UNLIMITED), "without resources.limits.cpu"),
    ("container-limits", EDGE, edge(host={"Memory": 0}), "module iris is without HostConfig.Memory"),
    ("least-privilege", DOCKER, container(user="root"), "user: root"),
    ("least-privilege", DOCKER, container(user="0:0"), "user: 0:0"),
    ("least-privilege", DOCKER, container(privileged=True, networkMode="host"), "privileged: true, networkMode: host"),
    ("least-privilege", DOCKER, container(capabilities={"adds": ["CAP_SYS_ADMIN"]}), "capabilities.adds: SYS_ADMIN"),
    ("least-privilege", GROUP, group(model={"securityContext": {"runAsUser": 0.0}}), "runAsUser: 0"),
    ("least-privilege", GROUP, group(model={"securityContext": {"privileged": True}}), "privileged: true"),
    ("least-privilege", DEPLOYMENT, deployment(spec={"securityContext": {}}), "no securityContext.runAsNonRoot"),
    ("least-privilege", DEPLOYMENT, deployment(security={"runAsUser": 0.0}), "runAsUser: 0"),
    ("least-privilege", DEPLOYMENT, deployment(security={"privileged": True}), "securityContext.privileged: true"),
    ("least-privilege", DEPLOYMENT, deployment(spec={"hostNetwork": True}), "hostNetwork: true"),
    ("least-privilege", CRON, cron(security={"capabilities": {"add": ["NET_ADMIN"]}}), "NET_ADMIN"),
    ("least-privilege", EDGE, edge(host={"Privileged": True, "NetworkMode": "host"}), "HostConfig.NetworkMode: host"),
    ("least-privilege", EDGE, edge(options={"User": "root"}), "User: root"),
    ("least-privilege", POOL, start(user=ADMIN), "elevationLevel: Admin"),
    ("least-privilege", POOL, start(containerRunOptions="--rm --privileged"), "--privileged"),
    ("authenticated-endpoints", DOCKER, container(ports=[{"external": 80.0}]), "0.0.0.0:80"),
    (
        "authenticated-endpoints",
        DOCKER,
        container(ports=[{"external": 80.0, "ip": "10.0.0.1"}], envs=["SLIPWAY_AUTH=none"]),
        "has SLIPWAY_AUTH none",
    ),
    ("authenticated-endpoints", GROUP, group(auth="none"), "port 443 can be reached from outside"),
    ("authenticated-endpoints", GROUP, group(auth=None), "has no SLIPWAY_AUTH"),
    (
        "authenticated-endpoints",
        EDGE,
        edge(env={"SLIPWAY_AUTH": "none"}, host={"PortBindings": {"8080/tcp": [{"HostPort": "8080"}]}}),
        "module iris at 0.0.0.0:8080",
    ),
    ("no-anonymous-access", ACCOUNT, {"allowBlobPublicAccess": True}, "allowBlobPublicAccess: true. Allowed: false"),
    ("no-anonymous-access", BLOBS, {"publicAccess": "Blob"}, "publicAccess: Blob"),
    ("no-anonymous-access", REGISTRY, {"adminUserEnabled": True}, "adminUserEnabled: true"),
    ("no-anonymous-access", REGISTRY, {"anonymousPullEnabled": True}, "anonymousPullEnabled: true"),
]


@pytest.mark.parametrize(("rule", "kind", "body"), GOOD)
def test_what_is_as_a_rule_asks_passes(rule, kind, body):
    assert found(rule, kind, body) == []


@pytest.mark.parametrize(("rule", "kind", "body", "said"), BAD)
def test_what_is_not_is_refused_with_what_it_has_and_what_is_allowed(rule, kind, body, said):
    [message] = found(rule, kind, body)
    assert said in message
    assert "Allowed: " in message


@pytest.mark.parametrize(("rule", "kind", "body", "said"), BAD)
def test_a_violation_of_one_rule_is_none_of_the_others(rule, kind, body, said):
    others = [one for one in RULES if not isinstance(one, JointRule) and one.name != rule]
    assert [message for one in others for message in found(one.name, kind, body)] == []


def test_the_bodies_of_the_examples_are_not_changed():
    for rule, kind, body, *_ in (*GOOD, *BAD):
        before = deepcopy({key: value for key, value in body.items() if value is not UNKNOWN})
        found(rule, kind, body)
        assert repr({key: value for key, value in body.items() if value is not UNKNOWN}) == repr(before)


@pytest.mark.parametrize("given", ["westeurope", "West Europe", "WestEurope", "global", UNKNOWN, None])
def test_an_allowed_region_passes_however_it_is_written(given):
    assert found("allowed-regions", ACCOUNT, {"location": given}, regions=["West Europe", "northeurope"]) == []


def test_another_region_is_refused_where_regions_are_given():
    [message] = found("allowed-regions", ACCOUNT, {"location": "eastus"}, regions=["westeurope", "northeurope"])
    assert "in eastus. Allowed: westeurope, northeurope." in message
    assert found("allowed-regions", ACCOUNT, {"location": "eastus"}) == []
    assert (
        found("allowed-regions", "docker:index/network:Network", {"location": "eastus"}, regions=["westeurope"]) == []
    )


@pytest.mark.parametrize(
    ("kind", "body", "what"),
    [
        (POOL, pool(), "the pool"),
        (AGENTS, {"vmSize": "Standard_D2s_v5"}, "the pool"),
        (CLUSTER, {"agentPoolProfiles": [{"name": "system", "vmSize": "Standard_D2s_v5"}]}, "the pool system"),
    ],
)
def test_sizes_of_nodes_are_among_those_that_are_allowed(kind, body, what):
    assert found("allowed-sizes", kind, body) == []
    assert found("allowed-sizes", kind, body, sizes=["standard_d2s_v5"]) == []
    [message] = found("allowed-sizes", kind, body, sizes=["Standard_D4s_v5"])
    assert message.startswith(f"{what} has machines of the size ")
    assert "Allowed: Standard_D4s_v5." in message


def test_a_modules_options_may_come_in_pieces():
    body = edge(host={"Privileged": True, "Labels": "x" * 600})
    settings = body["content"]["$edgeAgent"]["properties.desired.modules.iris"]["settings"]
    whole = settings["createOptions"]
    settings |= {"createOptions": whole[:512], "createOptions01": whole[512:]}
    [message] = found("least-privilege", EDGE, body)
    assert "Privileged" in message


def test_the_edge_runtimes_own_modules_are_not_looked_at():
    system = {"edgeAgent": {"settings": {"image": "mcr.microsoft.com/azureiotedge-agent:1.5"}}}
    body = {"content": {"$edgeAgent": {"properties.desired": {"systemModules": system, "modules": {}}}}}
    assert [found(one.name, EDGE, body) for one in RULES if not isinstance(one, JointRule)] == [[]] * (len(RULES) - 1)


def service(kind="LoadBalancer", **annotations):
    metadata = {"name": "iris", "namespace": "ml", "annotations": annotations}
    spec = {"type": kind, "selector": {"app": "iris"}}
    return Resource("kubernetes:core/v1:Service", "service", {"metadata": metadata, "spec": spec})


def pods(namespace="ml", **changes):
    body = deployment(**changes)
    body["metadata"]["namespace"] = namespace
    return Resource(DEPLOYMENT, "pods", body)


def way_in(kind):
    backends = {
        "HTTPRoute": {"rules": [{"backendRefs": [{"name": "iris", "port": 80.0}]}]},
        "Ingress": {"rules": [{"http": {"paths": [{"backend": {"service": {"name": "iris"}}}]}}]},
    }
    return Resource(f"kubernetes:group/v1:{kind}", "way", {"metadata": {"namespace": "ml"}, "spec": backends[kind]})


def refused(*resources):
    """What is said of resources that come in this order."""
    rule = NAMED["authenticated-services"]
    return [message for number, one in enumerate(resources) for message in rule.check(one, resources[:number])]


INTERNAL = {"service.beta.kubernetes.io/azure-load-balancer-internal": "true"}


@pytest.mark.parametrize("kind", ["LoadBalancer", "NodePort"])
def test_a_service_that_can_be_reached_leads_to_pods_that_ask(kind):
    assert refused(service(kind), pods()) == refused(service(kind), pods(auth="entra")) == []
    # Once, whichever comes last.
    for order in ((service(kind), pods(auth="none")), (pods(auth="none"), service(kind))):
        [message] = refused(*order)
        assert message.startswith("kubernetes:Service service leads ")
        assert f"({kind}) to the pods of pods, which have SLIPWAY_AUTH none. Allowed: " in message


def test_a_service_within_the_cluster_or_the_network_may_lead_to_open_pods():
    open_pods = pods(auth="none")
    assert refused(service("ClusterIP"), open_pods) == refused(service("LoadBalancer", **INTERNAL), open_pods) == []


def test_pods_of_another_namespace_or_with_other_labels_are_not_meant():
    assert refused(service(), pods("other", auth="none")) == []


@pytest.mark.parametrize("kind", ["HTTPRoute", "Ingress"])
def test_a_way_in_leads_to_pods_that_ask(kind):
    inside = service("ClusterIP")
    assert refused(way_in(kind), inside, pods()) == []
    for order in permutations((way_in(kind), inside, pods(auth="none"))):
        [message] = refused(*order)
        assert f"kubernetes:{kind} way leads requests from outside to the pods of pods" in message
