"""The docker stand-in's checks and diffs: completed inputs, names, and which changes need a new resource."""

import threading

import pytest

from provider.resource import Call, Naming, State
from provider.values import UNKNOWN
from standins.docker.container_state import imported_inputs, inputs_of, refreshed_inputs
from standins.docker.plugin import DockerPackage

PACKAGE = DockerPackage()
KINDS = {"Container": "container", "Network": "network", "RemoteImage": "remoteImage", "Volume": "volume"}


def _resource(kind):
    return PACKAGE.resources[f"docker:index/{KINDS[kind]}:{kind}"]


def _call(seed=b"seed"):
    urn = "urn:pulumi:dev::shop::docker:index/container:Container::box"
    return Call(urn, threading.Event(), lambda *_: None, naming=Naming(seed))


def _check(kind, old=None, **inputs):
    inputs, failures = _resource(kind).check(_call(), old, inputs)
    return inputs, {failure.property: failure.reason for failure in failures}


def _diff(kind, before, after):
    (old, _), (new, _) = _check(kind, **before), _check(kind, **after)
    diff = _resource(kind).diff(_call(), State("id", old, old), new)
    return {change.path: (change.kind, change.replace) for change in diff.changes}, diff


def _container(before, after):
    same = {"name": "box", "image": "x"}
    return _diff("Container", {**same, **before}, {**same, **after})[0]


def test_a_check_fills_in_the_official_defaults_and_says_which():
    inputs, failures = _check("Container", image="x", restart="always", domainname=None)
    assert not failures
    assert (inputs["mustRun"], inputs["waitTimeout"], inputs["networkMode"], inputs["restart"]) == (
        True,
        60,
        "bridge",
        "always",
    )
    assert "domainname" not in inputs
    assert {"mustRun", "name"} <= set(inputs["__defaults"])
    assert "restart" not in inputs["__defaults"]


def test_a_made_up_name_stays_and_a_given_one_may_go():
    first, _ = _check("Volume")
    assert first["name"].startswith("box-")
    again, _ = _resource("Volume").check(_call(b"another"), first, {})
    assert again["name"] == first["name"]
    given, _ = _check("Volume", name="mine")
    made_up, _ = _check("Volume", given)
    assert made_up["name"] != "mine"


def test_an_image_needs_its_name():
    assert _check("RemoteImage")[1] == {"name": "is required, and missing"}


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        ("Container", {"gpus": "all"}),
        ("Container", {"uploads": [{"file": "/x", "content": "y"}]}),
        ("Container", {"attach": True}),
        ("RemoteImage", {"build": {"context": "."}}),
        ("Volume", {"cluster": {"scope": "single"}}),
    ],
)
def test_what_is_not_served_is_refused_by_name(kind, inputs):
    _, failures = _check(kind, image="x", **inputs) if kind == "Container" else _check(kind, name="x", **inputs)
    assert list(failures) == list(inputs)
    assert "install the official plugin" in next(iter(failures.values()))


def test_what_is_not_served_may_be_turned_off():
    assert _check("Container", image="x", attach=False, logs=False, uploads=[])[1] == {}


def test_wrong_types_and_forbidden_values_are_said_together():
    _, failures = _check("Container", memory="64", ports=[{"internal": "80"}], restart="sometimes", lables=[])
    assert set(failures) == {"image", "memory", "ports[0].internal", "restart", "lables"}


def test_a_volume_needs_a_path_or_a_container():
    volumes = [{"containerPath": "/a"}, {"volumeName": "b"}, {"containerPath": "/a", "fromContainer": "c"}]
    assert set(_check("Container", image="x", volumes=volumes)[1]) == {"volumes[1]", "volumes[2]"}


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ({"memory": 64}, {"memory": 128}, {"memory": ("UPDATE", False)}),
        ({}, {"memory": 128}, {"memory": ("ADD", False)}),
        ({"memory": 64}, {}, {"memory": ("DELETE", True)}),
        ({"memory": 64, "memorySwap": 64}, {"memory": 64}, {"memorySwap": ("DELETE", False)}),
        ({}, {"memorySwap": 64}, {"memorySwap": ("ADD", True)}),
        ({"cpuShares": 5}, {}, {"cpuShares": ("DELETE", True)}),
        ({"restart": "always"}, {}, {"restart": ("UPDATE", False)}),
        ({"maxRetryCount": 3}, {}, {"maxRetryCount": ("DELETE", False)}),
        ({"waitTimeout": 5}, {"wait": True}, {"wait": ("UPDATE", False), "waitTimeout": ("UPDATE", False)}),
        ({"cpus": "1"}, {"cpus": "2"}, {"cpus": ("UPDATE", True)}),
        ({}, {"init": True}, {"init": ("ADD", True)}),
        ({}, {"tmpfs": {"/x": ""}}, {}),
        ({}, {"tmpfs": {"/x": "rw"}}, {"tmpfs": ("ADD", True)}),
        ({}, {"image": UNKNOWN}, {"image": ("UPDATE", True)}),
        (
            {"healthcheck": {"tests": ["CMD", "a"]}},
            {"healthcheck": {"tests": ["CMD", "b"]}},
            {"healthcheck": ("UPDATE", True)},
        ),
        ({"envs": ["A=1"]}, {}, {"envs": ("DELETE", True)}),
    ],
)
def test_a_change_of_a_container_is_in_place_where_docker_can(before, after, change):
    assert _container(before, after) == change


def test_a_container_goes_before_its_successor_comes():
    _, diff = _diff("Container", {"name": "a", "image": "x"}, {"name": "b", "image": "x"})
    assert diff.delete_before_replace


