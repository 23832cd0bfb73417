"""The parts of the stand-in for azure-native: its types, rules, comparisons and failures, without an engine."""

import json
import os
import subprocess
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.diagnosis.checks.plugins import azure_is_stood_in_for
from provider.resource import InitFailedError, ProviderError, State
from provider.values import UNKNOWN
from standins.azure_native import VERSION
from standins.azure_native.banner import credentials_in
from standins.azure_native.difference import differences
from standins.azure_native.names import NAMES
from standins.azure_native.paths import PATHS, parents
from standins.azure_native.schema import schema_of
from standins.azure_native.store import Store
from tests.unit.azure_harness import azure, call, check, group, make

__all__ = ["azure", "group"]
BIN = Path(__file__).parents[2] / "standins/bin"
GROUP = {"resourceGroupName": "rg", "location": "westeurope"}
BOX = {
    **GROUP,
    "containerGroupName": "box",
    "osType": "Linux",
    "containers": [{"name": "model", "image": "x", "resources": {"requests": {"cpu": 1, "memoryInGB": 1}}}],
}
REGISTRY = {**GROUP, "registryName": "slipwayacr", "sku": {"name": "Basic"}}


@pytest.mark.parametrize("token", sorted(PATHS))
def test_each_type_is_in_the_sdk_with_the_parameters_of_its_id(token):
    schema, path = schema_of(token), PATHS[token]
    assert set(path.parameters) <= set(schema.members)
    assert schema.api_version[:2] == "20"
    values = {name: f"v{index}" for index, name in enumerate(path.parameters)} | (
        {"scope": "/subscriptions/s/resourceGroups/g"} if "scope" in path.parameters else {}
    )
    resource = path.id_of("s", values)
    assert path.parse(resource) == {name: value.removeprefix("") for name, value in values.items()}
    assert path.parse(resource + "/more/x") is None


def test_every_rule_for_names_is_of_a_type_that_is_served():
    assert NAMES.keys() <= PATHS.keys()


@pytest.mark.parametrize(
    ("token", "name", "good"),
    [
        ("storage:StorageAccount", "slipway1", True),
        ("storage:StorageAccount", "Slipway", False),
        ("storage:StorageAccount", "a-b", False),
        ("storage:StorageAccount", "a" * 25, False),
        ("containerregistry:Registry", "SlipWay", True),
        ("containerregistry:Registry", "abcd", False),
        ("keyvault:Vault", "kv-1", True),
        ("keyvault:Vault", "1kv", False),
        ("keyvault:Vault", "kv--1", False),
        ("containerinstance:ContainerGroup", "a-b-1", True),
        ("containerinstance:ContainerGroup", "a--b", False),
        ("containerinstance:ContainerGroup", "-a", False),
        ("resources:ResourceGroup", "Rg_(1).x", True),
        ("resources:ResourceGroup", "rg.", False),
        ("storage:BlobContainer", "a1", False),
        ("authorization:RoleAssignment", "no-uuid", False),
    ],
)
def test_names_are_held_to_azures_rules(token, name, good):
    assert (NAMES[token].refusal(name) is None) is good


@pytest.mark.parametrize(
    ("change", "path", "said"),
    [
        ({"osTyp": "Linux"}, "osTyp", "did you mean osType"),
        ({"osType": "Solaris"}, "osType", "must be one of Linux, Windows"),
        ({"osType": None}, "osType", "required"),
        ({"location": "atlantis"}, "location", "no region"),
        ({"containers": "one"}, "containers", "expected a list"),
        ({"containers": [{"name": "A", "image": "x"}]}, "containers[0].resources", "required"),
        ({"containers": [{"image": "x"}]}, "containers[0].name", "required"),
        ({"volumes": [{"name": "v", "secret": {"a": "%"}}]}, "volumes[0].secret.a", "base64"),
        ({"volumes": [{"name": "v"}]}, "volumes[0]", "one of"),
        (
            {"ipAddress": {"type": "Public", "ports": [{"port": 80}]}},
            "ipAddress.ports[0].port",
            "no container of the group has the port 80",
        ),
        (
            {"imageRegistryCredentials": [{"server": "s", "passwordReference": "x"}]},
            "imageRegistryCredentials[0].passwordReference",
            "not in the API version",
        ),
        ({"ipAddress": {"type": "Private", "ports": []}}, "ipAddress.type", "needs subnetIds"),
    ],
)
def test_a_mistake_in_a_container_group_is_named_with_its_place(azure, change, path, said):
    _, failures = check(azure, "containerinstance:ContainerGroup", BOX | change)
    assert said in failures[path]


