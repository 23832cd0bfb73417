"""What a promotion moves and refuses, and how releases are recorded: pure values, folders, an object store."""

import json
import os
import signal
import time
import uuid

import pytest
import s3fs
from hypothesis import given
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

from cli.releases.promotion import Move, is_older, moves, same_answer
from releases import ReleasedModel, ReleaseError, ReleaseStore, release_location
from tests.unit.forks import FORKS, PATIENCE
from tests.unit.release_harness import add_many, model_of, release_of


def _outputs(*models):
    return {"models": {one.name: {"version": one.version, "image": one.image, "targets": {}} for one in models}}


def test_what_moves_is_told_by_model():
    release = release_of(model_of("changed", "2", "b"), model_of("new"), model_of("same"), model_of("elsewhere"))
    now = _outputs(model_of("changed"), model_of("same"), model_of("gone"))
    assert {one.model: one.what for one in moves(release, now, {"changed", "new", "same", "gone"})} == {
        "changed": "changed",
        "gone": "removed",
        "new": "new",
        "same": "unchanged",
    }


def test_to_a_stack_that_is_not_there_yet_everything_is_new():
    [one] = moves(release_of(model_of("iris")), None, {"iris"})
    assert one == Move("iris", None, ("1", "sha256:" + "a" * 64))


def test_the_same_image_in_another_registry_does_not_move():
    there = ReleasedModel(name="iris", version="1", image="prod.example.com/shop/models/iris@sha256:" + "a" * 64)
    [one] = moves(release_of(model_of("iris")), _outputs(there), {"iris"})
    assert one.what == "unchanged"


def test_older_is_what_was_released_before_what_runs_and_nothing_else():
    old, new = release_of(model_of("iris"), minutes=0), release_of(model_of("iris", digit="b"), minutes=5)
    running = release_of(model_of("iris"), stack="prod", promoted_from=f"dev/{new.id}")
    assert is_older(old, running)
    assert not is_older(new, running)
    assert not is_older(old, None)
    assert not is_older(old, release_of(stack="prod"))
    assert not is_older(old, release_of(stack="prod", promoted_from=f"staging/{new.id}"))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('{"p": [0.1, 2]}', '{"p":[0.1000000001,2.0]}', True),
        ('{"p": 0.1}', '{"p": 0.11}', False),
        ('{"p": 1}', '{"p": true}', False),
        ('{"p": null}', '{"p": 0}', False),
        ("[1]", "[1, 2]", False),
        ('{"a": 1}', '{"b": 1}', False),
        ('"x"', '"x"', True),
        ("plain text", "plain text", True),
        ("plain text", "another", False),
    ],
)
def test_answers_are_compared_as_values(one, other, same):
    assert same_answer(one, other) is same


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=10))
def test_an_answer_is_the_same_as_itself(value):
    assert same_answer(json.dumps(value), json.dumps(value, indent=1))


@pytest.fixture
def bucket(monkeypatch):
    """A bucket of a real S3 server in this process."""
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "of-this-test",
        "AWS_SECRET_ACCESS_KEY": "of-this-test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    # What one test puts there, the server of the next one still has.
    name = f"team-{uuid.uuid4().hex[:8]}"
    s3fs.S3FileSystem().mkdir(name)
    yield f"s3://{name}/releases"
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.fixture(params=["folder", "bucket"])
def store(request, tmp_path):
    location = str(tmp_path / "releases") if request.param == "folder" else request.getfixturevalue("bucket")
    return ReleaseStore(location)


def test_releases_are_listed_the_latest_first_and_found_by_the_beginning_of_their_id(store):
    assert store.releases("dev") == []
    assert store.latest("dev") is None
    first, second = release_of(model_of("iris")), release_of(model_of("iris", digit="b"), minutes=1)
    store.add(second)
    store.add(first)
    store.add(release_of(model_of("iris"), stack="prod"))
    assert store.releases("dev") == [second, first]
    assert store.releases("dev", 1) == [second]
    assert store.latest("org/project/dev") == second
    assert store.get("dev", second.id[:15]) == second
    with pytest.raises(ReleaseError, match="several releases"):
        store.get("dev", "2026")
    with pytest.raises(ReleaseError, match='has no release "2027"'):
        store.get("dev", "2027")


