"""Several workers: killed, leaking, stuck, forked and drained, while callers notice as little as can be."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from scoring.process import private_memory
from tests.unit.scoring_harness import PATIENCE_SECONDS, Server, serving, until, write
from tests.unit.server_harness import Gates, Peer, peer, refuses, request, workers

PID = """
    import os

    def init():
        pass

    def run(data):
        return os.getpid()
    """
GATED = """
    import os, pathlib, time

    def init():
        pass

    def run(data):
        gate = pathlib.Path(os.environ["GATES"], data)
        gate.with_suffix(".entered").touch()
        while not gate.exists():
            time.sleep(0.005)
        return data
    """


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


def states(server: Server) -> list[str]:
    """The workers' states, asked on a connection of its own: one that is kept may be of a worker that ends."""
    try:
        return list(httpx.get(f"{url(server)}/status", timeout=PATIENCE_SECONDS).json()["workers"])
    except httpx.TransportError:
        return []


def score(server: Server, body: str = "") -> httpx.Response:
    """Ask on a connection of its own."""
    return httpx.post(f"{url(server)}/score", content=body, timeout=PATIENCE_SECONDS)


def all_ready(server: Server, count: int) -> list[int]:
    """Wait until all workers answer, and the master knows; return their process ids."""
    until(lambda: states(server) == ["ready"] * count, f"{count} workers are ready")
    time.sleep(0.2)
    return workers(server)


def wakes(processes: list[int]) -> int:
    """How often processes were woken so far: each time, one gave the processor away."""
    texts = (Path(f"/proc/{process}/status").read_text(encoding="ascii") for process in processes)
    return sum(int(text.split("\nvoluntary_ctxt_switches:")[1].split()[0]) for text in texts)


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(") ")[2][0]
    except FileNotFoundError:
        return False
    return state != "Z"


class Load:
    """Clients that ask without a pause, each request on a connection of its own."""

    def __init__(self, server: Server, clients: int = 4) -> None:
        self.url = f"{url(server)}/score"
        self.answers: list[httpx.Response] = []
        self.errors: list[httpx.TransportError] = []
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    @property
    def statuses(self) -> set[int]:
        return {answer.status_code for answer in self.answers}

    def _ask(self) -> None:
        context = httpx.create_ssl_context()
        while not self._is_over.is_set():
            try:
                self.answers.append(httpx.post(self.url, content="", timeout=PATIENCE_SECONDS, verify=context))
            except httpx.TransportError as error:
                self.errors.append(error)


# Rest


def test_a_service_that_nobody_asks_hardly_wakes(tmp_path):
    with serving(tmp_path, PID, WORKER_COUNT="2") as server:
        processes = [server.process.pid, *all_ready(server, 2)]
        # What the last answer left to do, and the look that finds nothing more.
        time.sleep(1)
        before = wakes(processes)
        time.sleep(2)
        # Each looks at its state twice a second; a slow machine can only make it fewer.
        assert wakes(processes) - before <= 2 * len(processes) * 4


# Death


def test_a_killed_worker_loses_only_what_it_had_in_hand_and_is_replaced(tmp_path):
    with serving(tmp_path, PID, WORKER_COUNT="3") as server:
        before = all_ready(server, 3)
        with Load(server) as load:
            for victim in before[:2]:
                count = len(load.answers)
                until(lambda enough=count + 20: len(load.answers) > enough, "requests are answered")
                os.kill(victim, signal.SIGKILL)
                until(lambda gone=victim: gone not in workers(server), "it is buried")
                until(lambda: len(workers(server)) == 3, "it is replaced")
            after = all_ready(server, 3)
            until(lambda: {json.loads(answer.text) for answer in load.answers[-200:]} & set(after), "they answer")
        assert len(set(before) & set(after)) == 1
        assert load.statuses == {200}
        # One request in hand for each client, and no connection that was not taken.
        assert len(load.errors) <= 2 * 4
        assert not any(isinstance(error, (httpx.ConnectError, httpx.TimeoutException)) for error in load.errors)
        until(lambda: server.find("was ended by SIGKILL; requests that it had in hand are lost"), "the log has it")


def test_while_the_only_worker_is_replaced_requests_wait(tmp_path):
    script = PID.replace("pass", "import time; time.sleep(0.5)")
    with serving(tmp_path, script) as server:
        (first,) = all_ready(server, 1)
        assert score(server).json() == first
        os.kill(first, signal.SIGKILL)
        answers = [score(server) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200] * 3
        assert {answer.json() for answer in answers} == set(workers(server))
        assert first not in workers(server)


