"""The scoring runtime as a process of its own, with a script of the test's: what the tests of `scoring/` share."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120
# A script whose functions wait until a file of their name is in the folder of the variable GATES.
GATED = """
    import os, pathlib, time

    def wait_for(name):
        gate = pathlib.Path(os.environ["GATES"], name)
        gate.with_suffix(".entered").touch()
        while not gate.exists():
            time.sleep(0.01)

    def init():
        wait_for("init")

    def run(data):
        wait_for("run")
        return data
    """


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until a condition holds, and return what it returned."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (result := condition()):
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.01)
    return result


def write(folder: Path, name: str, text: str) -> Path:
    """Write a file whole or not at all, as editors do."""
    path = folder / name
    unfinished = folder / f".{name}.unfinished"
    unfinished.write_text(textwrap.dedent(text), encoding="utf-8")
    return unfinished.replace(path)


def environment(app: Path, **variables: str) -> dict[str, str]:
    """The environment of a runtime whose script is `score.py` in a folder."""
    ours = {
        "AML_APP_ROOT": str(app),
        "AZUREML_ENTRY_SCRIPT": "score.py",
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "SERVER_PORT": "0",
        "SLIPWAY_HOST": "127.0.0.1",
        "SLIPWAY_LOG": "text",
    }
    return {"PATH": os.environ["PATH"], **ours, **variables}


def run(command: str, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command of the runtime to its end."""
    return subprocess.run(
        [sys.executable, "-m", "scoring", *command.split()],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


class Server:
    """A running `python -m scoring serve`."""

    def __init__(self, app: Path, **variables: str) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scoring", "serve"],
            env=environment(app, **variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        started = until(lambda: self.find("starting:") or self.process.poll() is not None, "the server listens")
        assert isinstance(started, str), self.log
        self.port = int(started.rpartition(":")[2])
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=PATIENCE_SECONDS)

    @property
    def log(self) -> str:
        """All that was printed so far."""
        return "\n".join(self.lines)

    def find(self, text: str) -> str | None:
        """The first line of the log with that text."""
        return next((line for line in list(self.lines) if text in line), None)

    def status(self) -> dict[str, Any]:
        """What /status tells."""
        return dict(self.client.get("/status").json())

    def wait_for(self, state: str) -> Server:
        """Wait for a state."""
        until(lambda: self.status()["state"] == state, f"the state is {state}")
        return self

    def score(self, data: str = "") -> httpx.Response:
        """Send a body to /score."""
        return self.client.post("/score", content=data)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def exit_code(self) -> int:
        """Wait for the end of the process and of its output."""
        code = self.process.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)
        return code

    def close(self) -> None:
        """End the process, whatever it does."""
        self.client.close()
        self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE_SECONDS)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))


@contextlib.contextmanager
def serving(folder: Path, script: str, **variables: str) -> Iterator[Server]:
    """Serve a script; the server listens, and may still be starting."""
    folder.mkdir(exist_ok=True)
    write(folder, "score.py", script)
    server = Server(folder, **variables)
    try:
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def in_background(function: Callable[[], Any]) -> Iterator[list[Any]]:
    """Call a function in a thread; its result is in the list when the block has ended."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(function()), daemon=True)
    thread.start()
    try:
        yield results
    finally:
        thread.join(PATIENCE_SECONDS)
