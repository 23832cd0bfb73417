"""The load: wrk as fast as it goes, and a paced one that does not slow down when the server does. Loopback only."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.serving.environments import UnavailableError
from bench.serving.running import cores

_SCRIPT = """
function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  wrk.method, wrk.body = "POST", file:read("*a")
  file:close()
  wrk.headers["Content-Type"] = "application/json"
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "microseconds": %d, "p50": %.3f, "p99": %.3f, "errors": %d}\\n',
    summary.requests, summary.duration, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""
_PACED = Path(__file__).parent / "paced.py"


@dataclass(frozen=True)
class Figures:
    """What a load measured.

    Attributes:
        rate: Requests answered in a second.
        p50: The median of the times to an answer, in milliseconds.
        p99: Their 99th percentile.
        errors: Requests that were not answered with 200.
        processor: What the server's processes used of the processor for each request, in microseconds; hardly changed
            by what else the machine does.
    """

    rate: float
    p50: float
    p99: float
    errors: int
    processor: float = 0.0

    def __str__(self) -> str:
        """The figures as a cell of the table."""
        wrong = f" ({self.errors} errors)" if self.errors else ""
        return f"{self.rate:.0f} · {self.p50:.2f} · {self.p99:.1f}{wrong}"

    def as_json(self) -> dict[str, Any]:
        """Return what a file keeps."""
        return asdict(self)


def check() -> None:
    """Make sure that wrk is there.

    Raises:
        SystemExit: It is not.
    """
    for tool, package in (("wrk", "wrk"), ("taskset", "util-linux")):
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is not on PATH; it is in the package {package}: apt-get install {package}")


def saturate(port: int, path: str, body: Path, connections: int, seconds: float, folder: Path) -> Figures:
    """Ask as fast as a number of connections can.

    Args:
        port: The server's, on 127.0.0.1.
        path: Where it answers.
        body: A file with the request's body.
        connections: How many requests are under way at once.
        seconds: How long; wrk takes whole ones.
        folder: Where its script may be written.
    """
    script = folder / "wrk.lua"
    if not script.exists():
        script.write_text(_SCRIPT)
    options = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s", "-s", str(script)]
    found = _result([*options, f"http://127.0.0.1:{port}{path}", "--", str(body)], "wrk", seconds)
    return Figures(found["requests"] / found["microseconds"] * 1e6, found["p50"], found["p99"], found["errors"])


def paced(port: int, path: str, body: Path, rate: float, seconds: float, *, at_random: bool) -> Figures:
    """Ask at a given rate, whatever the answers do; each time counts from when the request was due.

    Args:
        port: The server's, on 127.0.0.1.
        path: Where it answers.
        body: A file with the request's body.
        rate: Requests in a second.
        seconds: How long.
        at_random: Whether requests come at random (a Poisson process) instead of one after the other in even steps.
    """
    arguments = [str(_PACED), str(port), path, str(body), str(rate), str(seconds), "random" if at_random else "even"]
    return Figures(**_result(arguments, sys.executable, seconds))


def _result(arguments: list[str], program: str, seconds: float) -> dict[str, Any]:
    command = ["taskset", "-c", str(cores()[1]), program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            found: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
            return found
    raise UnavailableError(f"{program} failed: {(done.stdout + done.stderr).strip()[-500:]}")
