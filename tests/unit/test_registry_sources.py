"""Where models come from: web servers whose connections break, S3, MLflow; each byte verified, none fetched twice."""

import json
import logging
import random
import resource
import sqlite3
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import Mock
from urllib.parse import parse_qs, urlsplit

import pytest

from manifest.listing import list_files
from registry import RegistryError, bytes_of, context_folder, digest_of, open_registry
from tests.unit.registry_harness import s3, sha, tls_server, version_of

ROOT = Path(__file__).parents[2]
DATA = random.Random(7).randbytes(3_000_000)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("registry.fetch._FIRST_PAUSE", 0.001)


@pytest.fixture
def web(tmp_path, monkeypatch):
    with tls_server(tmp_path) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(server.authority))
        monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
        server.files["/m/model.onnx"] = DATA
        server.model = f"{server.url}/m/model.onnx"
        yield server


@pytest.fixture
def root(tmp_path):
    (tmp_path / "project/.slipway").mkdir(parents=True)
    return tmp_path / "project"


@pytest.fixture(scope="module")
def bucket():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with s3() as system:
        yield system


def held(root, url, checksum):
    folder = root / context_folder(url, checksum)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def leftovers(root):
    return [path.name for path in (root / ".slipway/models").iterdir() if path.suffix in {".partial", ".unknown"}]


def test_a_file_is_fetched_once_and_kept_by_its_content(web, root):
    listing = bytes_of(web.model, sha(DATA), root)
    assert listing.digest == f"sha256:{sha(DATA)}"
    assert held(root, web.model, sha(DATA)) == {"model.onnx": DATA}
    bytes_of(web.model, sha(DATA), root)
    assert len(web.requests) == 1
    assert leftovers(root) == []


def test_a_cut_connection_goes_on_where_it_broke(web, root):
    web.cuts = [1_000_000, 500_000, 1]
    bytes_of(web.model, sha(DATA), root)
    assert held(root, web.model, sha(DATA)) == {"model.onnx": DATA}
    assert [given for _, given, _ in web.requests] == [None, "bytes=1000000-", "bytes=1500000-", "bytes=1500001-"]


def test_the_next_run_goes_on_where_the_last_one_gave_up(web, root):
    web.cuts = [1_000_000, *[0] * 5]
    with pytest.raises(RegistryError, match="What came so far is kept; run it again to go on"):
        bytes_of(web.model, sha(DATA), root)
    assert held(root, web.model, sha(DATA)) == {}
    web.requests.clear()
    bytes_of(web.model, sha(DATA), root)
    assert [given for _, given, _ in web.requests] == ["bytes=1000000-"]
    assert held(root, web.model, sha(DATA)) == {"model.onnx": DATA}


