"""Parameters that are Spark data frames: there is no Spark in an image that serves."""

from __future__ import annotations

from typing import Any


class SparkParameterType:
    """Cannot be used; says so when a script is loaded."""

    def __init__(self, *_arguments: Any, **_named: Any) -> None:
        """Refuse.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(
            "SparkParameterType is not part of this runtime, which has no Spark session: use PandasParameterType, "
            "and make a Spark data frame of it in run()"
        )
