"""Whether the stack's configuration, the manifest and each model's files are sound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.diagnosis.finding import Finding
from manifest import content

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.diagnosis.context import Context

_MEGABYTE = 1_000_000


def check(context: Context) -> Iterator[Finding]:
    """Read all of them as `up` would."""
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
