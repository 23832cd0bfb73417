"""What ties the collected inputs of a request to its outputs."""

from __future__ import annotations

import time
import uuid


class CorrelationContext:
    """The kind of all contexts; one of a script's own has the same functions as BasicCorrelationContext."""

    def get_id(self) -> str:
        """What all that belongs together has in common."""
        return ""

    def __str__(self) -> str:
        """Its id."""
        return self.get_id()

    __repr__ = __str__


class BasicCorrelationContext(CorrelationContext):
    """A context, with what is not given made up."""

    def __init__(
        self,
        id: str | None = None,  # noqa: A002 - the name in azureml-ai-monitoring
        timestamp: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Make a context.

        Args:
            id: What all that belongs together has in common; a new one if not given.
            timestamp: In seconds since 1970; now if not given.
            headers: The request's, of which x-request-id is recorded.
        """
        self.id = id or str(uuid.uuid4())
        self.timestamp = timestamp or int(time.time())
        self.headers = headers or {}

    def get_id(self) -> str:
        """What all that belongs together has in common."""
        return self.id

    def get_timestamp(self) -> int:
        """In seconds since 1970."""
        return self.timestamp

    def get_headers(self) -> dict[str, str]:
        """The request's headers."""
        return self.headers


def get_context() -> CorrelationContext:
    """Return a new context."""
    return BasicCorrelationContext()