def test_a_right_container_group_passes_whole_or_with_unknowns(azure):
    assert check(azure, "containerinstance:ContainerGroup", BOX)[1] == {}
    unknown = dict.fromkeys(BOX, UNKNOWN) | {"osType": "Linux"}
    assert check(azure, "containerinstance:ContainerGroup", unknown)[1] == {}


def test_a_pool_with_mounts_is_refused_since_no_node_here_mounts_anything(azure):
    """A job that would miss its files is not let run as if it had them."""
    blobs = {"accountName": "a", "containerName": "c", "relativeMountPath": "lookup"}
    pool = {"resourceGroupName": "rg", "accountName": "a", "poolName": "p"}
    _, failures = check(
        azure, "batch:Pool", {**pool, "mountConfiguration": [{"azureBlobFileSystemConfiguration": blobs}]}
    )
    assert "the stand-in's nodes mount nothing" in failures["mountConfiguration"]
    assert "mountConfiguration" not in check(azure, "batch:Pool", pool)[1]


def test_more_than_azure_allows_in_a_group_is_refused(azure):
    big = [{**BOX["containers"][0], "name": f"c{n}"} for n in range(5)]
    assert "4" in check(azure, "containerinstance:ContainerGroup", BOX | {"containers": big})[1]["containers"]


def test_a_name_that_is_left_out_is_random_the_same_in_preview_and_update_and_kept(azure):
    inputs = {"resourceGroupName": "rg", "location": "westeurope", "sku": {"name": "Basic"}}
    made, failures = check(azure, "containerregistry:Registry", inputs, name="My-Reg")
    assert failures == {}
    assert made["registryName"] == "myreg01020304"
    assert made["__createBeforeDelete"]
    resource = azure.resources["azure-native:containerregistry:Registry"]
    again, _ = resource.check(call("containerregistry:Registry", "My-Reg", b"\5\6"), made, inputs)
    assert again["registryName"] == made["registryName"]
    old = State("x", made, {})
    other = {**made, "location": "northeurope"}
    assert not resource.diff(call(), old, other).delete_before_replace
    named = {name: value for name, value in made.items() if not name.startswith("__")}
    found = resource.diff(call(), State("x", named, {}), {**named, "location": "northeurope"})
    assert found.replace
    assert found.delete_before_replace


@pytest.mark.usefixtures("group")
def test_the_location_is_that_of_the_group_where_none_is_given(azure):
    inputs = {"resourceGroupName": "rg", "registryName": "slipwayacr", "sku": {"name": "Basic"}}
    assert check(azure, "containerregistry:Registry", inputs)[0]["location"] == "westeurope"


def test_a_group_that_is_not_there_and_a_parent_that_is_not_there_are_named(azure):
    with pytest.raises(ProviderError, match=r"ResourceGroupNotFound.*'rg' could not be found"):
        make(azure, "containerregistry:Registry", REGISTRY)
    make(azure, "resources:ResourceGroup", {"resourceGroupName": "rg", "location": "westeurope"})
    with pytest.raises(ProviderError, match=r"ParentResourceNotFound.*storageAccounts/sa "):
        make(
            azure,
            "storage:ManagementPolicy",
            {"resourceGroupName": "rg", "accountName": "sa", "managementPolicyName": "default", "policy": {}},
        )


@pytest.mark.usefixtures("group")
def test_quotas_and_taken_names_are_refused(azure):
    (azure.store.folder / "settings.json").write_text(
        json.dumps({"quotas": {"containerregistry:Registry": 1}, "taken": ["slipwaytaken"]})
    )
    with pytest.raises(ProviderError, match="AlreadyInUse"):
        make(azure, "containerregistry:Registry", REGISTRY | {"registryName": "slipwaytaken"})
    make(azure, "containerregistry:Registry", REGISTRY)
    with pytest.raises(ProviderError, match="quota '1' exceeded"):
        make(azure, "containerregistry:Registry", REGISTRY | {"registryName": "slipwayother"})


