"""NumPy's data types as schemas."""

from __future__ import annotations

import base64
from typing import Any

# By numpy.dtype.kind and the size in bytes.
_NUMBERS = {"i": "int", "u": "uint"}
_KINDS: dict[str, dict[str, str]] = {
    "b": {"type": "boolean"},
    "M": {"type": "string", "format": "date-time"},
    "m": {"type": "string", "format": "timedelta"},
    "U": {"type": "string"},
    "T": {"type": "string"},
    "S": {"type": "string", "format": "binary"},
    "V": {"type": "string", "format": "binary"},
    "O": {"type": "object"},
}
_UNITS = {
    "Y": "years",
    "M": "months",
    "W": "weeks",
    "D": "days",
    "h": "hours",
    "m": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "ps": "picoseconds",
    "fs": "femtoseconds",
    "as": "attoseconds",
}
_CODES = {name: code for code, name in _UNITS.items()}


def schema_of_dtype(dtype: Any) -> dict[str, Any]:
    """Return the schema of an array's item.

    Raises:
        TypeError: JSON has nothing for it.
    """
    if dtype.names is not None:
        return {"type": "object", "properties": {name: schema_of_dtype(dtype[name]) for name in dtype.names}}
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return in_arrays(schema_of_dtype(base), len(shape))
    if dtype.kind in _NUMBERS:
        return {"type": "integer", "format": f"{_NUMBERS[dtype.kind]}{8 * dtype.itemsize}"}
    if dtype.kind == "f":
        return {"type": "number", "format": "double" if dtype.itemsize >= 8 else "float"}  # noqa: PLR2004 - bytes
    if dtype.kind in _KINDS:
        return dict(_KINDS[dtype.kind])
    raise TypeError(f"NumpyParameterType: the sample's data type {dtype} has no JSON form")


def in_arrays(schema: dict[str, Any], dimensions: int) -> dict[str, Any]:
    """Return the schema of an array of that many dimensions, at least one."""
    for _ in range(max(dimensions, 1)):
        schema = {"type": "array", "items": schema}
    return schema


def example_of(array: Any) -> Any:
    """Return an array as what JSON has for it."""
    if array.dtype.names is not None and array.ndim == 0:
        return {name: example_of(array[name]) for name in array.dtype.names}
    if array.ndim:
        # An index with an ellipsis gives an array for an object, too.
        return [example_of(array[place, ...]) for place in range(len(array))]
    if array.dtype.kind == "m":
        unit = _UNITS.get(array.dtype.str.partition("[")[2].rstrip("]"), "nanoseconds")
        return f"{array.astype('int64').item()} {unit}"
    if array.dtype.kind in "SV":
        return base64.b64encode(array.item()).decode("ascii")
    if array.dtype.kind in "MO":
        return str(array)
    return array.item()


def require_texts(given: Any) -> None:
    """Refuse numbers for dates, which NumPy would take in whatever unit the sample has.

    Raises:
        ValueError: There is something else than text and null.
    """
    if isinstance(given, list):
        for item in given:
            require_texts(item)
    elif given is not None and not isinstance(given, str):
        raise ValueError(f"expected dates as text, such as '2026-01-31', given {given!r}")


def timedelta_of(text: Any, numpy: Any) -> Any:
    """Return a timedelta64 of a text such as `5 days`, or a list of them of a list.

    Raises:
        ValueError: It is not such a text.
    """
    if isinstance(text, list):
        return [timedelta_of(item, numpy) for item in text]
    count, _, unit = str(text).partition(" ")
    if not count.lstrip("-").isdecimal() or unit.strip().lower() not in _CODES:
        raise ValueError(f"expected a duration, such as '5 days', given {text!r}; units are {', '.join(_CODES)}")
    return numpy.timedelta64(int(count), _CODES[unit.strip().lower()])