def test_a_worker_that_cannot_come_back_is_tried_again_ever_more_seldom_and_then_given_up(tmp_path):
    script = """
        import os, pathlib

        def init():
            print("init")
            if pathlib.Path("broken").exists():
                os._exit(9)

        def run(data):
            return os.getpid()
        """
    with serving(tmp_path, script, WORKER_COUNT="2") as server:
        first, second = all_ready(server, 2)
        write(tmp_path, "broken", "")
        os.kill(first, signal.SIGKILL)
        until(lambda: server.log.count("ended itself with code 9") >= 2, "it is tried again")
        # The other one answers all the while.
        for _ in range(10):
            assert score(server).json() == second
        assert server.log.count("print: init") < 6
        (tmp_path / "broken").unlink()
        assert second in all_ready(server, 2)


def test_the_workers_end_with_a_master_that_was_killed(tmp_path):
    with serving(tmp_path, PID, WORKER_COUNT="2") as server:
        both = all_ready(server, 2)
        server.process.kill()
        until(lambda: not any(map(alive, both)), "the workers end")


def test_the_processes_that_scripts_leave_behind_are_buried(tmp_path):
    script = """
        import ctypes, subprocess

        def init():
            # As the first process of a container: what loses its parent becomes a child of the master.
            ctypes.CDLL(None).prctl(36, 1)

        def run(data):
            done = subprocess.run(["sh", "-c", "sleep 0.01 & echo $!"], capture_output=True, text=True, check=True)
            return int(done.stdout)
        """
    with serving(tmp_path, script, WORKER_COUNT="2", WORKER_PRELOAD="1") as server:
        both = all_ready(server, 2)
        left = [score(server).json() for _ in range(5)]
        until(lambda: not any(Path(f"/proc/{process}").exists() for process in left), "they are gone")
        assert all_ready(server, 2) == both


def test_the_only_worker_killed_as_soon_as_it_is_ready_is_replaced(tmp_path):
    with serving(tmp_path, PID.replace("pass", "import time; time.sleep(0.5)")) as server:
        (worker,) = workers(server)
        with peer(server.port) as connection:
            # As fast as it can: the master looks every 50 ms.
            while connection.send(request("GET", "/ready")).receive().status != 200:
                pass
            os.kill(worker, signal.SIGKILL)
        assert score(server).status_code == 200


def test_workers_that_end_soon_after_they_are_ready_are_started_ever_more_seldom(tmp_path):
    script = """
        import os, threading

        def init():
            print("init")
            threading.Timer(0.15, os._exit, (7,)).start()

        def run(data):
            pass
        """
    with serving(tmp_path, script) as server:
        until(lambda: server.log.count("print: init") >= 3, "it is tried again")
        time.sleep(2)
        assert server.log.count("print: init") < 7


def test_a_worker_that_stands_still_ends_with_a_master_that_was_killed(tmp_path):
    with serving(tmp_path, STUCK.replace("LIBRARY", "PyDLL")) as server:
        (worker,) = all_ready(server, 1)
        with peer(server.port) as connection:
            connection.send(request("POST", body=b"stuck"))
            until(lambda: "ctypes" in Path(f"/proc/{worker}/maps").read_text(encoding="utf-8"), "it has begun")
            time.sleep(0.2)
            server.process.kill()
            server.process.wait()
            try:
                until(lambda: not alive(worker), "the worker ends")
            finally:
                if alive(worker):
                    os.kill(worker, signal.SIGKILL)


# Leaks and standstills


def test_a_worker_that_leaks_is_replaced_without_a_failed_request(tmp_path):
    script = """
        import os

        def init():
            global kept
            kept = []

        def run(data):
            kept.append(b"x" * 2_000_000)
            return os.getpid()
        """
    with serving(tmp_path, script, SLIPWAY_WORKER_MEMORY_BYTES="150000000") as server:
        (first,) = all_ready(server, 1)
        seen: set[int] = {first}
        while len(seen) < 2:
            # Not faster than the master looks.
            answer = score(server)
            assert answer.status_code == 200
            seen.add(answer.json())
            time.sleep(0.02)
        until(lambda: server.find("bytes of memory, more than 150000000, and is replaced"), "the log has it")
        until(lambda: not alive(first), "the first one ends")


