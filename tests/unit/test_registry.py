"""Registered versions: bound to their bytes for ever, in a folder and in S3, whoever registers at the same time."""

import json
import logging
import multiprocessing
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry import Notes, RegistryError, VersionTakenError, open_registry
from registry.record import next_free
from storage import FolderStore
from tests.unit.forks import FORKS, PATIENCE
from tests.unit.registry_harness import WHEN, s3, sha, version_of
from tests.unit.registry_killing import compete

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bucket():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with s3() as system:
        yield system


@pytest.fixture(params=["folder", "s3"])
def registry(request, tmp_path):
    if request.param == "folder":
        return open_registry(str(tmp_path / "registry"), tmp_path)
    request.getfixturevalue("bucket")
    return open_registry(f"s3://models/{tmp_path.name}", tmp_path)


def content(registry, version):
    return {file.name: b"".join(registry.fetch(version, file)) for file in version.files}


def test_what_was_registered_is_what_comes_back(registry, tmp_path):
    files = {"model.bin": b"\0" * 100_000, "vocabulary/words.txt": b"a b", "empty": b""}
    notes = Notes(framework="onnx", tags={"team": "flora"}, data="iris 2024", metrics={"accuracy": 0.97})
    wanted = version_of(tmp_path / "model", files, notes=notes)
    assert registry.register(wanted, tmp_path / "model") == wanted
    found = registry.get("iris", "1")
    assert found == wanted
    assert content(registry, found) == files
    assert registry.models() == ["iris"]
    assert registry.versions("iris") == [wanted]


def test_what_is_not_registered_is_nothing(registry):
    assert registry.models() == []
    assert registry.versions("iris") == []
    assert registry.get("iris", "1") is None


def test_the_same_version_with_other_bytes_is_refused_with_the_next_free_one(registry, tmp_path):
    first = version_of(tmp_path / "a", {"m": b"1"}, "1")
    registry.register(first, tmp_path / "a")
    registry.register(version_of(tmp_path / "b", {"m": b"2"}, "2"), tmp_path / "b")
    with pytest.raises(VersionTakenError, match="the next free version, 3,") as refused:
        registry.register(version_of(tmp_path / "c", {"m": b"3"}, "1"), tmp_path / "c")
    assert refused.value.free == "3"
    assert registry.get("iris", "1") == first
    assert content(registry, first) == {"m": b"1"}


def test_another_name_of_a_file_is_another_model(registry, tmp_path):
    registry.register(version_of(tmp_path / "a", {"m": b"1"}), tmp_path / "a")
    with pytest.raises(VersionTakenError):
        registry.register(version_of(tmp_path / "b", {"n": b"1"}), tmp_path / "b")


def test_the_same_bytes_again_change_nothing(registry, tmp_path):
    first = version_of(tmp_path / "a", {"m": b"1"})
    registry.register(first, tmp_path / "a")
    later = version_of(tmp_path / "a", {"m": b"1"}, when=WHEN + timedelta(days=1))
    assert registry.register(later, tmp_path / "a") == first
    assert registry.get("iris", "1") == first


def test_notes_change_and_nothing_else_does(registry, tmp_path):
    first = version_of(tmp_path / "a", {"m": b"1"}, notes=Notes(tags={"a": "b"}))
    registry.register(first, tmp_path / "a")
    registry.annotate("iris", "1", Notes(description="new"))
    assert registry.get("iris", "1") == first.model_copy(update={"notes": Notes(description="new")})


def test_the_latest_registered_version_is_the_first_of_the_list(registry, tmp_path):
    for days, version in enumerate(("10", "9", "2")):
        folder = tmp_path / version
        one = version_of(folder, {"m": version.encode()}, version, when=WHEN + timedelta(days=days))
        registry.register(one, folder)
    assert [one.version for one in registry.versions("iris")] == ["2", "9", "10"]


def test_a_file_that_changes_meanwhile_is_not_registered(registry, tmp_path):
    wanted = version_of(tmp_path / "a", {"m": b"1"})
    (tmp_path / "a/m").write_bytes(b"2")
    with pytest.raises(RegistryError, match="changed while it was being registered"):
        registry.register(wanted, tmp_path / "a")
    assert registry.get("iris", "1") is None


