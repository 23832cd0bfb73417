"""The edge module's store: order, bounds, at least once, whatever happens between."""

import random
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from scoring.edge.store import OUTPUTS, DamagedError, Message, Rank, Store, StoreError

ROOT = Path(__file__).parents[2]
MEBIBYTE = 1024 * 1024
DAY = 86_400


def message(name, rank=Rank.TELEMETRY, size=10):
    return Message(str(name), "scores", {"n": str(name)}, b"x" * size, rank)


def opened(folder, max_bytes=MEBIBYTE, max_age=DAY):
    return Store(folder / "messages.db", max_bytes=max_bytes, max_age_seconds=max_age)


def ids(store, ranks=OUTPUTS):
    return [one.id for one in store.take(ranks, 10_000)]


def test_what_was_put_is_taken_in_order_with_all_that_belongs_to_it(tmp_path):
    store = opened(tmp_path)
    given = Message("a", "scores", {"$.mid": "a", "ü": "&=/"}, b"\x00body", Rank.TELEMETRY)
    store.put([given, message("b")])
    first, second = store.take(OUTPUTS, 2)
    assert (first.id, first.endpoint, first.properties, first.body) == ("a", "scores", given.properties, given.body)
    assert first.number < second.number


def test_alerts_pass_before_telemetry_that_came_before_them(tmp_path):
    store = opened(tmp_path)
    store.put([message(1), message(2), message("alert-1", Rank.ALERT), message(3), message("alert-2", Rank.ALERT)])
    assert ids(store) == ["alert-1", "alert-2", "1", "2", "3"]


def test_taking_takes_nothing_away_until_it_is_settled(tmp_path):
    store = opened(tmp_path)
    store.put([message(1), message(2)])
    taken = store.take(OUTPUTS, 1)
    assert ids(store) == ["1", "2"]
    store.settle([taken[0].number])
    assert ids(store) == ["2"]


def test_a_copy_of_a_killed_processs_file_has_all_that_was_put(tmp_path):
    store = opened(tmp_path)
    store.begin()
    store.put([message(n) for n in range(100)])
    left = tmp_path / "left"
    left.mkdir()
    for path in tmp_path.glob("messages.db*"):
        shutil.copy(path, left)
    again = opened(left)
    assert ids(again) == [str(n) for n in range(100)]
    assert again.counts().bytes == store.counts().bytes
    assert again.begin()


def test_a_process_that_came_to_its_end_is_known_from_one_that_did_not(tmp_path):
    store = opened(tmp_path)
    assert not store.begin()
    store.close()
    again = opened(tmp_path)
    assert not again.begin()


def test_without_room_the_oldest_of_what_matters_least_goes_and_is_counted(tmp_path):
    store = opened(tmp_path, max_bytes=10_000)
    store.put([message("in", Rank.INPUT, 1000), message("alert", Rank.ALERT, 1000)])
    store.put([message(n, size=1000) for n in range(20)])
    assert ids(store)[0] == "alert"
    assert ids(store, [Rank.INPUT]) == ["in"]
    kept = ids(store, [Rank.TELEMETRY])
    assert kept == [str(n) for n in range(20)][-len(kept) :]
    assert store.counts().dropped == {"telemetry": 20 - len(kept)}
    assert store.counts().bytes <= 10_000
    store.put([message(f"alert-{n}", Rank.ALERT, 1000) for n in range(20)])
    assert store.counts().dropped["input"] == 1
    assert store.counts().dropped["telemetry"] == 20
    assert ids(store)[-1] == "alert-19"


def test_what_is_too_old_goes_and_is_counted(tmp_path, monkeypatch):
    store = opened(tmp_path, max_age=60)
    store.put([message("old", Rank.ALERT)])
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    store.put([message("new")])
    assert ids(store) == ["new"]
    assert store.counts().dropped == {"expired": 1}
    monkeypatch.setattr(time, "time", lambda: now + 200)
    store.expire()
    assert ids(store) == []


def test_a_clock_that_is_set_makes_nothing_old_and_nothing_young_for_ever(tmp_path, monkeypatch):
    now = time.time()
    store = opened(tmp_path)
    store.put([message("before the device was off")])
    store.close()
    # It begins without the time, and is told it when it has a network.
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    store = opened(tmp_path)
    store.put([message("in 1970")])
    monkeypatch.setattr(time, "time", lambda: now + 10 * 60)
    store.put([message("now")])
    assert ids(store) == ["before the device was off", "in 1970", "now"]
    # A clock that was wrong the other way.
    monkeypatch.setattr(time, "time", lambda: now + 400 * DAY)
    store.put([message("in the future")])
    monkeypatch.setattr(time, "time", lambda: now + 20 * 60)
    store.expire()
    assert len(ids(store)) == 4
    stored = [value for (value,) in store._db.execute("SELECT stored FROM messages")]
    assert now - 1 <= min(stored)
    assert max(stored) <= now + 20 * 60


