"""Conditions of IoT Hub's query language: of routes, of a deployment's target, of queries for twins.

`parse` takes what the hub takes; `Condition.holds` evaluates it, in three values as the hub does: what is not defined
makes a comparison neither true nor false.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from manifest.edge.query_values import (
    FUNCTIONS,
    UNDEFINED,
    Lookup,
    Path,
    Value,
    among,
    both,
    calculated,
    compared,
    either,
    negated,
)
from manifest.problems import shown


class QueryError(ValueError):
    """A condition that the hub would refuse; its text says where and why."""


_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
  | (?P<text>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.)*")
  | (?P<name>[A-Za-z_$][A-Za-z0-9_$]*|\{\$[A-Za-z]+\})
  | (?P<double>\[\[[^\[\]]+\]\])
  | (?P<sign><=|>=|!=|<>|[=<>()\[\],.+*/%-])
    )""",
    re.VERBOSE,
)
_WORDS = frozenset({"AND", "OR", "NOT", "IN", "NIN", "TRUE", "FALSE", "NULL"})
_COMPARISONS = ("=", "!=", "<>", "<", "<=", ">", ">=")
_DEEPEST = 60


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int

    @property
    def word(self) -> str:
        """The keyword that it is, if it is one."""
        upper = self.text.upper()
        return upper if self.kind == "name" and upper in _WORDS else ""


@dataclass(frozen=True, slots=True)
class Condition:
    """A parsed condition.

    Attributes:
        text: As it was written.
        paths: The properties that it looks at.
    """

    text: str
    paths: frozenset[Path]
    _value: Value

    def holds(self, lookup: Lookup) -> bool | None:
        """Evaluate it.

        Args:
            lookup: Returns a property's value, UNDEFINED or UNKNOWN.

        Returns:
            Whether it holds; None where that is undefined, which the hub takes for no, or unknown.
        """
        value = self._value(lookup)
        return value if isinstance(value, bool) else None


def parse(text: str) -> Condition:
    """Parse a condition.

    Raises:
        QueryError: The hub would refuse it.
    """
    parser = _Parser(text)
    value = parser.disjunction(0)
    parser.end()
    return Condition(text.strip(), frozenset(parser.paths), value)


def value_at(document: Any, path: Path) -> Any:
    """Return what a JSON document has at a path; UNDEFINED where it has nothing."""
    for part in path:
        inside = isinstance(part, int) and part < len(document) if isinstance(document, list) else False
        if not inside and not (isinstance(document, dict) and part in document):
            return UNDEFINED
        document = document[part]
    return document


