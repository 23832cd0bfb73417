"""What the program asks of Azure for the stack as a whole; no engine, no Azure."""

import pulumi
import pytest

from tests.program.azure_mocks import ARM, Azure, give_target, settings, shown, wrong

HTTP = {"https": False}
REGISTRY = f"{ARM}/providers/Microsoft.ContainerRegistry/registries/theirs"
STORAGE = f"{ARM}/providers/Microsoft.Storage/storageAccounts/theirs"
LOGS = f"{ARM}/providers/Microsoft.OperationalInsights/workspaces/theirs"
IDENTITY = f"{ARM}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/theirs"
VAULT = f"{ARM}/providers/Microsoft.KeyVault/vaults/theirs"
COLLECT = {"collect": {"to": "abfs://collected"}}


@pytest.fixture
def platform(declare, project):
    """Declares the project with an aci target on iris; returns the recorder."""

    def run(*, stack="prod", scoring=None, unknown=False, config=None, **azure):
        give_target(project, HTTP, **(scoring or {}))
        recorder = Azure(unknown=unknown)
        return declare(stack=stack, recorder=recorder, preview=unknown, **settings(**azure), **(config or {}))

    yield run
    pulumi.runtime.set_all_config({}, secret_keys=[])


def test_a_stack_without_cloud_targets_asks_nothing_of_azure(declare, project):
    give_target(project, HTTP)
    # The plain recorder refuses every call.
    recorder = declare(targets=["local-docker"], azure={"location": "westeurope"})
    assert not [one for one in recorder.registered if one.type.startswith("azure-native")]


def test_a_live_target_that_no_model_has_makes_nothing(declare, project):
    give_target(project, HTTP, model="none")
    # The plain recorder refuses every call.
    recorder = declare(**settings())
    assert not [one for one in recorder.registered if one.type.startswith("azure-native")]


def test_the_registry_has_no_passwords(platform):
    registry = platform().one("Registry").inputs
    assert registry["adminUserEnabled"] is False
    assert registry["anonymousPullEnabled"] is False
    assert registry["sku"] == {"name": "Premium"}
    assert registry["policies"] == {"retentionPolicy": {"days": 30, "status": "enabled"}}


def test_a_cheaper_registry_has_no_rules_that_it_does_not_know(platform):
    recorder = platform(registry={"sku": "Basic"})
    assert recorder.one("Registry").inputs["sku"] == {"name": "Basic"}
    assert "policies" not in recorder.one("Registry").inputs
    assert wrong(recorder) == []


def test_a_registry_that_the_configuration_names_is_used_and_none_is_made(platform):
    recorder = platform(config={"registry": "registry.example.com/team"})
    assert not recorder.of("Registry")
    assert not recorder.of("RoleAssignment")
    assert "imageRegistryCredentials" not in recorder.one("ContainerGroup").inputs
    assert recorder.of("Image")["iris"].inputs["tags"][0].startswith("registry.example.com/team/slipway/models/iris:")


def test_an_own_registry_can_be_asked_for_beside_the_name_that_images_are_pushed_to(platform):
    recorder = platform(registry={}, config={"registry": "theregistry.azurecr.io"})
    assert recorder.of("RoleAssignment")
    assert recorder.of("Image")["iris"].inputs["tags"][0].startswith("theregistry.azurecr.io/slipway/models/iris:")


def test_the_identity_that_pulls_may_do_so_from_this_registry_and_nothing_else(platform):
    recorder = platform()
    (role,) = recorder.of("RoleAssignment").values()
    assert role.inputs["scope"].endswith("containerregistry:Registry/registry")
    assert role.inputs["principalType"] == "ServicePrincipal"
    assert role.inputs["roleDefinitionId"].endswith("/7f951dda-4ed3-4680-a7ca-43fe172d538d")
    assert role.options.delete_before_replace is False
    assert role.inputs["roleAssignmentName"] == platform().one("RoleAssignment").inputs["roleAssignmentName"]


def test_where_somebody_else_assigns_roles_none_is_made(platform):
    recorder = platform(scoring={"collect": True}, config=COLLECT, assignRoles=False)
    assert not recorder.of("RoleAssignment")
    assert len(recorder.one("ContainerGroup").inputs["identity"]["userAssignedIdentities"]) == 2


def test_storage_takes_tokens_over_tls_only_and_shows_nothing_to_the_public(platform):
    recorder = platform(scoring={"collect": True}, config=COLLECT)
    account = recorder.one("StorageAccount").inputs
    assert {name: account[name] for name in account if name.startswith(("allow", "default", "enable", "minimum"))} == {
        "allowBlobPublicAccess": False,
        "allowSharedKeyAccess": False,
        "allowCrossTenantReplication": False,
        "defaultToOAuthAuthentication": True,
        "enableHttpsTrafficOnly": True,
        "minimumTlsVersion": "TLS1_2",
    }
    assert recorder.one("BlobContainer").inputs["publicAccess"] == "None"
    service = recorder.one("BlobServiceProperties").inputs
    assert service["deleteRetentionPolicy"] == {"enabled": True, "days": 14}