@pytest.mark.usefixtures("group")
def test_settings_that_say_what_there_is_not_are_an_error(azure):
    (azure.store.folder / "settings.json").write_text('{"faults": [{"do": "explode"}]}')
    with pytest.raises(ProviderError, match="`do` is one of throttle, conflict"):
        make(azure, "containerregistry:Registry", REGISTRY)


@pytest.mark.usefixtures("group")
def test_what_was_accepted_and_failed_is_kept_with_its_id_and_repaired_by_an_update(azure):
    (azure.store.folder / "settings.json").write_text('{"faults": [{"do": "fail"}]}')
    with pytest.raises(InitFailedError) as failed:
        make(azure, "containerregistry:Registry", REGISTRY)
    state = failed.value.state
    assert state.outputs["provisioningState"] == "Failed"
    resource = azure.resources["azure-native:containerregistry:Registry"]
    assert resource.update(call(), state, REGISTRY)["provisioningState"] == "Succeeded"


@pytest.mark.usefixtures("group")
def test_what_is_made_slowly_goes_on_when_its_plugin_is_gone(azure):
    (azure.store.folder / "settings.json").write_text('{"latency": 0.2}')
    stopped = call()
    stopped.cancelled.set()
    with pytest.raises(InitFailedError, match="interrupted") as failed:
        azure.resources["azure-native:containerregistry:Registry"].create(stopped, REGISTRY)
    assert failed.value.state.outputs["provisioningState"] == "Creating"
    record = azure.store.get(failed.value.state.id)
    record.ready_at -= 1
    assert record.provisioning_state == "Succeeded"


@pytest.mark.usefixtures("group")
def test_identities_are_a_list_on_the_way_in_and_a_map_on_the_way_out(azure):
    identity = make(azure, "managedidentity:UserAssignedIdentity", {**GROUP, "resourceName": "one"})
    workspace = {
        **GROUP,
        "workspaceName": "mlw",
        "kind": "Hub",
        "identity": {"type": "UserAssigned", "userAssignedIdentities": [identity.id]},
    }
    made = make(azure, "machinelearningservices:Workspace", workspace)
    found = made.outputs["identity"]["userAssignedIdentities"]
    assert found == {identity.id: {name: identity.outputs[name] for name in ("clientId", "principalId")}}
    resource = azure.resources["azure-native:machinelearningservices:Workspace"]
    read = resource.read(call(), State(made.id, {}, {}))
    assert read.inputs["identity"]["userAssignedIdentities"] == [identity.id]
    with pytest.raises(ProviderError, match="FailedIdentityOperation"):
        resource.update(
            call(), made, workspace | {"identity": {"type": "UserAssigned", "userAssignedIdentities": ["/no"]}}
        )


def test_a_preview_knows_the_inputs_and_nothing_that_azure_adds(azure):
    box = BOX | {"ipAddress": {"type": "Public", "ports": [{"port": 80}]}}
    found = azure.resources["azure-native:containerinstance:ContainerGroup"].preview(call(), box, None)
    assert found["ipAddress"]["type"] == "Public"
    assert found["ipAddress"]["fqdn"] is UNKNOWN
    assert found["containers"][0]["instanceView"] is UNKNOWN
    assert found["instanceView"] is UNKNOWN
    assert found["name"] == "box"


@pytest.mark.usefixtures("group")
def test_a_role_that_is_there_already_is_refused_and_a_change_of_the_principal_replaces(azure):
    scope = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg"
    role = {
        "scope": scope,
        "principalId": str(uuid.uuid4()),
        "roleDefinitionId": f"{scope}/providers/Microsoft.Authorization/roleDefinitions/{uuid.uuid4()}",
    }
    made = make(azure, "authorization:RoleAssignment", role | {"roleAssignmentName": str(uuid.uuid4())})
    with pytest.raises(ProviderError, match="RoleAssignmentExists"):
        make(azure, "authorization:RoleAssignment", role | {"roleAssignmentName": str(uuid.uuid4())})
    resource = azure.resources["azure-native:authorization:RoleAssignment"]
    assert resource.diff(call(), made, made.inputs | {"principalId": str(uuid.uuid4())}).replace


