"""Whether the Docker engine answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.diagnosis.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.diagnosis.context import Context


def check(context: Context) -> Iterator[Finding]:
    """Ask it for its version and for the stack's containers."""
    version = context.docker.version()
    count = len(context.containers)
    yield Finding("ok", f"Docker engine {version}; {count} containers of the stack {context.stack}.")
