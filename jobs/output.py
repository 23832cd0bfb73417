"""What a job has written so far: its progress, its results, its errors; in a folder or a storage."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobs.engine import JobError
from scoring.storage import connect
from storage import file_system, told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

PREDICTIONS, ERRORS, WRITTEN = "predictions", "errors", "written"
_PROGRESS = "job/progress"


@dataclass(frozen=True)
class Progress:
    """How far all tasks of a job have come, as they tell it themselves.

    Attributes:
        parts_done: How many parts of the input are finished.
        parts: How many there are in the tasks that have begun.
        size_done: How many bytes of input those are.
        size: How many bytes those tasks have.
        items: How many rows or files are done.
        failed: How many of them failed.
        items_per_second: Of the tasks that work now.
        seconds_left: Until the slowest of those is done; None where it is not known.
    """

    parts_done: int = 0
    parts: int = 0
    size_done: int = 0
    size: int = 0
    items: int = 0
    failed: int = 0
    items_per_second: float = 0.0
    seconds_left: int | None = None


class Output:
    """A job's folder."""

    def __init__(self, place: str) -> None:
        """Use a folder or a URL.

        Args:
            place: As the job has it.

        Raises:
            JobError: It cannot be reached from here.
        """
        self.place = place.rstrip("/")
        with self._told():
            reach = connect if self.place.startswith("azfiles://") else file_system
            self._system, root = reach(self.place)
        self._root = root.rstrip("/")

    def progress(self, tasks: int) -> Progress:
        """Return what the tasks tell.

        Args:
            tasks: How many the job has.

        Raises:
            JobError: The storage cannot be read from here.
        """
        found = []
        with self._told():
            # One that has not begun has no file: of many tasks, most may not.
            paths = [path for path in self._listed(_PROGRESS) if path.endswith(f"-of-{tasks}.json")]
            for content in self._system.cat(paths, on_error="return").values() if paths else ():
                if isinstance(content, bytes):
                    found.append(json.loads(content))
                elif not isinstance(content, FileNotFoundError):
                    raise content
        running = [one for one in found if one["state"] == "running"]
        left = [one["seconds_left"] for one in running]
        return Progress(
            parts_done=sum(one["parts"]["done"] for one in found),
            parts=sum(one["parts"]["of"] for one in found),
            size_done=sum(one["bytes"]["done"] for one in found),
            size=sum(one["bytes"]["of"] for one in found),
            items=sum(one["items"] for one in found),
            failed=sum(one["failed"] for one in found),
            items_per_second=sum(one["items_per_second"] for one in running),
            seconds_left=max(left) if left and None not in left else None,
        )

    def files(self, folder: str) -> dict[str, int]:
        """Return the size in bytes of each file of a folder, by its path in it, sorted.

        Args:
            folder: PREDICTIONS, ERRORS or WRITTEN.

        Raises:
            JobError: The storage cannot be read from here.
        """
        root = f"{self._root}/{folder}"
        with self._told():
            try:
                found = self._system.find(root, detail=True)
            except FileNotFoundError:
                return {}
        whole = {path[len(root) + 1 :]: int(entry["size"]) for path, entry in found.items()}
        # A file that is being written has a name that begins with a dot.
        return {name: whole[name] for name in sorted(whole) if not name.rpartition("/")[2].startswith(".")}

    def head(self, folder: str, rows: int) -> list[dict[str, Any]]:
        """Return the first rows of a folder's files.

        Args:
            folder: PREDICTIONS or ERRORS.
            rows: How many.

        Raises:
            JobError: They cannot be read.
        """
        names = iter(self.files(folder))
        with self._told():
            return list(itertools.islice((row for name in names for row in self._rows(f"{folder}/{name}", rows)), rows))

    def _told(self) -> AbstractContextManager[None]:
        return told(f"{self.place} cannot be read", self.place, JobError)

    def _listed(self, folder: str) -> list[str]:
        try:
            return sorted(self._system.ls(f"{self._root}/{folder}", detail=False))
        except FileNotFoundError:
            return []

    def _rows(self, name: str, most: int) -> Iterator[dict[str, Any]]:
        with self._system.open(f"{self._root}/{name}", "rb") as stream:
            if name.endswith(".jsonl"):
                yield from map(json.loads, stream)
                return
            # Slow to import.
            from pyarrow import csv, parquet  # type: ignore[import-untyped] # noqa: PLC0415 - it has no types

            if name.endswith(".csv"):
                batches: Any = csv.open_csv(stream)
            else:
                batches = parquet.ParquetFile(stream).iter_batches(batch_size=most)
            for batch in batches:
                yield from batch.to_pylist()