def test_a_message_that_can_never_fit_is_counted_and_pushes_out_nothing(tmp_path):
    store = opened(tmp_path, max_bytes=10_000)
    store.put([message("small"), message("large", size=20_000)])
    assert ids(store) == ["small"]
    assert store.counts().dropped == {"too large": 1}


def test_narrower_bounds_hold_at_once(tmp_path):
    store = opened(tmp_path)
    store.put([message(n, size=1000) for n in range(50)])
    store.limit(max_bytes=20_000, max_age_seconds=DAY)
    assert store.counts().bytes <= 20_000
    assert ids(store)[-1] == "49"


def test_results_and_the_end_of_their_inputs_are_one_step(tmp_path, monkeypatch):
    store = opened(tmp_path)
    store.put([message("in", Rank.INPUT)])
    [taken] = store.take([Rank.INPUT], 1)
    broken = Message("x", "scores", {}, "no bytes: SQLite takes it, and len() too", Rank.TELEMETRY)
    monkeypatch.setattr(store, "_drop", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        store.settle([taken.number], [broken])
    assert ids(store, list(Rank)) == ["in"]
    assert store.counts().bytes == opened(tmp_path).counts().bytes


def test_a_file_that_is_no_store_is_put_aside_and_not_lost(tmp_path):
    (tmp_path / "messages.db").write_bytes(b"not a database" * 1000)
    store = opened(tmp_path)
    store.put([message(1)])
    assert ids(store) == ["1"]
    [aside] = tmp_path.glob("messages.db.broken-*")
    assert aside.read_bytes().startswith(b"not a database")


def test_a_file_that_is_damaged_in_the_middle_is_told_and_put_aside_when_it_is_opened_anew(tmp_path):
    store = opened(tmp_path)
    store.put([message(n, size=4000) for n in range(100)])
    store.close()
    path = tmp_path / "messages.db"
    middle = path.stat().st_size // 2
    with path.open("r+b") as file:
        file.seek(middle)
        file.write(b"\xff" * 16_384)
    # As it is found by a process that had it open.
    store._db = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(DamagedError, match="cannot be read"):
        store.take(OUTPUTS, 1000)
    store.close()
    again = opened(tmp_path)
    again.put([message("new")])
    assert ids(again) == ["new"]
    [aside] = tmp_path.glob("messages.db.broken-*")
    assert aside.stat().st_size > middle


def test_a_place_where_nothing_can_be_written_is_told(tmp_path):
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(tmp_path / "missing" / "messages.db", max_bytes=1, max_age_seconds=1)


def test_a_full_disk_costs_the_least_and_oldest_and_takes_the_new(tmp_path):
    store = opened(tmp_path)
    store.put([message(n, size=4000) for n in range(200)])
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    for n in range(200, 300):
        store.put([message(n, Rank.ALERT, size=4000)])
    assert ids(store, [Rank.ALERT]) == [str(n) for n in range(200, 300)]
    assert store.counts().dropped["telemetry"] >= 100


def test_a_disk_that_takes_nothing_at_all_is_an_error(tmp_path):
    store = opened(tmp_path)
    store._db.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match="cannot be written to"):
        store.put([message(1)])


@pytest.mark.parametrize(
    "change",
    [
        Store.begin,
        lambda store: store.note_attempt(1),
        lambda store: store.settle([1]),
        lambda store: store.limit(max_bytes=200, max_age_seconds=DAY),
    ],
)
def test_whatever_the_disk_does_not_take_is_told_and_done_when_it_takes_it_again(tmp_path, change):
    store = opened(tmp_path)
    store.put([message(1), message(2, size=1000)])
    store._db.execute("PRAGMA query_only = ON")
    before = ids(store), store.counts()
    with pytest.raises(StoreError, match="cannot be written to") as raised:
        change(store)
    assert not isinstance(raised.value, DamagedError)
    assert (ids(store), store.counts()) == before
    store._db.execute("PRAGMA query_only = OFF")
    change(store)


def test_attempts_are_counted_across_processes(tmp_path):
    store = opened(tmp_path)
    store.put([message("in", Rank.INPUT)])
    [taken] = store.take([Rank.INPUT], 1)
    assert store.note_attempt(taken.number) == 1
    store.close()
    assert opened(tmp_path).note_attempt(taken.number) == 2


# Takes inputs, makes results of them, forgets those that were sent; and tells of each when it is done.
BUSY = """
import os
import sys
from pathlib import Path
from scoring.edge.store import OUTPUTS, Message, Rank, Store

store = Store(Path(sys.argv[1]), max_bytes=10**6, max_age_seconds=10**6)
store.begin()
os.write(1, b"began\\n")
for n in range(int(sys.argv[2]), 10**9):
    store.put([Message(str(n), "in", {}, b"x" * 300, Rank.INPUT)])
    os.write(1, b"put %d\\n" % n)
    if n % 3:
        [one, *_] = store.take([Rank.INPUT], 1)
        rank = Rank.TELEMETRY if int(one.id) % 5 else Rank.ALERT
        store.settle([one.number], [Message(one.id, "out", {}, b"x" * 300, rank)])
    if n % 2:
        for one in store.take(OUTPUTS, 1):
            store.settle([one.number])
            os.write(1, b"sent %d\\n" % int(one.id))
"""


