"""The stand-in for azure-native under the real engine: small programs over the SDK's own types."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path

import pytest

from standins.azure_native.store import Store
from tests.engine.conftest import ROOT, Stack

pytestmark = pytest.mark.engine

PLATFORM = """
from pulumi_azure_native import authorization as az, containerregistry as acr, managedidentity as mi, resources
import pulumi_azure_native.storage as storage
PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
group = resources.ResourceGroup("rg", resource_group_name="slipway-test", location="westeurope")
identity = mi.UserAssignedIdentity("puller", resource_group_name=group.name)
registry = acr.Registry("acr", resource_group_name=group.name, registry_name=acr_name, sku={"name": "Premium"},
    admin_user_enabled=False, tags=tags)
client = az.get_client_config_output()
az.RoleAssignment("pull", scope=registry.id, principal_id=identity.principal_id, principal_type="ServicePrincipal",
    role_definition_id=client.subscription_id.apply(
        lambda s: f"/subscriptions/{s}/providers/Microsoft.Authorization/roleDefinitions/{PULL}"))
pulumi.export("server", registry.login_server)
pulumi.export("registry", registry.id)
"""
TYPE = "containerregistry:Registry"


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "azure")


@pytest.fixture
def azure(engine_env, tmp_path, store, monkeypatch):
    """A stack on a subscription of its own; what is left in it is destroyed after the test."""
    env = engine_env | {"SLIPWAY_AZURE_STORE": str(store.folder), "SLIPWAY_AZURE": "stand-in"}
    made = Stack(tmp_path / "program", env)
    yield made
    (store.folder / "settings.json").unlink(missing_ok=True)
    made.destroy("--refresh", check=False)
    subprocess.run(
        [sys.executable, "-m", "standins.azure_native.tool", "reset"], env=env, cwd=ROOT, check=False, timeout=120
    )


def faults(store, *given, **others):
    (store.folder / "settings.json").write_text(json.dumps({"faults": list(given), **others}))


def platform(stack, **options):
    stack.program(PLATFORM, **{"acr_name": f"acr{uuid.uuid4().hex[:8]}", "tags": {"a": "1"}, **options})


def test_a_platform_is_made_is_the_same_afterwards_and_leaves_nothing(azure, store):
    name = f"acr{uuid.uuid4().hex[:8]}"
    platform(azure, acr_name=name)
    foretold = azure.preview()
    assert store.all() == []
    assert azure.up().operations == foretold.operations
    assert {one.token for one in store.all()} == {
        "resources:ResourceGroup",
        "managedidentity:UserAssignedIdentity",
        TYPE,
        "authorization:RoleAssignment",
    }
    assert azure.outputs()["registry"].endswith(
        f"/resourceGroups/slipway-test/providers/Microsoft.ContainerRegistry/registries/{name}"
    )
    assert azure.up("--expect-no-changes").operations == {}
    assert azure.preview("--refresh", "--expect-no-changes").operations == {}
    azure.destroy()
    assert store.all() == []


def test_every_run_says_that_nothing_goes_to_azure(azure):
    platform(azure)
    assert "nothing goes to Azure" in azure.preview().output
    assert "nothing goes to Azure" in azure.up().output


def test_a_change_in_place_and_one_that_replaces(azure, store):
    first, second = (f"acr{uuid.uuid4().hex[:8]}" for _ in range(2))
    platform(azure, acr_name=first)
    azure.up()
    platform(azure, acr_name=first, tags={"a": "2", "b.c": "3"})
    assert azure.up().operations == {("Registry", "acr"): {"update"}}
    assert store.all(TYPE)[0].body["tags"] == {"a": "2", "b.c": "3"}
    platform(azure, acr_name=second)
    done = azure.up().operations
    assert "replace" in done["Registry", "acr"]
    assert "replace" in done["RoleAssignment", "pull"]
    assert [one.name for one in store.all(TYPE)] == [second]
    assert len(store.all("authorization:RoleAssignment")) == 1


def test_what_was_changed_or_deleted_behind_the_programs_back_is_found_and_mended(azure, store):
    platform(azure)
    azure.up()
    [record] = store.all(TYPE)
    tool(azure, "set", record.id, json.dumps({"tags": {"a": "other"}}))
    assert ("Registry", "acr") in azure.preview("--refresh").operations
    assert azure.up("--refresh").operations[("Registry", "acr")] == {"update"}
    assert store.all(TYPE)[0].body["tags"] == {"a": "1"}
    tool(azure, "delete", record.id)
    assert azure.up("--refresh").operations[("Registry", "acr")] == {"create"}
    assert len(store.all(TYPE)) == 1


def tool(stack, *arguments):
    command = [sys.executable, "-m", "standins.azure_native.tool", *arguments]
    return subprocess.run(
        command, env=stack.env, cwd=ROOT, check=True, capture_output=True, text=True, timeout=120
    ).stdout


@pytest.mark.parametrize(
    ("fault", "said", "made"),
    [
        ({"do": "conflict"}, "AnotherOperationInProgress", False),
        ({"do": "quota"}, "quota exceeded", False),
        ({"do": "throttle", "times": 9}, "TooManyRequests", False),
        ({"do": "timeout"}, "context deadline exceeded", True),
        ({"do": "fail"}, "InternalServerError", True),
    ],
)
def test_a_failure_is_said_and_the_next_up_converges(azure, store, fault, said, made):
    faults(store, {"type": TYPE, **fault})
    platform(azure)
    failed = azure.up(check=False)
    assert failed.code
    assert said in failed.output
    assert bool(store.all(TYPE)) is made
    assert (("Registry", "acr") in azure.resources()) is made
    faults(store)
    azure.up()
    assert [one.provisioning_state for one in store.all(TYPE)] == ["Succeeded"]
    assert azure.up("--expect-no-changes").operations == {}


def test_a_short_throttling_is_waited_out(azure, store):
    faults(store, {"do": "throttle", "type": TYPE, "times": 2})
    platform(azure)
    azure.up()
    assert len(store.all(TYPE)) == 1


@pytest.mark.parametrize("operation", ["update", "delete"])
def test_a_failed_update_or_deletion_is_repeated(azure, store, operation):
    name = f"acr{uuid.uuid4().hex[:8]}"
    platform(azure, acr_name=name)
    azure.up()
    faults(store, {"do": "conflict", "type": TYPE, "on": operation})
    platform(azure, acr_name=name, tags={"a": "2"})
    run = azure.up if operation == "update" else azure.destroy
    assert run(check=False).code
    run()
    assert [one.body["tags"] for one in store.all(TYPE)] == ([{"a": "2"}] if operation == "update" else [])


def test_two_stacks_cannot_have_the_same_global_name_nor_take_each_others_group(azure, tmp_path, store):
    name = f"acr{uuid.uuid4().hex[:8]}"
    platform(azure, acr_name=name)
    azure.up()
    other = Stack(tmp_path / "other", azure.env, project="other")
    other.program(
        """
from pulumi_azure_native import containerregistry as acr, resources
group = resources.ResourceGroup("rg", location="westeurope")
acr.Registry("acr", resource_group_name=group.name, registry_name=name, sku={"name": "Basic"})
resources.ResourceGroup("same", resource_group_name="slipway-test", location="westeurope")
""",
        name=name,
    )
    failed = other.up("--continue-on-error", check=False)
    assert "is already in use" in failed.output
    assert "cannot create already existing resource" in failed.output
    assert "pulumi import azure-native:resources:ResourceGroup same" in failed.output
    other.destroy()
    assert len(store.all(TYPE)) == 1


def test_mistakes_are_found_in_a_preview(azure, store):
    azure.program("""
from pulumi_azure_native import containerinstance as aci, resources
group = resources.ResourceGroup("rg", location="westeurope")
aci.ContainerGroup("cg", resource_group_name=group.name, os_type="Linux", restart_policy="UnlessStopped",
    containers=[{"name": "model", "image": "x", "livenessProb": {}, "resources": {"requests": {"cpu": 1}}}])
""")
    failed = azure.preview(check=False)
    assert failed.code
    for said in (
        "must be one of Always, Never, OnFailure",
        "did you mean livenessProbe",
        "memoryInGB",
    ):
        assert said in failed.output
    assert store.all() == []


def test_the_deletion_of_a_group_takes_what_other_programs_put_in_it(azure, tmp_path, store):
    platform(azure)
    azure.up()
    other = Stack(tmp_path / "other", azure.env, project="other")
    other.program("""
import pulumi_azure_native.managedidentity as mi
mi.UserAssignedIdentity("one", resource_group_name="slipway-test", location="westeurope")
""")
    other.up()
    azure.destroy()
    assert store.all() == []
    assert other.refresh().code == 0
    assert ("UserAssignedIdentity", "one") not in other.resources()


def test_resources_without_names_get_some_that_azure_allows_and_replace_without_a_gap(azure, store):
    program = """
