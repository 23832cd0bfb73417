"""Whether the image builder that the stack's configuration names is recorded and answers."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cli.diagnosis.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.diagnosis.context import Context

_SECONDS = 3.0


def check(context: Context) -> Iterator[Finding]:
    """Read the builder's record, and knock where it says that BuildKit listens."""
    name = context.environment.builder
    mend = f"Run `make setup` in {context.project.root}."
    if context.environment.promote_from:
        yield Finding("ok", "Not needed: this stack deploys what was promoted to it.")
        return
    file = _store(context.env) / "instances" / name
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        node = record["Nodes"][0]
        driver, endpoint = str(record["Driver"]), str(node["Endpoint"])
    except FileNotFoundError:
        yield Finding("problem", f"There is no builder {name}: {file} is missing.", mend)
        return
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        yield Finding("problem", f"The builder's record {file} cannot be read.", f"Remove it. {mend}")
        return
    if driver == "remote":
        error = _refused(endpoint)
    else:
        container = context.docker.inspect(f"buildx_buildkit_{node.get('Name')}")
        if container is None:
            yield Finding("ok", f"{name}: {driver}; the first build starts it.")
            return
        state = (container.get("State") or {}).get("Status")
        error = None if state == "running" else f"its container is {state}"
    if error:
        yield Finding("problem", f"The builder {name} does not answer at {endpoint}: {error}.", mend)
    else:
        yield Finding("ok", f"{name}: {driver} at {endpoint}.")


def _store(env: dict[str, str]) -> Path:
    if env.get("BUILDX_CONFIG"):
        return Path(env["BUILDX_CONFIG"])
    return Path(env.get("DOCKER_CONFIG") or Path.home() / ".docker") / "buildx"


def _refused(endpoint: str) -> str | None:
    parts = urlsplit(endpoint)
    try:
        if parts.scheme == "unix":
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(_SECONDS)
                connection.connect(parts.path)
        else:
            socket.create_connection((parts.hostname or "", parts.port or 1234), _SECONDS).close()
    except OSError as error:
        return error.strerror or str(error)
    return None
