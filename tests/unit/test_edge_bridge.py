"""The edge module as a process, without a hub, and what its bridge makes of answers."""

import asyncio
from types import SimpleNamespace

import pytest

from scoring.answers import Answer
from scoring.edge.bridge import Bridge
from scoring.edge.settings import EdgeSettings
from scoring.edge.store import OUTPUTS, Message, Rank, Store
from scoring.refused import RefusedError
from scoring.scorer import Scored
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


def bridge_of(tmp_path, submit, state="ready"):
    service = SimpleNamespace(own_state=state, submit=submit)
    settings = SimpleNamespace(name="m", version="1")
    return Bridge(EdgeSettings(tmp_path, "score", 1), settings, service, None)


def test_a_process_that_ends_while_it_loads_is_no_messages_fault(tmp_path):
    store = Store(tmp_path / "messages.db", max_bytes=10**6, max_age_seconds=10**6)
    store.put([Message("first", "in", {}, b"1", Rank.INPUT)])

    async def work():
        for _ in range(5):
            # As far as a process comes that ends while it loads.
            bridge = bridge_of(tmp_path, None, "loading")
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(bridge._recover(store), 0.05)
        bridge = bridge_of(tmp_path, lambda _request, tell: tell(None, Scored(Answer(b"{}"), 0.0)))
        await bridge._recover(store)

    asyncio.run(work())
    assert [one.endpoint for one in store.take(OUTPUTS, 10)] == ["scores"]
    store.close()


def test_a_message_that_is_not_taken_yet_keeps_back_those_behind_it(tmp_path):
    store = Store(tmp_path / "messages.db", max_bytes=10**6, max_age_seconds=10**6)
    store.put([Message(name, "in", {}, b"1", Rank.INPUT) for name in ("small", "large", "smaller")])
    taken = []

    def submit(request, tell):
        taken.append(request.id)
        # As a service answers whose waiting requests have no room for it, but for others.
        if taken.count("large") == 1 and request.id == "large":
            raise RefusedError(503, "The service is busy")
        tell(None, Scored(Answer(b"{}"), 0.0))

    async def work():
        bridge = bridge_of(tmp_path, submit)
        while waiting := store.take([Rank.INPUT], 10):
            await bridge._work_on(store, waiting)

    asyncio.run(work())
    assert [one.id for one in store.take(OUTPUTS, 10)] == ["m:small", "m:large", "m:smaller"]
    store.close()


def test_a_result_that_goes_without_its_messages_properties_is_counted(tmp_path):
    store = Store(tmp_path / "messages.db", max_bytes=10**6, max_age_seconds=10**6)
    store.put([Message(name, "in", {"site": "x" * size}, b"1", Rank.INPUT) for name, size in (("a", 70_000), ("b", 7))])

    async def work():
        bridge = bridge_of(tmp_path, lambda _request, tell: tell(None, Scored(Answer(b"{}"), 0.0)))
        await bridge._work_on(store, store.take([Rank.INPUT], 10))

    asyncio.run(work())
    assert [one.properties.get("site") for one in store.take(OUTPUTS, 10)] == [None, "x" * 7]
    assert store.counts().dropped == {"properties": 1}
    store.close()