STUCK = """
    import ctypes, os
    import scoring.lane

    # What is waited for before a thread counts as lost.
    scoring.lane._STUCK_SECONDS = 0.3

    def init():
        pass

    def run(data):
        if data == "stuck":
            # Compiled code that never comes back; with PyDLL it keeps Python's lock.
            ctypes.LIBRARY(None).pause()
        return os.getpid()
    """


@pytest.mark.parametrize(("library", "count"), [("CDLL", 1), ("CDLL", 2), ("PyDLL", 2)])
def test_a_worker_that_stands_still_is_replaced(tmp_path, library, count):
    variables = {"SCORING_TIMEOUT_MS": "500", "WORKER_TIMEOUT": "3", "WORKER_COUNT": str(count)}
    with serving(tmp_path, STUCK.replace("LIBRARY", library), **variables) as server:
        before = all_ready(server, count)
        with peer(server.port) as connection:
            connection.send(request("POST", body=b"stuck"))
            if library == "CDLL":
                assert connection.receive().status == 500
            until(lambda: set(workers(server)) - set(before), "there is a new one")
        until(lambda: len(set(workers(server)) & set(before)) == count - 1, "the one that stood still is gone")
        after = all_ready(server, count)
        assert score(server).json() in after


def test_an_event_loop_of_a_script_that_stands_still_is_replaced(tmp_path):
    script = STUCK.replace("LIBRARY", "CDLL").replace("def run", "async def run")
    with serving(tmp_path, script, SCORING_TIMEOUT_MS="500") as server:
        before = all_ready(server, 1)
        assert score(server, "stuck").status_code == 500
        until(lambda: workers(server) and not set(workers(server)) & set(before), "there is another one")
        until(lambda: score(server).status_code == 200, "it answers")


# Forks


LARGE = """
    import os

    def init():
        global model
        model = os.urandom(64_000_000)
        print("init")

    def run(data):
        return len(model)
    """


@pytest.mark.parametrize(("preload", "loads"), [("1", 1), ("0", 2), ("sample", 1)])
def test_the_model_is_loaded_once_and_its_memory_shared_where_that_is_wanted(tmp_path, preload, loads):
    variables = {"WORKER_PRELOAD": preload}
    if preload == "sample":
        (tmp_path / "sample.json").write_text("x")
        variables = {"SLIPWAY_SAMPLE": "sample.json"}
    with serving(tmp_path, LARGE, WORKER_COUNT="2", **variables) as server:
        for process in all_ready(server, 2):
            private = private_memory(process)
            assert (private < 40_000_000) if loads == 1 else (private > 60_000_000)
        assert score(server).json() == 64_000_000
        assert server.log.count("print: init") == loads


def test_a_killed_fork_is_forked_again(tmp_path):
    with serving(tmp_path, LARGE, WORKER_COUNT="2", WORKER_PRELOAD="1") as server:
        before = all_ready(server, 2)
        os.kill(before[0], signal.SIGKILL)
        until(lambda: len(set(workers(server)) - set(before)) == 1, "there is a new one")
        all_ready(server, 2)
        assert score(server).json() == 64_000_000
        assert server.log.count("print: init") == 1


@pytest.mark.parametrize(
    "how",
    [
        "raise TimeoutError('no answer')",
        "os._exit(5)",
        "os.abort()",
    ],
)
def test_a_model_that_does_not_survive_a_fork_is_loaded_by_each_worker(tmp_path, how):
    script = f"""
        import os, queue, threading

        def init():
            global asked, answers
            asked, answers = queue.Queue(), queue.Queue()
            threading.Thread(target=work, daemon=True).start()
            print("init")

        def work():
            while True:
                answers.put(asked.get() * 2)

        def run(data):
            asked.put(data)
            try:
                return answers.get(timeout=0.5)
            except queue.Empty:
                {how}
        """
    (tmp_path / "sample.json").write_text("x")
    with serving(tmp_path, script, WORKER_COUNT="2", SLIPWAY_SAMPLE="sample.json") as server:
        until(lambda: server.process.poll() is not None or states(server) == ["ready"] * 2, "both answer, or it ends")
        assert server.process.poll() is None
        until(lambda: server.find("each worker loads its own"), "the log has it")
        assert [score(server, "ab").json() for _ in range(4)] == ["abab"] * 4
        assert server.log.count("print: init") == 3


