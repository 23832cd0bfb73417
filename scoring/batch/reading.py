"""A part's rows or files, block by block, read ahead by a thread."""

from __future__ import annotations

import gzip
import queue
import tempfile
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa  # type: ignore[import-untyped] # it has none
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from scoring.batch import lines
from scoring.batch.csv_rows import CsvRows
from scoring.batch.items import Bad, Files, Items, Objects, Table, check_names
from scoring.batch.json_rows import objects
from scoring.batch.places import InputError, StorageError
from scoring.batch.settings import CSV, FILES, JSONL, REQUESTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from scoring.batch.places import Places
    from scoring.batch.plan import Part
    from scoring.batch.settings import JobSettings

# What bytes do that are not what their name says; a storage that fails does otherwise.
_CONTENT_ERRORS = (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError, EOFError, zlib.error, gzip.BadGzipFile)
_LEAST_ROWS = 65536
_LONGEST_ROW = 4  # blocks


@dataclass
class Block:
    """Some items of a part.

    Attributes:
        items: What can be given to run().
        bad: What cannot.
        size: How many bytes of input they are.
        folder: Where downloaded files are, until the block has been worked on.
    """

    items: Items
    bad: list[Bad]
    size: int
    folder: tempfile.TemporaryDirectory[str] | None = None


def blocks(part: Part, settings: JobSettings, call: str, types: Mapping[str, str], places: Places) -> Iterator[Block]:
    """Read a part.

    Args:
        part: What to read.
        settings: The job's.
        call: How run() is called.
        types: Of CSV columns.
        places: Opens files.

    Raises:
        StorageError: The storage fails. A file that is broken or gone is an item that failed.
        InputError: The environment does not lead to the storage.
    """
    if part.format == FILES:
        yield from _files(part, settings, places)
        return
    path = part.paths[0]
    rows = 0
    try:
        with places.open(path) as stream:
            for block in _rows(part, settings, call, types, stream):
                rows += len(block.items) + len(block.bad)
                yield block
    except (StorageError, InputError):
        raise
    except Exception as error:
        reason = wrong_with(error, path, part.format, places)
        if reason is None:
            raise StorageError(f"{path} cannot be read", error) from error
        yield _broken(path, rows, reason)


def wrong_with(error: Exception, path: str, form: str | None, places: Places) -> str | None:
    """Return what is wrong with a file where its reading failed; None where that is the storage's fault.

    Args:
        error: What the reading raised.
        path: The file.
        form: What it was read as.
        places: Opens it again.
    """
    if isinstance(error, FileNotFoundError):
        return "the file is no longer there"
    if isinstance(error, PermissionError) and "://" not in path:
        return f"the file cannot be opened: {error.strerror}"
    # Arrow says the same of a broken file as of a broken storage.
    is_arrows = type(error) is OSError and error.errno is None
    if isinstance(error, _CONTENT_ERRORS) or (is_arrows and places.is_readable(path)):
        return f"the file cannot be read as {form} from here on: {error}"
    return None


def ahead(make: Callable[[], Iterator[Block]], depth: int) -> Iterator[Block]:
    """Have a thread read, so many blocks ahead; what it raises is raised here."""
    waiting: queue.Queue[Any] = queue.Queue(depth)
    closed = threading.Event()
    thread = threading.Thread(target=_read, args=(make, waiting, closed), name="read ahead", daemon=True)
    thread.start()
    try:
        while True:
            block, error = waiting.get()
            if error is not None:
                raise error
            if block is None:
                return
            yield block
    finally:
        closed.set()
        thread.join()


