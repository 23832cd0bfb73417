"""A request that is refused for a reason that its caller can do something about."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class RefusedError(Exception):
    """A request that is answered with `{"message": ...}` instead of by the script.

    Attributes:
        status: The HTTP status, 400 to 503.
        headers: Further headers of the answer, names in lower case.
    """

    def __init__(self, status: int, message: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """Say what to answer."""
        super().__init__(message)
        self.status = status
        self.headers = tuple(headers)
