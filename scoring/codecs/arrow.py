"""Arrow tables as bodies: the IPC stream and file formats (Arrow columnar format, version 1.5)."""

from __future__ import annotations

import struct
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from scoring.codecs.media_types import ARROW_FILE, ARROW_STREAM, library
from scoring.refused import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Older ones run code that a body brings (CVE-2023-47248).
_OLDEST = (14, 0, 1)
_FILE_MAGIC = b"ARROW1\x00\x00"
# What the values of a column of a few repeated long texts may have together when written out.
_MOST_BYTES_WRITTEN_OUT = 1 << 28
# Fields of the flatbuffers in which messages are described, by their numbers in Arrow's Message.fbs.
_HEADER, _DICTIONARYS_BATCH, _COMPRESSION = 2, 1, 3


def parse(body: bytes, content_type: bytes) -> Any:
    """Return the Arrow table of a body; its buffers are the body's.

    Every column must be of a type whose values take room in the body, so that no small body becomes a huge table.

    Args:
        body: The body.
        content_type: One of the two of Arrow.

    Raises:
        RefusedError: 400: it is not one, is compressed, or has columns of other types; 415: there is no pyarrow.
    """
    pyarrow = _pyarrow(content_type)
    if content_type == ARROW_FILE:
        # A file is a stream between two marks, with an index behind it that reading it whole does not need.
        if not body.startswith(_FILE_MAGIC):
            _refuse("it does not begin as a file")
        body = body[len(_FILE_MAGIC) :]
    try:
        if any(_is_compressed(kind, metadata) for kind, metadata in _messages(pyarrow, body)):
            _refuse("its buffers are compressed; write it without compression, and use Content-Encoding: gzip")
        with pyarrow.ipc.open_stream(pyarrow.py_buffer(body)) as stream:
            for field in stream.schema:
                kind = field.type.value_type if pyarrow.types.is_dictionary(field.type) else field.type
                if not (_is_taken(pyarrow.types, kind) or pyarrow.types.is_null(field.type)):
                    _refuse(f"column {field.name[:100]!r} has the type {str(field.type)[:100]}, which is not taken")
            table = stream.read_all()
        table.validate(full=True)
        _check_size(pyarrow, table, len(body))
    # Not only Arrow's own errors come out of damaged bytes.
    except (pyarrow.ArrowException, ValueError, TypeError, OSError, MemoryError, struct.error) as error:
        _refuse(str(error).partition("\n")[0][:300])
    return table


def is_table(value: Any) -> bool:
    """Return whether a value is an Arrow table."""
    # What is one has pyarrow imported.
    pyarrow = sys.modules.get("pyarrow")
    return pyarrow is not None and isinstance(value, pyarrow.Table)


def records(table: Any, limit: int) -> list[dict[str, Any]]:
    """Return a table's rows as dictionaries.

    Args:
        table: The table.
        limit: About how many bytes their text may have.

    Raises:
        RefusedError: 413: it would be longer; 400: a value has no form in Python.
    """
    names = sum(len(name.encode("utf-8", "replace")) + 6 for name in table.column_names)
    if table.num_rows * names + table.nbytes > limit:
        raise RefusedError(413, f"The table would be more than {limit} bytes as the text that this script takes.")
    try:
        return list(table.to_pylist())
    # Decimals, dates and texts that are none each have an error of their own.
    except Exception as error:  # noqa: BLE001
        _refuse(f"a value has no form in Python: {str(error)[:300]}")


def encode(value: Any, content_type: bytes) -> bytes | None:
    """Return a table of Arrow's, pandas' or polars' as a body; None for anything else, or what Arrow has no type for.

    Args:
        value: The table.
        content_type: One of the two of Arrow.
    """
    if not is_table(value) and not hasattr(value, "columns"):
        return None
    try:
        pyarrow = _pyarrow(content_type)
        table = _table(pyarrow, value)
        if table is None:
            return None
        written = pyarrow.BufferOutputStream()
        new = pyarrow.ipc.new_stream if content_type == ARROW_STREAM else pyarrow.ipc.new_file
        with new(written, table.schema) as writer:
            writer.write_table(table)
        return bytes(written.getvalue())
    except (RefusedError, ValueError, TypeError, OverflowError):
        return None


