"""A few seconds of what `python -m tests.fuzz` does for as long as wanted, with the same random numbers each time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
pytest.importorskip("atheris", reason="there is no atheris for this platform")


def fuzz(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize(("target", "runs"), [("bodies", 40_000), ("connections", 30_000), ("tokens", 40_000)])
def test_hostile_bytes_become_a_value_or_a_refusal(tmp_path, target, runs):
    done = fuzz(tmp_path, target, "--runs", str(runs), "--seed", "1", "--seconds", "200")
    assert done.returncode == 0, done.stderr[-5000:]
    assert f"Done {runs} runs" in done.stderr, done.stderr[-5000:]


def test_a_claim_that_does_not_hold_is_found(tmp_path):
    (tmp_path / "input").write_bytes(b"\x00\x00\x01no JSON")
    assert fuzz(tmp_path, "bodies", "--input", "input").returncode == 0
    code = "import sys, tests.fuzz.claims as c; c.MOST_MESSAGE = 20; import tests.fuzz.__main__"
    broken = subprocess.run(
        [sys.executable, "-c", code, "bodies", "--input", "input"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert broken.returncode == 1
    assert "AssertionError: POST body could not be decoded as JSON" in broken.stderr
