"""Inputs that may not be read, wholly or in part: nothing of them is passed over in silence."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from scoring.batch import first_look, reading
from scoring.batch.places import InputError, Places
from scoring.batch.plan import Part
from scoring.batch.settings import JobSettings
from scoring.variables import Reader


@pytest.fixture
def folder():
    """A folder that any user may look at, as a user whom modes bind: root they do not."""
    made = Path(os.path.realpath(tempfile.mkdtemp()))
    made.chmod(0o755)
    (made / "in" / "sub").mkdir(parents=True)
    (made / "in" / "a.csv").write_text("id,x\n1,2\n")
    (made / "in" / "sub" / "b.csv").write_text("id,x\n3,4\n")
    is_root = os.geteuid() == 0
    if is_root:
        for path in (made, *made.rglob("*")):
            os.chown(path, 65534, 65534)
        os.seteuid(65534)
    try:
        yield made / "in"
    finally:
        if is_root:
            os.seteuid(0)
        for path in made.rglob("*"):
            if not path.is_symlink():
                path.chmod(0o700)
        shutil.rmtree(made)


def found(given):
    return [inside for _, inside, _ in Places().find(str(given))]


def settings(**given):
    given = {"INPUT": "in", "OUTPUT": "out", **given}
    return JobSettings.from_reader(Reader({f"SLIPWAY_JOB_{name}": value for name, value in given.items()}))


@pytest.mark.parametrize("pattern", ["", "/**/*.csv", "/*/*.csv", "/**"])
def test_a_folder_that_cannot_be_listed_ends_the_listing(folder, pattern):
    (folder / "sub").chmod(0)
    with pytest.raises(InputError, match=r"the input's folder .*/in/sub cannot be listed: Permission denied"):
        found(f"{folder}{pattern}")


@pytest.mark.parametrize("pattern", ["/*.csv", "/a.csv"])
def test_a_folder_that_no_file_is_looked_for_in_may_be_closed(folder, pattern):
    (folder / "sub").chmod(0)
    assert found(f"{folder}{pattern}") == ["a.csv"]


def test_a_hidden_folder_may_be_closed(folder):
    (folder / "sub").rename(folder / ".sub")
    (folder / ".sub").chmod(0)
    assert found(folder) == ["a.csv"]


@pytest.mark.parametrize("pattern", ["", "/*.csv"])
def test_a_link_that_leads_out_to_where_nothing_may_be_read_is_not_followed(folder, pattern):
    closed = folder.parent / "closed"
    closed.mkdir(mode=0)
    (folder / "z.csv").symlink_to(closed / "nothing.csv")
    (folder / "y.csv").symlink_to("nowhere.csv")
    assert "a.csv" in (there := found(f"{folder}{pattern}"))
    assert not {"y.csv", "z.csv", "nothing.csv"} & set(there)


def test_a_file_in_a_folder_that_may_not_be_entered_is_refused(folder):
    (folder / "sub").chmod(0o400)
    with pytest.raises(InputError, match=r"sub/b\.csv cannot be looked at: Permission denied"):
        found(folder)


def test_a_file_that_may_not_be_read_fails_by_itself_and_says_no_types(folder):
    (folder / "a.csv").chmod(0)
    paths = [str(folder / "a.csv"), str(folder / "sub" / "b.csv")]
    types = first_look.types(settings(), Places(), [(path, "csv") for path in paths])
    assert types == {"id": "int64", "x": "int64"}
    part = Part("a", "csv", (paths[0],), 0, 9, 9)
    (block,) = reading.blocks(part, settings(), "rows", types, Places())
    (bad,) = block.bad
    assert (bad.reason, bad.is_rest) == ("the file cannot be opened: Permission denied", True)
