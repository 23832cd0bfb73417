"""Whether Pulumi starts and can read the stack's state."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cli.diagnosis.finding import Finding
from cli.errors import CliError
from cli.stack.passphrase import check_passphrase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.diagnosis.context import Context


def check(context: Context) -> Iterator[Finding]:
    """Start Pulumi, and read what is deployed and how the last deployment ended."""
    try:
        version = context.run("pulumi", "version").strip()
    except CliError as error:
        yield Finding("problem", str(error), f"Run `make setup` in {context.project.root}.")
        return
    check_passphrase(context.stack, context.env, context.pulumi.state)
    models = len({one.model for one in context.placements})
    yield Finding("ok", f"Pulumi {version}; the stack {context.stack} has {models} deployed models.")
    if models:
        yield from _last_update(context)


def _last_update(context: Context) -> Iterator[Finding]:
    text = context.run(
        "pulumi", "stack", "history", "--stack", context.stack, "--json", "--page-size", "1", "--non-interactive"
    )
    last: dict[str, Any] = next(iter(json.loads(text) or []), {})
    if last.get("result") == "failed":
        at = str(last.get("startTime", ""))[:16].replace("T", " ")
        yield Finding(
            "warning",
            f"The last deployment ({at} UTC) failed; what ran before it goes on.",
            f"`slipway up --stack {context.stack}` shows what fails.",
        )