def test_a_release_is_never_changed(store):
    release = release_of(model_of("iris"))
    store.add(release)
    with pytest.raises(ReleaseError, match="never changed"):
        store.add(release.model_copy(update={"who": "another"}))
    assert store.releases("dev") == [release]


def test_what_is_promoted_is_the_latest_choice(store):
    assert store.promoted("prod") is None
    first, second = release_of(model_of("iris")), release_of(model_of("iris", digit="b"), minutes=1)
    store.promote("prod", first)
    store.promote("prod", second)
    assert store.promoted("prod") == second
    assert store.releases("prod") == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 2}', '{"format": 1, "id": "../../etc"}'])
def test_a_record_that_is_none_is_named(tmp_path, content):
    folder = tmp_path / "dev"
    folder.mkdir()
    (folder / f"{release_of().id}.json").write_text(content)
    with pytest.raises(ReleaseError, match=r"dev/2026\S+\.json is not a release"):
        ReleaseStore(str(tmp_path)).latest("dev")


def test_a_record_whose_id_is_not_its_files_name_is_named(store):
    release = release_of(model_of("iris"))
    store.add(release)
    edited = release.model_copy(update={"id": release_of(model_of("iris"), minutes=1).id})
    store._files.replace(f"dev/{release.id}.json", edited.model_dump_json(by_alias=True).encode())
    with pytest.raises(ReleaseError, match=rf"dev/{release.id}\.json is not a release.*: its id is {edited.id}"):
        store.latest("dev")


def test_releases_may_be_at_any_url_that_fsspec_knows(tmp_path):
    store = ReleaseStore(f"file://{tmp_path}/shared/releases")
    store.add(release_of())
    store.promote("prod", release_of())
    with pytest.raises(ReleaseError, match="never changed"):
        store.add(release_of())
    assert store.releases("dev") == [store.promoted("prod")] == [release_of()]
    with pytest.raises(ReleaseError, match=r"gs://x/y needs a package that is missing: .*gcsfs"):
        ReleaseStore("gs://x/y")


def test_what_a_later_version_adds_is_passed_over(tmp_path):
    release = release_of(model_of("iris"))
    store = ReleaseStore(str(tmp_path))
    store.add(release)
    file = tmp_path / "dev" / f"{release.id}.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "later": 1}))
    assert store.latest("dev") == release


def test_a_place_that_cannot_be_reached_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ReleaseError, match="cannot be recorded"):
        ReleaseStore(str(tmp_path / "file")).add(release_of())
    with pytest.raises(ReleaseError, match="nope://x"):
        ReleaseStore("nope://x/y")


def test_the_place_is_the_checkouts_folder_unless_the_stack_names_another(tmp_path):
    assert release_location(None, tmp_path) == str(tmp_path / ".slipway/releases")
    assert release_location("kept", tmp_path) == str(tmp_path / "kept")
    assert release_location("az://container/releases", tmp_path) == "az://container/releases"


def test_a_kill_leaves_whole_releases_or_none(tmp_path):
    for _ in range(5):
        location = str(tmp_path / f"releases-{_}")
        process = FORKS.Process(target=add_many, args=(location,))
        process.start()
        store, deadline = ReleaseStore(location), time.monotonic() + PATIENCE
        while len(store.ids("dev")) < 3:
            assert time.monotonic() < deadline
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        found = store.releases("dev")
        assert len(found) >= 3
        assert all(len(one.models) == 50 for one in found)


def test_the_id_sorts_by_time_and_differs_by_content():
    first, later = release_of(model_of("a")), release_of(model_of("a"), minutes=1)
    assert first.id < later.id
    assert release_of(model_of("b")).id != first.id
    assert model_of("iris").image_in("prod.example.com/shop") == "prod.example.com/shop/models/iris@sha256:" + "a" * 64
