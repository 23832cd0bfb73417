"""The edge module as a process, without a hub."""

from tests.unit.scoring_harness import environment, run, write

SCRIPT = """
    def init():
        pass

    def run(data):
        return 1
"""


def test_a_module_that_can_have_no_store_ends_and_says_why(tmp_path):
    store = tmp_path / "store"
    (store / "messages.db").mkdir(parents=True)
    write(tmp_path, "score.py", SCRIPT)
    ended = run("edge", environment(tmp_path, SLIPWAY_EDGE_STORE=str(store)))
    assert ended.returncode != 0
    assert f"the store {store}/messages.db cannot be opened" in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr


def test_a_module_that_may_not_write_to_its_store_ends_and_says_why(tmp_path):
    store = tmp_path / "store"
    (store / "lock").mkdir(parents=True)
    write(tmp_path, "score.py", SCRIPT)
    ended = run("edge", environment(tmp_path, SLIPWAY_EDGE_STORE=str(store)))
    assert ended.returncode != 0
    assert f"there can be no store in {store}: Is a directory" in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr
