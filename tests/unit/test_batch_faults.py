"""How a batch job ends when something fails: 75 where the same again may go on, another code where it would not."""

import errno
import os

import pytest

from scoring.batch import batch
from tests.unit.batch_harness import errors, put, results, run


def test_results_whose_names_are_too_long_end_the_job_for_good(tmp_path):
    put(tmp_path, f"{'n' * 200}.csv", "x\n1\n")
    log = run(tmp_path, expect=1)
    assert log.count("File name too long") == 1
    assert "Traceback" not in log


@pytest.mark.parametrize(("number", "code"), [(errno.ESTALE, 75), (errno.ENOSPC, 75), (errno.EROFS, 2)])
def test_an_output_that_cannot_be_made_is_a_mistake_only_where_it_lasts(tmp_path, monkeypatch, capfd, number, code):
    def mkdir(path, *_):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr("os.mkdir", mkdir)
    assert batch(["--input=in", f"--output={tmp_path / 'out'}"]) == code
    assert f"the output {tmp_path / 'out'} cannot be written to: OSError" in capfd.readouterr().err


@pytest.mark.parametrize("content", [b"\x1f\x8b broken", b"no gzip"])
def test_a_first_file_that_tells_no_types_is_told_like_any_other_that_is_broken(tmp_path, content):
    put(tmp_path, "a.csv.gz", content)
    put(tmp_path, "b.csv", "x\n3\n")
    log = run(tmp_path, expect=1)
    assert [row["twice"] for row in results(tmp_path)] == [6]
    (error,) = errors(tmp_path)
    assert error["file"].endswith("in/a.csv.gz")
    assert "cannot be read as csv" in error["reason"]
    assert "Traceback" not in log