def test_what_keeps_its_name_goes_before_its_successor_comes():
    same, other = {"name": "a", "labels": []}, {"name": "a", "labels": [{"label": "x", "value": "y"}]}
    assert _diff("Network", same, other)[1].delete_before_replace
    assert not _diff("Network", same, {**other, "name": "b"})[1].delete_before_replace


def test_asking_for_what_docker_chose_is_no_change():
    (old, _), (new, _) = (
        _check("Container", image="x", name="box"),
        _check("Container", image="x", name="box", command=["sleep", "1"], hostname="abc"),
    )
    outputs = {**old, "command": ["sleep", "1"], "hostname": "xyz"}
    diff = _resource("Container").diff(_call(), State("id", old, outputs), new)
    assert [change.path for change in diff.changes] == ["hostname"]


def test_what_never_became_healthy_is_replaced():
    inputs, _ = _check("Container", image="x", name="box")
    diff = _resource("Container").diff(_call(), State("id", inputs, {**inputs, "__failed": True}), inputs)
    assert diff.replace


def test_an_image_is_pulled_anew_for_its_name_and_triggers_only():
    def replaced(**after):
        return [
            path
            for path, (_, replace) in _diff("RemoteImage", {"name": "a"}, {"name": "a"} | after)[0].items()
            if replace
        ]

    assert replaced(name="b") == ["name"]
    assert replaced(pullTriggers=["x"]) == ["pullTriggers"]
    assert replaced(keepLocally=True, forceRemove=True) == []


def test_a_preview_of_an_update_keeps_what_will_not_change():
    resource = _resource("RemoteImage")
    (old, _), (new, _) = _check("RemoteImage", name="a"), _check("RemoteImage", name="a", keepLocally=True)
    created = resource.preview(_call(), old, None)
    assert (created["imageId"], created["name"]) == (UNKNOWN, "a")
    updated = resource.preview(_call(), new, State("id", old, {**old, "imageId": "sha256:1", "repoDigest": "d"}))
    assert (updated["imageId"], updated["keepLocally"]) == ("sha256:1", True)


FOUND = {
    "Id": "0123456789abcdef",
    "Name": "/box",
    "Image": "sha256:1",
    "Config": {
        "Image": "x",
        "Env": ["PATH=/bin", "A=1"],
        "Labels": {"from": "image", "own": "1"},
        "Cmd": ["serve"],
        "Hostname": "0123456789ab",
        "WorkingDir": "/app",
    },
    "HostConfig": {
        "Memory": 64 << 20,
        "MemorySwap": 128 << 20,
        "NanoCpus": 500_000_000,
        "NetworkMode": "default",
        "RestartPolicy": {"Name": "", "MaximumRetryCount": 0},
        "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]},
        "LogConfig": {"Type": "json-file", "Config": {}},
        "ShmSize": 64 << 20,
        "Runtime": "runc",
        "IpcMode": "private",
    },
    "NetworkSettings": {"Networks": {"bridge": {}}},
}
IMAGE = {"Config": {"Env": ["PATH=/bin"], "Labels": {"from": "image"}, "Cmd": ["serve"], "WorkingDir": "/app"}}


def test_an_import_takes_only_what_neither_docker_nor_the_image_would_give():
    inputs = imported_inputs(inputs_of(FOUND, IMAGE, {}))
    given = {name: value for name, value in inputs.items() if name not in inputs["__defaults"] and name[:2] != "__"}
    assert given == {
        "name": "box",
        "image": "x",
        "envs": ["A=1"],
        "labels": [{"label": "own", "value": "1"}],
        "memory": 64,
        "cpus": "0.5",
        "ports": [{"internal": 80, "protocol": "tcp", "ip": "127.0.0.1", "external": 8080}],
    }


def _refreshed(**asked):
    old, _ = _check("Container", **{"image": "x", "name": "box", "memory": 64, "cpus": "0.50"} | asked)
    return old, refreshed_inputs(old, inputs_of(FOUND, IMAGE, old))


def test_a_refresh_keeps_the_words_of_the_program_where_nothing_differs():
    old, new = _refreshed(envs=["A=1", "PATH=/bin"], labels=[{"label": "own", "value": "1"}], command=["serve"])
    assert new == old


def test_a_refresh_takes_over_what_differs():
    old, new = _refreshed(envs=["A=2"], memory=32, image="y", restart="always", ports=[{"internal": 81}])
    changed = {name: new.get(name) for name in old if old[name] != new.get(name)}
    assert changed == {
        "envs": ["A=1"],
        "memory": 64,
        "image": "x",
        "restart": "no",
        "ports": [{"internal": 80, "protocol": "tcp", "ip": "127.0.0.1", "external": 8080}],
    }


def test_a_refresh_finds_a_limit_that_was_not_asked_for():
    old, _ = _check("Container", image="x", name="box")
    new = refreshed_inputs(old, inputs_of(FOUND, IMAGE, old))
    assert (new["memory"], new["cpus"]) == (64, "0.5")


def test_an_image_given_by_its_id_is_compared_by_its_id():
    _, new = _refreshed(image="sha256:2")
    assert new["image"] == "sha256:1"


def test_the_providers_own_inputs_are_checked():
    failures = {one.property: one.reason for one in PACKAGE.check_config({"hots": "x", "registryAuth": "[{}]"})}
    assert "did you mean host?" in failures["hots"]
    assert "docker login" in failures["registryAuth"]
    good = {"host": "unix:///x", "disableDockerDaemonCheck": "true", "version": "5.2.0", "context": ""}
    assert PACKAGE.check_config(good) == []
