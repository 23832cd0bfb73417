"""Whether the stack's configuration, the manifest and each model's files are sound."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from cli.diagnosis.finding import Finding
from manifest import content

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.diagnosis.context import Context

_MEGABYTE = 1_000_000


def check(context: Context) -> Iterator[Finding]:
    """Read all of them as `up` would."""
    private = context.project.private
    if private.exists() and not os.access(private, os.W_OK | os.X_OK):
        wrong = f"This user may not write to {private}, as every deployment does."
        yield Finding("problem", wrong, f"See whose it is and how it is mounted: ls -ld {shlex.quote(str(private))}")
    _ = context.environment
    models = context.manifest.models
    root = context.project.root
    for model in models:
        files = [root / model.folder / name for name in content.model_files(model, root)]
        size = sum(file.stat().st_size for file in files)
        yield Finding(
            "ok",
            f"{len(files)} model {'file' if len(files) == 1 else 'files'}, {size / _MEGABYTE:.1f} MB, "
            f"and {model.script_path}.",
            model=model.name,
        )
    if not models:
        yield Finding("ok", "models.yaml lists no model.")
