"""Batch's refusals, as OData errors."""

from __future__ import annotations

from typing import Any


class BatchError(Exception):
    """A refusal: what Batch answers with."""

    def __init__(self, status: int, code: str, message: str, **details: str) -> None:
        """Say it as Batch does.

        Args:
            status: Of HTTP.
            code: Batch's name for it.
            message: Batch's words.
            details: Further names and values.
        """
        super().__init__(message)
        self.status = status
        self.code = code
        self.details = details

    def body(self, request: str) -> dict[str, Any]:
        """Return the answer's body.

        Args:
            request: The request's id, which Batch puts behind the message.
        """
        found: dict[str, Any] = {
            "code": self.code,
            "message": {"lang": "en-US", "value": f"{self}\nRequestId:{request}"},
        }
        if self.details:
            found["values"] = [{"key": name, "value": value} for name, value in self.details.items()]
        return found


def missing(kind: str, id_: str) -> BatchError:
    """Return the refusal of what there is not."""
    return BatchError(404, f"{kind}NotFound", f"The specified {kind.lower()} does not exist.", Id=id_)
