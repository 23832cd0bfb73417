"""Azure Files as a file system: what is written is whole or not there, and what the service refuses is told."""

import errno
import itertools
import os
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from azure.core.exceptions import AzureError
from azure.identity import ClientSecretCredential, DefaultAzureCredential
from azure.storage.fileshare import ShareServiceClient

from jobs.output import Output
from scoring.batch.places import InputError, Places, StorageError
from scoring.storage import connect, open_store
from standins.azure_files.access import CONTRIBUTOR, READER
from tests.system.azurite import Proxy
from tests.unit.azure_files_harness import share, share_for_identities

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch):
    for name in [one for one in os.environ if one.startswith("AZURE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def served(monkeypatch):
    with share() as found:
        for name, value in found.variables.items():
            monkeypatch.setenv(name, value)
        yield found


def through(monkeypatch, served):
    """A proxy before the share, which the environment leads to; what fails is tried again soon."""
    soon = {"retry_total": 3, "initial_backoff": 0.01, "increment_base": 0, "random_jitter_range": 0}
    monkeypatch.setattr("scoring.azure_files._RETRIES", soon)
    port = served.server.server_address[1]
    proxy = Proxy(port)
    string = served.server.connection_string.replace(f":{port}/", f":{proxy.port}/")
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", string)
    return proxy


def found(given):
    return [(inside, size) for _, inside, size in Places().find(given)]


def test_globs_and_folders_find_what_is_there_and_leave_out_what_is_hidden(served):
    names = ["in/day=1/a.csv", "in/day=1/Ärger und Öl.csv", "in/day=2/b #1 100%.csv", "in/x.jsonl"]
    hidden = ["in/.a.csv", "in/_temporary/c.csv", "in/day=1/.part/d.csv", "in/day=2/_SUCCESS"]
    for name in names + hidden:
        served.put(name, name.encode())

    def sized(*names):
        return sorted((name.removeprefix("in/"), len(name.encode())) for name in names)

    assert sorted(found("azfiles://data/in")) == sized(*names)
    assert sorted(found("azfiles://data/in/**/*.csv")) == sized(*names[:3])
    assert sorted(found("azfiles://data/in/*/[aÄ]*.csv")) == sized(*names[:2])
    assert found("azfiles://data/in/x.jsonl") == [("x.jsonl", 10)]
    for path, _, _ in Places().find("azfiles://data/in"):
        with Places().open(path) as stream:
            assert stream.read().decode() == path.removeprefix("azfiles://data/")


def test_a_folder_is_listed_whole_whatever_number_of_pages_it_takes(served):
    for number in range(5001):
        served.put(f"in/{number:04}.csv", b"x")
    assert len(found("azfiles://data/in")) == 5001
    assert served.server.asked.count("list_directory") == 2


def test_a_folder_that_goes_while_others_are_listed_is_no_error(served):
    served.put("in/a/x.csv", b"x")
    served.put("in/b/y.csv", b"y")
    files, _ = connect("azfiles://data/in")
    walked = files.walk("data/in")
    next(walked)
    del served.server.operations.shares["data"].nodes["in/a"]
    assert [names for _, _, names in walked] == [["y.csv"]]


@pytest.mark.parametrize("given", ["azfiles://data/none", "azfiles://data/in/*.xml", "azfiles://none/in"])
def test_an_input_that_is_not_there_is_a_mistake(served, given):
    served.put("in/a.csv", b"x")
    with pytest.raises(InputError, match="has no files"):
        found(given)


def test_what_is_found_in_another_account_is_read_there(tmp_path, monkeypatch):
    with share_for_identities(tmp_path, READER) as there:
        there.put("in/a.csv", b"content")
        for name, value in {**there.variables, "AZURE_STORAGE_ACCOUNT_NAME": "another"}.items():
            monkeypatch.setenv(name, value)
        places = Places()
        [(path, _, _)] = places.find(f"{there.url}/in/*.csv")
        assert path == f"{there.url}/in/a.csv"
        with places.open(path) as stream:
            assert stream.read() == b"content"


def test_files_of_any_size_come_back_as_they_were(served, tmp_path):
    files, _ = connect("azfiles://data")
    for size in (0, 1, 4 * 2**20, 9 * 2**20 + 1):
        content = random.Random(size).randbytes(size)
        files.pipe_file("data/deep/er/file", content)
        assert files.cat_file("data/deep/er/file") == content
        files.get_file("data/deep/er/file", str(tmp_path / "copy"))
        assert (tmp_path / "copy").read_bytes() == content
        with files.open("data/deep/er/file", block_size=2**20) as stream:
            assert stream.read() == content
        assert files.info("data/deep/er/file")["size"] == size


@pytest.mark.parametrize("name", ["n" * 255, "dot.", "-", "a b/Größe=1/x%20+&#.csv", "d/" * 90 + "x"])
def test_names_that_the_service_takes_are_kept(served, name):
    store = open_store("azfiles://data/out")
    store.put(name, b"content")
    assert store.get(name) == b"content"
    assert served.files("out") == {name: b"content"}
    assert store.sizes("") == {name: 7}
    store.delete(name)
    store.delete(name)
    assert served.files("out") == {}
    assert store.sizes("none") == {}


@pytest.mark.parametrize("name", ["n" * 256, "a:b", "con/x"])
def test_a_name_that_the_service_refuses_is_refused_for_good(served, name):
    with pytest.raises(PermissionError, match=r"InvalidResourceName|InvalidFileOrDirectoryPathName"):
        open_store("azfiles://data/out").put(name, b"x")
    assert served.files() == {}


def test_a_reader_gets_the_old_file_or_the_new_one_and_never_both(served):
    files, _ = connect("azfiles://data")
    contents = [bytes([letter]) * 300_000 for letter in b"abcdef"]
    files.pipe_file("data/x", contents[0])
    stop, seen = threading.Event(), set()

    def read():
        while not stop.is_set():
            try:
                with files.open("data/x", block_size=20_000) as stream:
                    seen.add(stream.read(100_000) + stream.read())
            except OSError as error:
                seen.add(error.errno)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for one in readers:
        one.start()
    for content in itertools.islice(itertools.cycle(contents), 60):
        files.pipe_file("data/x", content)
    stop.set()
    for one in readers:
        one.join()
    assert seen <= {*contents, errno.ESTALE}
    assert seen & set(contents)


def test_a_file_that_is_replaced_while_it_is_read_is_an_error(served):
    files, _ = connect("azfiles://data")
    files.pipe_file("data/x", b"a" * 100_000)
    with files.open("data/x", block_size=1000) as stream:
        assert stream.read(10) == b"a" * 10
        files.pipe_file("data/x", b"b" * 100_000)
        with pytest.raises(OSError, match="replaced while it was read"):
            stream.read()


def test_a_list_of_inputs_that_is_replaced_while_it_is_read_is_no_mistake(monkeypatch, served):
    served.put("list", b"azfiles://data/in\n")
    answered = served.server.operations.get_file

    def get_file(request):
        served.put("list", b"azfiles://data/in\n")
        return answered(request)

    monkeypatch.setattr(served.server.operations, "get_file", get_file)
    with pytest.raises(StorageError, match="replaced while it was read") as told:
        found("@azfiles://data/list")
    assert not told.value.is_lasting


@pytest.mark.parametrize("mode", ["refuse", "down", "cut"])
@pytest.mark.parametrize("nth", range(1, 5))
def test_what_was_there_stays_until_the_new_file_is_whole(monkeypatch, served, mode, nth):
    served.put("out/x", b"old")
    proxy = through(monkeypatch, served)
    new = b"new" * 2_000_000
    proxy.fail_from(nth, mode)
    files, _ = connect("azfiles://data")
    with pytest.raises(AzureError):
        files.pipe_file("data/out/x", new)
    # An answer that is lost leaves what was asked for.
    there = served.files("out")["x"]
    assert there == (new if (nth, mode) == (4, "cut") else b"old")
    proxy.mode = "pass"
    files.pipe_file("data/out/x", new)
    assert served.files("out")["x"] == new
    proxy.close()


def test_what_could_not_be_put_in_its_place_leaves_nothing_beside_it(monkeypatch, served):
    proxy = through(monkeypatch, served)
    proxy.fail_from(5, "refuse")
    with pytest.raises(AzureError):
        open_store("azfiles://data").put("out/x", b"x")
    proxy.close()
    assert served.files() == {}


def test_of_many_who_create_a_file_one_does(served):
    store = open_store("azfiles://data/out")
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: store.create("job/plan.json", b"%d" % number), range(8)))
    assert made.count(True) == 1
    assert served.files("out") == {"job/plan.json": b"%d" % made.index(True)}


