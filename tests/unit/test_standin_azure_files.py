"""The stand-in for Azure Files, as Azure's own library meets it: what it does, and what it refuses."""

import datetime as dt
import ssl
import time
from email.utils import formatdate

import httpx
import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.storage.fileshare import ShareServiceClient

from standins.azure_files.access import CONTRIBUTOR, READER
from tests.unit.azure_files_harness import IDENTITY, share, share_for_identities

VERSION = "2026-02-06"


@pytest.fixture
def served():
    with share() as found:
        yield found


@pytest.fixture
def client(served):
    service = ShareServiceClient.from_connection_string(served.server.connection_string, retry_total=0)
    with service.get_share_client("data") as found:
        yield found


def refusal(call, *given, **named):
    with pytest.raises(HttpResponseError) as refused:
        call(*given, **named)
    code = refused.value.error_code
    return refused.value.status_code, getattr(code, "value", code)


def test_the_library_writes_reads_lists_renames_and_deletes(client, served):
    client.get_directory_client("a b").create_directory()
    file = client.get_file_client("a b/Ä.csv")
    content = bytes(range(256)) * 20_000
    file.upload_file(content)
    assert file.download_file().readall() == content
    assert file.download_file(5, 10).readall() == content[5:15]
    assert file.get_file_properties().size == len(content)
    before = file.get_file_properties().etag
    moved = file.rename_file("a b/B.csv")
    assert not file.exists()
    assert moved.get_file_properties().etag != before
    listed = {one.name: one for one in client.get_directory_client("a b").list_directories_and_files()}
    assert (list(listed), listed["B.csv"].size, listed["B.csv"].is_directory) == (["B.csv"], len(content), False)
    assert [one.name for one in client.list_directories_and_files()] == ["a b"]
    moved.delete_file()
    assert served.files() == {}


def test_a_listing_comes_in_pages_and_by_prefix(client, served):
    for name in ("a1", "A2", "b/x", "a3"):
        served.put(name, b"x")
    folder = client.get_directory_client("")
    pages = folder.list_directories_and_files(results_per_page=2).by_page()
    assert [{one.name for one in page} for page in pages] == [{"a1", "A2"}, {"a3", "b"}]
    assert [one.name for one in folder.list_directories_and_files(name_starts_with="A")] == ["a1", "A2", "a3"]


def test_a_rename_takes_the_place_of_a_file_only_where_it_is_told_to(client, served):
    served.put("a", b"a")
    served.put("b", b"b")
    served.put("folder/x", b"x")
    file = client.get_file_client("a")
    assert refusal(file.rename_file, "B") == (409, "ResourceAlreadyExists")
    assert refusal(file.rename_file, "folder", overwrite=True) == (409, "ResourceAlreadyExists")
    assert refusal(file.rename_file, "none/a") == (404, "ParentNotFound")
    assert refusal(client.get_file_client("none").rename_file, "b", overwrite=True) == (404, "ResourceNotFound")
    assert served.files() == {"a": b"a", "b": b"b", "folder/x": b"x"}
    file.rename_file("B", overwrite=True)
    assert served.files() == {"B": b"a", "folder/x": b"x"}


def test_what_is_not_there_or_of_another_kind_is_refused(client, served):
    served.put("folder/x", b"content")
    folder, file = client.get_directory_client("folder"), client.get_file_client("folder/x")
    assert refusal(folder.create_directory) == (409, "ResourceAlreadyExists")
    assert refusal(client.get_directory_client("a/b").create_directory) == (404, "ParentNotFound")
    assert refusal(client.get_file_client("a/b").create_file, 1) == (404, "ParentNotFound")
    assert refusal(client.get_file_client("folder").create_file, 1) == (409, "ResourceTypeMismatch")
    assert refusal(client.get_file_client("none").download_file) == (404, "ResourceNotFound")
    with pytest.raises(ResourceNotFoundError):
        client.get_file_client("none").get_file_properties()
    with pytest.raises(ResourceExistsError):
        client.get_directory_client("folder/x").get_directory_properties()
    assert refusal(client.get_directory_client("folder/x").create_directory) == (409, "ResourceAlreadyExists")
    assert refusal(file.download_file, 7, 1) == (416, "InvalidRange")
    assert refusal(file.upload_range, b"more", 5, 4) == (416, "InvalidRange")
    assert refusal(file.upload_range, b"x" * (4 * 2**20 + 1), 0, 4 * 2**20 + 1) == (413, "RequestBodyTooLarge")
    assert refusal(folder.delete_directory) == (405, "UnsupportedHttpVerb")
    assert served.files() == {"folder/x": b"content"}


