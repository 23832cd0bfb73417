"""A server under test: started on one core, asked until it answers right, its memory read, stopped."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bench.measure import descendants, pss
from bench.serving.environments import UnavailableError, clean_environ

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.serving.server import Place, Server, Start

_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_ASK_SECONDS = 0.005
_FIRST_PORT, _PORTS_EACH = 18700, 3
# No server sends anything about its use from a benchmark, nor waits for a network that is not there.
_QUIET = {"BENTOML_DO_NOT_TRACK": "True", "DO_NOT_TRACK": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
# One core: a numeric library's second thread could only take turns with the first.
_THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def cores() -> tuple[int, int]:
    """Return the core for the server and the one for the load.

    Raises:
        SystemExit: There is only one.
    """
    if not hasattr(os, "sched_getaffinity"):
        raise SystemExit("the benchmark pins the server to one core and the load to another: it needs Linux")
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        raise SystemExit("the benchmark needs two cores: one for the server, one for the load")
    return available[0], available[1]


def free_ports() -> int:
    """Return the first of three free ports in a row, on 127.0.0.1."""
    for first in range(_FIRST_PORT, _FIRST_PORT + 300, _PORTS_EACH):
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + _PORTS_EACH):
                    one = stack.enter_context(socket.socket())
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    one.bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise SystemExit("no three free ports in a row on 127.0.0.1")


class Running:
    """A started server.

    Attributes:
        cold_seconds: From its start to its first right answer.
    """

    def __init__(
        self, server: Server, place: Place, start: Start, rows: list[list[float]], expected: list[int]
    ) -> None:
        """Start it, and wait until it answers.

        Raises:
            UnavailableError: It ends, answers wrong, or does not answer in time.
        """
        self._server = server
        self.port = place.port
        env = {**clean_environ(), **_QUIET, **_THREADS, **start.env}
        env["PATH"] = os.pathsep.join([str(place.bin), env["PATH"]])
        self._log = place.folder / "server.log"
        self._body, self._expected = server.body(rows), expected
        with self._log.open("wb") as log:
            began = time.perf_counter()
            self._process = subprocess.Popen(
                ["taskset", "-c", str(cores()[0]), *map(str, start.arguments)],
                cwd=place.folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait(began)
        except BaseException:
            self._stop()
            raise

    def __enter__(self) -> Self:
        """Go on when it answers."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self._stop()

    def memory(self) -> float:
        """Return the proportional set size of all its processes, in MiB."""
        root = self._process.pid
        return sum(pss(process) for process in (root, *descendants(root)))

    def processor_seconds(self) -> float:
        """Return what all its processes have used of the processor."""
        root = self._process.pid
        return sum(_processor_seconds(process) for process in (root, *descendants(root)))

    def _wait(self, began: float) -> None:
        answered: Any = "nothing"
        while time.perf_counter() - began < _START_SECONDS:
            if self._process.poll() is not None:
                raise UnavailableError(f"it ended with code {self._process.returncode}: {self._last_lines()}")
            try:
                answered = self._ask()
            except OSError:
                time.sleep(_ASK_SECONDS)
                continue
            if answered == self._expected:
                self.cold_seconds = time.perf_counter() - began
                return
            time.sleep(_ASK_SECONDS)
        raise UnavailableError(f"no right answer in {_START_SECONDS:.0f} s, the last: {answered}; {self._last_lines()}")

    def _ask(self) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", self._server.path, self._body, {"content-type": "application/json"})
            response = connection.getresponse()
            text = response.read()
        except http.client.HTTPException as error:
            return repr(error)
        finally:
            connection.close()
        if response.status != http.client.OK:
            return f"{response.status} {text[:200]!r}"
        return [int(value) for value in self._server.answer(json.loads(text))]

    def _last_lines(self) -> str:
        return " / ".join(self._log.read_text(errors="replace").strip().splitlines()[-4:])

    def _stop(self) -> None:
        # Its processes are those of its session; BentoML's are in sessions of their own, but end with it.
        others = descendants(self._process.pid)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        end = time.monotonic() + _STOP_SECONDS
        while left := [process for process in others if Path(f"/proc/{process}").exists()]:
            if time.monotonic() > end:
                for process in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
                return
            time.sleep(0.02)


def _processor_seconds(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    # Its own, and that of those that it has waited for.
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def alone(arguments: list[str | Path], env: Mapping[str, str]) -> float:
    """Return the seconds that a program takes on the server's core."""
    began = time.perf_counter()
    subprocess.run(
        ["taskset", "-c", str(cores()[0]), *map(str, arguments)],
        env={**clean_environ(), **_THREADS, **env},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - began
