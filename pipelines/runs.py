"""Runs the engine to see what would change or what has drifted, and writes that down as data."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cli.errors import CliError
from cli.images.copy import image_size
from cli.stack.pulumi import Pulumi
from cli.stack.wanted import checked_environment, checked_manifest
from manifest.atomic import write_atomically
from pipelines.changes import Preview
from pipelines.events import failure, read_drift, read_preview

if TYPE_CHECKING:
    from collections.abc import Callable


def preview(stack: str, out: Path) -> bool:
    """Preview a stack.

    Args:
        stack: The stack.
        out: Where to write what was found, in any case.

    Returns:
        Whether the preview worked.
    """
    return _run(stack, out, "preview", lambda log, code: read_preview(stack, log, code=code, size_of=image_size))


def drift(stack: str, out: Path) -> bool:
    """Look for what is not as it was deployed; otherwise as `preview`."""
    return _run(stack, out, "refresh", lambda log, code: read_drift(stack, log, code=code))


def _run(stack: str, out: Path, operation: str, read: Callable[[Path, int], Preview]) -> bool:
    try:
        found = _engine(stack, operation, read)
    except CliError as error:
        found = Preview(stack=stack, failed=failure(f"{error}\n{error.hint or ''}".splitlines(), os.environ))
        # What the engine says is in the run's log already; this is not.
        sys.stderr.write("".join(f"{line}\n" for line in found.failed))
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, found.model_dump_json(indent=1) + "\n")
    return not found.failed


def _engine(stack: str, operation: str, read: Callable[[Path, int], Preview]) -> Preview:
    pulumi = Pulumi.here(stack)
    checked_manifest(pulumi.project)
    checked_environment(pulumi.config)
    if not pulumi.exists():
        if operation == "refresh":
            return Preview(stack=stack)
        pulumi.create()
    options = ["--preview-only"] if operation == "refresh" else ["--suppress-outputs"]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "events"
        code = pulumi.run(operation, "--non-interactive", *options, event_log=log)
        return read(log, code)