def test_a_run_that_was_killed_just_before_its_last_step_is_finished_by_the_next(web, root, monkeypatch):
    monkeypatch.setattr("pathlib.Path.rename", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        bytes_of(web.model, sha(DATA), root)
    monkeypatch.undo()
    monkeypatch.setenv("SSL_CERT_FILE", str(web.authority))
    [left] = (root / ".slipway/models").glob("*.partial/model.onnx")
    opened, real = [], Path.open

    def watched(path, mode="r", *arguments, **options):
        # root may write what is read-only: who runs the tests must not make the difference.
        opened.extend([path.stat().st_mode & 0o200] if path == left and mode == "a+b" else [])
        return real(path, mode, *arguments, **options)

    monkeypatch.setattr("pathlib.Path.open", watched)
    bytes_of(web.model, sha(DATA), root)
    assert opened == [0o200]
    assert held(root, web.model, sha(DATA)) == {"model.onnx": DATA}


def test_a_server_without_ranges_is_read_from_the_start_again(web, root):
    web.ranges, web.cuts = False, [1_000_000]
    bytes_of(web.model, sha(DATA), root)
    assert held(root, web.model, sha(DATA)) == {"model.onnx": DATA}


def test_a_file_that_was_replaced_between_two_parts_is_never_mixed(web, root):
    web.cuts = [1_000_000, *[0] * 5]
    web.files["/m/model.onnx"] = b"old" * 1_000_000
    with pytest.raises(RegistryError, match="run it again"):
        bytes_of(web.model, sha(DATA), root)
    web.files["/m/model.onnx"] = DATA
    bytes_of(web.model, sha(DATA), root)
    assert held(root, web.model, sha(DATA)) == {"model.onnx": DATA}


def test_a_part_as_long_as_the_whole_file_is_enough(web, root):
    partial = (root / context_folder(web.model, sha(DATA))).with_suffix(".partial")
    partial.mkdir(parents=True)
    (partial / "model.onnx").write_bytes(DATA)
    bytes_of(web.model, sha(DATA), root)
    assert [given for _, given, _ in web.requests] == ["bytes=3000000-"]


def test_an_overloaded_server_is_asked_again(web, root):
    web.statuses = [503, 429, 500]
    bytes_of(web.model, sha(DATA), root)
    assert held(root, web.model, sha(DATA)) == {"model.onnx": DATA}


def test_other_bytes_than_the_checksum_says_are_refused_and_not_kept(web, root):
    with pytest.raises(RegistryError, match=rf"has other bytes than the manifest says: it has {sha(DATA)}"):
        bytes_of(web.model, "0" * 64, root)
    assert held(root, web.model, "0" * 64) == {}
    assert leftovers(root) == []


def test_a_kept_model_that_somebody_changed_is_fetched_again(web, root):
    bytes_of(web.model, sha(DATA), root)
    path = root / context_folder(web.model, sha(DATA)) / "model.onnx"
    path.chmod(0o644)
    path.write_bytes(DATA[:-1] + b"?")
    bytes_of(web.model, sha(DATA), root)
    assert held(root, web.model, sha(DATA)) == {"model.onnx": DATA}


@pytest.mark.parametrize(("status", "message"), [(404, "answers 404"), (403, "put them into ~/.netrc")])
def test_a_refusal_is_told_at_once(web, root, status, message):
    web.statuses = [status]
    with pytest.raises(RegistryError, match=message):
        bytes_of(web.model, sha(DATA), root)
    assert len(web.requests) == 1


def test_a_server_that_nobody_vouches_for_is_refused(web, root, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(RegistryError, match=r"certificate of 127\.0\.0\.1 is not trusted.*SSL_CERT_FILE"):
        bytes_of(web.model, sha(DATA), root)
    assert web.requests == []


def test_credentials_come_from_netrc_and_go_to_their_host_alone(web, root, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text(
        "machine 127.0.0.1 login me password canary\nmachine example.com login a password b\n"
    )
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    bytes_of(web.model, sha(DATA), root)
    assert [given for *_, given in web.requests] == ["Basic bWU6Y2FuYXJ5"]


def test_two_processes_fetch_the_same_model_once(web, root):
    fetches = [threading.Thread(target=bytes_of, args=(web.model, sha(DATA), root)) for _ in range(4)]
    for one in fetches:
        one.start()
    for one in fetches:
        one.join()
    assert len(web.requests) == 1
    assert held(root, web.model, sha(DATA)) == {"model.onnx": DATA}


def test_the_progress_is_told_with_the_whole_size(web, root):
    told = []
    bytes_of(web.model, sha(DATA), root, progress=lambda *one: told.append(one))
    assert told[-1] == ("model.onnx", len(DATA), len(DATA))
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_hashing_a_model_keeps_it_for_the_deployment(web, root):
    assert digest_of(web.model, root).digest == f"sha256:{sha(DATA)}"
    assert leftovers(root) == []
    web.requests.clear()
    bytes_of(web.model, sha(DATA), root)
    assert web.requests == []


def test_hashing_trusts_no_part_of_an_earlier_run(web, root):
    web.cuts = [1_000_000, *[0] * 5]
    web.files["/m/model.onnx"] = b"old" * 1_000_000
    with pytest.raises(RegistryError):
        digest_of(web.model, root)
    web.files["/m/model.onnx"] = DATA
    assert digest_of(web.model, root).digest == f"sha256:{sha(DATA)}"


def test_a_registered_model_is_there_when_its_source_is_gone(web, root, tmp_path):
    registry = open_registry("registry", tmp_path)
    version = registry.register(version_of(tmp_path / "m", {"model.onnx": DATA}, single=True), tmp_path / "m")
    web.files.clear()
    bytes_of(web.model, sha(DATA), root, registered=(registry, version))
    assert held(root, web.model, sha(DATA)) == {"model.onnx": DATA}
    assert web.requests == []


def test_a_registry_that_lost_the_bytes_is_no_obstacle(web, root, tmp_path):
    registry = open_registry("registry", tmp_path)
    version = version_of(tmp_path / "m", {"model.onnx": DATA}, single=True)
    bytes_of(web.model, sha(DATA), root, registered=(registry, version))
    assert held(root, web.model, sha(DATA)) == {"model.onnx": DATA}


def test_an_object_of_s3_and_a_folder_of_it(bucket, root, tmp_path):
    files = {"weights.bin": DATA, "vocabulary/words.txt": b"a b", "empty": b""}
    for name, data in files.items():
        bucket.pipe_file(f"models/big/{name}", data)
    # What the console makes when somebody clicks "create folder".
    bucket.call_s3("put_object", Bucket="models", Key="big/", Body=b"")
    bytes_of("s3://models/big/weights.bin", sha(DATA), root)
    assert held(root, "s3://models/big/weights.bin", sha(DATA)) == {"weights.bin": DATA}
    version_of(tmp_path / "same", files)
    tree = list_files(tmp_path / "same", files, single=False).digest.removeprefix("sha256:")
    assert digest_of("s3://models/big/", root).digest == f"sha256:{tree}"
    assert held(root, "s3://models/big/", tree) == files


def test_a_large_object_is_read_in_pieces(bucket, root, monkeypatch):
    monkeypatch.setattr("registry.objects._PART", 1_000_000)
    bucket.pipe_file("models/pieces.bin", DATA)
    told = []
    bytes_of("s3://models/pieces.bin", sha(DATA), root, progress=lambda *one: told.append(one))
    assert told == [("pieces.bin", done, 3_000_000) for done in (1_000_000, 2_000_000, 3_000_000)]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://models/none", "there is nothing at s3://models/none"),
        ("s3://models/none/", "there are no files at s3://models/none/"),
        ("s3://nobucket/none", "there is nothing at s3://nobucket/none"),
        ("s3://models/folder", "is a folder: write it with a / at the end"),
    ],
)
def test_what_is_not_in_s3_is_told(bucket, root, url, message):
    bucket.pipe_file("models/folder/file", b"1")
    with pytest.raises(RegistryError, match=message):
        bytes_of(url, "0" * 64, root)


def test_a_folder_with_what_an_image_cannot_take_is_refused(bucket, root):
    bucket.pipe_file("models/ignoring/.dockerignore", b"*")
    with pytest.raises(RegistryError, match=r"has a \.dockerignore"):
        bytes_of("s3://models/ignoring/", "0" * 64, root)


class _Mlflow(BaseHTTPRequestHandler):
    """Answers as MLflow 3's server does, of which these answers were taken."""

    def do_GET(self):
        server, parts = self.server, urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        server.authorizations.append(self.headers.get("Authorization"))
        if parts.path == "/api/2.0/mlflow/model-versions/get-download-uri":
            if (query["name"], query["version"]) != ("churn", "3"):
                message = f"Model Version (name={query['name']}, version={query['version']}) not found"
                self._json(404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": message})
                return
            self._json(200, {"artifact_uri": server.location})
        elif parts.path == "/api/2.0/mlflow-artifacts/artifacts":
            self._json(200, {"files": self._files(query["path"])})
        else:
            name = parts.path.removeprefix("/api/2.0/mlflow-artifacts/artifacts/")
            data = server.files[name]
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    def _files(self, top):
        found = {}
        for name, data in self.server.files.items():
            if name.startswith(f"{top}/"):
                first, _, rest = name.removeprefix(f"{top}/").partition("/")
                found[first] = {"path": first, "is_dir": bool(rest), **({} if rest else {"file_size": len(data)})}
        return list(found.values())

    def _json(self, status, value):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    def log_message(self, *arguments):
        """Keep the test's output clean."""


@pytest.fixture
def mlflow(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Mlflow)
    server.location = "mlflow-artifacts:/1/models/m-1/artifacts"
    server.files = {
        "1/models/m-1/artifacts/MLmodel": b"flavors: {}",
        "1/models/m-1/artifacts/data/model.pkl": DATA,
        "1/models/m-2/artifacts/MLmodel": b"another",
    }
    server.authorizations = []
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    server.server_close()


def test_a_version_of_an_mlflow_registry_comes_through_its_server(mlflow, root):
    listing = digest_of("mlflow:models:/churn/3", root)
    assert held(root, "mlflow:models:/churn/3", listing.tree) == {"MLmodel": b"flavors: {}", "data/model.pkl": DATA}


def test_a_version_that_mlflow_does_not_know_is_told_in_its_words(mlflow, root):
    with pytest.raises(RegistryError, match=r"answers 404: Model Version \(name=churn, version=4\) not found"):
        digest_of("mlflow:models:/churn/4", root)


def test_mlflow_gets_the_token_that_is_set(mlflow, root, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "canary")
    digest_of("mlflow:models:/churn/3", root)
    assert set(mlflow.authorizations) == {"Bearer canary"}


def test_a_version_whose_files_are_in_s3_comes_from_there(mlflow, bucket, root):
    bucket.pipe_file("models/mlflow/MLmodel", b"in s3")
    mlflow.location = "s3://models/mlflow"
    listing = digest_of("mlflow:models:/churn/3", root)
    assert held(root, "mlflow:models:/churn/3", listing.tree) == {"MLmodel": b"in s3"}


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("/no/such/folder", "of the server's machine, which is not there on this one"),
        ("dbfs:/x", "dbfs: cannot be read"),
        ("", "does not say where its files are"),
    ],
)
def test_files_of_mlflow_that_cannot_be_read_are_told(mlflow, root, location, message):
    mlflow.location = location
    with pytest.raises(RegistryError, match=message):
        digest_of("mlflow:models:/churn/3", root)


