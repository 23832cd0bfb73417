"""A run() that gets the request as one value: its text, what is in it, or the whole of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from scoring.calling.parsing import binary_as_text, is_binary, parse_binary
from scoring.calling.signature import HEADERS
from scoring.codecs.text import parse_json, parse_query
from scoring.refused import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from scoring.request import Request


class OneValue:
    """Gives what a function makes of the request.

    Attributes:
        kind: What that is: `text`, `decoded` or `raw`.
        methods: What run() is called for.
    """

    __slots__ = ("_parameter", "_takes_headers", "_value_of", "kind", "methods")

    def __init__(
        self,
        kind: str,
        value_of: Callable[[Request], Any],
        parameter: str,
        *,
        takes_headers: bool,
        methods: tuple[str, ...] = ("GET", "POST"),
    ) -> None:
        """Call a run() with a parameter of that name.

        Args:
            kind: What it gets.
            value_of: Makes it; raises RefusedError where it cannot.
            parameter: The name.
            takes_headers: Whether run() takes `request_headers` too.
            methods: What run() is called for.
        """
        self.kind = kind
        self.methods = methods
        self._value_of = value_of
        self._parameter = parameter
        self._takes_headers = takes_headers

    def arguments(self, request: Request) -> dict[str, object]:
        """Return what to call run() with.

        Raises:
            RefusedError: The request is one that run() cannot be called with.
        """
        arguments: dict[str, object] = {self._parameter: self._value_of(request)}
        if self._takes_headers:
            arguments[HEADERS] = request.titled_headers()
        return arguments


def text_of(request: Request) -> str:
    """Return the body as text, whatever its content type; a GET request's query as the JSON text of its values.

    Raises:
        RefusedError: The body is not text.
    """
    if request.method == "GET":
        return json.dumps(parse_query(request.query))
    if is_binary(request):
        return binary_as_text(request)
    try:
        return str(request.body, "utf-8")
    except UnicodeDecodeError as error:
        raise RefusedError(400, f"Input cannot be decoded as UTF-8: {error}") from None


def decoded_of(request: Request) -> Any:
    """Return a JSON value, a NumPy array, an Arrow table or what was packed; a GET request's query as a dictionary.

    Raises:
        RefusedError: The body is empty, or is not what its content type says.
    """
    if request.method == "GET":
        return parse_query(request.query)
    if is_binary(request):
        return parse_binary(request)
    if not request.body:
        raise RefusedError(400, "POST body is empty. Expecting JSON.")
    return parse_json(request.body, exact=False)


def raw_of(make: Callable[..., Any]) -> Callable[[Request], Any]:
    """Return what makes the whole request, in a form like Flask's.

    Args:
        make: The class that came with @rawhttp; it takes method, path, query, headers, body and scheme.
    """

    def whole(request: Request) -> Any:
        return make(request.method, request.path, request.query, request.headers, request.body, request.scheme)

    return whole