def test_a_large_model_takes_no_memory_to_speak_of(tmp_path):
    size = 600_000_000
    (tmp_path / "m").mkdir()
    with (tmp_path / "m/model.bin").open("wb") as file:
        file.truncate(size)
    program = (
        "import resource, sys; from pathlib import Path; from manifest.listing import list_files\n"
        "from registry import *; from registry.lineage import lineage_here\n"
        "root = Path(sys.argv[1]); registry = open_registry(None, root)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "listing = list_files(root / 'm', ['model.bin'], single=True)\n"
        "wanted = ModelVersion.of('m', '1', listing, lineage_here(root, 'm'), Notes())\n"
        "registry.register(wanted, root / 'm')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    # In KiB; the parts that it is copied in are 8 MiB.
    assert int(done.stdout) < 40 * 1024
    assert open_registry(None, tmp_path).get("m", "1").size == size


def test_equal_files_are_kept_once(tmp_path):
    registry = open_registry("registry", tmp_path)
    for version in ("1", "2"):
        folder = tmp_path / version
        registry.register(version_of(folder, {"same": b"x" * 1000, "own": version.encode()}, version), folder)
    blobs = [path for path in (tmp_path / "registry/blobs").rglob("*") if path.is_file()]
    assert sorted(path.name for path in blobs) == sorted([sha(b"x" * 1000), sha(b"1"), sha(b"2")])


def test_a_damaged_file_is_replaced_when_it_is_registered_again(tmp_path):
    registry = open_registry("registry", tmp_path)
    registry.register(version_of(tmp_path / "a", {"m": b"12345"}, "1"), tmp_path / "a")
    blob = tmp_path / f"registry/blobs/sha256/{sha(b'12345')[:2]}/{sha(b'12345')}"
    blob.chmod(0o644)
    blob.write_bytes(b"12")
    second = registry.register(version_of(tmp_path / "a", {"m": b"12345"}, "2"), tmp_path / "a")
    assert content(registry, second) == {"m": b"12345"}


def test_a_record_that_is_none_is_named(tmp_path):
    registry = open_registry("registry", tmp_path)
    (tmp_path / "registry/versions/iris").mkdir(parents=True)
    (tmp_path / "registry/versions/iris/1.json").write_text('{"name": "iris"}')
    with pytest.raises(RegistryError, match=r"registry/versions/iris/1\.json is no record of a model: version"):
        registry.get("iris", "1")


def test_a_record_of_a_later_slipway_is_read(tmp_path):
    registry = open_registry("registry", tmp_path)
    wanted = version_of(tmp_path / "a", {"m": b"1"})
    registry.register(wanted, tmp_path / "a")
    path = tmp_path / "registry/versions/iris/1.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "newKey": 1}))
    assert registry.get("iris", "1") == wanted


def test_a_file_system_that_knows_no_case_does_not_mix_versions_up(tmp_path):
    registry = open_registry("registry", tmp_path)
    registry.register(version_of(tmp_path / "a", {"m": b"1"}, "a"), tmp_path / "a")
    # What such a file system would answer.
    versions = tmp_path / "registry/versions/iris"
    (versions / "A.json").hardlink_to(versions / "a.json")
    with pytest.raises(VersionTakenError):
        registry.register(version_of(tmp_path / "a", {"m": b"1"}, "A"), tmp_path / "a")


@pytest.mark.parametrize("location", ["ftp://host/models", "memory://models", "file:///models"])
def test_a_place_that_cannot_keep_a_registry_safely_is_refused(location, tmp_path):
    with pytest.raises(RegistryError, match="a model registry can be a folder or at s3://, az://, abfs://, abfss://"):
        open_registry(location, tmp_path)


def test_a_folder_that_cannot_be_written_is_told_without_a_traceback(tmp_path):
    (tmp_path / "file").write_text("")
    registry = open_registry("file/registry", tmp_path)
    wanted = version_of(tmp_path / "a", {"m": b"1"})
    with pytest.raises(RegistryError, match="the model registry file/registry cannot be used: Not a directory"):
        registry.register(wanted, tmp_path / "a")


def test_a_bucket_that_is_not_there_is_told_in_one_line(bucket, tmp_path):
    registry = open_registry("s3://none/models", tmp_path)
    with pytest.raises(RegistryError, match="the model registry s3://none/models cannot be used") as refused:
        registry.register(version_of(tmp_path / "a", {"m": b"1"}), tmp_path / "a")
    assert "\n" not in str(refused.value)


def test_what_killed_processes_left_goes_and_what_living_ones_write_stays(tmp_path, monkeypatch):
    store = FolderStore(tmp_path)
    (tmp_path / "incomplete").mkdir()
    left, other = tmp_path / "incomplete/1-0123456789abcdef", tmp_path / "incomplete/20260102T030405Z-1a2b3c4d.json"
    left.write_bytes(b"half")
    other.write_bytes(b"of a stack that is called incomplete")
    store.create("a", b"1")
    assert left.exists()
    monkeypatch.setattr("storage.folder._STALE_SECONDS", -60)
    store.create("b", b"1")
    assert list((tmp_path / "incomplete").iterdir()) == [other]


@pytest.mark.parametrize(
    ("version", "taken", "free"),
    [
        ("1", ["1"], "2"),
        ("1", ["1", "2", "3", "5"], "4"),
        ("1.9", ["1.9"], "1.10"),
        ("2024-07", ["2024-07"], "2024-08"),
        ("beta", ["beta"], "beta-2"),
        ("beta", ["beta", "beta-2"], "beta-3"),
        ("v1", ["v1"], "v2"),
        ("v09", ["v09"], "v10"),
        ("RC", ["rc", "RC-2"], "RC-3"),
    ],
)
def test_the_next_free_version_counts_on(version, taken, free):
    assert next_free(version, taken) == free


_FILES = st.dictionaries(st.sampled_from(["a", "b", "c/d"]), st.binary(max_size=3), min_size=1, max_size=3)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["1", "2", "3"]), _FILES), max_size=12))
def test_whatever_is_registered_a_version_never_changes(tmp_path_factory, attempts):
    root = tmp_path_factory.mktemp("registry")
    registry = open_registry("registry", root)
    bound = {}
    for number, (version, files) in enumerate(attempts):
        folder = root / str(number)
        wanted = version_of(folder, files, version)
        if bound.setdefault(version, files) == files:
            assert registry.register(wanted, folder).digest == wanted.digest
        else:
            with pytest.raises(VersionTakenError) as refused:
                registry.register(wanted, folder)
            assert registry.get("iris", refused.value.free) is None
        for known, expected in bound.items():
            assert content(registry, registry.get("iris", known)) == expected