def test_a_request_that_fails_is_tried_again(monkeypatch, served):
    served.put("in/a.csv", b"content")
    proxy = through(monkeypatch, served)
    proxy.methods = {b"GET", b"HEAD"}
    proxy.mode = "refuse"
    proxy.fail_from(3, "pass")
    assert found("azfiles://data/in/a.csv") == [("a.csv", 7)]
    proxy.close()
    assert proxy.failed


def test_a_storage_that_is_away_is_not_taken_for_an_empty_one(monkeypatch, served):
    served.put("in/a.csv", b"content")
    proxy = through(monkeypatch, served)
    proxy.methods = {b"GET", b"HEAD"}
    for given in ("azfiles://data/in", "azfiles://data/in/*.csv", "azfiles://data/in/a.csv"):
        proxy.mode = "down"
        with pytest.raises(StorageError, match="cannot be listed"):
            found(given)
    proxy.close()


def test_an_identity_reads_and_writes_by_its_role(tmp_path, monkeypatch):
    for role in (CONTRIBUTOR, READER, None):
        with share_for_identities(tmp_path / str(role), role) as served:
            served.put("in/a.csv", b"content")
            for name, value in served.variables.items():
                monkeypatch.setenv(name, value)
            if role is None:
                with pytest.raises(StorageError, match="Storage File Data Privileged Contributor on the share") as told:
                    found(f"{served.url}/in")
                assert told.value.is_lasting
                continue
            assert found(f"{served.url}/in") == [("a.csv", 7)]
            store = open_store(f"{served.url}/out")
            if role == READER:
                with pytest.raises(PermissionError, match="AuthorizationPermissionMismatch"):
                    store.put("x", b"x")
                continue
            store.put("x", b"x")
            assert store.create("x", b"y") is False
            assert served.files("out") == {"x": b"x"}
            assert len(served.issued) == 2


