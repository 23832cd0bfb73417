"""The kept hashes of large files: right whatever happens to the file, the store and other processes."""

import hashlib
import json
import os
import time

import pytest

from manifest import content
from manifest.hash_cache import HashCache
from tests.unit.forks import FORKS

SIZE = 1024 * 1024


def later():
    """A clock for which everything was written long ago."""
    return time.time_ns() + 60_000_000_000


@pytest.fixture
def store(tmp_path):
    return tmp_path / "hashes.json"


@pytest.fixture
def large(tmp_path):
    path = tmp_path / "large.bin"
    path.write_bytes(b"a" * SIZE)
    return path


def digest(store, path, clock=later):
    cache = HashCache(store, clock)
    value = cache.digest(path)
    cache.save()
    return value.hex()


def true_digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def entries(store):
    return json.loads(store.read_text())["files"]


def test_a_kept_hash_is_used(store, large):
    assert digest(store, large) == true_digest(large)
    (kept,) = entries(store).values()
    kept[-1] = "0" * 64
    store.write_text(json.dumps({"format": 1, "files": {str(large): kept}}))
    assert digest(store, large) == "0" * 64


def test_other_bytes_of_the_same_size_and_time_are_seen(store, large):
    digest(store, large)
    times = (large.stat().st_atime_ns, large.stat().st_mtime_ns)
    large.write_bytes(b"b" * SIZE)
    os.utime(large, ns=times)
    assert digest(store, large) == true_digest(large)


def test_a_file_put_in_its_place_is_seen(store, large, tmp_path):
    digest(store, large)
    (tmp_path / "new").write_bytes(b"b" * SIZE)
    os.utime(tmp_path / "new", ns=(0, large.stat().st_mtime_ns))
    (tmp_path / "new").replace(large)
    assert digest(store, large) == true_digest(large)


def test_a_file_that_was_just_written_is_not_kept(store, large):
    digest(store, large, clock=time.time_ns)
    assert not store.exists()


def test_small_files_are_not_kept(store, tmp_path):
    (tmp_path / "small").write_bytes(b"a" * (SIZE - 1))
    assert digest(store, tmp_path / "small") == true_digest(tmp_path / "small")
    assert not store.exists()


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "{",
        "[]",
        "null",
        '"x"',
        '{"format": 2, "files": {}}',
        '{"format": 1}',
        '{"format": 1, "files": []}',
        '{"format": 1, "files": {"%s": [1]}}',
        '{"format": 1, "files": {"%s": [1, 2, 3, 4, "xyz"]}}',
        "[" * 100_000,
        "\x00\xff",
    ],
)
def test_a_damaged_store_counts_as_empty(store, large, damaged):
    store.write_text(damaged.replace("%s", str(large)), encoding="latin-1")
    assert digest(store, large) == true_digest(large)
    assert list(entries(store)) == [str(large)]


def test_a_store_that_cannot_be_written_is_no_failure(tmp_path, large):
    assert digest(tmp_path / "missing" / "hashes.json", large) == true_digest(large)


def test_files_that_went_away_leave_the_store(store, large, tmp_path):
    digest(store, large)
    large.unlink()
    (tmp_path / "other.bin").write_bytes(b"b" * SIZE)
    digest(store, tmp_path / "other.bin")
    assert list(entries(store)) == [str(tmp_path / "other.bin")]


def _many(store, folder, number):
    for turn in range(10):
        digest(store, folder / f"{(number + turn) % 4}.bin")


def test_processes_that_share_a_store_never_damage_it(store, tmp_path):
    for number in range(4):
        (tmp_path / f"{number}.bin").write_bytes(bytes([number]) * SIZE)
    processes = [FORKS.Process(target=_many, args=(store, tmp_path, number)) for number in range(4)]
    for process in processes:
        process.start()
    while any(process.is_alive() for process in processes):
        assert not store.exists() or all(len(entry) == 5 for entry in entries(store).values())
    assert [process.exitcode for process in processes] == [0] * 4
    for number in range(4):
        assert digest(store, tmp_path / f"{number}.bin") == true_digest(tmp_path / f"{number}.bin")
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".hashes")]


def test_the_store_is_in_the_projects_own_state(tmp_path, monkeypatch):
    monkeypatch.setattr("manifest.hash_cache._SETTLE_NS", -60_000_000_000)
    folder = tmp_path / "models" / "iris"
    folder.mkdir(parents=True)
    (folder / "model.bin").write_bytes(b"a" * SIZE)
    without = content.digest_tree(folder, ["model.bin"])
    assert [one.name for one in tmp_path.iterdir()] == ["models"]
    (tmp_path / ".slipway").mkdir()
    assert content.digest_tree(folder, ["model.bin"]) == without
    assert list(entries(tmp_path / ".slipway" / "hashes.json")) == [str(folder / "model.bin")]
    assert content.digest_tree(folder, ["model.bin"]) == without
