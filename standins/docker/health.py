"""Waiting until a container is healthy, and saying why it is not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from provider.resource import ProviderError
from standins.docker.durations import parse_duration

if TYPE_CHECKING:
    from provider.resource import Call
    from standins.docker.engine import Engine

# From this version on, Docker itself tests at the healthcheck's start interval.
START_INTERVAL_API = "1.44"
_LOG_LINES = 30
# A container that its restart policy starts again may still come up, but not after so many times.
_RESTARTS = 5
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.05, 0.25
_PAUSE_GROWTH = 1.3
_TEST_PAUSE = 0.02
_DEFAULT_TEST_TIMEOUT = 30.0
_SECOND = 1_000_000_000


def wait_until_healthy(engine: Engine, call: Call, container: str, inputs: dict[str, Any]) -> None:
    """Wait for a container's healthcheck to pass.

    Args:
        engine: Where it runs.
        call: Its interruption and its timeout end the wait.
        container: The container's id.
        inputs: What it was made from.

    Raises:
        ProviderError: It does not become healthy; with its state, its last output and what to do.
    """
    limit = min(inputs["waitTimeout"], call.timeout or inputs["waitTimeout"])
    deadline = time.monotonic() + limit
    probe = _Probe(engine, container, inputs)
    pause = _SHORTEST_PAUSE
    restarts: int | None = None
    while True:
        found = engine.inspect_container(container)
        if found is None:
            raise ProviderError(f'container "{inputs["name"]}" was removed while it was waited for')
        restarts = found["RestartCount"] if restarts is None else restarts
        state = found["State"]
        health = state.get("Health")
        if health is None:
            problem: str | None = "has no healthcheck to wait for: leave `wait` out, or add a `healthcheck`"
        elif health["Status"] == "healthy" or (state["Running"] and probe.passes()):
            return
        else:
            problem = _problem(state, restarts=found["RestartCount"] - restarts)
            if call.cancelled.is_set():
                problem = "was not healthy yet when the update was interrupted"
            elif problem is None and time.monotonic() > deadline:
                problem = f"was not healthy within {limit:g} s (waitTimeout)"
        if problem is not None:
            raise ProviderError(f'container "{inputs["name"]}" {problem}\n{_report(engine, found, probe)}')
        call.cancelled.wait(pause)
        pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE)


def _problem(state: dict[str, Any], *, restarts: int) -> str | None:
    """Say why waiting on is of no use."""
    if not state["Running"] and not state["Restarting"]:
        return "stopped before it was healthy"
    if restarts >= _RESTARTS:
        return f"stops each time that it is started ({restarts} restarts)"
    return None


class _Probe:
    """Runs the health test where the engine is too old to know the start interval, and would wait a full interval."""

    def __init__(self, engine: Engine, container: str, inputs: dict[str, Any]) -> None:
        self._engine = engine
        self._container = container
        self.last = ""
        options = inputs.get("healthcheck") or {}
        self._pause = parse_duration(options.get("startInterval") or "0") / _SECOND
        self._timeout = parse_duration(options.get("timeout") or "0") / _SECOND or _DEFAULT_TEST_TIMEOUT
        period = parse_duration(options.get("startPeriod") or "0") / _SECOND
        self._next = time.monotonic()
        self._command = _command(options.get("tests") or [])
        needed = self._pause and self._command and not engine.at_least(START_INTERVAL_API)
        self._end = self._next + (period if needed else 0)

    def passes(self) -> bool:
        """Run the test when it is due, in the start period only: later on the engine's own verdict counts."""
        now = time.monotonic()
        if not self._next <= now < self._end:
            return False
        code = self._run()
        self._next = time.monotonic() + self._pause
        return code == 0

    def _run(self) -> int | None:
        deadline = time.monotonic() + self._timeout
        try:
            with self._engine.doing("run the health test") as api:
                test = api.exec_create(self._container, self._command)["Id"]
                api.exec_start(test, detach=True)
                while time.monotonic() < deadline:
                    found = api.exec_inspect(test)
                    if not found["Running"]:
                        code: int = found["ExitCode"]
                        self.last = f"exit code {code}"
                        return code
                    time.sleep(_TEST_PAUSE)
        except ProviderError as error:
            # It stopped in between: the next look at it says so.
            self.last = str(error)
            return None
        self.last = f"not finished after {self._timeout:g} s"
        return None


def _command(tests: list[str]) -> list[str]:
    match tests:
        case ["CMD", *command]:
            return command
        case ["CMD-SHELL", line]:
            return ["/bin/sh", "-c", line]
        case _:
            # Disabled, or the image's own.
            return []


def _report(engine: Engine, found: dict[str, Any], probe: _Probe) -> str:
    """Say all that helps to see why."""
    name, state = found["Name"].lstrip("/"), found["State"]
    lines = [
        f"  state: {state['Status']}, exit code {state['ExitCode']}, {found['RestartCount']} restarts"
        + (f", {state['Error']}" if state.get("Error") else "")
    ]
    if state.get("OOMKilled"):
        limit = found["HostConfig"]["Memory"] // (1024 * 1024)
        lines.append(f"  it was killed for want of memory: it may use {limit} MiB; raise `memory`")
    lines += _last_test(found, probe)
    try:
        with engine.doing("read its log") as api:
            output = api.logs(found["Id"], tail=_LOG_LINES).decode(errors="replace").rstrip()
    except ProviderError as error:
        output = str(error)
    lines.append(f"  its last output (`docker logs {name}` shows all of it):" if output else "  it has written nothing")
    lines += [f"    | {line}" for line in output.splitlines()]
    lines.append(
        "  Mend what the output names, or the healthcheck, and run `pulumi up` again: the container is replaced."
    )
    return "\n".join(lines)


def _last_test(found: dict[str, Any], probe: _Probe) -> list[str]:
    health = found["State"].get("Health") or {}
    tests = health.get("Log") or []
    command = " ".join((found["Config"].get("Healthcheck") or {}).get("Test") or [])
    if tests:
        output = tests[-1]["Output"].strip()
        said = f"exit code {tests[-1]['ExitCode']}" + (f", {output}" if output else "")
    else:
        said = probe.last
    return [f"  health test: {command}: {said}"] if command and said else []
