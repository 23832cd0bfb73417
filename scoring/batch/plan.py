"""The plan of a job: its parts, each with one name, the same for every task whenever it starts."""

from __future__ import annotations

import hashlib
import heapq
import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from scoring.batch.places import InputError, Places, StorageError
from scoring.batch.settings import AUTO, CSV, FILES, JSONL, PARQUET, REQUESTS
from scoring.storage import name_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scoring.batch.settings import JobSettings
    from scoring.storage import Store

_NAME = "job/plan.json"
_DONE = "job/done"
_VERSION = 1
_SUFFIXES = {".csv": CSV, ".jsonl": JSONL, ".ndjson": JSONL, ".parquet": PARQUET, ".pq": PARQUET}
COMPRESSED = (".gz",)


@dataclass(frozen=True)
class Part:
    """A piece of the input that becomes one file, or a numbered few.

    Attributes:
        name: Of the output, without the format's ending: the input's path below its folder, and the range.
        format: Of the input; `files` where it is not looked into.
        paths: Its files; one, but for `files`.
        start: The first byte of the range in the file.
        end: Where the range ends; rows and row groups belong to the part where they start.
        size: In bytes.
    """

    name: str
    format: str
    paths: tuple[str, ...]
    start: int
    end: int
    size: int

    @property
    def done_name(self) -> str:
        """Where it is told in the output that the part is finished."""
        return f"{_DONE}/{self.name}.json"


@dataclass(frozen=True)
class Plan:
    """What a job does.

    Attributes:
        settings: Those that decided on the parts.
        types: Arrow types of CSV columns that were found in the first file.
        parts: All of them, of all tasks.
    """

    settings: dict[str, Any]
    types: dict[str, str]
    parts: tuple[Part, ...]


def prepared(settings: JobSettings, call: str, store: Store, places: Places) -> Plan:
    """Return the plan that is in the output; make it where there is none.

    The first task to come makes it: what is added to the input later belongs to the next job.

    Args:
        settings: What is asked for.
        call: How run() is called.
        store: The output.
        places: Lists the input.

    Raises:
        InputError: The input cannot be used, or the output is that of another job.
        StorageError: A storage fails.
    """
    asked = {**settings.plan_settings(), "call": call, "size": settings.batch_size(call)}
    kept = _kept(store)
    if kept is None:
        found = list(places.find(settings.input))
        made = Plan(asked, _types(settings, call, places, found), tuple(_parts(settings, call, found)))
        # Not orjson: a path may hold bytes that are no UTF-8, which it takes neither way.
        content = json.dumps({"version": _VERSION, **asdict(made)}).encode()
        try:
            is_first = store.create(_NAME, content)
        except Exception as error:
            raise StorageError(f"the plan cannot be written to {settings.output}", error) from error
        # Another task was faster, and may have seen another input.
        kept = made if is_first else _kept(store)
    if kept is None:
        raise InputError(f"the plan in {settings.output} vanished while it was read: another job works there")
    differing = [name for name, value in asked.items() if kept.settings.get(name) != value]
    if differing:
        raise InputError(
            f"the output {settings.output} is that of a job with other settings ({', '.join(differing)}); "
            "give this job an output of its own, or the settings that the other one had"
        )
    return kept


def done_in(store: Store) -> set[str]:
    """Return the names of the finished parts.

    Raises:
        StorageError: The storage fails.
    """
    try:
        found = store.sizes(_DONE)
    except Exception as error:
        raise StorageError("the finished parts cannot be listed", error) from error
    return {name.removeprefix(f"{_DONE}/").removesuffix(".json") for name in found if name.endswith(".json")}


def of_task(parts: Sequence[Part], task: int, of: int) -> list[Part]:
    """Return a task's parts: the largest ones are dealt first, each to the task that has least so far."""
    loads = [(0, number) for number in range(of)]
    mine = []
    for part in sorted(parts, key=lambda part: (-part.size, part.name)):
        load, number = heapq.heappop(loads)
        if number == task:
            mine.append(part)
        # A part costs something however small it is.
        heapq.heappush(loads, (load + part.size + 1, number))
    return mine


def _kept(store: Store) -> Plan | None:
    try:
        content = json.loads(store.get(_NAME))
    except FileNotFoundError:
        return None
    except Exception as error:
        raise StorageError("the job's plan cannot be read", error) from error
    parts = tuple(Part(**{**part, "paths": tuple(part["paths"])}) for part in content["parts"])
    return Plan(content["settings"], content["types"], parts)


def _parts(settings: JobSettings, call: str, found: Sequence[tuple[str, str, int]]) -> Iterator[Part]:
    group: list[tuple[str, str, int]] = []
    taken: dict[str, str] = {}
    unknown: list[str] = []
    for path, inside, size in found:
        relative = name_in(settings.output, os.fsencode(inside).decode("utf-8", "replace"))
        # Two inputs may hold files of the same name, and not every output tells small letters from capitals.
        if taken.setdefault(relative.casefold(), path) != path:
            relative = f"{relative}.{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"
        kind = FILES if call == FILES else _format_of(settings, call, path)
        if kind is None:
            unknown.append(path)
        elif kind == FILES:
            if group and (len(group) == settings.batch_size(FILES) or _is_full(group, size, settings)):
                yield _group(group)
                group = []
            group.append((path, relative, size))
        else:
            yield from _ranges(settings, kind, path, relative, size)
    if group:
        yield _group(group)
    if unknown:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise InputError(
            f"{unknown[0]}{more}: the format is not known by the name (.csv, .jsonl, .ndjson, .parquet, also .csv.gz "
            "and .jsonl.gz); set --input-format, or --call files for a run() that takes paths"
        )


def _format_of(settings: JobSettings, call: str, name: str) -> str | None:
    if settings.input_format != AUTO:
        return settings.input_format
    plain = name.lower().removesuffix(".gz")
    found = next((kind for suffix, kind in _SUFFIXES.items() if plain.endswith(suffix)), None)
    # A request's body may be anything.
    return FILES if found is None and call == REQUESTS else found


def _ranges(settings: JobSettings, kind: str, path: str, relative: str, size: int) -> Iterator[Part]:
    whole = path.lower().endswith(COMPRESSED) or (kind == CSV and settings.multiline)
    step = max(size, 1) if whole else settings.part_bytes
    for start in range(0, max(size, 1), step):
        end = min(start + step, size)
        yield Part(f"{relative}.{start:013d}-{end:013d}", kind, (path,), start, end, end - start)


def _is_full(group: list[tuple[str, str, int]], size: int, settings: JobSettings) -> bool:
    return sum(known for _, _, known in group) + size > settings.part_bytes


def _group(group: list[tuple[str, str, int]]) -> Part:
    paths = tuple(path for path, _, _ in group)
    size = sum(size for _, _, size in group)
    return Part(f"{group[0][1]}.{len(group)}-files", FILES, paths, 0, size, size)


def _types(settings: JobSettings, call: str, places: Places, found: Sequence[tuple[str, str, int]]) -> dict[str, str]:
    if call == FILES:
        return {}
    from scoring.batch import first_look  # noqa: PLC0415 - needs an extra

    return first_look.types(settings, places, ((path, _format_of(settings, call, path)) for path, _, _ in found))
