"""A run() with @input_schema: an object's members as arguments, converted as the schema says."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from scoring.calling.parsing import is_binary, is_json, parse_binary
from scoring.calling.signature import HEADERS
from scoring.codecs.text import parse_json, parse_query
from scoring.refused import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scoring.request import Request


class SchemaCalling:
    """Gives the members of a JSON object; one that is missing has its default, further ones are ignored."""

    __slots__ = ("_exact", "_inputs", "_parameters", "_takes_headers")

    kind: str = "schema"
    methods: tuple[str, ...] = ("GET", "POST")

    def __init__(
        self,
        parameters: Sequence[inspect.Parameter],
        inputs: Mapping[str, Any],
        *,
        takes_headers: bool,
    ) -> None:
        """Call a run() with these parameters.

        Args:
            parameters: Those for the request.
            inputs: What @input_schema says, by the parameter's name: an object whose `convert(value)` gives the
                argument or raises what the caller is told, and whose `is_exact` tells whether it can hold integers
                beyond 64 bits.
            takes_headers: Whether run() takes `request_headers` too.
        """
        self._parameters = tuple((parameter.name, parameter.default) for parameter in parameters)
        self._inputs = dict(inputs)
        self._exact = any(name not in inputs or inputs[name].is_exact for name, _ in self._parameters)
        self._takes_headers = takes_headers

    def arguments(self, request: Request) -> dict[str, object]:
        """Return what to call run() with.

        Raises:
            RefusedError: The body is not such an object, or a value does not fit its schema.
        """
        given = self._members(request)
        arguments: dict[str, object] = {}
        for name, default in self._parameters:
            value = given.get(name, default)
            if value is inspect.Parameter.empty:
                raise RefusedError(400, f"A value is not provided for the {name!r} parameter.")
            # A default is the script's own, and is given as it stands there.
            arguments[name] = self._converted(name, value) if name in given and name in self._inputs else value
        if self._takes_headers:
            arguments[HEADERS] = request.titled_headers()
        return arguments

    def _members(self, request: Request) -> dict[str, Any]:
        if request.method == "GET":
            return parse_query(request.query)
        if not is_json(request):
            if is_binary(request):
                return self._binary_members(parse_binary(request))
            raise RefusedError(415, "Expects Content-Type to be application/json")
        if not request.body:
            raise RefusedError(400, "POST body is empty. Expecting a JSON dictionary.")
        body = parse_json(request.body, exact=self._exact)
        if not isinstance(body, dict):
            raise RefusedError(400, "POST body should be a JSON dictionary.")
        return body

    def _binary_members(self, value: Any) -> dict[str, Any]:
        """An object of parameters, or the one parameter itself."""
        names = [name for name, _ in self._parameters]
        if isinstance(value, dict) and (len(names) > 1 or names[0] in value):
            return value
        if len(names) == 1:
            return {names[0]: value}
        raise RefusedError(
            400,
            "The body should be an object with a value for each parameter: run() takes "
            f"{', '.join(names)}. Only a service with one parameter takes an array or a table as it is.",
        )

    def _converted(self, name: str, value: Any) -> Any:
        try:
            return self._inputs[name].convert(value)
        except (ValueError, TypeError, LookupError, ArithmeticError, NotImplementedError, RecursionError) as error:
            raise RefusedError(400, f"The value of {name!r} does not fit its schema: {error}") from error
