"""What the program asks of Azure for models on Azure Batch; no engine, no Azure."""

import pulumi
import pytest

from tests.program.azure_mocks import ARM, Azure, give_target, plain, settings, wrong

ACCOUNT = f"{ARM}/providers/Microsoft.Batch/batchAccounts/theirs"
SUBNET = f"{ARM}/providers/Microsoft.Network/virtualNetworks/net/subnets/nodes"
READER, CONTRIBUTOR = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1", "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
SUBMITTER = "48e5e92e-a480-4e71-aa9c-2778f4c13781"
SPOT = {"account": {"spot": True}}


@pytest.fixture
def batch(declare, project):
    """Declares the project with a batch target on iris; returns the recorder."""

    def run(
        target=None, *, unknown=False, stack="prod", config=None, settings_=None, scoring=None, digest="d", **azure
    ):
        give_target(project, target or {}, kind="batch", **(scoring or {}))
        recorder = Azure(unknown=unknown, digest=f"sha256:{digest * 64}")
        keys = settings_ or settings(targets=["batch"], **azure)
        return declare(stack=stack, recorder=recorder, preview=unknown, **{**keys, **(config or {})})

    yield run
    pulumi.runtime.set_all_config({}, secret_keys=[])


def _pool(recorder):
    return plain(recorder.one("Pool").inputs)


def _roles(recorder):
    """Which role each assignment gives, by its name."""
    return {name: one.inputs["roleDefinitionId"][-36:] for name, one in recorder.of("RoleAssignment").items()}


def test_a_model_is_one_pool_with_all_that_it_needs_and_nothing_else(batch):
    recorder = batch()
    assert recorder.azure == {
        ("ResourceGroup", "group"),
        ("Registry", "registry"),
        ("UserAssignedIdentity", "pull"),
        ("UserAssignedIdentity", "batch"),
        ("UserAssignedIdentity", "batch-account"),
        ("RoleAssignment", "pull"),
        ("RoleAssignment", "batch-account"),
        ("RoleAssignment", "batch-read-inputs"),
        ("RoleAssignment", "batch-write-outputs"),
        ("StorageAccount", "storage"),
        ("BlobServiceProperties", "storage-undelete"),
        ("BlobContainer", "storage-inputs"),
        ("BlobContainer", "storage-outputs"),
        ("BatchAccount", "batch"),
        ("Pool", "iris"),
    }
    assert list(recorder.of("BatchJobs")) == ["iris-batch"]
    assert not recorder.of("BatchJobSchedule")
    assert wrong(recorder) == []


def test_a_preview_with_unknowns_shows_the_same(batch):
    full, preview = batch(), batch(unknown=True)
    assert preview.azure == full.azure
    # The image's digest is in its name, and is known when the image is built.
    assert "poolName" not in _pool(preview)
    assert _pool(full)["poolName"].startswith("slipway-prod-iris-")


def test_the_account_knows_no_keys_and_keeps_its_files_by_an_identity(batch):
    account = plain(batch().one("BatchAccount").inputs)
    assert account["allowedAuthenticationModes"] == ["AAD"]
    assert account["autoStorage"]["authenticationMode"] == "BatchAccountManagedIdentity"
    assert account["identity"]["type"] == "UserAssigned"
    assert account["poolAllocationMode"] == "BatchService"
    assert "keyVaultReference" not in account


def test_spot_nodes_are_machines_of_the_subscription_and_need_a_vault(batch):
    recorder = batch({"nodes": {"dedicated": 0, "lowPriority": 4}}, batch=SPOT)
    account = plain(recorder.one("BatchAccount").inputs)
    assert account["poolAllocationMode"] == "UserSubscription"
    assert account["keyVaultReference"]["id"].endswith("keyvault:Vault/vault")
    assert ("Vault", "vault") in recorder.azure
    assert wrong(recorder) == []


