"""One part: read, scored, and written under its name; then marked as finished."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from scoring.answers import AnswerError, to_json
from scoring.batch import reading
from scoring.batch.calling import Stopped, scored
from scoring.batch.items import Bad, as_text
from scoring.batch.places import StorageError
from scoring.batch.results import table_of, written
from scoring.batch.settings import CSV, FILES, JSONL
from scoring.storage import name_in

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from scoring.batch.board import Slot
    from scoring.batch.calling import Caller
    from scoring.batch.items import Items
    from scoring.batch.places import Places
    from scoring.batch.plan import Part, Plan
    from scoring.batch.settings import JobSettings
    from scoring.storage import Store

WHOLE = -1  # In place of a mini-batch's number: the part itself.
_TRIES = 6
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 8.0
_PUT_PAUSES = (0.2, 1.0)
_ENDINGS = {CSV: "csv", JSONL: "jsonl"}


@dataclass
class Done:
    """What became of a part.

    Attributes:
        items: How many rows or files it had.
        failed: How many of them failed.
        lost: How many of those were a file from which on nothing could be read: rows of an unknown number.
        results: How many rows were written.
        size: How many bytes of input it was.
        files: What was written.
        seconds: How long it took.
    """

    items: int = 0
    failed: int = 0
    lost: int = 0
    results: int = 0
    size: int = 0
    files: list[str] = field(default_factory=list)
    seconds: float = 0.0


class PartRunner:
    """Works on one part after the other, in one process."""

    def __init__(
        self,
        settings: JobSettings,
        call: str,
        plan: Plan,
        caller: Caller,
        store: Store,
        slot: Slot,
        folder: Path | None = None,
    ) -> None:
        """Take what all parts share.

        Args:
            settings: The job's.
            call: How run() is called.
            plan: The job's, for the types of CSV columns.
            caller: Calls run().
            store: The output.
            slot: Where this process tells what it does, and is told to stop.
            folder: Where the script writes files of its own that go to the output; None where it writes them there.
        """
        self._settings = settings
        self._call = call
        self._types = {**plan.types, **settings.types}
        self._caller = caller
        self._store = store
        self._slot = slot
        self._folder = folder

    def run(self, part: Part, places: Places, skip: Collection[int], reason: str) -> Done:
        """Work on a part, again and again while the storage fails.

        Args:
            part: The part.
            places: Opens its files.
            skip: The numbers of mini-batches that are not to be tried again; WHOLE for all of them.
            reason: Why not.

        Raises:
            Stopped: The job is to stop; nothing of the part is finished.
            StorageError: The storage goes on failing.
            InputError: The environment does not lead to it.
        """
        pause = _FIRST_PAUSE
        for left in reversed(range(_TRIES)):
            try:
                return self._once(part, places, skip, reason)
            except StorageError as error:
                if not left or error.is_lasting:
                    raise
            finally:
                self._slot.end()
            self._wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        raise AssertionError("unreachable")

    def _once(self, part: Part, places: Places, skip: Collection[int], reason: str) -> Done:
        started = time.monotonic()
        done, output = Done(size=part.size), _Output(self._settings, part, self._store)
        if WHOLE in skip:
            done.items = len(part.paths)
            is_rest = part.format != FILES
            self._note([Bad(path, None, reason, is_rest=is_rest) for path in part.paths], done, output)
        else:
            try:
                self._score(part, places, skip, reason, done, output)
            except Stopped:
                output.leave()
                raise
        output.finish(done)
        self._upload()
        done.seconds = round(time.monotonic() - started, 3)
        _put(self._store, part.done_name, to_json(asdict(done)))
        return done

    def _score(
        self, part: Part, places: Places, skip: Collection[int], reason: str, done: Done, output: _Output
    ) -> None:
        def read() -> Any:
            return reading.blocks(part, self._settings, self._call, self._types, places)

        number = 0
        limit = self._settings.batch_size(self._call)
        blocks = reading.ahead(read, self._settings.prefetch)
        try:
            for block in blocks:
                total = len(block.items)
                done.items += total + len(block.bad)
                self._note(block.bad, done, output)
                # As even as can be: a small rest would cost a call of its own.
                calls = -(-total // limit)
                for index in range(calls):
                    items = block.items.cut(total * index // calls, total * (index + 1) // calls)
                    if number in skip:
                        self._note(items.bad(reason), done, output)
                    else:
                        self._call_for(items, number, done, output)
                    number += 1
                self._slot.count(done.items, done.failed)
                output.add_input(block.size)
                if block.folder is not None:
                    block.folder.cleanup()
        finally:
            blocks.close()  # type: ignore[attr-defined]  # it is a generator

    def _call_for(self, items: Items, number: int, done: Done, output: _Output) -> None:
        def check() -> None:
            if self._slot.is_stopping:
                raise Stopped
            # Each try has its own time.
            self._slot.begin(number)

        def call(items: Items) -> tuple[Any, int]:
            returned, count = self._caller(items)
            return (table_of(returned, items, self._settings.keep) if self._settings.is_appended else None), count

        for _, table, bad in scored(call, items, self._settings, check):
            if table is not None:
                output.add(table)
            self._note(bad, done, output)
        self._slot.rest()

    def _note(self, bad: list[Bad], done: Done, output: _Output) -> None:
        done.failed += len(bad)
        done.lost += sum(one.is_rest for one in bad)
        output.add_errors(bad)
        if bad:
            self._slot.count(done.items, done.failed)

    def _upload(self) -> None:
        for path in sorted(self._folder.rglob("*")) if self._folder is not None else ():
            if path.is_file():
                inside = path.relative_to(self._folder).as_posix()  # type: ignore[arg-type]  # else there is no path
                _put(self._store, f"written/{name_in(self._settings.output, inside)}", path.read_bytes())
                path.unlink()

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self._slot.is_stopping:
                raise Stopped
            time.sleep(0.05)


class _Output:
    """A part's files. Where one is full is decided by the input, so that a second run makes the same ones."""

    def __init__(self, settings: JobSettings, part: Part, store: Store) -> None:
        self._limit = settings.part_bytes
        self._may_stop = settings.error_threshold >= 0
        self._form = settings.format
        self._told = settings.told
        self._part = part
        self._store = store
        self._tables: list[Any] = []
        self._errors: list[Bad] = []
        self._size = self._number = self._results = 0
        self._files: list[str] = []

    def add(self, table: Any) -> None:
        if len(table):
            self._tables.append(table)

    def add_errors(self, bad: list[Bad]) -> None:
        self._errors += bad

    def add_input(self, size: int) -> None:
        self._size += size
        if self._size >= self._limit:
            self._write()

    def finish(self, done: Done) -> None:
        self._write()
        done.files = self._files
        done.results = self._results

    def leave(self) -> None:
        """Write what failed so far, of a part that is not finished: there may be too much of it to go on."""
        if self._may_stop and self._errors:
            self._write_errors(f".{self._number}" if self._number else "")

    def _write(self) -> None:
        number = f".{self._number}" if self._number else ""
        self._number += 1
        self._size = 0
        if self._tables:
            name = f"predictions/{self._part.name}{number}.{_ENDINGS.get(self._form, 'parquet')}"
            self._results += sum(map(len, self._tables))
            content, self._tables = written(self._tables, self._form), []
            _put(self._store, name, content)
            self._files.append(name)
        if self._errors or self._may_stop:
            self._write_errors(number)

    def _write_errors(self, number: str) -> None:
        name = f"errors/{self._part.name}{number}.jsonl"
        lines, self._errors = b"".join(_line(bad, self._told(bad.file)) for bad in self._errors), []
        if lines:
            _put(self._store, name, lines)
        else:
            # An earlier run may have been stopped by what now succeeds.
            _try(f"{name} cannot be removed", lambda: self._store.delete(name))


def _line(bad: Bad, file: str) -> bytes:
    told = {**asdict(bad), "file": file, "content": as_text(bad.content)}
    del told["is_rest"]
    try:
        return to_json(told) + b"\n"
    except AnswerError:
        return to_json({**told, "content": str(bad.content)}) + b"\n"


def _put(store: Store, name: str, content: bytes) -> None:
    _try(f"{name} cannot be written", lambda: store.put(name, content))


def _try(problem: str, act: Callable[[], None]) -> None:
    for pause in (*_PUT_PAUSES, None):
        try:
            act()
        except Exception as error:
            failed = StorageError(problem, error)
            # Cheaper than to score the part again.
            if pause is None or failed.is_lasting:
                raise failed from error
            time.sleep(pause)
        else:
            return


__all__ = ["WHOLE", "Done", "PartRunner"]
