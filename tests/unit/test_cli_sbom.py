"""`slipway sbom -o` writes an image's SBOM as a whole, and ends as `slipway graph -o` does where it cannot."""

import pytest

from cli.errors import Exit
from cli.main import run
from releases import ImageRecord, ImageStore, ReleaseStore, Sbom, release_location
from tests.unit.cli_harness import FakePulumi, write_iris
from tests.unit.release_harness import model_of, release_of

MANIFEST = """models:
  - name: iris
    version: 1
    path: models/iris
    scoring: {sample: sample.json}
    targets: [local-docker]
"""
CONTENT = '{"bomFormat": "CycloneDX", "components": [{"name": "Noël"}]}\r\n'.encode()


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A stack whose release has an SBOM."""
    write_iris(tmp_path, MANIFEST)
    monkeypatch.chdir(tmp_path)
    FakePulumi(tmp_path).answers(out={"models": {}})
    location = release_location(None, tmp_path)
    model = model_of("iris")
    sbom = Sbom(digest=ImageStore(location).add_sbom(model.digest, CONTENT), components=1, tool="syft 1.33.0")
    model = model.model_copy(update={"supply_chain": ImageRecord(sbom=sbom)})
    ReleaseStore(location).add(release_of(model))
    return tmp_path


def test_the_file_is_what_was_recorded_byte_for_byte(recorded):
    assert run(["sbom", "iris", "-o", "iris.cdx.json"]) == Exit.OK
    assert (recorded / "iris.cdx.json").read_bytes() == CONTENT


@pytest.mark.parametrize("command", [["sbom", "iris"], ["graph"]])
def test_a_folder_that_is_not_there_is_wrong_usage_in_one_line(command, recorded, capsys):
    assert run([*command, "-o", "none/out"]) == Exit.USAGE
    assert capsys.readouterr().err.splitlines()[-1] == "none/out cannot be written: No such file or directory."


def test_a_file_that_cannot_be_written_to_its_end_stays_what_it_was(recorded, monkeypatch):
    file = recorded / "iris.cdx.json"
    file.write_text("before")

    def full(_from, _to):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    assert run(["sbom", "iris", "-o", str(file)]) == Exit.USAGE
    assert file.read_text() == "before"
    assert [one.name for one in recorded.iterdir() if "cdx" in one.name] == [file.name]