def test_differences_are_named_by_their_full_paths():
    old = {"containers": [{"image": "a", "resources": {"cpu": 1}}], "tags": {"a.b": "1"}, "gone": 1, "same": True}
    new = {"containers": [{"image": "b", "resources": {"cpu": 1}}, {}], "tags": {"a.b": "2"}, "same": 1}
    found = {one.path: (one.kind, one.replace) for one in differences(old, new, frozenset({"tags"}))}
    assert found == {
        "containers[0].image": ("UPDATE", False),
        "containers[1]": ("ADD", False),
        'tags["a.b"]': ("UPDATE", True),
        "gone": ("DELETE", False),
        "same": ("UPDATE", False),
    }
    assert differences({"location": "West Europe"}, {"location": "westeurope"}, frozenset()) == ()


_JSON = st.recursive(
    st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), _JSON, max_size=4))
def test_nothing_differs_from_itself(values):
    assert differences(values, values, frozenset()) == ()


def test_parents_are_accounts_and_groups_not_the_services_that_are_part_of_an_account():
    group = "/subscriptions/s/resourceGroups/rg"
    account = f"{group}/providers/Microsoft.Storage/storageAccounts/a"
    assert parents(f"{account}/blobServices/default/containers/c") == [account, group]
    assert parents(f"{account}/providers/Microsoft.Authorization/roleAssignments/r") == [account]


def test_the_client_and_keys_are_told_as_the_official_plugin_tells_them(azure):
    functions = azure.functions
    client = functions["azure-native:authorization:getClientConfig"](call(), {})
    assert client["subscriptionId"] == "00000000-0000-0000-0000-000000000000"
    assert "azure-native:storage:listStorageAccountKeys" in functions
    assert functions.get("azure-native:storage:listNothing") is None
    with pytest.raises(ProviderError, match="was not found"):
        functions["azure-native:containerregistry:getRegistry"](
            call(), {"resourceGroupName": "rg", "registryName": "slipwayacr"}
        )


def test_credentials_for_azure_are_not_answered_by_a_stand_in_unless_it_is_meant():
    assert credentials_in({}) is None
    assert "ARM_CLIENT_SECRET" in credentials_in({"ARM_CLIENT_SECRET": "x"})
    assert credentials_in({"ARM_CLIENT_SECRET": "x", "SLIPWAY_AZURE": "stand-in"}) is None


def _official(home):
    plugin = home / "plugins" / f"resource-azure-native-v{VERSION}" / "pulumi-resource-azure-native"
    plugin.parent.mkdir(parents=True)
    plugin.write_text("#!/bin/sh\necho official\n")
    plugin.chmod(0o755)


def test_it_is_known_whether_pulumi_would_take_the_stand_in(tmp_path):
    env = {"PATH": str(BIN), "PULUMI_HOME": str(tmp_path)}
    assert azure_is_stood_in_for(env)
    assert azure_is_stood_in_for({"PATH": str(BIN / "azure-native"), "PULUMI_HOME": str(tmp_path)})
    assert not azure_is_stood_in_for({"PATH": str(tmp_path), "PULUMI_HOME": str(tmp_path)})
    _official(tmp_path)
    assert not azure_is_stood_in_for(env)
    assert azure_is_stood_in_for(env | {"SLIPWAY_AZURE": "stand-in"})


def test_the_script_hands_over_to_an_installed_official_plugin(tmp_path):
    _official(tmp_path)
    for folder in (BIN, BIN / "azure-native"):
        done = subprocess.run(
            [folder / "pulumi-resource-azure-native", "127.0.0.1:1"],
            env={"PATH": os.environ["PATH"], "PULUMI_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        assert done.stdout == "official\n"


@pytest.mark.parametrize("folder", [BIN, BIN / "azure-native"])
def test_the_script_takes_no_choice_that_means_nothing(tmp_path, folder):
    _official(tmp_path)
    env = {"PATH": os.environ["PATH"], "PULUMI_HOME": str(tmp_path), "SLIPWAY_AZURE": "standin"}
    program = folder / "pulumi-resource-azure-native"
    done = subprocess.run([program], env=env, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("SLIPWAY_AZURE is 'standin'; it may be stand-in, or unset\n")


def test_a_transaction_that_fails_leaves_nothing(tmp_path):
    store = Store(tmp_path / "azure")

    def fail():
        with store.transaction() as db:
            db.execute("INSERT INTO settings VALUES ('a', 'b')")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    with store.transaction() as db:
        assert db.execute("SELECT * FROM settings").fetchall() == []
    assert oct(store.folder.stat().st_mode)[-3:] == "700"
