"""What the program asks of Azure for models that are registered there; no engine, no Azure."""

import pulumi
import pytest
import yaml

from manifest import ManifestError, load_environment
from tests.program.azure_mocks import ARM, SUBSCRIPTION, Azure, settings, wrong

ML = "Microsoft.MachineLearningServices/workspaces"
THEIRS = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/ml/providers/{ML}/flora"
OWN = {"machineLearning": {}}


@pytest.fixture(autouse=True)
def hooks_without_callbacks(monkeypatch):
    """As in test_model_registry."""
    monkeypatch.setattr("components.scoring_image.fetched_before", lambda *_: None)


@pytest.fixture
def models(declare):
    """Declares the project, its models on this machine; returns the recorder."""

    def run(*, unknown=False, azure=None, **config):
        given = settings(targets=("local-docker",), **(OWN if azure is None else azure))
        recorder = Azure(unknown=unknown)
        return declare(
            stack="prod",
            recorder=recorder,
            preview=unknown,
            modelRegistry="azureml",
            registry="localhost:5050",
            **given,
            **config,
        )

    yield run
    pulumi.runtime.set_all_config({}, secret_keys=[])


def test_each_model_is_registered_in_the_stacks_storage_and_listed_in_its_workspace(models):
    recorder = models()
    account, workspace = (
        recorder.one("StorageAccount").inputs["accountName"],
        recorder.of("Workspace")["machine-learning"],
    )
    iris = recorder.of("RegisteredModel")["iris"].inputs
    assert iris["registry"] == f"azureml+abfs://models@{account}.blob.core.windows.net/registry"
    container = recorder.one("ModelContainer", "iris").inputs
    version = recorder.one("ModelVersion", "iris").inputs
    assert (container["name"], version["name"], version["version"]) == ("iris", "iris", "1")
    assert version["workspaceName"] == workspace.inputs["workspaceName"]
    properties = version["properties"]
    datastore = recorder.one("Datastore").inputs
    assert properties["modelUri"] == (
        f"azureml://subscriptions/{SUBSCRIPTION}/resourcegroups/{version['resourceGroupName']}"
        f"/workspaces/{version['workspaceName']}/datastores/{datastore['name']}"
        f"/paths/registry/files/{iris['digest'].removeprefix('sha256:')}/iris"
    )
    assert properties["modelType"] == "custom_model"
    tags = properties["tags"]
    assert tags["slipway.digest"] == iris["digest"]
    assert (tags["slipway.project"], tags["slipway.stack"]) == ("slipway", "prod")
    assert tags["slipway.source"] == "models/iris"
    assert set(recorder.of("ModelVersion")) == {"iris", "diabetes", "digits"}
    assert wrong(recorder) == []


def test_the_workspace_reads_the_storage_as_itself_and_has_no_key_of_it(models):
    recorder = models()
    datastore = recorder.one("Datastore").inputs["properties"]
    assert datastore["credentials"] == {"credentialsType": "None"}
    assert datastore["serviceDataAccessAuthIdentity"] == "WorkspaceSystemAssignedIdentity"
    assert datastore["containerName"] == "models"
    role = recorder.one("RoleAssignment", "models").inputs
    assert role["principalId"] == "principal-workspace"
    assert role["roleDefinitionId"].endswith("2a2b9908-6ea1-4ae2-8e65-a410df84e7d1")
    assert recorder.of("BlobContainer")["storage-models"].options.protect


def test_what_the_manifest_says_of_a_model_is_listed_too(models, project):
    path = project / "models.yaml"
    manifest = yaml.safe_load(path.read_text())
    lineage = {"data": "d", "metrics": {"auc": 0.91}}
    manifest["models"][0] |= {"framework": "mlflow", "description": "Which.", "tags": {"team": "a"}, "lineage": lineage}
    name = manifest["models"][0]["name"]
    path.write_text(yaml.safe_dump(manifest, sort_keys=False))
    recorder = models()
    properties = recorder.one("ModelVersion", name).inputs["properties"]
    assert properties["modelType"] == "mlflow_model"
    assert properties["description"] == "Which."
    tags = {
        name: properties["tags"][name] for name in ("team", "slipway.framework", "slipway.metric.auc", "slipway.data")
    }
    assert tags == {"team": "a", "slipway.framework": "mlflow", "slipway.metric.auc": "0.91", "slipway.data": "d"}


def test_in_a_workspace_of_others_names_say_whose_models_they_are(models):
    storage = f"{ARM}/providers/Microsoft.Storage/storageAccounts/theirs"
    recorder = models(azure={"machineLearning": {"id": THEIRS}, "storage": {"id": storage}})
    version = recorder.one("ModelVersion", "iris").inputs
    assert (version["name"], version["resourceGroupName"], version["workspaceName"]) == (
        "slipway-prod-iris",
        "ml",
        "flora",
    )
    assert "/resourcegroups/ml/workspaces/flora/datastores/" in version["properties"]["modelUri"]
    assert "accountName" in recorder.one("Datastore").inputs["properties"]
    assert not recorder.of("RoleAssignment")
    assert not recorder.of("Workspace")


def test_a_preview_does_not_ask_a_registry_that_is_not_there_yet(models):
    foreseen, made = models(unknown=True), models()
    assert foreseen.azure == made.azure
    # The mocks leave out what is unknown.
    assert "azureml+" not in str(foreseen.of("RegisteredModel")["iris"].inputs.get("registry"))


def test_a_version_is_listed_once_it_is_registered(models):
    recorder = models()
    assert recorder.of("ModelContainer")["iris"].options.depends_on
    assert recorder.of("ModelVersion")["iris"].options.replace_on_changes


def test_a_registry_in_a_workspace_needs_one(declare):
    with pytest.raises(ManifestError, match=r"modelRegistry: is azureml, which needs slipway:azure with `machineLear"):
        declare(modelRegistry="azureml")
    with pytest.raises(ManifestError, match=r"at least \{\} .*; a folder of that name is \./azureml"):
        declare(modelRegistry="azureml", azure={"location": "westeurope"})


def test_a_stack_that_is_promoted_to_registers_nothing():
    config = {"modelRegistry": "azureml", **settings(**OWN)}
    assert load_environment(config, source="test").registers_in_workspace
    assert not load_environment({**config, "promoteFrom": "dev"}, source="test").registers_in_workspace


def test_a_version_that_is_too_long_for_a_workspace_is_refused(models, project):
    path = project / "models.yaml"
    path.write_text(path.read_text().replace("version: 1\n", f'version: "{"1" * 31}"\n', 1))
    with pytest.raises(pulumi.RunError, match="has 31 characters; a Machine Learning workspace takes 30"):
        models()
