"""Files of a storage that a job reads by their path: each has a place of its own on this machine."""

import fsspec
import pytest

from scoring.batch.places import Places


@pytest.fixture
def storage():
    found = fsspec.filesystem("memory")
    found.store.clear()
    yield found
    found.store.clear()


def test_files_keep_their_names_and_never_meet(storage, tmp_path):
    names = ["in/cat@img.png", "in/dog@img.png", "in/a/img.png", "in/b/img.png"]
    for name in names:
        storage.pipe_file(f"/{name}", name.encode())
    places = Places()

    found = [places.download(f"memory://{name}", tmp_path) for name in names]

    assert len(set(found)) == 4
    for name, path in zip(names, found, strict=True):
        assert path.endswith("/" + name.rpartition("/")[2])
        with open(path, "rb") as file:  # noqa: PTH123 - as scripts do
            assert file.read() == name.encode()


@pytest.mark.parametrize("name", ["in/..", "in/", "in/."])
def test_a_key_that_is_no_name_is_no_file(storage, tmp_path, name):
    storage.pipe_file("/in/x", b"x")
    with pytest.raises(FileNotFoundError):
        Places().download(f"memory://{name}", tmp_path)
    assert list(tmp_path.iterdir()) == []
