"""Waking by pipes: nothing in a line is lost or given twice, no thread sleeps on, and every ring is heard."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path

import pytest

from scoring.wakes import Bell, Line
from tests.unit.scoring_harness import PATIENCE_SECONDS
from tests.unit.server_harness import open_files


def takers(line: Line[int], count: int) -> tuple[list[threading.Thread], list[int]]:
    """Threads that take what is put into a line until it ends."""
    taken: list[int] = []

    def take() -> None:
        while (item := line.get()) is not None:
            taken.append(item)

    threads = [threading.Thread(target=take, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, taken


def joined(threads: list[threading.Thread]) -> bool:
    """Whether all have ended, in time."""
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    return not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("pause", [0.0, 0.0005])
def test_all_that_is_put_is_taken_once_and_every_thread_ends(count, pause):
    line: Line[int] = Line()
    threads, taken = takers(line, count)
    for number in range(300):
        line.put(number)
        # Threads that fall asleep in between have to be woken each time.
        time.sleep(pause)
    line.end()
    assert joined(threads)
    assert sorted(taken) == list(range(300))
    line.close()


def test_a_thread_alone_takes_in_the_order_of_the_line():
    line: Line[int] = Line()
    for number in range(100):
        line.put(number)
    threads, taken = takers(line, 1)
    line.end()
    assert joined(threads)
    assert taken == list(range(100))


def test_each_item_is_taken_although_no_other_follows():
    line: Line[int] = Line()
    threads, taken = takers(line, 2)
    for number in range(200):
        line.put(number)
        end = time.monotonic() + PATIENCE_SECONDS
        while len(taken) <= number:
            assert time.monotonic() < end, f"item {number} was never taken"
            time.sleep(0)
    line.end()
    assert joined(threads)


def test_an_ended_line_still_gives_what_it_has():
    line: Line[int] = Line()
    line.put(1)
    line.end()
    assert (line.get(), line.get(), line.take()) == (1, None, None)


def test_what_is_put_and_the_end_after_a_look_that_found_nothing_are_both_seen(monkeypatch):
    line: Line[int] = Line()
    looks: list[int | None] = []
    take = line.take

    def look() -> int | None:
        looks.append(take())
        if len(looks) == 1:
            line.put(1)
            line.end()
        return looks[-1]

    monkeypatch.setattr(line, "take", look)
    assert (line.get(), line.get()) == (1, None)


def test_each_ring_is_heard_and_none_after_the_last():
    heard: list[int] = []
    loop = asyncio.new_event_loop()

    async def listen() -> None:
        count = 0
        answered = asyncio.Event()

        def answer() -> None:
            heard.append(count)
            answered.set()

        bell = Bell(loop, answer)
        for number in range(50):
            count = number
            answered.clear()
            threading.Thread(target=bell.ring).start()
            await asyncio.wait_for(answered.wait(), PATIENCE_SECONDS)
        bell.close()

    loop.run_until_complete(listen())
    loop.close()
    assert heard == list(range(50))


def test_rings_that_nobody_hears_never_hold_up_who_rings():
    loop = asyncio.new_event_loop()
    heard: list[bool] = []
    bell = Bell(loop, lambda: heard.append(True))
    for _ in range(100_000):
        # More than a pipe holds.
        bell.ring()

    async def a_while() -> None:
        await asyncio.sleep(0.05)

    loop.run_until_complete(a_while())
    assert heard
    bell.close()
    loop.close()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts files by /proc")
def test_both_give_their_files_back():
    before = open_files(os.getpid())
    loop = asyncio.new_event_loop()
    own = open_files(os.getpid())
    line: Line[int] = Line()
    bell = Bell(loop, lambda: None)
    assert open_files(os.getpid()) == own + 4
    bell.close()
    line.close()
    assert open_files(os.getpid()) == own
    loop.close()
    assert open_files(os.getpid()) == before