def _table(pyarrow: Any, value: Any) -> Any:
    if is_table(value):
        return value
    if isinstance(value, pyarrow.RecordBatch):
        return pyarrow.Table.from_batches([value])
    if hasattr(value, "to_arrow"):
        return value.to_arrow()
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(value, pandas.DataFrame):
        return pyarrow.Table.from_pandas(value)
    return None


def _pyarrow(content_type: bytes) -> Any:
    pyarrow = library("pyarrow", content_type)
    library("pyarrow.ipc", content_type)
    version = tuple(int(part) for part in pyarrow.__version__.split(".")[:3] if part.isdigit())
    if version < _OLDEST:
        raise RefusedError(
            415,
            f"A body of type {content_type.decode()} needs pyarrow 14.0.1 or later, and this model's environment has "
            f"{pyarrow.__version__}: raise it in its requirements, or send JSON.",
        )
    return pyarrow


def _messages(pyarrow: Any, body: bytes) -> Iterator[tuple[str, bytes]]:
    """The stream's messages: what kind, and their flatbuffers."""
    for message in pyarrow.ipc.MessageReader.open_stream(pyarrow.py_buffer(body)):
        yield message.type, message.metadata.to_pybytes()


def _is_compressed(kind: str, metadata: bytes) -> bool:
    """Whether a message's buffers are: how large they become is written in them only."""
    if kind not in {"record batch", "dictionary"}:
        return False
    batch = _flat_field(metadata, _flat_follow(metadata, 0), _HEADER)
    if batch and kind == "dictionary":
        batch = _flat_field(metadata, _flat_follow(metadata, batch), _DICTIONARYS_BATCH)
    return bool(batch and _flat_field(metadata, _flat_follow(metadata, batch), _COMPRESSION))


def _flat_follow(metadata: bytes, place: int) -> int:
    """Where the table is that an offset leads to."""
    return place + int(struct.unpack_from("<I", metadata, place)[0])


def _flat_field(metadata: bytes, table: int, number: int) -> int:
    """Where a field of a flatbuffer's table is; 0 where it is not set."""
    vtable = table - int(struct.unpack_from("<i", metadata, table)[0])
    entry = 4 + 2 * number
    if vtable < 0 or entry >= struct.unpack_from("<H", metadata, vtable)[0]:
        return 0
    offset = int(struct.unpack_from("<H", metadata, vtable + entry)[0])
    return table + offset if offset else 0


def _is_taken(types: Any, kind: Any) -> bool:
    """Whether each value of a type takes room of its own: not so for nulls, runs, views and empty structures."""
    if types.is_list(kind) or types.is_large_list(kind):
        return _is_taken(types, kind.value_type)
    if types.is_fixed_size_list(kind):
        return kind.list_size > 0 and _is_taken(types, kind.value_type)
    if types.is_struct(kind):
        return kind.num_fields > 0 and all(_is_taken(types, kind.field(i).type) for i in range(kind.num_fields))
    if types.is_fixed_size_binary(kind):
        return bool(kind.byte_width > 0)
    tests = (types.is_primitive, types.is_decimal, types.is_string, types.is_large_string)
    return any(test(kind) for test in (*tests, types.is_binary, types.is_large_binary))


def _check_size(pyarrow: Any, table: Any, size: int) -> None:
    # The smallest value has one bit; only columns of nothing but nulls, and none at all, have more.
    if table.num_rows * max(table.num_columns, 1) > 8 * size:
        _refuse(f"it has {table.num_rows} rows without values")
    for name, column in zip(table.column_names, table.columns, strict=True):
        # A few long texts can be repeated by small numbers.
        if pyarrow.types.is_dictionary(column.type):
            longest = max((_longest(pyarrow, chunk.dictionary) for chunk in column.chunks), default=0)
            if longest * len(column) > _MOST_BYTES_WRITTEN_OUT:
                _refuse(f"the repeated values of column {name[:100]!r} are too long")


def _longest(pyarrow: Any, values: Any) -> int:
    types = pyarrow.types
    if types.is_nested(values.type):
        return int(values.nbytes)
    if not (types.is_string(values.type) or types.is_large_string(values.type)):
        return 16
    lengths = library("pyarrow.compute", ARROW_STREAM).binary_length(values)
    return max((length for length in lengths.to_pylist() if length is not None), default=0)


def _refuse(why: str) -> NoReturn:
    raise RefusedError(400, f"The body is not an Arrow table that is taken: {why}.")