class _Parser:
    def __init__(self, text: str) -> None:
        self.paths: set[Path] = set()
        self._text = text
        self._tokens = list(_tokens(text))
        self._next = 0

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next += token.kind != "end"
        return token

    def _sign(self, *signs: str) -> str:
        token = self._peek()
        return self._take().text if token.kind == "sign" and token.text in signs else ""

    def _word(self, *words: str) -> str:
        return self._take().word if self._peek().word in words else ""

    def _need(self, sign: str) -> None:
        if not self._sign(sign):
            raise self._wrong(f"expected {sign}")

    def _wrong(self, what: str) -> QueryError:
        token = self._peek()
        where = "at its end" if token.kind == "end" else f"at {shown(token.text)}, character {token.at + 1}"
        return QueryError(f"{what} {where}")

    def end(self) -> None:
        if self._peek().kind != "end":
            raise self._wrong("there is more than one condition,")

    def disjunction(self, depth: int) -> Value:
        if depth > _DEEPEST:
            raise QueryError("it is nested too deeply")
        left = self._conjunction(depth)
        while self._word("OR"):
            left = either(left, self._conjunction(depth))
        return left

    def _conjunction(self, depth: int) -> Value:
        left = self._negation(depth)
        while self._word("AND"):
            left = both(left, self._negation(depth))
        return left

    def _negation(self, depth: int) -> Value:
        if depth > _DEEPEST:
            raise QueryError("it is nested too deeply")
        if self._word("NOT"):
            return negated(self._negation(depth + 1))
        return self._comparison(depth)

    def _comparison(self, depth: int) -> Value:
        left = self._sum(depth)
        if sign := self._sign(*_COMPARISONS):
            return compared(sign, left, self._sum(depth))
        if word := self._word("IN", "NIN"):
            return among(left, self._list(depth), inside=word == "IN")
        return left

    def _list(self, depth: int) -> list[Value]:
        self._need("[")
        found = [self._sum(depth)]
        while self._sign(","):
            found.append(self._sum(depth))
        self._need("]")
        return found

    def _sum(self, depth: int) -> Value:
        left = self._product(depth)
        while sign := self._sign("+", "-"):
            left = calculated(sign, left, self._product(depth))
        return left

    def _product(self, depth: int) -> Value:
        left = self._operand(depth)
        while sign := self._sign("*", "/", "%"):
            left = calculated(sign, left, self._operand(depth))
        return left

    def _operand(self, depth: int) -> Value:
        if depth > _DEEPEST:
            raise QueryError("it is nested too deeply")
        if self._sign("("):
            value = self.disjunction(depth + 1)
            self._need(")")
            return value
        if self._sign("-"):
            return calculated("-", lambda _: 0, self._operand(depth + 1))
        token = self._peek()
        if token.kind == "number":
            number = float(self._take().text)
            return lambda _: number
        if token.kind == "text":
            text = _unquoted(self._take().text)
            return lambda _: text
        if token.word in {"TRUE", "FALSE", "NULL"}:
            constant = {"TRUE": True, "FALSE": False, "NULL": None}[self._take().word]
            return lambda _: constant
        if token.kind != "name" or token.word:
            raise self._wrong("expected a property, a number or a text in quotes")
        name = self._take()
        return self._call(name, depth) if self._sign("(") else self._path(name.text)

    def _call(self, name: _Token, depth: int) -> Value:
        function = name.text.upper()
        if function not in FUNCTIONS:
            raise QueryError(f"there is no function {shown(name.text)}; there are {', '.join(sorted(FUNCTIONS))}")
        count, apply = FUNCTIONS[function]
        arguments: list[Value] = []
        if not self._sign(")"):
            arguments.append(self.disjunction(depth + 1))
            while self._sign(","):
                arguments.append(self.disjunction(depth + 1))
            self._need(")")
        if len(arguments) not in count:
            raise QueryError(f"it gives {function} {len(arguments)} arguments; it takes {' or '.join(map(str, count))}")
        return lambda lookup: apply(*(one(lookup) for one in arguments))

    def _path(self, first: str) -> Value:
        path: list[str | int] = [first]
        while True:
            if self._sign("."):
                token = self._take()
                if token.kind == "double":
                    path.append(token.text[2:-2])
                elif token.kind == "name":
                    path.append(token.text)
                else:
                    self._next -= token.kind != "end"
                    raise self._wrong("expected a property's name")
            elif self._sign("["):
                token = self._take()
                if token.kind not in {"number", "text"}:
                    self._next -= token.kind != "end"
                    raise self._wrong("expected an index or a name in quotes")
                path.append(int(float(token.text)) if token.kind == "number" else _unquoted(token.text))
                self._need("]")
            else:
                break
        found = tuple(path)
        self.paths.add(found)
        return lambda lookup: lookup(found)


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            if text[at] in "'\"":
                raise QueryError(f"there is a text without its closing {text[at]}, from character {at + 1}")
            raise QueryError(f"there is {shown(text[at])} at character {at + 1}, which is not understood")
        found.append(_Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
        at = match.end()
    return [*found, _Token("end", "", len(text))]


def _unquoted(text: str) -> str:
    inner = text[1:-1]
    inner = inner.replace("''", "'") if text[0] == "'" else inner
    return re.sub(r"\\(.)", r"\1", inner)
