"""The end of the runtime: a drain that loses no accepted request, and that has an end itself."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.unit.scoring_harness import GATED, PATIENCE_SECONDS, Server, in_background, serving, until
from tests.unit.server_harness import refuses


def test_sigterm_finishes_accepted_requests_and_refuses_new_ones(tmp_path):
    gates = tmp_path / "gates"
    gates.mkdir()
    (gates / "init").touch()
    with serving(tmp_path, GATED, GATES=str(gates)) as server:
        server.wait_for("ready")
        with (
            in_background(lambda: server.score("accepted")) as first,
            in_background(
                lambda: httpx.post(f"http://127.0.0.1:{server.port}/score", content="waiting", timeout=PATIENCE_SECONDS)
            ) as second,
        ):
            until((gates / "run.entered").exists, "run() was entered")
            # The second one waits for the script's only thread: accepted as well.
            until(lambda: len(established(server)) >= 2, "both are connected")
            server.terminate()
            until(lambda: refuses(server.port), "new connections are refused")
            (gates / "run").touch()
        assert first[0].json() == "accepted"
        assert second[0].json() == "waiting"
        assert first[0].headers["connection"] == "close"
        assert server.exit_code() == 0
        assert server.find("draining: SIGTERM")


def test_an_open_connection_is_told_that_the_service_drains(tmp_path):
    gates = tmp_path / "gates"
    gates.mkdir()
    (gates / "init").touch()
    with (
        serving(tmp_path, GATED, GATES=str(gates)) as server,
        in_background(lambda: server.wait_for("ready").score("accepted")),
    ):
        until((gates / "run.entered").exists, "run() was entered")
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=PATIENCE_SECONDS) as other:
            assert other.get("/ready").status_code == 200
            server.terminate()
            until(lambda: server.find("draining"), "it drains")
            answer = other.get("/ready")
        assert (answer.status_code, answer.json()) == (503, {"state": "draining"})
        assert answer.headers["connection"] == "close"
        (gates / "run").touch()


def test_a_drain_has_an_end_and_its_requests_an_answer(tmp_path):
    gates = tmp_path / "gates"
    gates.mkdir()
    (gates / "init").touch()
    with serving(tmp_path, GATED, GATES=str(gates), SLIPWAY_DRAIN_SECONDS="1") as server:
        with in_background(lambda: server.wait_for("ready").score("never answered")) as answers:
            until((gates / "run.entered").exists, "run() was entered")
            server.terminate()
        assert answers[0].status_code == 503
        assert answers[0].json() == {"message": "The server was stopped before the request was answered."}
        assert server.exit_code() == 0
        assert server.find("requests given up after 1 s: 1")


def test_sigterm_while_starting_ends_at_once(tmp_path):
    with serving(tmp_path, GATED, GATES=str(tmp_path)) as server:
        until((tmp_path / "init.entered").exists, "init() was entered")
        server.terminate()
        assert server.exit_code() == 0


def test_a_second_signal_does_not_wait(tmp_path):
    (tmp_path / "init").touch()

    def given_up() -> None:
        with pytest.raises(httpx.TransportError):
            server.wait_for("ready").score("given up")

    with serving(tmp_path, GATED, GATES=str(tmp_path)) as server, in_background(given_up):
        until((tmp_path / "run.entered").exists, "run() was entered")
        server.terminate()
        until(lambda: server.find("draining"), "it drains")
        server.terminate()
        assert server.exit_code() == 128 + 15


def test_what_a_script_registers_for_the_end_is_called(tmp_path):
    script = """
        import atexit, threading, time

        def init():
            atexit.register(print, "flushed")
            threading.Thread(target=time.sleep, args=(3600,)).start()

        def run(data):
            pass
        """
    with serving(tmp_path, script.replace("threading.Thread", "# threading.Thread")) as server:
        server.wait_for("ready").terminate()
        assert server.exit_code() == 0
        assert server.find("flushed")
    # A thread of the script that never ends must not keep the process.
    with serving(tmp_path, script) as server:
        server.wait_for("ready").terminate()
        assert server.exit_code() == 0


def test_what_a_script_has_written_to_its_files_is_there_after_the_end(tmp_path):
    # Nothing but the last search for unreachable objects would close this one: it is in a circle.
    script = """
        import pathlib

        class Journal:
            def __init__(self):
                self.itself = self
                self.file = (pathlib.Path(__file__).parent / "journal").open("w")

        def init():
            global journal
            journal = Journal()

        def run(data):
            journal.file.write("scored\\n")
        """
    with serving(tmp_path, script) as server:
        server.wait_for("ready").score()
        server.terminate()
        assert server.exit_code() == 0
    assert (tmp_path / "journal").read_text() == "scored\n"


def established(server: Server) -> list[str]:
    """The connections that the server's port has, as the kernel lists them."""
    port = f":{server.port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return [row[2] for row in rows if row[1].endswith(port) and row[3] == "01"]
