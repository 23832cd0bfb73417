"""Parameters that are pandas data frames."""

from __future__ import annotations

import io
import json
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]  # its types are a package of their own

from ._swagger import schema_of
from .abstract_parameter_type import AbstractParameterType, mismatch

if TYPE_CHECKING:
    from collections.abc import Callable

_OBJECT = np.dtype(object)
_ORIENTS = ("split", "records", "index", "columns", "values", "table")


class PandasParameterType(AbstractParameterType):
    """A data frame with the sample's types of columns, and as many of them."""

    def __init__(
        self,
        sample_input: Any,
        enforce_column_type: bool = True,
        enforce_shape: bool = True,
        apply_column_names: bool = False,
        orient: str = "records",
    ) -> None:
        """Take a sample.

        Args:
            sample_input: The sample, a data frame.
            enforce_column_type: Whether columns of the sample's names have its types.
            enforce_shape: Whether there have to be as many columns as in the sample.
            apply_column_names: Whether the columns take the sample's names, by their order. Deprecated.
            orient: How the data frame stands in JSON, as `pandas.DataFrame.to_json` has it.

        Raises:
            TypeError: The sample is no data frame.
            ValueError: There is no such orient.
        """
        if not isinstance(sample_input, pd.DataFrame):
            raise TypeError(
                f"PandasParameterType takes a data frame as its sample, given {type(sample_input).__name__}"
            )
        if orient not in _ORIENTS:
            raise ValueError(f"PandasParameterType: orient is {orient!r}; allowed are {', '.join(_ORIENTS)}")
        if apply_column_names:
            warnings.warn("apply_column_names is deprecated", DeprecationWarning, stacklevel=2)
        super().__init__(sample_input)
        self.enforce_column_type = enforce_column_type
        self.enforce_shape = enforce_shape
        self.apply_column_names = apply_column_names
        self.orient = orient
        # The same names as JSON has them.
        self._names = {str(name): name for name in sample_input.columns}
        self._types = sample_input.dtypes.to_dict()

    @property
    def is_exact(self) -> bool:
        """Whether it can hold integers beyond 64 bits."""
        return not self.enforce_column_type or any(kind.kind != "f" for kind in self._types.values())

    def deserialize_input(self, input_data: Any) -> pd.DataFrame:
        """Return the data frame of what JSON has; an array or an Arrow table becomes one too.

        Raises:
            ValueError: It has another number of columns, or values that are not of the sample's types.
        """
        try:
            frame = self._frame(input_data)
            if self.apply_column_names:
                frame.columns = self.sample_input.columns.copy()
            if self.enforce_column_type:
                frame = self._typed(frame)
        except (ValueError, TypeError, LookupError, OverflowError, AttributeError, NotImplementedError) as error:
            raise ValueError(f"expected {self._expected}: {error}") from error
        if self.enforce_shape and frame.shape[1] != self.sample_input.shape[1]:
            given = f"{frame.shape[1]}: {', '.join(map(str, frame.columns))}" if frame.shape[1] else "none"
            raise ValueError(f"expected {self._expected}, given {given}")
        return frame

    def input_to_swagger(self) -> dict[str, Any]:
        """Return the schema of what is taken, with an `example`."""
        schema = schema_of(json.loads(self.sample_input.to_json(orient=self.orient, date_format="iso")))
        for rows in self._rows(schema):
            for name, kind in self._types.items():
                known = {"M": "date-time", "m": "timedelta"}.get(kind.kind)
                if known is not None:
                    self._mark(rows, str(name), known)
        schema["format"] = f"pandas.DataFrame:{self.orient}"
        return schema

    @property
    def _expected(self) -> str:
        count = len(self._names)
        columns = f"{count} column{'s' if count != 1 else ''}: {', '.join(self._names)}"
        return f"a data frame (orient {self.orient!r}) with {columns}"

    def _frame(self, given: Any) -> pd.DataFrame:
        if hasattr(given, "to_pandas"):
            return given.to_pandas()
        if isinstance(given, pd.DataFrame):
            return given
        if isinstance(given, np.ndarray):
            return pd.DataFrame(
                given, columns=self.sample_input.columns if given.shape[1:] == (len(self._names),) else None
            )
        if not isinstance(given, (list, dict)):
            raise mismatch("a list or an object", given)
        if self.orient == "table":
            return pd.read_json(io.StringIO(json.dumps(given)), orient="table")
        if self.orient in {"split", "index"}:
            if not isinstance(given, dict):
                raise mismatch("an object", given)
            if self.orient == "split":
                frame = pd.DataFrame(given["data"], index=given.get("index"), columns=given.get("columns"))
            else:
                frame = pd.DataFrame.from_dict(given, orient="index")
        else:
            frame = pd.DataFrame(given)
        frame.columns = self._labels(frame.columns)
        if _are_numbers(frame.index):
            frame.index = frame.index.astype(int)
        return frame

    def _labels(self, columns: Any) -> list[Any]:
        """JSON has numbers as text where they are names."""
        if _are_numbers(columns) and not all(name in self._names for name in columns):
            return [int(name) for name in columns]
        return [self._names.get(str(name), name) for name in columns]

    def _typed(self, frame: pd.DataFrame) -> pd.DataFrame:
        given = frame.dtypes
        wanted = {name: self._types.get(name, _OBJECT) for name in frame.columns}
        changed = {name: kind for name, kind in wanted.items() if kind != given[name]}
        if not changed:
            return frame
        if times := {name: kind for name, kind in changed.items() if kind.kind in "mM"}:
            frame = frame.assign()
            for name, kind in times.items():
                frame[name] = _named(name, kind, partial(_time_column, frame[name], kind))
        try:
            # One type for all of it is quicker than a type for each column.
            first, *others = set(wanted.values())
            return frame.astype(changed if others else first)
        except (ValueError, TypeError, OverflowError):
            # Column by column takes longer, and tells which.
            for name, kind in changed.items():
                _named(name, kind, partial(frame[name].astype, kind))
            raise

    def _rows(self, schema: dict[str, Any]) -> list[dict[str, Any]]:
        """Where the schemas of columns stand, for each orient."""
        members = schema.get("properties", {})
        if self.orient == "records":
            return [schema["items"].get("properties", {})]
        if self.orient == "index":
            return [row["properties"] for row in members.values()]
        if self.orient == "columns":
            return [members]
        if self.orient == "table":
            return [members["data"]["items"].get("properties", {})]
        return []

    @staticmethod
    def _mark(rows: dict[str, Any], name: str, known: str) -> None:
        column = rows.get(name, {})
        for cell in column.get("properties", {"": column}).values():
            cell["format"] = known


def _time_column(column: Any, kind: Any) -> Any:
    if kind.kind == "m":
        return pd.to_timedelta(column)
    # Numbers are the milliseconds that older pandas wrote.
    is_number = pd.api.types.is_numeric_dtype(column)
    is_zoned = getattr(kind, "tz", None) is not None
    return pd.to_datetime(column, unit="ms" if is_number else None, utc=is_zoned or None)


def _named(name: Any, kind: Any, convert: Callable[[], Any]) -> Any:
    """What a conversion gives; its error with the column's name."""
    try:
        return convert()
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"column {name!r} as {kind}: {error}") from error


def _are_numbers(labels: Any) -> bool:
    return len(labels) > 0 and all(isinstance(label, str) and label.isdecimal() for label in labels)
