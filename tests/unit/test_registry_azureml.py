"""Models by reference from a Machine Learning workspace: what it is asked, and what is said when it refuses."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import adlfs
import pytest
from azure.core.exceptions import ClientAuthenticationError

from registry import RegistryError
from registry.arm import Arm
from registry.azureml_address import with_workspace
from registry.opening import open_source
from tests.unit.azureml_standin import PLACE, SUBSCRIPTION, TOKEN, TOP, add, workspace

PLACE_OF_DATASTORE = f"{TOP}/datastores".replace("resourceGroups", "resourcegroups")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("azure_management.client._FIRST_PAUSE", 0.001)
    monkeypatch.setattr("registry.fetch._FIRST_PAUSE", 0.001)
    for name in ("AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_STORAGE_ANON", "true")


@pytest.fixture
def ml(monkeypatch):
    with workspace(monkeypatch) as server:
        yield server


def refused(url):
    with pytest.raises(RegistryError) as error:
        open_source(url)
    said = str(error.value)
    assert said.startswith(f"{url}: ")
    assert TOKEN not in said
    return said.removeprefix(f"{url}: ")


def location(source):
    return f"{source._system.account_name}:{source._path}"


def test_a_version_is_where_its_datastore_says(ml):
    url = add(ml, "churn", "3", "LocalUpload/abc/model.pkl")
    source = open_source(url)
    assert location(source) == "slipwaytest:models/LocalUpload/abc/model.pkl"
    assert source.single is False
    assert ml.requests == [
        f"{TOP}/models/churn/versions/3",
        f"{TOP}/models/churn",
        f"{PLACE_OF_DATASTORE}/workspaceblobstore",
    ]


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("azureml://datastores/workspaceblobstore/paths/a/b/", "slipwaytest:models/a/b"),
        ("https://flora7.blob.core.windows.net/azureml/a/b%20c", "flora7:azureml/a/b c"),
    ],
)
def test_a_version_may_name_a_datastore_shortly_or_a_blob(ml, uri, expected):
    assert location(open_source(add(ml, "churn", "3", uri))) == expected


def test_a_data_lake_is_read_as_blobs(ml):
    ml.datastores["lake"] = {
        "datastoreType": "AzureDataLakeGen2",
        "accountName": "flora7",
        "filesystem": "models",
        "endpoint": "core.windows.net",
    }
    url = add(ml, "churn", "3", "azureml://datastores/lake/paths/a")
    assert location(open_source(url)) == "flora7:models/a"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("https://example.com/azureml/a", "which is no blob of Azure's"),
        ("https://a.blob.core.windows.net.example.com/x/y", "which is no blob of Azure's"),
        ("azureml://jobs/bold_root_1/outputs/model/paths/m", "which is not in a datastore"),
        ("azureml://datastores/gone/paths/a", r"in the datastore gone, which is gone \(UserError"),
        ("azureml://datastores/files/paths/a", "of type AzureFile; AzureBlob and AzureDataLakeGen2 can be read"),
        ("azureml://datastores/china/paths/a", "at core.chinacloudapi.cn; only core.windows.net can be read"),
        ("azureml://datastores/odd/paths/a", "which cannot be"),
        ("azureml://datastores/workspaceblobstore/paths/a/../b", "'a/../b', which cannot be read"),
        ("azureml://datastores/workspaceblobstore/paths/a?sig=x", "which cannot be read"),
    ],
)
def test_files_that_cannot_be_read_are_told(ml, uri, message):
    ml.datastores["files"] = {"datastoreType": "AzureFile", "accountName": "flora7", "fileShareName": "a"}
    ml.datastores["china"] = {**ml.datastores["workspaceblobstore"], "endpoint": "core.chinacloudapi.cn"}
    ml.datastores["odd"] = {**ml.datastores["workspaceblobstore"], "accountName": "evil.example.com/"}
    with pytest.raises(RegistryError, match=message):
        open_source(add(ml, "churn", "3", uri))


def test_a_model_that_is_not_there_has_its_nearest_names_told(ml):
    for name in ("iris", "churns", "digits", "churn"):
        add(ml, name, "1", "a")
    said = refused(f"{PLACE}/models/churm/versions/1")
    assert said == "there is no model churm in the workspace flora: it has churn, churns and others"
    assert f"{TOP}/models" in ml.requests


def test_a_workspace_without_models_is_told(ml):
    assert refused(f"{PLACE}/models/churn/versions/1") == "there is no model churn in the workspace flora: it has none"


def test_a_version_that_is_not_there_has_the_latest_told(ml):
    add(ml, "churn", "2", "a")
    add(ml, "churn", "10", "a")
    said = refused(f"{PLACE}/models/churn/versions/3")
    assert said == "churn has no version 3 in the workspace flora: its latest is 10"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("flora", "fauna"), "there is no workspace fauna in ml: ResourceNotFound"),
        (("/ml/", "/other/"), "there is no workspace flora in other: ResourceGroupNotFound"),
        ((SUBSCRIPTION, "0" * 36), "there is no workspace flora in ml: SubscriptionNotFound"),
    ],
)
def test_a_workspace_that_is_not_there_is_told(ml, change, message):
    url = add(ml, "churn", "3", "a").replace(*change)
    assert refused(url).startswith(message)


def test_an_archived_version_is_refused_with_the_way_back(ml):
    url = add(ml, "churn", "3", "a", archived=True)
    assert refused(url) == (
        "version 3 of churn is archived: take another one, or have it back with `az ml model restore --name churn "
        "--version 3 --workspace-name flora --resource-group ml`"
    )
    url = add(ml, "churn", "4", "a")
    ml.models["churn"]["container"]["isArchived"] = True
    assert refused(url).startswith("churn is archived: take another one, or have it back with `az ml model restore")


def test_who_may_not_read_the_workspace_is_told_the_role(ml):
    body = {"error": {"code": "AuthorizationFailed", "message": "The client 'x' does not have authorization"}}
    ml.refusals = [(403, {}, body)]
    assert refused(add(ml, "churn", "3", "a")) == (
        "who is logged in to Azure may not read it (AuthorizationFailed): it takes the role Reader, or AzureML Data "
        f"Scientist, on {TOP}"
    )


def test_a_login_of_another_tenant_is_told(ml):
    body = {
        "error": {"code": "InvalidAuthenticationTokenTenant", "message": "The access token is from the wrong issuer"}
    }
    ml.refusals = [(401, {}, body)]
    assert "Azure does not take the login (InvalidAuthenticationTokenTenant" in refused(add(ml, "churn", "3", "a"))


@pytest.mark.parametrize(
    "said",
    ["DefaultAzureCredential failed to retrieve a token.\nAttempted credentials:\n…", "AADSTS700016: gone\nTrace"],
)
def test_nobody_logged_in_is_told_with_what_to_do(ml, monkeypatch, said):
    class Nobody:
        def get_token(self, *scopes):
            raise ClientAuthenticationError(said)

    monkeypatch.setattr("registry.arm.login", Nobody)
    told = refused(add(ml, "churn", "3", "a"))
    assert told.startswith("nobody is logged in to Azure here")
    assert "run `az login`" in told
    assert "Attempted" not in told
    assert ("AADSTS700016" in told) == ("AADSTS700016" in said)


def test_a_busy_api_is_asked_again_when_it_says(ml, monkeypatch):
    pauses = []
    monkeypatch.setattr("tenacity.nap.time.sleep", pauses.append)
    url = add(ml, "churn", "3", "a")
    ml.refusals = [(429, {"Retry-After": "7"}, {}), (503, {}, {}), (500, {"Retry-After": "100000"}, {})]
    open_source(url)
    assert pauses[0] == 7
    assert pauses[1] < 1
    assert pauses[2] == 60


def test_an_api_that_stays_busy_is_given_up(ml):
    url = add(ml, "churn", "3", "a")
    ml.refusals = [(503, {}, {})] * 6
    assert refused(url) == "Azure's management API answers 503 (6 attempts); run it again later"
    assert len(ml.requests) == 6


def test_an_api_that_cannot_be_reached_is_told(ml, monkeypatch):
    monkeypatch.setattr("registry.arm.ADDRESS", "http://127.0.0.1:9")
    assert refused(add(ml, "churn", "3", "a")).startswith("Azure's management API cannot be reached: ")


def test_the_token_does_not_go_where_a_list_leads(ml):
    for name in ("a", "b", "c"):
        add(ml, name, "1", "a")
    ml.elsewhere = "http://127.0.0.1:9"
    with pytest.raises(RegistryError, match=r"goes on at another server, 127\.0\.0\.1"):
        list(Arm().all(f"{TOP}/models", "a role"))


def test_an_answer_that_is_none_is_told(ml):
    ml.refusals = [(200, {}, ["no", "mapping"])]
    assert refused(add(ml, "churn", "3", "a")) == "Azure answers 200: nothing readable"


def test_credentials_of_another_account_are_refused(ml, monkeypatch):
    monkeypatch.setenv(
        "AZURE_STORAGE_CONNECTION_STRING", "DefaultEndpointsProtocol=https;AccountName=mine;AccountKey=canary"
    )
    said = refused(add(ml, "churn", "3", "a"))
    assert said == (
        "abfs://models@slipwaytest.blob.core.windows.net/a is in the account slipwaytest, and "
        "AZURE_STORAGE_CONNECTION_STRING is of mine: unset it"
    )
    assert "canary" not in said


class _Forbidden(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(403)
        self.send_header("x-ms-error-code", "AuthorizationPermissionMismatch")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815 - so the server calls it

    def log_message(self, *arguments):
        """Keep the test's output clean."""


