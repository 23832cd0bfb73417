"""NumPy arrays as bodies: the .npy format, without the pickles that it allows (numpy.lib.format)."""

from __future__ import annotations

import io
import math
import re
import sys
from typing import Any, NoReturn

from scoring.codecs.media_types import NPY, library
from scoring.refused import RefusedError

_MAGIC = b"\x93NUMPY"
# Where the header begins, and how many bytes before it have its length, by version.
_LENGTH_BYTES = {1: 2, 2: 4, 3: 4}
_MOST_HEADER_BYTES = 4096
_MOST_DIMENSIONS = 32
# The header is a Python dictionary. One pattern for it instead of Python's parser, which deep nesting can break.
_ENTRY = r"""['"](descr|fortran_order|shape)['"]\s*:\s*(['"][^'"\\]{1,40}['"]|True|False|\([\d,\s]*\))"""
_HEADER = re.compile(rf"\s*\{{\s*{_ENTRY}\s*,\s*{_ENTRY}\s*,\s*{_ENTRY}\s*,?\s*\}}\s*")
_DTYPE = re.compile(r"[<>|=]?(?:[biufcSU]\d{1,9}|[mM]8(?:\[\d{0,4}[a-zA-Z]{1,2}\])?)")
_LAST_CHARACTER = 0x10FFFF


def parse(body: bytes) -> Any:
    """Return the array of a .npy body, of the machine's byte order, its own memory and writable.

    Raises:
        RefusedError: 400: it is not one, or has objects or records; 415: there is no NumPy.
    """
    numpy = library("numpy", NPY)
    header, start = _header(body)
    dtype = _dtype(numpy, header["descr"])
    shape = _shape(header["shape"])
    count = math.prod(shape)
    if count * dtype.itemsize != len(body) - start:
        _refuse(
            f"its header says {dtype.str} of shape {shape}, which are {count * dtype.itemsize} bytes, "
            f"and {len(body) - start} follow"
        )
    # An empty array can still be a thousand million empty lists.
    if count == 0 and math.prod(shape[: shape.index(0)]) > len(body):
        _refuse(f"its shape {shape} is too large for an array without values")
    try:
        flat = numpy.frombuffer(body, dtype=dtype, count=count, offset=start)
        array = flat.reshape(shape, order="F" if header["fortran_order"] == "True" else "C")
        array = array.astype(dtype.newbyteorder("="))
    except ValueError as error:
        _refuse(str(error))
    if dtype.kind == "U" and count and int(array.reshape(-1).view(numpy.uint32).max()) > _LAST_CHARACTER:
        _refuse("a text in it has characters that there are not")
    return array


def encode(value: Any) -> bytes | None:
    """Return an array as a .npy body; None for what is no array, or has objects."""
    # What is an array has NumPy imported.
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, (numpy.ndarray, numpy.generic)):
        return None
    if value.dtype.kind in "OV":
        return None
    written = io.BytesIO()
    numpy.lib.format.write_array(written, numpy.asarray(value), allow_pickle=False)
    return written.getvalue()


def _header(body: bytes) -> tuple[dict[str, str], int]:
    """The header's entries, as texts, and where the data begin."""
    if body[:6] != _MAGIC or len(body) < 8:  # noqa: PLR2004 - magic and version
        _refuse("it does not begin as one")
    length_bytes = _LENGTH_BYTES.get(body[6])
    if length_bytes is None:
        _refuse(f"its version is {body[6]}; known are 1, 2, 3")
    start = 8 + length_bytes
    length = int.from_bytes(body[8:start], "little")
    if length > _MOST_HEADER_BYTES:
        _refuse(f"its header has {length} bytes; at most {_MOST_HEADER_BYTES} are taken")
    found = _HEADER.fullmatch(body[start : start + length].decode("latin-1"))
    if found is None or start + length > len(body):
        _refuse("its header is not that of an array of one type (send tables as Arrow)")
    entries = dict(zip(found.groups()[::2], found.groups()[1::2], strict=True))
    is_flag = entries.get("fortran_order") in {"True", "False"}
    if len(entries) != 3 or not is_flag or entries["descr"][0] not in "'\"" or entries["shape"][0] != "(":  # noqa: PLR2004 - one of each
        _refuse("its header has not descr, fortran_order and shape")
    entries["descr"] = entries["descr"][1:-1]
    return entries, start + length


def _dtype(numpy: Any, described: str) -> Any:
    allowed = "numbers, booleans, texts and dates are taken"
    if not _DTYPE.fullmatch(described):
        _refuse(f"its type is {described!r}; {allowed}")
    try:
        dtype = numpy.dtype(described)
    except (TypeError, ValueError):
        _refuse(f"its type is {described!r}; {allowed}")
    if dtype.hasobject or dtype.itemsize == 0:
        _refuse(f"its type is {described!r}; {allowed}")
    return dtype


def _shape(described: str) -> tuple[int, ...]:
    texts = [text.strip() for text in described[1:-1].split(",")]
    if texts[-1] == "":
        texts.pop()
    # An integer of more digits than that counts no values of anything.
    if len(texts) > _MOST_DIMENSIONS or not all(text.isdigit() and len(text) <= 15 for text in texts):  # noqa: PLR2004
        _refuse(f"its shape is {described[:100]}")
    return tuple(int(text) for text in texts)


def _refuse(why: str) -> NoReturn:
    raise RefusedError(400, f"The body is not a NumPy array (.npy): {why}.")
