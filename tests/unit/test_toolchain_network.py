"""A network that refuses official downloads is asked once a day, unless the user says otherwise."""

import hashlib
import time

import pytest

from tests.unit.toolchain_harness import context_in, serving
from toolchain.cache import read_json, write_json
from toolchain.network import Network, download, read_text
from toolchain.report import ToolchainError

CLOSED = "http://127.0.0.1:1/"  # Nothing may listen on port 1.


def test_a_server_that_answers_is_reached_and_not_asked_again_within_a_day(tmp_path):
    with serving({"/": b"welcome"}) as (address, asked):
        assert Network(context_in(tmp_path)).reaches(f"{address}/")
        assert Network(context_in(tmp_path)).reaches(f"{address}/")
    assert asked == ["/"]


def test_a_refusal_is_remembered_and_asked_again_on_request(tmp_path):
    with serving({"/": b"welcome"}) as (address, asked):
        Network(context_in(tmp_path)).remember(f"{address}/", reaches=False)
        assert not Network(context_in(tmp_path)).reaches(f"{address}/")
        assert asked == []
        assert Network(context_in(tmp_path, {"SLIPWAY_OFFICIAL": "1"})).reaches(f"{address}/")
        assert asked == ["/"]
        assert Network(context_in(tmp_path)).reaches(f"{address}/")


def test_a_refusal_is_asked_again_after_a_day(tmp_path):
    with serving({"/": b"welcome"}) as (address, asked):
        context = context_in(tmp_path)
        Network(context).remember(f"{address}/", reaches=False)
        path = context.cache.home / "network.json"
        write_json(path, {f"{address}/": {"reaches": False, "at": time.time() - 25 * 3600}})
        assert Network(context).reaches(f"{address}/")
        assert asked == ["/"]
        assert read_json(path)[f"{address}/"]["reaches"] is True


def test_nothing_is_asked_where_the_user_forbids_it(tmp_path):
    with serving({"/": b"welcome"}) as (address, asked):
        assert not Network(context_in(tmp_path, {"SLIPWAY_OFFICIAL": "0"})).reaches(f"{address}/")
    assert asked == []


def test_an_unreachable_server_is_no_error(tmp_path):
    assert not Network(context_in(tmp_path)).reaches(CLOSED)


def test_a_download_arrives_whole_with_its_checksum(tmp_path):
    content = bytes(range(256)) * 4096
    told = []
    with serving({"/file": content}) as (address, _):
        checksum = download(f"{address}/file", tmp_path / "folder" / "file", told.append)
    assert checksum == hashlib.sha256(content).hexdigest()
    assert (tmp_path / "folder" / "file").read_bytes() == content
    assert told[-1] == "1 of 1 MB"


def test_a_failed_download_leaves_no_file_and_names_the_address(tmp_path):
    with pytest.raises(ToolchainError, match=r"http://127\.0\.0\.1:1/file cannot be downloaded"):
        download(f"{CLOSED}file", tmp_path / "file", print)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_text_names_the_address():
    with serving({}) as (address, _), pytest.raises(ToolchainError, match=f"{address}/list cannot be downloaded"):
        read_text(f"{address}/list")
