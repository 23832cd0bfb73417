"""What every type of a parameter is."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any

_SHOWN = 100


class AbstractParameterType(ABC):
    """The type of a parameter, told by a sample of it. Scripts may have types of their own.

    Attributes:
        sample_input: The sample.
        sample_data_type: Its class.
    """

    def __init__(self, sample_input: Any) -> None:
        """Take a sample."""
        self.sample_input = sample_input
        self.sample_data_type = type(sample_input)

    @abstractmethod
    def deserialize_input(self, input_data: Any) -> Any:
        """Return the parameter's value for a JSON value.

        Raises:
            ValueError: It is not one of this type.
        """

    @abstractmethod
    def input_to_swagger(self) -> dict[str, Any]:
        """Return the schema of the JSON values that are taken, with an `example`."""

    def supported_versions(self) -> list[str]:
        """Return the versions of Swagger that can tell this type: 2.0 has no lists of different things."""
        return ["2.0", "3.0", "3.1"] if _is_uniform(self.input_to_swagger().get("example")) else ["3.0", "3.1"]


def mismatch(expected: str, given: Any) -> ValueError:
    """Return the error for a value that is not what a type takes."""
    return ValueError(f"expected {expected}, given {_describe(given)}")


def _describe(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, dict):
        return f"an object with the members {', '.join(map(str, value))}"[:_SHOWN] if value else "an empty object"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    kind = {int: "the whole number", float: "the number", str: "the text"}.get(type(value), type(value).__name__)
    shown = repr(value)
    return f"{kind} {shown if len(shown) <= _SHOWN else shown[:_SHOWN] + '…'}"


def _is_uniform(example: Any) -> bool:
    if isinstance(example, dict):
        return all(_is_uniform(item) for item in example.values())
    if isinstance(example, list):
        kinds = {type(item) for item in example}
        return len(kinds) <= 1 and (list not in kinds or all(_is_uniform(item) for item in example))
    return True
