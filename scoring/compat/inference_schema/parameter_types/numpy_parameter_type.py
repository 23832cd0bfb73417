"""Parameters that are NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._dtypes import example_of, in_arrays, require_texts, schema_of_dtype, timedelta_of
from .abstract_parameter_type import AbstractParameterType, mismatch


class NumpyParameterType(AbstractParameterType):
    """An array of the sample's data type and shape; only its first dimension may be of another size."""

    def __init__(self, sample_input: Any, enforce_column_type: bool = True, enforce_shape: bool = True) -> None:
        """Take a sample.

        Args:
            sample_input: The sample, an array.
            enforce_column_type: Whether the array has the sample's data type, else what NumPy makes of it.
            enforce_shape: Whether its dimensions have to be the sample's, except for the first one's size.

        Raises:
            TypeError: The sample is no array.
        """
        if not isinstance(sample_input, np.ndarray):
            raise TypeError(f"NumpyParameterType takes an array as its sample, given {type(sample_input).__name__}")
        super().__init__(sample_input)
        self.enforce_column_type = enforce_column_type
        self.enforce_shape = enforce_shape

    @property
    def is_exact(self) -> bool:
        """Whether it can hold integers beyond 64 bits."""
        return not self.enforce_column_type or self.sample_input.dtype.kind != "f"

    def deserialize_input(self, input_data: Any) -> np.ndarray[Any, Any]:
        """Return the array of nested lists; an Arrow table becomes one too.

        Raises:
            ValueError: It is not of the sample's data type or shape.
        """
        if not isinstance(input_data, (list, np.ndarray)) and not hasattr(input_data, "to_pandas"):
            raise mismatch(self._expected, input_data)
        dtype = self.sample_input.dtype if self.enforce_column_type else None
        try:
            array = np.asarray(self._prepared(input_data), dtype=dtype)
        except (ValueError, TypeError, LookupError, OverflowError, NotImplementedError) as error:
            raise ValueError(f"expected {self._expected}: {error}") from error
        sample = self.sample_input.shape
        if self.enforce_shape and (array.ndim != len(sample) or array.shape[1:] != sample[1:]):
            raise ValueError(f"expected {self._expected}, given one of the shape {_shape(array.shape)}")
        return array

    def input_to_swagger(self) -> dict[str, Any]:
        """Return the schema of the nested lists that are taken, with an `example`."""
        schema = in_arrays(schema_of_dtype(self.sample_input.dtype), self.sample_input.ndim)
        return {**schema, "example": example_of(np.atleast_1d(self.sample_input)), "format": "numpy.ndarray"}

    @property
    def _expected(self) -> str:
        kind = f" of {self.sample_input.dtype}" if self.enforce_column_type else ""
        shape = f" of the shape {_shape(('any', *self.sample_input.shape[1:]))}" if self.enforce_shape else ""
        return f"an array{kind}{shape}"

    def _prepared(self, given: Any) -> Any:
        """What NumPy does not turn into the sample's data type by itself."""
        dtype = self.sample_input.dtype
        if hasattr(given, "to_pandas"):
            return given.to_pandas().to_numpy()
        if not self.enforce_column_type or isinstance(given, np.ndarray):
            return given
        if dtype.names is not None:
            return [_record(item, dtype) for item in given]
        if dtype.kind == "M":
            require_texts(given)
        return timedelta_of(given, np) if dtype.kind == "m" else given


def _record(given: Any, dtype: np.dtype[Any]) -> Any:
    """A row of a structured array, of an object or of a list in the order of its fields."""
    names = dtype.names or ()
    values = [given[name] for name in names] if isinstance(given, dict) else list(given)[: len(names)]
    return tuple(_field(value, dtype[name]) for name, value in zip(names, values, strict=True))


def _field(value: Any, dtype: np.dtype[Any]) -> Any:
    if dtype.names is not None:
        return _record(value, dtype)
    return timedelta_of(value, np) if dtype.kind == "m" else value


def _shape(shape: tuple[Any, ...]) -> str:
    return f"({', '.join(map(str, shape))})"