from pulumi_azure_native import containerregistry as acr, resources
group = resources.ResourceGroup("My-Group", location=location)
acr.Registry("My-Registry", resource_group_name=group.name, sku={"name": "Basic"})
"""
    azure.program(program, location="westeurope")
    azure.up()
    first = {one.token: one.name for one in store.all()}
    assert first[TYPE].startswith("myregistry")
    assert azure.up("--expect-no-changes").operations == {}
    azure.program(program, location="northeurope")
    done = azure.up()
    assert "create-replacement" in done.operations["Registry", "My-Registry"]
    names = {one.token: one.name for one in store.all()}
    assert names.keys() == first.keys()
    assert not set(names.values()) & set(first.values())


def test_a_vault_keeps_its_name_after_its_deletion(azure):
    program = """
import pulumi_azure_native.keyvault as kv
from pulumi_azure_native import resources
group = resources.ResourceGroup("rg", resource_group_name="rg", location="westeurope")
kv.Vault("kv", resource_group_name=group.name, vault_name=name, properties={**more, "tenant_id": tenant,
    "sku": {"family": "A", "name": "standard"}, "enable_rbac_authorization": True})
"""
    values = {"name": f"kv-{uuid.uuid4().hex[:8]}", "tenant": str(uuid.uuid4())}
    azure.program(program, more={}, **values)
    azure.up()
    azure.destroy()
    assert "already exists in deleted state" in azure.up(check=False).output
    azure.program(program, more={"create_mode": "recover"}, **values)
    azure.up()


GROUP = (
    PLATFORM
    + """
from pulumi_azure_native import containerinstance as aci
server = registry.login_server if image.startswith("localhost:5050/") else "unused.example"
box = aci.ContainerGroup("box", resource_group_name=group.name, container_group_name="scoring-box", os_type="Linux",
    restart_policy=restart, identity={"type": "UserAssigned", "user_assigned_identities": [identity.id]},
    image_registry_credentials=[{"server": server, "identity": identity.id}],
    containers=[aci.ContainerArgs(name="model", image=image, command=command, ports=[{"port": 8080}],
        resources={"requests": {"cpu": cpu, "memory_in_gb": 0.2}},
        environment_variables=[{"name": "PLAIN", "value": plain},
            {"name": "KEY", "secure_value": pulumi.Output.secret("canary-" + "of-the-key")}],
        volume_mounts=[{"name": "files", "mount_path": "/secrets", "read_only": True}],
        readiness_probe={"http_get": {"path": "/", "port": 8080}}),
      aci.ContainerArgs(name="sidecar", image=image, ports=[{"port": 8443}],
        command=["python3", "-c", SIDECAR], resources={"requests": {"cpu": 0.5, "memory_in_gb": 0.2}})],
    ip_address={"type": "Public", "ports": [{"port": 8443}], "dns_name_label": label},
    volumes=[{"name": "files", "secret": {"a.txt": pulumi.Output.secret("Y2FuYXJ5LW9mLXRoZS1maWxl")}}],
    opts=pulumi.ResourceOptions(delete_before_replace=True,
        replace_on_changes=["containers[*].resources", "restartPolicy"]))