def test_each_mode_has_an_account_of_its_own(batch):
    plain_one, spot = batch().one("BatchAccount"), batch(batch=SPOT).one("BatchAccount")
    assert plain_one.inputs["accountName"] != spot.inputs["accountName"]
    assert spot.options.delete_before_replace is False


def test_spot_nodes_in_an_account_without_them_are_refused(batch):
    with pytest.raises(pulumi.RunError, match=r"iris: batch: lowPriority needs slipway:azure\.batch\.account\.spot"):
        batch({"nodes": {"lowPriority": 4}})


def test_more_nodes_than_the_stack_allows_are_refused(batch):
    with pytest.raises(pulumi.RunError, match=r"21 nodes are more than slipway:azure\.batch\.maxNodes, which is 20"):
        batch({"nodes": {"dedicated": 21}})


def test_nodes_have_the_image_by_its_digest_before_a_task_comes(batch):
    pool = _pool(batch())
    machine = pool["deploymentConfiguration"]["virtualMachineConfiguration"]
    digest = "sha256:" + "d" * 64
    containers = machine["containerConfiguration"]
    assert containers["type"] == "DockerCompatible"
    assert containers["containerImageNames"] == [f"theregistry.azurecr.io/slipway/models/iris@{digest}"]
    (registry,) = containers["containerRegistries"]
    assert registry["registryServer"] == "theregistry.azurecr.io"
    assert registry["identityReference"]["resourceId"] in pool["identity"]["userAssignedIdentities"]
    assert "startTask" not in pool


def test_the_pool_grows_with_what_waits_and_keeps_what_it_is_told_to(batch):
    nodes = {"dedicated": 3, "lowPriority": 4, "idle": 1}
    pool = _pool(batch({"nodes": nodes, "taskSlots": 2}, batch=SPOT))
    scale = pool["scaleSettings"]["autoScale"]
    assert scale["evaluationInterval"] == "PT5M"
    assert "dedicated = max(1, min(3, wanted));" in scale["formula"]
    assert "$TargetLowPriorityNodes = max(0, min(4, wanted - dedicated));" in scale["formula"]
    assert "wanted = round(tasks / 2 + 0.49);" in scale["formula"]
    assert "$NodeDeallocationOption = taskcompletion;" in scale["formula"]
    assert "fixedScale" not in pool["scaleSettings"]


def test_no_list_is_empty_which_azure_refuses(batch):
    def empty(value, path=""):
        if isinstance(value, dict):
            return [found for name, one in value.items() for found in empty(one, f"{path}.{name}")]
        if isinstance(value, list):
            return [path] if not value else [found for one in value for found in empty(one, path)]
        return []

    recorder = batch(config={"registry": "registry.example.com/team"})
    assert [empty(one.inputs) for one in recorder.registered if one.type.startswith("azure-native")].count([]) == len(
        recorder.azure
    )


@pytest.mark.parametrize(
    ("before", "after", "config"),
    [
        ({"vmSize": "Standard_D2s_v5"}, {"vmSize": "Standard_D4s_v5"}, {}),
        ({}, {"taskSlots": 2}, {}),
        ({}, {"mounts": {"lookup": "tables"}}, {}),
        ({"mounts": {"lookup": "tables"}}, {"mounts": {"lookup": "tables@shopdata"}}, {}),
        ({"input": "a"}, {"input": "a", "schedule": "0 3 * * *"}, {}),
        ({}, {}, {"batch": {"subnet": SUBNET}}),
        ({}, {}, {"batch": {"nodeImage": {"sku": "2404", "agent": "batch.node.ubuntu 24.04"}}}),
        ({}, {}, {"config": {"registry": "registry.example.com/team"}}),
        ({}, {}, {"identity": {"id": f"{ARM}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/theirs"}}),
        # Under the same tag.
        ({}, {}, {"digest": "e"}),
    ],
)
def test_what_cannot_be_changed_in_a_pool_makes_another_one_before_the_old_goes(batch, before, after, config):
    first, second = batch(before), batch(after, **config)
    assert _pool(first)["poolName"] != _pool(second)["poolName"]
    assert second.one("Pool").options.delete_before_replace is False
    assert wrong(second) == []


