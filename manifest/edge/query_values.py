"""What the values of a condition of IoT Hub are, and what its operators and functions make of them.

Unknown beats undefined, and both beat a value, except where the outcome is certain.
"""

from __future__ import annotations

import enum
import math
import operator
from collections.abc import Callable
from typing import Any, Final


class Missing(enum.Enum):
    """The type of UNDEFINED and UNKNOWN."""

    UNDEFINED = "undefined"
    UNKNOWN = "unknown"


UNDEFINED: Final = Missing.UNDEFINED
"""There is no such property."""
UNKNOWN: Final = Missing.UNKNOWN
"""There may or may not be one: what a check cannot know before a message comes."""

Path = tuple[str | int, ...]
Lookup = Callable[[Path], Any]
Value = Callable[[Lookup], Any]


def _absent(*values: Any) -> Missing | None:
    if UNKNOWN in values:
        return UNKNOWN
    return UNDEFINED if UNDEFINED in values else None


def _truth(value: Any) -> bool | Missing:
    return value if isinstance(value, bool | Missing) else UNDEFINED


def either(left: Value, right: Value) -> Value:
    """OR: true where one side is, whatever the other is."""

    def value(lookup: Lookup) -> bool | Missing:
        values = (_truth(left(lookup)), _truth(right(lookup)))
        return True if True in values else _absent(*values) or False

    return value


def both(left: Value, right: Value) -> Value:
    """AND: false where one side is, whatever the other is."""

    def value(lookup: Lookup) -> bool | Missing:
        values = (_truth(left(lookup)), _truth(right(lookup)))
        return False if False in values else _absent(*values) or True

    return value


def negated(inner: Value) -> Value:
    """NOT; undefined for what is neither true nor false."""

    def value(lookup: Lookup) -> bool | Missing:
        truth = _truth(inner(lookup))
        return truth if isinstance(truth, Missing) else not truth

    return value


def _compare(sign: str, left: Any, right: Any) -> bool | Missing:
    absent = _absent(left, right)
    if absent:
        return absent
    numbers = _is_number(left) and _is_number(right)
    if sign == "=":
        return bool(left == right) if numbers or type(left) is type(right) else False
    if sign in {"!=", "<>"}:
        return not _compare("=", left, right)
    if not numbers and not (isinstance(left, str) and isinstance(right, str)):
        return UNDEFINED
    return bool({"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[sign])


def compared(sign: str, left: Value, right: Value) -> Value:
    """A comparison; values of different types are unequal and have no order."""
    return lambda lookup: _compare(sign, left(lookup), right(lookup))


def among(left: Value, items: list[Value], *, inside: bool) -> Value:
    """IN and, where `inside` is false, NIN."""

    def value(lookup: Lookup) -> bool | Missing:
        given = left(lookup)
        same = [_compare("=", given, one(lookup)) for one in items]
        found = True if True in same else _absent(*same) or False
        return found if isinstance(found, Missing) else found is inside

    return value


_CALCULATIONS: Final[dict[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": math.fmod,
}


def calculated(sign: str, left: Value, right: Value) -> Value:
    """A sum, difference, product, quotient or remainder; undefined for what are no numbers."""

    def value(lookup: Lookup) -> float | Missing:
        one, other = left(lookup), right(lookup)
        if absent := _absent(one, other):
            return absent
        if not (_is_number(one) and _is_number(other)) or (sign in "/%" and other == 0):
            return UNDEFINED
        return _CALCULATIONS[sign](float(one), float(other))

    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _defined(value: Any) -> bool | Missing:
    return UNKNOWN if value is UNKNOWN else value is not UNDEFINED


def _is(test: Callable[[Any], bool]) -> Callable[[Any], Any]:
    return lambda value: UNKNOWN if value is UNKNOWN else value is not UNDEFINED and test(value)


def _texts(apply: Callable[..., Any]) -> Callable[..., Any]:
    def called(*values: Any) -> Any:
        if absent := _absent(*values):
            return absent
        return apply(*values) if all(isinstance(one, str) for one in values) else UNDEFINED

    return called


def _numbers(apply: Callable[..., Any]) -> Callable[..., Any]:
    def called(*values: Any) -> Any:
        if absent := _absent(*values):
            return absent
        try:
            return apply(*values) if all(_is_number(one) for one in values) else UNDEFINED
        except (ValueError, OverflowError):
            return UNDEFINED

    return called


def _as_number(value: Any) -> Any:
    if isinstance(value, Missing) or _is_number(value):
        return value
    try:
        return float(value) if isinstance(value, str) else UNDEFINED
    except ValueError:
        return UNDEFINED


_starts, _ends = _texts(str.startswith), _texts(str.endswith)
FUNCTIONS: Final[dict[str, tuple[tuple[int, ...], Callable[..., Any]]]] = {
    "IS_DEFINED": ((1,), _defined),
    "IS_NULL": ((1,), _is(lambda value: value is None)),
    "IS_BOOL": ((1,), _is(lambda value: isinstance(value, bool))),
    "IS_NUMBER": ((1,), _is(_is_number)),
    "IS_STRING": ((1,), _is(lambda value: isinstance(value, str))),
    "IS_OBJECT": ((1,), _is(lambda value: isinstance(value, dict))),
    "IS_ARRAY": ((1,), _is(lambda value: isinstance(value, list))),
    "IS_PRIMITIVE": ((1,), _is(lambda value: not isinstance(value, dict | list))),
    "AS_NUMBER": ((1,), _as_number),
    "ABS": ((1,), _numbers(abs)),
    "EXP": ((1,), _numbers(math.exp)),
    "POWER": ((2,), _numbers(math.pow)),
    "SQUARE": ((1,), _numbers(lambda value: value * value)),
    "SQRT": ((1,), _numbers(math.sqrt)),
    "CEILING": ((1,), _numbers(math.ceil)),
    "FLOOR": ((1,), _numbers(math.floor)),
    "SIGN": ((1,), _numbers(lambda value: (value > 0) - (value < 0))),
    "LENGTH": ((1,), _texts(len)),
    "LOWER": ((1,), _texts(str.lower)),
    "UPPER": ((1,), _texts(str.upper)),
    "CONTAINS": ((2,), _texts(lambda text, part: part in text)),
    "STARTS_WITH": ((2,), _starts),
    "STARTSWITH": ((2,), _starts),
    "ENDS_WITH": ((2,), _ends),
    "ENDSWITH": ((2,), _ends),
    "INDEX_OF": ((2,), _texts(str.find)),
}
"""By name: how many arguments each takes, and what it does."""