pulumi.export("address", box.ip_address.apply(lambda a: a.ip))
pulumi.export("fqdn", box.ip_address.apply(lambda a: a.fqdn))
pulumi.export("state", box.instance_view.apply(lambda v: v.state))
"""
)
SERVER = """
import http.server, os
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write((os.environ["PLAIN"] + " " + open("/secrets/a.txt").read() + " " + os.environ["KEY"]).encode())
print("listening", flush=True)
http.server.HTTPServer(("127.0.0.1" if os.environ.get("LOCAL") else "", 8080), Answer).serve_forever()
"""
# Reaches the model at localhost: the group's containers share a network.
SIDECAR = """
import http.server, urllib.request
class Pass(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = urllib.request.urlopen("http://localhost:8080/").read()
        self.send_response(200); self.end_headers(); self.wfile.write(body)
http.server.HTTPServer(("", 8443), Pass).serve_forever()
"""


def container_group(stack, image, /, **options):
    values = {
        "acr_name": f"acr{uuid.uuid4().hex[:8]}",
        "tags": {},
        "SIDECAR": SIDECAR,
        "command": ["python3", "-c", SERVER],
        "cpu": 0.5,
        "plain": "one",
        "restart": "Always",
        "label": f"l{uuid.uuid4().hex[:8]}",
        "image": image,
    } | options
    stack.program(GROUP, **values)
    return values


def answer(stack):
    address = stack.outputs()["fqdn"]
    deadline = time.monotonic() + 180
    while True:
        try:
            with urllib.request.urlopen(f"http://{address}:8443/", timeout=60) as reply:
                return reply.read().decode()
        except OSError:
            assert time.monotonic() < deadline, f"{address} does not answer"
            time.sleep(0.1)


def containers(engine, store):
    label = {"label": f"io.slipway.azure.store={store.mark}"}
    return engine.containers.list(all=True, filters=label, ignore_removed=True)


def test_a_container_group_answers_shows_its_state_and_is_removed(azure, store, image, engine):
    values = container_group(azure, image)
    azure.preview()
    assert containers(engine, store) == []
    azure.up()
    assert answer(azure) == "one canary-of-the-file canary-of-the-key"
    outputs = azure.outputs()
    assert outputs["address"].startswith("127.")
    assert outputs["state"] == "Running"
    shown = json.loads(tool(azure, "show", store.all("containerinstance:ContainerGroup")[0].id))
    assert [one["instanceView"]["currentState"]["state"] for one in shown["containers"]] == ["Running", "Running"]
    assert "listening" in tool(azure, "logs", store.all("containerinstance:ContainerGroup")[0].id, "model")
    assert azure.preview("--refresh", "--expect-no-changes").operations == {}
    # In place: the same address, other containers.
    container_group(azure, image, **values | {"plain": "two"})
    assert azure.up().operations == {("ContainerGroup", "box"): {"update"}}
    assert answer(azure).startswith("two ")
    assert azure.outputs()["address"] == outputs["address"]
    container_group(azure, image, **values | {"plain": "two", "cpu": 0.25})
    assert "replace" in azure.up().operations["ContainerGroup", "box"]
    assert answer(azure).startswith("two ")
    azure.destroy()
    assert containers(engine, store) == []
    mine = {"label": f"io.slipway.azure.store={store.mark}"}
    assert engine.volumes.list(filters=mine) == []


def test_no_secret_is_in_the_state_the_store_or_the_output(azure, store, image):
    container_group(azure, image)
    done = azure.up()
    exported = json.dumps(azure.export())
    kept = b"".join(path.read_bytes() for path in store.folder.iterdir() if path.is_file()).decode("latin-1")
    for secret in ("canary-of-the-key", "canary-of-the-file", "Y2FuYXJ5LW9mLXRoZS1maWxl"):
        assert secret not in exported
        assert secret not in done.output
        assert secret not in json.dumps(done.events)
        assert secret not in kept
    assert azure.preview("--refresh", "--expect-no-changes").operations == {}


def test_a_group_removed_by_hand_is_made_again(azure, store, image, engine):
    container_group(azure, image)
    azure.up()
    for one in containers(engine, store):
        one.remove(force=True)
    assert azure.up("--refresh").operations["ContainerGroup", "box"] == {"create"}
    assert answer(azure).startswith("one ")


def test_a_change_that_azure_makes_only_by_a_deletion_is_refused_in_place(azure, image):
    values = container_group(azure, image)
    azure.up()
    text = (azure.folder / "__main__.py").read_text()
    azure.program("")
    (azure.folder / "__main__.py").write_text(
        text.replace('"containers[*].resources", "restartPolicy"', "").replace(
            "restart = 'Always'", "restart = 'Never'"
        )
    )
    failed = azure.up(check=False)
    assert "InvalidContainerGroupUpdate" in failed.output
    container_group(azure, image, **values | {"restart": "Never"})
    azure.up()
    assert answer(azure).startswith("one ")


def test_a_registrys_image_needs_an_identity_with_the_role_for_it(azure, store, engine):
    if not _registry_has_python():
        pytest.fail("localhost:5050 has no library/python:3.11-slim: run `make setup`")
    values = container_group(azure, "localhost:5050/library/python:3.11-slim")
    text = (azure.folder / "__main__.py").read_text()
    without = text.partition("az.RoleAssignment(")[0] + text.partition('roleDefinitions/{PULL}"))')[2]
    (azure.folder / "__main__.py").write_text(without)
    assert "lacks the role AcrPull" in azure.up(check=False).output
    assert containers(engine, store) == []
    platform(azure, acr_name=values["acr_name"], tags={})
    azure.up()
    (azure.folder / "__main__.py").write_text(text)
    azure.up()
    assert answer(azure).startswith("one ")


def _registry_has_python():
    with contextlib.suppress(OSError):
        url = "http://localhost:5050/v2/library/python/manifests/3.11-slim"
        accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"
        accept += ", application/vnd.docker.distribution.manifest.v2+json"
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept}), timeout=60):
            return True
    return False


def test_an_image_that_cannot_be_had_makes_no_group(azure, store, engine):
    container_group(azure, "localhost:5050/never/there@sha256:" + "0" * 64)
    failed = azure.up(check=False)
    assert "InaccessibleImage" in failed.output
    assert store.all("containerinstance:ContainerGroup") == []
    assert containers(engine, store) == []


@pytest.mark.parametrize("killed", ["engine", "plugin"])
def test_what_a_kill_leaves_is_named_with_what_to_do_and_taken_away_by_hand(azure, store, image, engine, killed):
    values = container_group(azure, image)
    text = (azure.folder / "__main__.py").read_text()
    platform(azure, acr_name=values["acr_name"], tags={})
    azure.up()
    (azure.folder / "__main__.py").write_text(text)
    kind = "containerinstance:ContainerGroup"
    run = started(azure)
    until(lambda: len(containers(engine, store)) >= 2)
    kill(run, killed)
    [record] = store.all(kind)
    assert record.provisioning_state == "Creating"
    if killed == "engine":
        azure.pulumi("cancel", "--yes", "--stack", azure.name)
        azure.refresh("--clear-pending-creates")
    failed = azure.up(check=False)
    assert f"cannot create already existing resource '{record.id}'" in failed.output
    assert f"pulumi import azure-native:{kind} box {record.id}" in failed.output
    tool(azure, "delete", record.id)
    assert containers(engine, store) == []
    azure.up()
    assert answer(azure).startswith("one ")
    assert azure.up("--expect-no-changes").operations == {}


def test_an_update_that_was_killed_is_repeated_by_the_next_one(azure, store):
    name = f"acr{uuid.uuid4().hex[:8]}"
    platform(azure, acr_name=name)
    azure.up()
    faults(store, latency=100)
    platform(azure, acr_name=name, tags={"a": "2"})
    run = started(azure)
    until(lambda: store.all(TYPE)[0].state == "Updating")
    kill(run, "plugin")
    faults(store)
    azure.up()
    assert [(one.state, one.body["tags"]) for one in store.all(TYPE)] == [("Succeeded", {"a": "2"})]
    assert azure.up("--expect-no-changes", "--refresh").operations == {}


def started(stack):
    return subprocess.Popen(
        stack.command("up", "--stack", stack.name, "--yes", "--skip-preview"),
        cwd=stack.folder,
        env=stack.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def until(condition):
    deadline = time.monotonic() + 180
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def kill(run, which):
    """Kill the engine, or its plugin alone."""
    if which == "engine":
        run.kill()
    for plugin in plugins_of(run.pid) if which == "plugin" else ():
        os.kill(plugin, signal.SIGKILL)
    run.wait(120)


def plugins_of(engine):
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == engine and b"standins.azure_native" in words:
                found.append(int(process.name))
    assert found
    return found


def test_two_updates_at_once_do_not_spoil_the_store(engine_env, tmp_path, store):
    env = engine_env | {"SLIPWAY_AZURE_STORE": str(store.folder), "SLIPWAY_AZURE": "stand-in"}
    stacks = [Stack(tmp_path / f"program{n}", env, project=f"p{n}") for n in range(2)]
    for number, stack in enumerate(stacks):
        stack.program(
            """
from pulumi_azure_native import managedidentity as mi, resources
group = resources.ResourceGroup("rg", resource_group_name=f"rg{number}", location="westeurope")
for n in range(20):
    mi.UserAssignedIdentity(f"id{n}", resource_group_name=group.name)
""",
            number=number,
        )
    running = [started(stack) for stack in stacks]
    assert [one.wait(200) for one in running] == [0, 0]
    assert len(store.all("managedidentity:UserAssignedIdentity")) == 40
    for stack in stacks:
        stack.destroy()
    assert store.all() == []