def test_a_process_killed_at_any_moment_leaves_all_that_was_put_once_and_in_order(tmp_path):
    path, chance = tmp_path / "messages.db", random.Random(7)
    put, sent = -1, set()
    for _ in range(12):
        busy = subprocess.Popen(
            [sys.executable, "-c", BUSY, str(path), str(put + 1)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert busy.stdout.readline() == "began\n"
        time.sleep(chance.uniform(0, 0.15))
        busy.kill()
        for line in busy.communicate()[0].splitlines():
            what, _, number = line.partition(" ")
            put = max(put, int(number))
            if what == "sent":
                sent.add(int(number))
        store = Store(path, max_bytes=10**6, max_age_seconds=10**6)
        found = [[int(one.id) for one in store.take([rank], 10**6)] for rank in Rank]
        assert store.counts().bytes == store._one("SELECT COALESCE(SUM(size), 0) FROM messages")
        assert store.counts().dropped == {}
        store._db.close()
        there = [n for numbers in found for n in numbers]
        assert all(numbers == sorted(numbers) for numbers in found)
        assert len(there) == len(set(there))
        assert not sent & set(there)
        put = max([put, *there])
        missing = set(range(put + 1)) - sent - set(there)
        # Sent, and killed before it told.
        assert len(missing) <= 1
        sent |= missing
    assert put > 100
    assert list(tmp_path.glob("*.broken-*")) == []


class Model(RuleBasedStateMachine):
    """The store against a list."""

    LIMIT = 5_000

    @initialize()
    def begin(self):
        self.folder = self.make()
        self.store = opened(self.folder, max_bytes=self.LIMIT)
        self.put_order = []
        self.settled = set()
        self.next = 0

    @rule(ranks=st.lists(st.sampled_from(list(Rank)), max_size=5), size=st.integers(0, 900))
    def put(self, ranks, size):
        made = []
        for rank in ranks:
            made.append(message(self.next, rank, size))
            self.put_order.append((rank, self.next))
            self.next += 1
        self.store.put(made)

    @rule(rank=st.sampled_from(list(Rank)), limit=st.integers(1, 4))
    def settle(self, rank, limit):
        taken = self.store.take([rank], limit)
        self.store.settle([one.number for one in taken])
        self.settled |= {int(one.id) for one in taken}

    @rule()
    def end_and_begin_again(self):
        self.store._db.close()  # As a killed process does.
        self.store = opened(self.folder, max_bytes=self.LIMIT)

    @invariant()
    def it_has_what_was_not_settled_but_for_the_oldest_of_what_matters_least(self):
        if not hasattr(self, "store"):
            return
        counts = self.store.counts()
        assert counts.bytes <= self.LIMIT
        assert counts.bytes == self.store._one("SELECT COALESCE(SUM(size), 0) FROM messages")
        lost = 0
        for rank in Rank:
            expected = [n for r, n in self.put_order if r == rank and n not in self.settled]
            kept = [int(one.id) for one in self.store.take([rank], 10_000)]
            # In order, nothing twice, and what is missing is missing from the front.
            assert kept == expected[len(expected) - len(kept) :]
            lost += len(expected) - len(kept)
        assert lost == sum(counts.dropped.values())

    def teardown(self):
        if hasattr(self, "store"):
            self.store.close()


def test_whatever_is_put_settled_and_ended_the_store_keeps_order_and_bounds(tmp_path_factory):
    Model.make = staticmethod(lambda: tmp_path_factory.mktemp("store"))
    run_state_machine_as_test(Model, settings=settings(max_examples=30, stateful_step_count=20, deadline=None))


@given(st.lists(st.tuples(st.sampled_from(OUTPUTS), st.booleans()), max_size=60))
@settings(max_examples=30, deadline=None)
def test_a_sender_that_fails_at_random_sends_everything_in_order_at_least_once(tmp_path_factory, puts):
    store = opened(tmp_path_factory.mktemp("store"))
    sent = []
    for number, (rank, is_acknowledged) in enumerate(puts):
        store.put([message(number, rank)])
        [first, *_] = store.take(OUTPUTS, 1)
        sent.append(int(first.id))
        if is_acknowledged:
            store.settle([first.number])
    sent += [int(name) for name in ids(store)]
    first_times = list(dict.fromkeys(sent))
    for rank in OUTPUTS:
        of_rank = [number for number, (its, _) in enumerate(puts) if its == rank]
        assert [number for number in first_times if number in of_rank] == of_rank
    store.close()