@pytest.fixture
def tracking_file(tmp_path, monkeypatch):
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts/MLmodel").write_bytes(b"local")
    connection = sqlite3.connect(tmp_path / "mlflow.db")
    connection.execute(
        "CREATE TABLE model_versions (name TEXT, version INTEGER, source TEXT, storage_location TEXT, run_id TEXT)"
    )
    location = (tmp_path / "artifacts").as_uri()
    connection.execute("INSERT INTO model_versions VALUES ('churn', 3, 'models:/m-1', ?, '')", (location,))
    connection.commit()
    connection.close()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")


@pytest.mark.usefixtures("tracking_file")
def test_a_version_of_a_local_mlflow_comes_from_its_folder(root):
    listing = digest_of("mlflow:models:/churn/3", root)
    assert held(root, "mlflow:models:/churn/3", listing.tree) == {"MLmodel": b"local"}
    with pytest.raises(RegistryError, match="there is no such version in"):
        digest_of("mlflow:models:/churn/4", root)


def test_a_file_that_is_no_tracking_store_is_told(root, tmp_path, monkeypatch):
    (tmp_path / "mlflow.db").write_bytes(b"x" * 5000)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    with pytest.raises(RegistryError, match=r"mlflow\.db cannot be read"):
        digest_of("mlflow:models:/churn/3", root)
    sqlite3.connect(tmp_path / "empty.db").execute("CREATE TABLE a (b)")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(RegistryError, match="is no tracking store of MLflow's"):
        digest_of("mlflow:models:/churn/3", root)


@pytest.mark.parametrize("tracking", [None, "databricks"])
def test_without_an_address_of_mlflow_the_variable_is_named(root, monkeypatch, tracking):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if tracking:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
    with pytest.raises(RegistryError, match="set MLFLOW_TRACKING_URI"):
        digest_of("mlflow:models:/churn/3", root)


def test_a_missing_package_is_named_with_the_command():
    # In a process of its own: fsspec remembers what it has loaded.
    program = (
        "import sys; sys.modules['s3fs'] = None\n"
        "from registry.opening import open_source\n"
        "try: open_source('s3://models/x')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("RegistryError s3://models/x needs the package s3fs")
    assert "`uv pip install s3fs`" in done.stdout


def test_a_disk_that_takes_no_more_is_told(web, root):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        with pytest.raises(RegistryError, match=r"\.slipway/models cannot keep the model: File too large"):
            bytes_of(web.model, sha(DATA), root)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