def _read(make: Callable[[], Iterator[Block]], waiting: queue.Queue[Any], closed: threading.Event) -> None:

    def put(value: Any) -> bool:
        while not closed.is_set():
            try:
                waiting.put(value, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    try:
        for block in make():
            if not put((block, None)):
                return
    except BaseException as error:  # noqa: BLE001 - it is raised in the thread that asked
        put((None, error))
    else:
        put((None, None))


def _rows(part: Part, settings: JobSettings, call: str, types: Mapping[str, str], stream: Any) -> Iterator[Block]:
    path = part.paths[0]
    if part.format == CSV:
        yield from _csv(part, settings, types, stream)
    elif part.format == JSONL:
        first = 0
        for block in _line_blocks(part, settings, lines.opened(stream, path)):
            values, bad, count = objects(block, path, first, objects_only=call != REQUESTS)
            yield Block(values, bad, len(block))
            first += count
    else:
        yield from _parquet(part, settings, call, stream)


def _csv(part: Part, settings: JobSettings, types: Mapping[str, str], stream: Any) -> Iterator[Block]:
    path = part.paths[0]
    content = lines.opened(stream, path)
    header = lines.header_of(content)
    if not header.strip():
        return
    reader = CsvRows(header, types, path, multiline=settings.multiline, threads=settings.processes == 1)
    check_names(reader.names, settings.wanted)
    first = 0
    if settings.multiline:
        whole = _multiline(content, settings.block_bytes)
    elif content is not stream:
        whole = lines.blocks(content, 0, None, settings.block_bytes, starts_line=True)
    else:
        behind = stream.tell()
        starts_line = part.start <= behind
        start = behind if starts_line else part.start
        whole = lines.blocks(stream, start, part.end, settings.block_bytes, starts_line=starts_line)
    for block in whole:
        table, bad, count = reader.table(block, first)
        yield Block(table, bad, len(block))
        first += count
        if any(one.is_rest for one in bad):
            return


def _multiline(content: Any, size: int) -> Iterator[bytes]:
    """Blocks that end where a row does: outside quotes, of which there are then an even number."""
    rest, quotes = b"", 0
    while block := content.read(size):
        seen, cut = len(rest), len(rest) + len(block)
        rest += block
        quotes += block.count(b'"')
        inside = quotes
        while end := rest.rfind(b"\n", seen, cut) + 1:
            inside -= rest.count(b'"', end, cut)
            if inside % 2 == 0:
                break
            cut = end - 1
        if end:
            yield rest[:end]
            rest, quotes = rest[end:], quotes - inside
        elif len(rest) > _LONGEST_ROW * size:
            # A quote that is never closed must not fetch the whole file into memory.
            yield rest
            raise ValueError(f"a row is longer than {len(rest)} bytes, or a quote in it is never closed")
    if rest:
        yield rest


def _line_blocks(part: Part, settings: JobSettings, content: Any) -> Iterator[bytes]:
    end = None if part.paths[0].lower().endswith(".gz") else part.end
    return lines.blocks(content, part.start, end, settings.block_bytes, starts_line=part.start == 0)


def _parquet(part: Part, settings: JobSettings, call: str, stream: Any) -> Iterator[Block]:
    # Elsewhere, a row group is fetched at once instead of column by column.
    file = pq.ParquetFile(stream, pre_buffer="://" in part.paths[0])
    check_names(file.schema_arrow.names, settings.wanted)
    size = settings.batch_size(call)
    # As many rows as a few calls need: reading fewer at once takes longer.
    size *= max(1, _LEAST_ROWS // size)
    first = 0
    for number in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(number)
        if not part.start <= _place(group) < part.end or not group.num_rows:
            continue
        row_bytes = max(1, group.total_byte_size // group.num_rows)
        at_once = max(1, min(size, settings.block_bytes // row_bytes))
        for batch in file.iter_batches(batch_size=at_once, row_groups=[number], use_threads=settings.processes == 1):
            rows = range(first, first + batch.num_rows)
            yield Block(Table(pa.Table.from_batches([batch]), part.paths[0], rows), [], batch.num_rows * row_bytes)
            first = rows.stop


def _place(group: Any) -> int:
    """Where a row group starts in its file."""
    starts = []
    for number in range(group.num_columns):
        column = group.column(number)
        starts.append(column.dictionary_page_offset or column.data_page_offset)
    return int(min(starts, default=0))


def _files(part: Part, settings: JobSettings, places: Places) -> Iterator[Block]:
    size = settings.batch_size(FILES)
    for start in range(0, len(part.paths), size):
        names = part.paths[start : start + size]
        folder = tempfile.TemporaryDirectory(prefix="batch-") if any("://" in name for name in names) else None
        there, paths, bad = [], [], []
        for name in names:
            try:
                paths.append(places.download(name, Path(folder.name if folder else ".")))
            except FileNotFoundError:
                bad.append(Bad(name, None, "the file is no longer there"))
            else:
                there.append(settings.told(name))
        yield Block(Files(there, paths), bad, part.size * len(names) // len(part.paths), folder)


def _broken(path: str, row: int, reason: str) -> Block:
    return Block(Objects([], path, []), [Bad(path, row, reason, is_rest=True)], 0)


def check_types(types: Mapping[str, str]) -> None:
    """Refuse types that Arrow has not.

    Raises:
        InputError: It names the type.
    """
    from scoring.batch.csv_rows import type_of  # noqa: PLC0415 - beside its use

    for column, name in types.items():
        try:
            type_of(name)
        except (ValueError, TypeError):
            raise InputError(
                f"SLIPWAY_JOB_TYPES: column {column} has the type {name!r}, which Arrow has not; "
                "allowed are int64, double, string, bool, date32, timestamp[us] and their like"
            ) from None
