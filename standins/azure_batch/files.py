"""What tasks printed, as the files that Batch keeps of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from standins.azure_batch.errors import BatchError
from standins.azure_batch.listing import page
from standins.azure_batch.runs import FILES

if TYPE_CHECKING:
    from standins.azure_batch.common import Request
    from standins.azure_batch.runs import Runs
    from standins.azure_batch.state import Document

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


def listed(runs: Runs, request: Request, task: Document) -> dict[str, Any]:
    """List a task's files."""
    items = []
    for name in FILES:
        content = runs.read(task, name)
        if content is not None:
            properties = {"contentLength": len(content), "lastModified": task.shown["lastModified"]}
            url = f"{request.url}{request.path}/{name}"
            items.append({"name": name, "url": url, "isDirectory": False, "properties": properties})
    return page(items, request.query, request.url + request.path)


def content(runs: Runs, task: Document, name: str, wanted: str | None) -> bytes:
    """Return a file, or a range of it.

    Args:
        runs: The containers.
        task: Whose file.
        name: Its name.
        wanted: The header ocp-range.

    Raises:
        BatchError: There is no such file, or it is shorter.
    """
    found = runs.read(task, name) if name in FILES else None
    if found is None:
        if task.state in {"active", "preparing"}:
            raise BatchError(409, "OperationInvalidForCurrentState", "The task has not begun on a node.")
        raise BatchError(404, "FileNotFound", "The specified file does not exist.")
    if not wanted:
        return found
    bounds = _RANGE.fullmatch(wanted)
    start = int(bounds[1]) if bounds else 0
    if bounds is None or start >= len(found):
        raise BatchError(416, "InvalidRange", "The range specified is invalid for the current size of the resource.")
    return found[start : int(bounds[2]) + 1 if bounds[2] else None]