@pytest.mark.parametrize(("days", "cools"), [(180, True), (30, False), (1, False)])
def test_what_was_collected_goes_when_its_time_is_over(platform, days, cools):
    recorder = platform(scoring={"collect": True}, config=COLLECT, storage={"keepDays": days})
    (rule,) = recorder.one("ManagementPolicy").inputs["policy"]["rules"]
    assert rule["definition"]["filters"]["prefixMatch"] == ["collected/"]
    actions = rule["definition"]["actions"]["baseBlob"]
    assert actions["delete"] == {"daysAfterModificationGreaterThan": days}
    assert ("tierToCool" in actions) is cools
    assert wrong(recorder) == []


def test_what_holds_data_or_images_is_protected_unless_the_stack_says_otherwise(platform):
    options = {"scoring": {"collect": True}, "config": COLLECT, "machineLearning": {}}
    recorder = platform(**options)
    protected = {name for kind, name in recorder.azure if recorder.of(kind)[name].options.protect}
    assert protected == {"registry", "storage", "storage-collected", "logs", "vault", "machine-learning"}
    free = platform(protect=False, **options)
    assert not [name for kind, name in free.azure if free.of(kind)[name].options.protect]


def test_a_machine_learning_workspace_comes_with_what_it_needs(platform):
    recorder = platform(machineLearning={})
    workspace = recorder.of("Workspace")["machine-learning"].inputs
    parts = {key: workspace[key].rpartition("/")[2] for key in workspace if key in _PARTS}
    assert parts == _PARTS
    assert workspace["systemDatastoresAuthMode"] == "Identity"
    vault = recorder.one("Vault").inputs["properties"]
    assert vault["enableRbacAuthorization"] is True
    assert vault["enablePurgeProtection"] is True
    assert "accessPolicies" not in vault
    assert wrong(recorder) == []
    elsewhere = platform(machineLearning={}, config={"registry": "registry.example.com"})
    assert elsewhere.of("Registry") == {}
    assert "containerRegistry" not in elsewhere.of("Workspace")["machine-learning"].inputs
    assert "enablePurgeProtection" not in platform(machineLearning={}, keyVault={"purgeProtection": False}).one(
        "Vault"
    ).inputs.get("properties")


_PARTS = {
    "storageAccount": "storage",
    "keyVault": "vault",
    "containerRegistry": "registry",
    "applicationInsights": "insights",
}


def test_what_is_attached_is_read_and_neither_made_nor_changed(platform):
    recorder = platform(
        scoring={"collect": True},
        config=COLLECT,
        resourceGroup=ARM,
        registry={"id": REGISTRY},
        storage={"id": STORAGE},
        logs={"id": LOGS},
        keyVault={"id": VAULT},
        identity={"id": IDENTITY},
        machineLearning={},
    )
    assert set(recorder.read) == {
        ("Registry", REGISTRY),
        ("StorageAccount", STORAGE),
        ("Workspace", LOGS),
        ("UserAssignedIdentity", IDENTITY),
    }
    assert recorder.azure == {
        ("BlobContainer", "storage-collected"),
        ("Component", "insights"),
        ("ContainerGroup", "iris"),
        ("RoleAssignment", "collect"),
        ("RoleAssignment", "pull"),
        ("UserAssignedIdentity", "collect"),
        ("Workspace", "machine-learning"),
    }
    assert recorder.one("ContainerGroup").inputs["resourceGroupName"] == "theirs"
    container = recorder.one("BlobContainer").inputs
    assert (container["resourceGroupName"], container["accountName"]) == ("theirs", "theirs")
    assert recorder.of("RoleAssignment")["pull"].inputs["scope"] == REGISTRY
    assert recorder.of("Workspace")["machine-learning"].inputs["keyVault"] == VAULT


def test_names_are_the_same_at_every_run_and_of_no_other_stack(platform):
    names = {"Registry": "registryName", "ContainerGroup": "containerGroupName", "ResourceGroup": "resourceGroupName"}

    def given(**options):
        recorder = platform(**options)
        return [recorder.one(kind).inputs[key] for kind, key in names.items()]

    assert given() == given()
    assert not set(given()) & set(given(stack="staging"))
    assert not set(given()) & set(given(prefix="acme"))
    assert all(name.startswith("acme") for name in given(prefix="acme"))


def test_tags_say_whose_everything_is(platform):
    recorder = platform(tags={"cost": "42"})
    expected = {"cost": "42", "slipway-project": "slipway", "slipway-stack": "prod"}
    tagged = [one for one in recorder.registered if "tags" in one.inputs and one.type.startswith("azure-native")]
    assert {one.name for one in tagged} == {"group", "registry", "logs", "pull", "iris"}
    assert all(one.inputs["tags"].items() >= expected.items() for one in tagged)


def test_a_preview_of_an_empty_subscription_registers_all_that_an_update_does(platform):
    options = {"scoring": {"collect": True, "telemetry": True}, "config": COLLECT, "machineLearning": {}}
    foreseen, made = platform(unknown=True, **options), platform(**options)
    assert foreseen.azure == made.azure
    assert len(made.azure) == 15


def test_no_body_shows_a_key(platform):
    recorder = platform(scoring={"collect": True, "telemetry": True}, config=COLLECT, machineLearning={})
    for one in recorder.registered:
        assert "canary" not in shown(one.inputs), one.name
