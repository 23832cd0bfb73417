"""kill -9 while a version is registered or fetched: the old or the new version is there, never half of one."""

import random
import time

from registry import bytes_of, context_folder, open_registry
from registry import source as sources
from tests.unit import registry_killing
from tests.unit.registry_harness import sha, version_of
from tests.unit.registry_killing import Slow, killed

FILES = {f"layer-{number}.bin": bytes([number]) * 300_000 for number in range(6)}
ROUNDS = 150


def _check(registry, expected):
    """Every version that is listed is whole; each of `expected` is listed, or was not yet registered."""
    found = {}
    for version in registry.versions("iris"):
        found[version.version] = {file.name: b"".join(registry.fetch(version, file)) for file in version.files}
    for version, files in found.items():
        assert files == expected[version], version
    return set(found)


def test_killed_at_each_line_a_version_is_whole_or_not_there(tmp_path):
    old = version_of(tmp_path / "old", {"m": b"old"}, "1")
    files = {"a": b"a" * 1000, "b/c": b"b" * 1000}
    new = version_of(tmp_path / "new", files, "2")
    expected = {"1": {"m": b"old"}, "2": files}
    line, whole = 0, set()
    while True:
        line += 1
        registry = open_registry(f"registry-{line}", tmp_path)
        registry.register(old, tmp_path / "old")
        ended = not killed(registry_killing.register, registry, new, tmp_path / "new", line=line)
        there = _check(registry, expected)
        whole.add("2" in there)
        assert "1" in there
        # Whatever was left is in nobody's way.
        registry.register(new, tmp_path / "new")
        assert _check(registry, expected) == {"1", "2"}
        if ended:
            break
    assert line > 50
    assert whole == {True, False}


def test_killed_at_random_moments_nothing_is_ever_half(tmp_path):
    registry = open_registry("registry", tmp_path)
    generator = random.Random(20261124)
    began = time.monotonic()
    first = version_of(tmp_path / "0", {name: data + b"0" for name, data in FILES.items()}, "0")
    registry.register(first, tmp_path / "0")
    seconds = time.monotonic() - began
    expected = {"0": {name: data + b"0" for name, data in FILES.items()}}
    kills = 0
    for number in range(1, ROUNDS + 1):
        version = str(number)
        files = {name: data + version.encode() for name, data in FILES.items()}
        wanted = version_of(tmp_path / "work", files, version)
        expected[version] = files
        after = generator.uniform(0, seconds * 1.5)
        kills += killed(registry_killing.register, registry, wanted, tmp_path / "work", after=after)
    there = _check(registry, expected)
    assert "0" in there
    assert kills > 0
    # The place stays usable for exactly the versions that were lost.
    last = version_of(tmp_path / "work", {name: data + b"9" for name, data in FILES.items()}, "last")
    registry.register(last, tmp_path / "work")
    assert _check(registry, expected | {"last": {name: data + b"9" for name, data in FILES.items()}}) == there | {
        "last"
    }


def test_a_fetch_killed_at_each_line_leaves_no_half_model_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("registry.fetch.open_source", lambda _: Slow())
    url, checksum = "https://host/model.bin", sha(Slow.data)
    assert sources.is_folder(url) is False
    for line in range(1, 400, 3):
        root = tmp_path / str(line)
        folder = root / context_folder(url, checksum)
        ended = not killed(registry_killing.fetch, url, checksum, root, line=line)
        if folder.exists():
            assert (folder / "model.bin").read_bytes() == Slow.data
        bytes_of(url, checksum, root)
        assert (folder / "model.bin").read_bytes() == Slow.data
        if ended:
            return
    raise AssertionError("it was never let come to its end")
