"""The cluster's settings: closed to others, the user's own cluster first, and one message where there can be none."""

import json
import re
import sys
import tomllib
from ipaddress import ip_address, ip_network

import pytest

from tests.unit.toolchain_harness import ROOT, context_in
from toolchain import gobuild, main
from toolchain.kubernetes import certificates, cluster, layout, settings
from toolchain.kubernetes.parts import parts, without_proxy
from toolchain.report import Step, ToolchainError

STEP = Step("Kubernetes", sys.stderr)
OURS = ip_network(layout.NETWORK)


@pytest.fixture
def files(tmp_path):
    return layout.Layout(context_in(tmp_path), tmp_path / "tools")


def test_every_part_listens_on_addresses_of_this_machine_alone(files):
    commands = " ".join(" ".join(part.command) for part in parts(files, "etcd", "containerd"))
    texts = [settings.proxy(files), settings.names(files), *(settings.kubelet(files, node) for node in layout.NODES)]
    found = set(re.findall(r"\d+\.\d+\.\d+\.\d+", " ".join([commands, *texts])))
    assert found
    assert all(ip_address(one) in OURS or ip_address(one).is_loopback for one in found)
    servers = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "metrics-server")
    for part in parts(files, "etcd", "containerd"):
        if part.command[0].endswith(servers):
            assert f"--bind-address={layout.ADDRESS}" in part.command
    assert json.loads(settings.proxy(files))["nodePortAddresses"][0] == "127.0.0.0/8"


def test_nobody_is_let_in_without_a_certificate_or_a_token(files):
    for node in layout.NODES:
        kubelet = json.loads(settings.kubelet(files, node))
        assert kubelet["authentication"]["anonymous"] == {"enabled": False}
        assert kubelet["authorization"] == {"mode": "Webhook"}
    etcd = next(part for part in parts(files, "etcd", "containerd") if part.name == "etcd")
    assert {"--client-cert-auth", "--peer-client-cert-auth"} <= set(etcd.command)
    assert [one["name"] for one in certificates.wanted() if "system:masters" in one.get("groups", [])] == ["admin"]


def test_the_nodes_share_nothing(files):
    first, second = layout.NODES
    pods = [ip_network(node.pods) for node in layout.NODES]
    assert not pods[0].overlaps(pods[1])
    assert all(one.subnet_of(ip_network(layout.PODS)) for one in pods)
    assert not ip_network(layout.PODS).overlaps(ip_network(layout.SERVICES))
    assert first.cgroup != second.cgroup
    read = [tomllib.loads(settings.containerd(files, node, "/usr/sbin/runc", "pause")) for node in layout.NODES]
    assert not {read[0]["root"], read[0]["state"], read[0]["grpc"]["address"]} & {
        read[1]["root"],
        read[1]["state"],
        read[1]["grpc"]["address"],
    }


def test_the_local_registry_is_asked_over_the_loopback_address():
    text = tomllib.loads(settings.registry("localhost:5051"))
    assert text["server"] == "http://127.0.0.1:5051"
    assert list(text["host"]) == ["http://127.0.0.1:5051"]


def test_the_clusters_addresses_are_not_looked_for_behind_a_proxy():
    found = without_proxy({"NO_PROXY": "example.org", "HTTPS_PROXY": "http://proxy:3128"})
    assert found["NO_PROXY"].split(",")[0] == "example.org"
    assert layout.NETWORK in found["NO_PROXY"].split(",")
    assert found["no_proxy"] == found["NO_PROXY"]


def test_a_cluster_of_the_users_own_is_taken_as_it_is(tmp_path):
    context = context_in(tmp_path, {"KUBECONFIG": "/home/me/config", "PATH": str(tmp_path)})
    assert cluster.ensure(context, STEP).line == "your own, which KUBECONFIG=/home/me/config names"
    assert not layout.folder(context).exists()


def test_a_cluster_of_the_users_own_that_does_not_answer_is_not_replaced_by_another(tmp_path):
    kubectl = tmp_path / "kubectl"
    kubectl.write_text("#!/bin/sh\nexit 1\n")
    kubectl.chmod(0o755)
    context = context_in(tmp_path, {"KUBECONFIG": "/home/me/config", "PATH": str(tmp_path)})
    with pytest.raises(ToolchainError, match=r"KUBECONFIG=/home/me/config does not answer.\n.*unset KUBECONFIG"):
        cluster.ensure(context, STEP)


def test_where_there_can_be_none_the_message_names_the_ways_to_one(tmp_path):
    with pytest.raises(ToolchainError, match=r"takes root on Linux\.\n.*KUBECONFIG.*kind create cluster"):
        cluster.ensure(context_in(tmp_path, system="darwin"), STEP)


def test_without_a_cluster_stop_and_status_say_so(tmp_path):
    context = context_in(tmp_path)
    assert cluster.stop(context) == "not running"
    assert cluster.describe(context) == "none on this machine"


def test_a_program_of_our_own_that_changed_is_built_again(tmp_path):
    folder = tmp_path / "toolchain" / "go" / "kubernetes" / "pause"
    folder.mkdir(parents=True)
    for name in ("go.mod", "go.sum"):
        (folder.parent / name).write_bytes((ROOT / "toolchain" / "go" / "kubernetes" / name).read_bytes())
    (folder / "main.go").write_text("package main")
    context = context_in(tmp_path, root=tmp_path)
    before = gobuild.tool_name(context, (gobuild.KUBERNETES,))
    (folder / "main.go").write_text("package main // changed")
    assert gobuild.tool_name(context, (gobuild.KUBERNETES,)) != before


def test_an_action_belongs_to_its_command(capsys):
    with pytest.raises(SystemExit):
        main.main(["stop", "status"])
    assert "stop takes no status: that is for kubernetes" in capsys.readouterr().err
