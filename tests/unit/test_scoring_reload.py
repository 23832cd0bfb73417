"""Reload: an edit of the script is live without a restart, and a broken one changes nothing but what is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.scoring_harness import in_background, serving, until, write
from tests.unit.server_harness import open_files, workers


def answering(word: str) -> str:
    return f"""
        def init():
            global word
            word = {word!r}

        def run(data):
            return word
        """


def reloading(folder, script, **variables):
    app = folder / "image"
    app.mkdir(exist_ok=True)
    return serving(folder, script, AML_APP_ROOT=str(app), SLIPWAY_RELOAD=str(folder), **variables)


def test_an_edit_is_taken_over(tmp_path):
    with reloading(tmp_path, answering("first")) as server:
        first = server.wait_for("ready").score()
        assert (first.json(), first.headers["x-slipway-generation"]) == ("first", "1")

        write(tmp_path, "score.py", answering("second"))
        until(lambda: server.score().json() == "second", "the edit is live")
        assert server.score().headers["x-slipway-generation"] == "2"
        assert server.status()["reload"] == {"enabled": True, "generation": 2, "attempts": 2, "error": None}


def test_an_edit_of_a_helper_module_is_taken_over(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    write(tmp_path / "package", "words.py", "WORD = 'one'")
    script = """
        from package import words

        def init():
            pass

        def run(data):
            return words.WORD
        """
    with reloading(tmp_path, script) as server:
        assert server.wait_for("ready").score().json() == "one"
        stat = (tmp_path / "package" / "words.py").stat()
        path = write(tmp_path / "package", "words.py", "WORD = 'two'")
        # The same size and time, as two edits within the clock's tick have: the inode still tells them apart.
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        until(lambda: server.score().json() == "two", "the edit is live")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts files by /proc")
def test_edits_good_and_broken_leave_nothing_open(tmp_path):
    edits = [answering("good"), answering("async").replace("def run", "async def run"), "def init(): broken"]
    with reloading(tmp_path, answering("first")) as server:
        server.wait_for("ready").score()
        (worker,) = workers(server)

        def edit(script: str, attempts: int) -> None:
            write(tmp_path, "score.py", script)
            until(lambda: server.status()["reload"]["attempts"] == attempts, "the edit is seen")

        for number, script in enumerate(edits):
            edit(script, number + 2)
        before = open_files(worker)
        for number, script in enumerate(edits * 3):
            edit(script, number + 5)
        until(lambda: open_files(worker) <= before, "what the scripts before had open is closed")


def test_a_broken_edit_keeps_the_last_good_script_and_shows_why(tmp_path):
    with reloading(tmp_path, answering("good")) as server:
        server.wait_for("ready")
        write(tmp_path, "score.py", "def init(): raise ValueError('half an idea')\ndef run(data): pass\n")
        error = until(lambda: server.status()["reload"]["error"], "the error is shown")

        assert error == "ValueError: half an idea (score.py, line 1)"
        told = "edit not taken over, generation 1 goes on serving: ValueError: half an idea"
        assert until(lambda: server.find(told), "the log tells it")
        assert (server.score().json(), server.status()["state"], server.status()["error"]) == ("good", "ready", None)

        write(tmp_path, "score.py", answering("mended"))
        until(lambda: server.score().json() == "mended", "the mended script is live")
        assert server.status()["reload"] == {"enabled": True, "generation": 2, "attempts": 3, "error": None}


def test_after_a_broken_edit_the_last_good_script_still_finds_its_helpers(tmp_path):
    write(tmp_path, "helper.py", "VALUE = 'helped'")
    script = """
        def init():
            import helper

        def run(data):
            import helper
            return helper.VALUE
        """
    with reloading(tmp_path, script) as server:
        server.wait_for("ready")
        write(tmp_path, "helper.py", "raise ValueError('broken helper')")
        until(lambda: server.status()["reload"]["error"], "the error is shown")
        assert server.score().json() == "helped"


def test_a_deleted_script_keeps_the_last_good_one(tmp_path):
    with reloading(tmp_path, answering("good")) as server:
        server.wait_for("ready")
        (tmp_path / "score.py").unlink()
        error = until(lambda: server.status()["reload"]["error"], "the error is shown")
        assert error.startswith("there is no entry script")
        assert server.score().json() == "good"


def test_a_script_that_is_broken_at_the_start_is_waited_for(tmp_path):
    with reloading(tmp_path, "def init(: pass") as server:
        server.wait_for("failed")
        status = server.status()
        assert "SyntaxError" in status["error"]
        assert status["reload"]["generation"] == 0
        assert server.score().status_code == 503

        write(tmp_path, "score.py", answering("mended"))
        server.wait_for("ready")
        assert server.score().json() == "mended"
        assert server.status()["error"] is None


def test_the_old_script_answers_while_the_new_one_loads(tmp_path):
    gate = tmp_path / "gate"
    slow = f"""
        import pathlib, time

        def init():
            pathlib.Path({str(gate)!r} + ".entered").touch()
            while not pathlib.Path({str(gate)!r}).exists():
                time.sleep(0.01)

        def run(data):
            return "new"
        """
    with reloading(tmp_path, answering("old")) as server:
        server.wait_for("ready")
        write(tmp_path, "score.py", slow)
        until((tmp_path / "gate.entered").exists, "the new init() was entered")
        assert (server.score().json(), server.status()["state"]) == ("old", "ready")
        gate.touch()
        until(lambda: server.score().json() == "new", "the edit is live")


def test_a_call_that_is_under_way_is_answered_by_the_script_that_began_it(tmp_path):
    gate = tmp_path / "gate"
    slow = f"""
        import pathlib, time

        def init():
            pass

        def run(data):
            if data:
                pathlib.Path({str(gate)!r} + ".entered").touch()
                while not pathlib.Path({str(gate)!r}).exists():
                    time.sleep(0.01)
            return "old"
        """
    with reloading(tmp_path, slow) as server:
        server.wait_for("ready")
        with in_background(lambda: server.score("wait")) as answers:
            until((tmp_path / "gate.entered").exists, "run() was entered")
            write(tmp_path, "score.py", answering("new"))
            until(lambda: server.status()["reload"]["generation"] == 2, "the edit is live")
            assert server.score().json() == "new"
            gate.touch()
        assert (answers[0].json(), answers[0].headers["x-slipway-generation"]) == ("old", "1")


def test_an_init_that_does_not_end_does_not_hold_up_the_next_edit(tmp_path):
    endless = """
        def init():
            print("endless init was entered")
            while True:
                pass

        def run(data):
            pass
        """
    with reloading(tmp_path, answering("old")) as server:
        server.wait_for("ready")
        write(tmp_path, "score.py", endless)
        until(lambda: server.find("endless init was entered"), "the new init() was entered")
        assert server.score().json() == "old"
        write(tmp_path, "score.py", answering("new"))
        until(lambda: server.score().json() == "new", "the edit is live")


def test_the_script_of_the_mounted_folder_is_taken_and_not_the_images(tmp_path):
    (tmp_path / "image").mkdir()
    write(tmp_path / "image", "score.py", answering("image"))
    write(tmp_path / "image", "helper.py", "")
    script = """
        import os

        def init():
            pass

        def run(data):
            try:
                import helper
            except ImportError:
                return os.environ["AML_APP_ROOT"]
        """
    with reloading(tmp_path, script) as server:
        assert server.wait_for("ready").score().json() == str(tmp_path)


def test_changes_that_are_no_code_change_nothing(tmp_path):
    with reloading(tmp_path, answering("good")) as server:
        server.wait_for("ready")
        write(tmp_path, "weights.bin", "not code")
        (tmp_path / "__pycache__").mkdir()
        write(tmp_path / "__pycache__", "score.py", "not code either")
        write(tmp_path, "sample.json", "{}")
        # The sample was written last: what was seen of the others was seen before it.
        until(lambda: server.status()["reload"]["generation"] == 2, "the sample's change was seen")
        until(lambda: server.find("generation 2"), "the log tells it")
        assert server.log.count("ready:") == 2


def test_an_init_that_is_stuck_in_compiled_code_does_not_hold_up_the_next_edit(tmp_path):
    stuck = """
        import time

        def init():
            print("entered", flush=True)
            time.sleep(3600)

        def run(data):
            pass
        """
    with reloading(tmp_path, answering("first")) as server:
        server.wait_for("ready")
        write(tmp_path, "score.py", stuck)
        until(lambda: server.find("entered"), "init() was entered")
        write(tmp_path, "score.py", answering("third"))
        until(lambda: server.score().json() == "third", "the edit is live")
        until(lambda: server.find("init() is stuck in compiled code"), "the log tells it")