def test_names_are_those_of_windows(client, served):
    for name, code in {
        "a:b": "InvalidResourceName",
        "nul": "InvalidResourceName",
        "x" * 256: "InvalidFileOrDirectoryPathName",
    }.items():
        assert refusal(client.get_file_client(name).create_file, 0) == (400, code)
    client.get_file_client("Name.").create_file(0)
    assert client.get_file_client("nAME").exists()
    assert list(served.files()) == ["Name"]


def test_who_signs_with_another_key_or_for_another_account_is_refused(served):
    string = served.server.connection_string
    key = string.partition("AccountKey=")[2].partition(";")[0]
    for wrong in (string.replace(key, "c2VjcmV0"), string.replace("AccountName=files", "AccountName=other")):
        client = ShareServiceClient.from_connection_string(wrong, retry_total=0).get_share_client("data")
        with pytest.raises(ClientAuthenticationError, match="Make sure the value of Authorization header"):
            list(client.list_directories_and_files())


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"authorization": None}, 401, "NoAuthenticationInformation"),
        ({"authorization": "Bearer none"}, 401, "InvalidAuthenticationInfo"),
        ({"x-ms-version": None}, 400, "MissingRequiredHeader"),
        ({"x-ms-version": "2021-04-10"}, 400, "InvalidHeaderValue"),
        ({"x-ms-date": None}, 400, "MissingRequiredHeader"),
        ({"x-ms-date": formatdate(time.time() - 1000, usegmt=True)}, 403, "AuthenticationFailed"),
        ({"x-ms-file-request-intent": None}, 400, "MissingRequiredHeader"),
        ({"x-ms-rang": "bytes=0-1"}, 400, "InvalidUri"),
    ],
)
def test_a_request_lacks_nothing_and_has_nothing_too_much(tmp_path, change, status, code):
    with share_for_identities(tmp_path, READER) as served:
        served.put("a", b"content")
        answer = _ask(served, change)
        assert (answer.status_code, answer.headers["x-ms-error-code"]) == (status, code)
        assert f"<Code>{code}</Code>" in answer.text
        assert ("WWW-Authenticate" in answer.headers) == (status == 401)
        assert _ask(served, {}).content == b"content"


@pytest.mark.parametrize(
    ("role", "claims", "status"),
    [
        (READER, {}, 200),
        (CONTRIBUTOR, {"audience": "https://files.file.core.windows.net/"}, 200),
        (None, {}, 403),
        (READER, {"audience": "https://management.azure.com/"}, 401),
        (READER, {"now": dt.datetime(2026, 1, 1, tzinfo=dt.UTC).timestamp(), "life": 60}, 401),
    ],
)
def test_a_token_counts_for_its_audience_its_time_and_its_role(tmp_path, role, claims, status):
    with share_for_identities(tmp_path, role) as served:
        served.put("a", b"content")
        token = _token(served, **claims)
        assert _ask(served, {"authorization": f"Bearer {token}"}).status_code == status


def _token(served, *, audience="https://storage.azure.com", **given):
    return served.server.tokens.issue(IDENTITY, audience, **given)["access_token"]


def _ask(served, change):
    headers = {
        "authorization": f"Bearer {_token(served)}",
        "x-ms-version": VERSION,
        "x-ms-date": formatdate(usegmt=True),
        "x-ms-file-request-intent": "backup",
        **change,
    }
    headers = {name: value for name, value in headers.items() if value is not None}
    trusted = ssl.create_default_context(cafile=served.variables["REQUESTS_CA_BUNDLE"])
    return httpx.get(f"{served.server.url}/data/a", headers=headers, verify=trusted)