def test_another_image_makes_another_pool(batch, project):
    first = _pool(batch())["poolName"]
    script = project / "models" / "iris" / "score.py"
    script.write_text(script.read_text() + "\n# changed\n")
    assert _pool(batch())["poolName"] != first


@pytest.mark.parametrize("target", [{"nodes": {"dedicated": 5}}, {"tasks": 7}, {"errorThreshold": 3}, {"input": "x"}])
def test_what_can_be_changed_in_a_pool_keeps_it(batch, target):
    assert _pool(batch(target))["poolName"] == _pool(batch())["poolName"]


def test_everything_that_is_replaced_for_is_in_the_name_or_fixed(batch):
    # A replacement under the same name would meet the old pool.
    options = batch().one("Pool").options
    assert set(options.replace_on_changes) == {
        "deploymentConfiguration",
        "identity",
        "mountConfiguration",
        "networkConfiguration",
        "vmSize",
        "taskSlotsPerNode",
        "interNodeCommunication",
        "targetNodeCommunicationMode",
    }


def test_tasks_may_read_inputs_and_write_outputs_and_nothing_else(batch):
    recorder = batch({"input": "abfs://flowers/2026/**/*.csv", "output": "abfs://scores/iris"})
    assert _roles(recorder) == {
        "pull": "7f951dda-4ed3-4680-a7ca-43fe172d538d",
        "batch-account": CONTRIBUTOR,
        "batch-read-inputs": READER,
        "batch-read-flowers": READER,
        "batch-write-scores": CONTRIBUTOR,
    }
    assert recorder.of("RoleAssignment")["batch-write-scores"].inputs["principalId"] == "principal-batch"
    assert recorder.of("RoleAssignment")["batch-write-scores"].inputs["scope"].endswith("BlobContainer/storage-scores")


def test_mounts_are_read_by_the_identity_of_the_tasks_and_hold_no_key(batch):
    """A container of the stack gets a folder and a role to read; one of another account a folder; the schedule both."""
    recorder = batch({"mounts": {"lookup": "tables", "far": "maps@shopdata"}, "input": "x", "schedule": "0 3 * * *"})
    far, lookup = (one["azureBlobFileSystemConfiguration"] for one in _pool(recorder)["mountConfiguration"])
    _, by_tasks, _ = _pool(recorder)["identity"]["userAssignedIdentities"]
    assert by_tasks.endswith("UserAssignedIdentity/batch")
    by = {"resourceId": by_tasks}
    shared = {"identityReference": by, "blobfuseOptions": "-o allow_other -o ro"}
    assert far == {**shared, "accountName": "shopdata", "containerName": "maps", "relativeMountPath": "far"}
    account = recorder.one("StorageAccount").inputs["accountName"]
    assert lookup == {**shared, "accountName": account, "containerName": "tables", "relativeMountPath": "lookup"}
    assert _roles(recorder)["batch-read-tables"] == READER
    assert "batch-read-maps" not in _roles(recorder)
    assert plain(recorder.one("BatchJobSchedule").inputs)["mounts"] == ["far", "lookup"]
    assert wrong(recorder) == []


@pytest.mark.parametrize("output", ["abfss://scores@other.dfs.core.windows.net/iris", "azfiles://scores@other/iris"])
def test_storage_of_another_account_gets_no_role_from_here(batch, output):
    recorder = batch({"output": output})
    assert not [name for name in _roles(recorder) if name.startswith("batch-write")]


@pytest.mark.parametrize("place", ["/data/in", "../in", "a/../../b", "~/in"])
def test_a_place_on_a_machine_is_refused(batch, place):
    with pytest.raises(pulumi.RunError, match="is a place on a machine, where a pool's nodes are not"):
        batch({"input": place})


