"""What a scoring script may rely on: its threads, its event loop, its folders and its helpers."""

from __future__ import annotations

from tests.unit.scoring_harness import in_background, serving, until


def test_async_calls_are_under_way_at_once(tmp_path):
    script = """
        import asyncio

        async def init():
            global both, entered
            both, entered = asyncio.Event(), 0

        async def run(data):
            global entered
            entered += 1
            if entered == 2:
                both.set()
            await both.wait()
            return data
        """
    with serving(tmp_path, script) as server:
        server.wait_for("ready")
        with in_background(lambda: server.score("first")) as answers:
            assert server.score("second").json() == "second"
        assert answers[0].json() == "first"


def test_an_async_run_is_cancelled_at_its_deadline(tmp_path):
    script = """
        import asyncio

        def init():
            pass

        async def run(data):
            try:
                await asyncio.sleep(3600 if data else 0)
            except asyncio.CancelledError:
                print("was cancelled")
                raise
        """
    with serving(tmp_path, script, SCORING_TIMEOUT_MS="300") as server:
        server.wait_for("ready")
        assert server.score("x").json() == {"message": "Scoring timeout after 300 ms"}
        assert until(lambda: server.find("was cancelled"), "the coroutine was cancelled")
        assert server.score("").json() == {}


def test_init_and_run_share_their_thread(tmp_path):
    script = """
        import sqlite3

        def init():
            global database
            database = sqlite3.connect(":memory:")

        def run(data):
            return database.execute("select 40 + 2").fetchone()
        """
    with serving(tmp_path, script) as server:
        assert server.wait_for("ready").score().json() == [42]


def test_several_threads_answer_at_once_where_asked(tmp_path):
    script = """
        import threading

        def init():
            global meeting
            meeting = threading.Barrier(2, timeout=20)

        def run(data):
            meeting.wait()
            return data
        """
    with serving(tmp_path, script, SLIPWAY_THREADS="2") as server:
        server.wait_for("ready")
        with in_background(lambda: server.score("first")) as answers:
            assert server.score("second").json() == "second"
        assert answers[0].json() == "first"


def test_a_script_finds_its_helpers_its_folder_and_the_variables_of_azure(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "beside.py").write_text("VALUE = 'beside'")
    (tmp_path / "above.py").write_text("VALUE = 'above'")
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra" / "elsewhere.py").write_text("VALUE = 'elsewhere'")
    script = """
        import os, above, beside, elsewhere

        def init():
            pass

        def run(data):
            return [above.VALUE, beside.VALUE, elsewhere.VALUE, os.environ["AML_APP_ROOT"], os.getcwd()]
        """
    with serving(
        tmp_path / "code",
        script,
        AML_APP_ROOT=str(tmp_path),
        AZUREML_ENTRY_SCRIPT="code/score.py",
        AZUREML_SOURCE_DIRECTORY="extra",
    ) as server:
        answer = server.wait_for("ready").score().json()
        assert answer == ["above", "beside", "elsewhere", str(tmp_path), str(tmp_path)]


def test_a_helper_may_have_the_name_of_the_runtimes_package(tmp_path):
    (tmp_path / "scoring.py").write_text("VALUE = 'the helper'")
    script = """
        import scoring

        def init():
            pass

        def run(data):
            if data:
                raise ValueError(data)
            return scoring.VALUE
        """
    with serving(tmp_path, script) as server:
        assert server.wait_for("ready").score().json() == "the helper"
        assert server.score("x").status_code == 500
        server.terminate()
        assert server.exit_code() == 0


def test_numeric_libraries_get_as_many_threads_as_there_are_cores_for_each_call(tmp_path):
    script = """
        import os

        def init():
            pass

        def run(data):
            return [os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"]]
        """
    with serving(tmp_path, script, SLIPWAY_THREADS="256", OPENBLAS_NUM_THREADS="5") as server:
        assert server.wait_for("ready").score().json() == ["1", "5"]


def test_a_driver_module_is_initialised_itself_and_its_scripts_run_is_called(tmp_path):
    (tmp_path / "inner.py").write_text("def run(data):\n    return 'inner ' + data\n")
    script = """
        import inner as driver_module

        def init():
            print("the driver's init")

        def run(*arguments):
            raise AssertionError
        """
    with serving(tmp_path, script) as server:
        assert server.wait_for("ready").score("x").json() == "inner x"
        assert until(lambda: server.find("the driver's init"), "the log has it")


def test_without_an_entry_script_main_is_taken(tmp_path):
    (tmp_path / "main.py").write_text("def init(): pass\ndef run(data): return 'main'\n")
    with serving(tmp_path, "", AZUREML_ENTRY_SCRIPT="") as server:
        assert server.wait_for("ready").score().json() == "main"


def test_a_script_that_seeds_its_random_numbers_changes_no_request_id_and_finds_its_own_stream(tmp_path):
    script = """
        import random

        def init():
            pass

        def run(data):
            if data == "seed":
                random.seed(42)
            return random.random()
        """
    with serving(tmp_path, script) as server:
        server.wait_for("ready")
        answers = [[server.score("seed"), server.score("next")] for _ in range(2)]

    ids = {answer.headers["x-request-id"] for pair in answers for answer in pair}
    assert len(ids) == 4
    assert [answer.json() for answer in answers[0]] == [answer.json() for answer in answers[1]]
