"""Parameters of Python's own types."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
from typing import Any

from ._swagger import schema_of
from ._times import parse_date, parse_datetime, parse_time
from .abstract_parameter_type import AbstractParameterType, mismatch

_NAMES: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    bytes: "bytes as base64",
    bytearray: "bytes as base64",
    dict: "an object",
    list: "a list",
    tuple: "a list",
}


class StandardPythonParameterType(AbstractParameterType):
    """A value of the sample's type; for one of dates, times and bytes, text is turned into it.

    A dictionary or list may have types of parameters in it, for its members; what else is in it is not looked at.

    Attributes:
        sample_data_type_map: The types of a dictionary's members.
        sample_data_type_list: The types in a list.
    """

    def __init__(self, sample_input: Any) -> None:
        """Take a sample."""
        super().__init__(sample_input)
        self.sample_data_type_map: dict[Any, AbstractParameterType] = {}
        self.sample_data_type_list: list[AbstractParameterType] = []
        if isinstance(sample_input, dict):
            self.sample_data_type_map = {
                key: item for key, item in sample_input.items() if isinstance(item, AbstractParameterType)
            }
        elif isinstance(sample_input, (list, tuple)):
            self.sample_data_type_list = [item for item in sample_input if isinstance(item, AbstractParameterType)]

    def deserialize_input(self, input_data: Any) -> Any:
        """Return the parameter's value for a JSON value.

        Raises:
            ValueError: It is not one of this type.
        """
        kind = self.sample_data_type
        if issubclass(kind, dict):
            return self._members(input_data)
        if issubclass(kind, (list, tuple)):
            return self._items(input_data)
        # A datetime is a date, and yet not what a date's sample asks for.
        if isinstance(input_data, kind) and not (kind is dt.date and isinstance(input_data, dt.datetime)):
            return input_data
        if issubclass(kind, (bytes, bytearray)):
            return kind(_bytes(input_data))
        for known, parse in ((dt.datetime, parse_datetime), (dt.date, parse_date), (dt.time, parse_time)):
            if issubclass(kind, known):
                return parse(input_data)
        # Whoever sends 1 for 1.0 means it.
        if kind is float and isinstance(input_data, int) and not isinstance(input_data, bool):
            return input_data
        raise mismatch(_NAMES.get(kind, f"a value of type {kind.__name__}"), input_data)

    def input_to_swagger(self) -> dict[str, Any]:
        """Return the schema of the JSON values that are taken, with an `example`.

        Raises:
            ValueError: The sample is None, which tells nothing.
            TypeError: The sample has something in it that JSON has not.
        """
        if self.sample_input is None:
            raise ValueError("StandardPythonParameterType: the sample is None, which tells nothing of the type")
        schema = schema_of(self.sample_input)
        try:
            json.dumps(schema)
        except TypeError as error:
            raise TypeError(f"StandardPythonParameterType: the sample has no JSON form: {error}") from None
        return schema

    def _members(self, given: Any) -> Any:
        if not isinstance(given, dict):
            raise mismatch("an object", given)
        changed = {
            key: _within(repr(key), member, given[key])
            for key, member in self.sample_data_type_map.items()
            if key in given
        }
        return {**given, **changed} if changed else given

    def _items(self, given: Any) -> Any:
        if not isinstance(given, (list, tuple)):
            raise mismatch("a list", given)
        if not self.sample_data_type_list:
            return given
        return [_within(f"item {place}", self.sample_data_type_list[0], item) for place, item in enumerate(given)]


def _within(where: str, kind: AbstractParameterType, given: Any) -> Any:
    try:
        return kind.deserialize_input(given)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _bytes(given: Any) -> bytes:
    if isinstance(given, (bytes, bytearray)):
        return bytes(given)
    try:
        return base64.b64decode(given)
    except (TypeError, ValueError, binascii.Error):
        raise mismatch("bytes as base64", given) from None
