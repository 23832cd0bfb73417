"""Hands data frames to the runtime's collection."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from .context import CorrelationContext, get_context

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger("slipway")


class Collector:
    """Collects data frames under a name, such as model_inputs.

    Where collection is off, it does nothing: a script needs no switch of its own.
    """

    def __init__(self, *, name: str, on_error: Callable[[Exception], Any] | None = None) -> None:
        """Make a collector.

        Args:
            name: The collection's name.
            on_error: Told of data that is not collected, instead of an error being raised for a mistake.
        """
        self.name = name
        self._on_error = on_error
        if not name:
            self._mistake(ValueError("Collector(name=...): the collection has no name"))
        elif _sink() is None:
            self._off()

    def collect(self, data: Any, correlation_context: CorrelationContext | None = None) -> CorrelationContext:
        """Collect a data frame; it is written later, and the request does not wait for that.

        Args:
            data: A pandas DataFrame.
            correlation_context: What an earlier `collect` of the same request returned.

        Returns:
            The context, for the next `collect` of the same request.

        Raises:
            TypeError: It is no data frame, and there is no `on_error` to tell.
        """
        context = correlation_context if correlation_context is not None else get_context()
        sink = _sink()
        if sink is None:
            self._tell(RuntimeError(f"collection is off: what is given to {self.name!r} is not kept"))
        elif not hasattr(data, "to_dict") or not hasattr(data, "columns"):
            self._mistake(
                TypeError(f"Collector({self.name!r}).collect takes a pandas DataFrame, given {type(data).__name__}")
            )
        else:
            sink.put_frame(self.name, data, request_id=_request_id(context), correlation=context.get_id())
        return context

    def _off(self) -> None:
        _log.info("collection is off: what is given to the collector %r is not kept", self.name)
        self._tell(RuntimeError(f"collection is off: what is given to {self.name!r} is not kept"))

    def _tell(self, error: Exception) -> None:
        if self._on_error is not None:
            self._on_error(error)

    def _mistake(self, error: Exception) -> None:
        if self._on_error is None:
            raise error
        self._on_error(error)


def _sink() -> Any:
    """What the runtime collects with; None when collection is off, or this is no runtime but a script's own test."""
    try:
        from scoring.collect import sink  # noqa: PLC0415 - only scripts that collect need it
    except ImportError:
        return None
    return sink()


def _request_id(context: CorrelationContext) -> str:
    """What the script says, else which request it is in."""
    headers: dict[str, Any] = getattr(context, "get_headers", dict)() or {}
    for name, value in headers.items():
        if name.lower() == "x-request-id":
            return str(value)
    try:
        from scoring.context import REQUEST_ID  # noqa: PLC0415 - as above
    except ImportError:
        return ""
    return REQUEST_ID.get()
