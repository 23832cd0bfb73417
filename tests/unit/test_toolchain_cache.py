"""The cache: where it is, its lock between processes, and files that are whole or absent."""

import subprocess
import sys
from pathlib import Path

import pytest

from toolchain.cache import Cache, cache_home, read_json, write_atomically
from toolchain.report import ToolchainError

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys
from pathlib import Path
from toolchain.cache import Cache
with Cache(Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize(
    ("environ", "platform", "expected"),
    [
        ({"SLIPWAY_CACHE": "/c", "XDG_CACHE_HOME": "/x"}, "linux", Path("/c")),
        ({"XDG_CACHE_HOME": "/x"}, "linux", Path("/x/slipway")),
        ({}, "linux", Path.home() / ".cache" / "slipway"),
        ({}, "darwin", Path.home() / "Library" / "Caches" / "slipway"),
    ],
)
def test_the_cache_lies_where_the_user_or_the_platform_says(environ, platform, expected):
    assert cache_home(environ, platform) == expected


def test_a_cache_that_cannot_be_made_is_an_error_that_names_the_variable(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ToolchainError, match="SLIPWAY_CACHE"):
        Cache(tmp_path / "file" / "cache").prepare()


def test_an_atomic_write_sets_the_mode_and_leaves_no_other_file(tmp_path):
    path = tmp_path / "folder" / "secret"
    write_atomically(path, "text", 0o600)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_keeps_the_old_content(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\udcff")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [None, "", "{", "[]"])
def test_a_missing_or_damaged_record_counts_as_empty(tmp_path, content):
    path = tmp_path / "record.json"
    if content is not None:
        path.write_text(content)
    assert read_json(path) == {}


def test_a_second_set_up_waits_for_the_first_and_says_for_whom(tmp_path):
    cache = Cache(tmp_path)
    cache.prepare()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as waiting:
            assert f"another set-up (process {holder.pid}), which uses {tmp_path}" in waiting.stderr.readline()
            holder.communicate("\n", timeout=30)
            assert waiting.communicate(timeout=30) == ("held\n", "")


def test_a_killed_set_up_does_not_keep_the_lock(tmp_path, capsys):
    cache = Cache(tmp_path)
    cache.prepare()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        holder.kill()
    with cache.lock():
        assert capsys.readouterr().err == ""