def test_an_async_script_is_loaded_by_each_worker(tmp_path):
    script = """
        import asyncio, os

        async def init():
            print("init")

        async def run(data):
            await asyncio.sleep(0.001)
            return os.getpid()
        """
    (tmp_path / "sample.json").write_text("x")
    with serving(tmp_path, script, WORKER_COUNT="2", SLIPWAY_SAMPLE="sample.json") as server:
        both = all_ready(server, 2)
        with Load(server) as load:
            until(lambda: len(load.answers) > 100, "requests are answered")
        assert load.statuses == {200}
        assert {int(answer.text) for answer in load.answers} <= set(both)
        assert not load.errors


# Failing


@pytest.mark.parametrize("preload", ["0", "1"])
def test_an_init_that_fails_is_told_and_ends_the_service_with_3(tmp_path, preload):
    script = """
        def init():
            raise RuntimeError("the model is damaged")

        def run(data):
            pass
        """
    with serving(tmp_path, script, WORKER_COUNT="3", WORKER_PRELOAD=preload) as server:
        server.wait_for("failed")
        assert server.status()["error"] == "RuntimeError: the model is damaged (score.py, line 3)"
        assert server.client.get("/ready").status_code == 503
        assert server.client.get("/").status_code == 503
        assert score(server).status_code == 503
        both = workers(server)
        assert server.exit_code() == 3
        assert not any(map(alive, both))


@pytest.mark.parametrize("preload", ["0", "1"])
def test_a_starting_service_of_several_workers_tells_so_and_ends_at_once(tmp_path, preload):
    script = "import time\ndef init(): time.sleep(3600)\ndef run(data): pass"
    with serving(tmp_path, script, WORKER_COUNT="2", WORKER_PRELOAD=preload) as server:
        assert server.status()["state"] == "starting"
        assert server.client.get("/live").status_code == 200
        assert server.client.get("/ready").status_code == 503
        assert score(server).headers["retry-after"] == "1"
        server.terminate()
        assert server.exit_code() == 0


# The end


def test_sigterm_drains_all_workers(tmp_path):
    gates = Gates(tmp_path / "gates")
    with serving(tmp_path / "app", GATED, GATES=str(gates.folder), WORKER_COUNT="3") as server:
        all_ready(server, 3)
        names = [f"gate{number}" for number in range(6)]
        peers = [Peer(server.port).send(request("POST", body=name.encode())) for name in names]
        until(lambda: list(gates.folder.glob("*.entered")), "run() was entered")
        # All are accepted, though not all have begun.
        time.sleep(0.3)
        server.terminate()
        until(lambda: refuses(server.port), "all workers drain")
        gates.open(*names)
        answers = [one.receive() for one in peers]
        assert [answer.status for answer in answers] == [200] * 6
        assert {answer.headers.get("connection") for answer in answers} == {"close"}
        assert server.exit_code() == 0


def test_under_load_sigterm_fails_no_request_that_was_accepted(tmp_path):
    with serving(tmp_path, PID, WORKER_COUNT="2") as server:
        all_ready(server, 2)
        with Load(server) as load:
            until(lambda: len(load.answers) > 50, "requests are answered")
            server.terminate()
            assert server.exit_code() == 0
        assert load.statuses <= {200, 503}
        # What was not accepted was refused by the system.
        broken = [error for error in load.errors if not isinstance(error, httpx.ConnectError)]
        assert len(broken) <= 4, broken


# Metrics


def totals(server: Server) -> dict[str, float]:
    found: dict[str, float] = {}
    for line in httpx.get(f"{url(server)}/metrics", timeout=PATIENCE_SECONDS).text.splitlines():
        match = re.fullmatch(r"(\w+)(?:\{(.*)\})? ([\d.e+]+)", line)
        if match and 'route="/score"' in (match[2] or "") and match[1].endswith("_total"):
            found[match[1]] = found.get(match[1], 0) + float(match[3])
    return found


def test_metrics_are_of_all_workers_and_keep_their_totals(tmp_path):
    def ask(times: int) -> set[Any]:
        return {score(server).json() for _ in range(times)}

    with serving(tmp_path, PID, WORKER_COUNT="2") as server:
        first = all_ready(server, 2)[0]
        assert ask(40) == set(workers(server))
        (name,) = totals(server)
        assert totals(server) == {name: 40}
        os.kill(first, signal.SIGKILL)
        until(lambda: first not in workers(server), "it is buried")
        all_ready(server, 2)
        assert totals(server) == {name: 40}
        ask(10)
        assert totals(server) == {name: 50}