@pytest.mark.parametrize("where", ["folder", "s3"])
def test_of_many_writers_at_once_one_wins_and_the_others_are_told(where, tmp_path, bucket):
    # Spawned where the settings are in the environment: forks have that of the first of them.
    context = multiprocessing.get_context("spawn") if where == "s3" else FORKS
    for turn in range(2 if where == "s3" else 15):
        location = f"s3://models/{tmp_path.name}-{turn}" if where == "s3" else f"registry-{turn}"
        start, results = context.Event(), context.Queue()
        versions = {
            folder: version_of(folder, {"m": folder.name.encode() * 50_000})
            for folder in (tmp_path / f"{number}" for number in range(1, 5))
        }
        writers = [
            context.Process(target=compete, args=(location, tmp_path, version, folder, start, results))
            for folder, version in versions.items()
        ]
        for one in writers:
            one.start()
        start.set()
        said = dict(results.get(timeout=PATIENCE) for _ in writers)
        for one in writers:
            one.join()
        winners = [folder for folder, refusal in said.items() if refusal is None]
        assert len(winners) == 1
        refusals = [refusal for refusal in said.values() if refusal]
        assert len(refusals) == len(writers) - 1
        assert all("registered with other bytes" in refusal for refusal in refusals)
        registry = open_registry(location, tmp_path)
        assert content(registry, registry.get("iris", "1")) == {"m": winners[0].name.encode() * 50_000}