@contextmanager
def forbidding():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Forbidden)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def test_who_may_not_read_the_blobs_is_told_the_role(ml, monkeypatch):
    url = add(ml, "churn", "3", "a")
    with forbidding() as port:
        monkeypatch.setenv(
            "AZURE_STORAGE_CONNECTION_STRING",
            f"DefaultEndpointsProtocol=http;AccountName=slipwaytest;AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:{port}/slipwaytest",
        )
        adlfs.AzureBlobFileSystem.clear_instance_cache()
        with pytest.raises(RegistryError, match="it takes the role Storage Blob Data Reader on its container") as error:
            open_source(url).files()
    assert str(error.value).startswith(f"{url}: ")


def test_the_stacks_workspace_is_put_into_a_short_address():
    assert with_workspace("azureml:churn:3", TOP) == f"{PLACE}/models/churn/versions/3"
    for url in (f"{PLACE}/models/churn/versions/3", "az://container/azureml:churn:3"):
        assert with_workspace(url, None) == url
    with pytest.raises(RegistryError, match=r"names none: set slipway:azure\.machineLearning to {id: …}, or write"):
        with_workspace("azureml:churn:3", None)


def test_a_short_address_alone_says_what_is_missing():
    with pytest.raises(RegistryError, match="does not say which workspace: write azureml://subscriptions/"):
        open_source("azureml:churn:3")