def test_a_key_of_another_account_or_a_wrong_one_is_refused(monkeypatch, served):
    with pytest.raises(InputError, match="its account is another, and AZURE_STORAGE_CONNECTION_STRING is of files"):
        found("azfiles://data@another/in")
    string = served.server.connection_string
    key = string.partition("AccountKey=")[2].partition(";")[0]
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", string.replace(key, "c2VjcmV0"))
    with pytest.raises(StorageError, match="AuthenticationFailed") as told:
        found("azfiles://data/in")
    assert told.value.is_lasting


@pytest.mark.parametrize("secret", ["AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN"])
def test_a_secret_beside_the_name_of_an_account_is_for_no_other(monkeypatch, secret):
    monkeypatch.setenv(secret, "aGlkZGVu")
    connect("azfiles://data@another/in")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "shop")
    connect("azfiles://data@shop.file.core.usgovcloudapi.net/in")
    wrong = f"its account is another, and {secret} is of shop, which AZURE_STORAGE_ACCOUNT_NAME names: set both for"
    with pytest.raises(InputError, match=wrong) as told:
        found("azfiles://data@another/in")
    assert "aGlkZGVu" not in str(told.value)


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        ({"ACCOUNT_KEY": "a2V5"}, "SharedKeyCredentialPolicy"),
        ({"SAS_TOKEN": "sv=1&sig=hidden"}, "NoneType"),
        ({"TENANT_ID": "t", "CLIENT_ID": "c", "CLIENT_SECRET": "s"}, ClientSecretCredential.__name__),
        ({"ANON": "false"}, DefaultAzureCredential.__name__),
    ],
)
def test_credentials_are_those_that_blobs_are_reached_by(monkeypatch, variables, kind):
    for name, value in {**variables, "ACCOUNT_NAME": "shop"}.items():
        monkeypatch.setenv(f"AZURE_STORAGE_{name}", value)
    for url in ("azfiles://data/x", "azfiles://data@shop/x"):
        service = connect(url)[0]._service
        assert isinstance(service, ShareServiceClient)
        assert service.primary_hostname == "shop.file.core.windows.net"
        assert type(service.credential).__name__ == kind
        assert ("sig=hidden" in service.url) == ("SAS_TOKEN" in variables)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("azfiles://data/in", "it names no account; write azfiles://SHARE@ACCOUNT/PATH"),
        ("azfiles://Data@shop/in", "it has to be azfiles://SHARE@ACCOUNT/PATH"),
        ("azfiles://d*@shop/in", "it has to be azfiles://SHARE@ACCOUNT/PATH"),
        ("azfiles://data@shop/in/../x", "it has to be azfiles://SHARE@ACCOUNT/PATH"),
    ],
)
def test_an_address_that_leads_nowhere_is_a_mistake(url, message):
    with pytest.raises(InputError, match=message):
        found(url)


def test_results_are_read_from_there(served):
    served.put("out/one/job/progress/0-of-1.json", _progress())
    served.put("out/one/predictions/a.csv.jsonl", b'{"x": 1}\n{"x": 2}\n')
    served.put("out/one/predictions/.0123.partial", b"{")
    output = Output("azfiles://data/out/one")
    assert output.progress(1).items == 2
    assert output.files("predictions") == {"a.csv.jsonl": 18}
    assert output.head("predictions", 5) == [{"x": 1}, {"x": 2}]
    assert output.files("errors") == {}


def _progress():
    return (
        b'{"state": "complete", "parts": {"done": 1, "of": 1}, "bytes": {"done": 2, "of": 2}, "items": 2, "failed": 0,'
        b' "items_per_second": 1, "seconds_left": 0}'
    )


def test_who_does_not_use_it_does_not_load_it(tmp_path):
    (tmp_path / "a.csv").write_text("x")
    code = (
        "import sys\nfrom scoring.batch.places import Places\nfrom scoring.storage import open_store\n"
        "list(Places().find(sys.argv[1])); open_store(sys.argv[1]).put('b', b'')\n"
        "print([name for name in sys.modules if name.startswith(('azure', 'fsspec'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