@pytest.mark.parametrize("key", ["input", "output"])
def test_a_share_has_to_name_its_account(batch, key):
    """The stack's own account has none."""
    with pytest.raises(pulumi.RunError, match=r"azfiles://data/x names no account, as azfiles://SHARE@ACCOUNT/PATH"):
        batch({key: "azfiles://data/x"})


def test_an_attached_account_stays_as_it_is(batch):
    recorder = batch({"nodes": {"lowPriority": 2}}, batch={"account": {"id": ACCOUNT}})
    assert not recorder.of("BatchAccount")
    assert ("BatchAccount", ACCOUNT) in recorder.read
    pool = _pool(recorder)
    assert (pool["resourceGroupName"], pool["accountName"]) == ("theirs", "theirs")


def test_nodes_in_a_subnet_have_no_public_address(batch):
    network = _pool(batch(batch={"subnet": SUBNET}))["networkConfiguration"]
    assert network["subnetId"] == SUBNET
    assert network["publicIPAddressConfiguration"] == {"provision": "NoPublicIPAddresses"}


def test_jobs_move_to_the_new_pool(batch):
    recorder = batch(batch={"drainMinutes": 5})
    jobs = recorder.one("BatchJobs")
    assert plain(jobs.inputs) == {
        "account": "https://thebatch.westeurope.batch.azure.com",
        "pool": _pool(recorder)["poolName"],
        "drainMinutes": 5,
    }


def test_a_schedule_has_all_that_its_jobs_need_and_an_identity_to_split_them(batch):
    recorder = batch({"input": "flowers", "schedule": "0  3 * * *", "arguments": ["--limit", "3"], "keep": ["id"]})
    assert _roles(recorder)["batch-jobs"] == SUBMITTER
    assert recorder.of("RoleAssignment")["batch-jobs"].inputs["scope"].endswith("BatchAccount/batch")
    assert len(_pool(recorder)["identity"]["userAssignedIdentities"]) == 3
    schedule = plain(recorder.one("BatchJobSchedule").inputs)
    assert schedule["schedule"] == "0 3 * * *"
    assert schedule["submitter"] == "client-batch-jobs"
    assert schedule["pool"] == _pool(recorder)["poolName"]
    assert (schedule["input"], schedule["output"]) == ("abfs://inputs/flowers", "abfs://outputs/iris")
    account = recorder.one("StorageAccount").inputs["accountName"]
    assert schedule["environment"] == {"AZURE_STORAGE_ACCOUNT_NAME": account, "AZURE_CLIENT_ID": "client-batch"}
    assert schedule["settings"] == {"SLIPWAY_JOB_KEEP": "id"}
    assert schedule["arguments"] == ["--limit", "3"]


def test_a_schedule_without_even_distances_is_refused(batch):
    with pytest.raises(pulumi.RunError, match='the schedule "0 3 1 \\* \\*" has no even distances'):
        batch({"input": "flowers", "schedule": "0 3 1 * *"})


def test_a_stack_without_azure_asks_nothing_of_it(declare, project):
    give_target(project, {}, kind="batch")
    # The plain recorder refuses every call.
    recorder = declare(targets=["batch"])
    assert not [one for one in recorder.registered if one.type.startswith("azure-native")]
    assert recorder.of("Image")


def test_azure_without_azure_is_refused(declare, project):
    give_target(project, {"engine": "azure"}, kind="batch")
    with pytest.raises(pulumi.RunError, match="engine: azure, which needs slipway:azure"):
        declare(targets=["batch"])


def test_a_local_engine_asks_nothing_of_an_azure_that_is_there(declare, project):
    give_target(project, {"engine": "local"}, kind="batch")
    recorder = declare(**settings(targets=["batch"]))
    assert not [one for one in recorder.registered if one.type.startswith("azure-native")]
