"""Autoscale formulas: as much of Batch's language as formulas need that follow what waits.

Statements are `name = expression;`, with numbers, + - * /, comparisons, `a ? b : c`, the functions below, and samples
of `$PendingTasks`, `$ActiveTasks` and `$RunningTasks`. A minute of the formula is a second here, so that a test need
not wait for Batch's five minutes.
"""

from __future__ import annotations

import ast
import operator
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SAMPLED = ("PendingTasks", "ActiveTasks", "RunningTasks")
_OPTIONS = ("requeue", "terminate", "taskcompletion", "retaineddata")
_UNITS = {"TimeInterval_Second": 1 / 60, "TimeInterval_Minute": 1.0, "TimeInterval_Hour": 60.0}
_ASSIGNABLE = ("$TargetDedicatedNodes", "$TargetLowPriorityNodes", "$NodeDeallocationOption")
_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


class FormulaError(Exception):
    """A formula that cannot be evaluated; the message says where."""


def evaluate(formula: str, samples: Sequence[tuple[float, dict[str, int]]], time: float) -> dict[str, Any]:
    """Return the values of a formula's variables.

    Args:
        formula: The text.
        samples: What was counted, by time in seconds, the oldest first.
        time: The time that it is.

    Raises:
        FormulaError: It is wrong, or asks for samples that there are not.
    """
    found: dict[str, Any] = {}
    for statement in filter(None, map(str.strip, formula.split(";"))):
        name, equals, expression = statement.partition("=")
        name = name.strip()
        if not equals or not re.fullmatch(r"\$?[A-Za-z]\w*", name):
            raise FormulaError(f"{statement!r} is no assignment")
        if name.startswith("$") and name not in _ASSIGNABLE:
            raise FormulaError(f"{name} cannot be assigned to")
        found[name] = _Evaluation(found, samples, time).value_of(expression.strip())
    if not {"$TargetDedicatedNodes", "$TargetLowPriorityNodes"} & found.keys():
        raise FormulaError("it sets no target")
    return found


class _Evaluation:
    """One expression's."""

    def __init__(self, known: dict[str, Any], samples: Sequence[tuple[float, dict[str, int]]], time: float) -> None:
        self._known, self._samples, self._time = known, samples, time

    def value_of(self, expression: str) -> Any:
        condition, question, rest = expression.partition("?")
        if question:
            then, _, otherwise = rest.partition(":")
            return self.value_of(then if self.value_of(condition) else otherwise)
        text = re.sub(r"\$(\w+)", r"D_\1", expression.strip())
        try:
            return self._node(ast.parse(text, mode="eval").body)
        except (SyntaxError, KeyError, TypeError, ZeroDivisionError, ValueError) as error:
            raise FormulaError(f"{expression!r}: {type(error).__name__} {error}") from None

    def _node(self, node: ast.AST) -> Any:  # noqa: PLR0911 - one for each sort of node
        match node:
            case ast.Constant(value=int() | float() as value):
                return float(value)
            case ast.Name(id=name):
                return self._name(name)
            case ast.BinOp():
                return _OPERATORS[type(node.op)](self._node(node.left), self._node(node.right))
            case ast.UnaryOp(op=ast.USub()):
                return -self._node(node.operand)
            case ast.Compare(ops=[one]):
                return _OPERATORS[type(one)](self._node(node.left), self._node(node.comparators[0]))
            case ast.Call(func=ast.Attribute(value=ast.Name(id=of), attr=what)) if of.removeprefix("D_") in _SAMPLED:
                return self._sampled(of.removeprefix("D_"), what, self._node(node.args[0]), node.args[0])
            case ast.Call(func=ast.Name(id=what)):
                return self._called(what, [self._node(one) for one in node.args])
        raise FormulaError(f"{ast.unparse(node)} is not of the language that this stand-in knows")

    def _name(self, name: str) -> Any:
        plain = name.replace("D_", "$", 1) if name.startswith("D_") else name
        if plain in self._known:
            return self._known[plain]
        if plain in _UNITS:
            return _UNITS[plain]
        if plain in _OPTIONS:
            return plain
        raise FormulaError(f"{plain} is not known")

    def _called(self, what: str, given: list[Any]) -> Any:
        functions: dict[str, Callable[[Any], Any]] = {
            "max": max,
            "min": min,
            "avg": _average,
            "sum": sum,
            "round": _round,
        }
        if what not in functions:
            raise FormulaError(f"there is no function {what} here; there are {', '.join(functions)}")
        values = [one for part in given for one in (part if isinstance(part, list) else [part])]
        return _FUNCTIONS[what](values[0] if what == "round" else values)

    def _sampled(self, of: str, what: str, given: float, written: ast.AST) -> Any:
        counted = [(at, float(one[of])) for at, one in self._samples]
        is_time = any(isinstance(one, ast.Name) for one in ast.walk(written))
        if what == "GetSample" and not is_time:
            if len(counted) < given:
                raise FormulaError(f"${of} has {len(counted)} samples, {given:g} are asked for")
            return [one for _, one in counted[-int(given) :]]
        recent = [one for at, one in counted if at >= self._time - given]
        if what == "GetSamplePercent":
            return min(100.0, 100.0 * len(recent) / max(given, 1.0))
        if what == "GetSample":
            if not recent:
                raise FormulaError(f"${of} has no samples of that time")
            return recent
        raise FormulaError(f"${of}.{what} is not known here")


def _round(value: float) -> float:
    return float(int(value + 0.5))


def _average(values: Sequence[float]) -> float:
    return sum(values) / len(values)


_FUNCTIONS: dict[str, Callable[[Any], Any]] = {"max": max, "min": min, "avg": _average, "sum": sum, "round": _round}
