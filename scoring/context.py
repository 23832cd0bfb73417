"""Which request a piece of code works for: set around each call of run(), read by the log."""

from __future__ import annotations

from contextvars import ContextVar

# The ids of a batch stand together, with commas between them.
REQUEST_ID: ContextVar[str] = ContextVar("REQUEST_ID", default="")
