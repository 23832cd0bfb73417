"""Has a running model load its script again, from outside: the runtime watches the script's folder.

The script's time is set to now. What became of it the service tells on /status: a higher generation, or an error.
An error that is the same as before is told apart by the container's log.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.errors import CliError
from cli.placements.service import statuses

if TYPE_CHECKING:
    from cli.placements.containers import Engine
    from cli.placements.placement import Placement

# As components/local_docker.py and scoring/ have them.
MOUNT = "/mnt/source"
_SCRIPT = "AZUREML_ENTRY_SCRIPT"
# An edit that came after a good load, and one while there has been none.
_REFUSED = ("edit not taken over", "failed: ")
_INTERVAL_SECONDS = 0.2


@dataclass(frozen=True)
class Reloaded:
    """What became of a reload.

    Attributes:
        script: The script on this machine.
        generation: How many loads have succeeded by now.
        seconds: How long it took.
        error: Why the script was not taken over; None when it was.
    """

    script: Path
    generation: int
    seconds: float
    error: str | None


def reload_script(engine: Engine, placement: Placement, seconds: float) -> Reloaded:
    """Have a model load its script again, and wait for the outcome.

    Args:
        engine: The Docker engine.
        placement: The model, in a container with `reload: true`.
        seconds: How long to wait.

    Raises:
        CliError: It is not in reload mode, or there is no outcome in time.
    """
    name, endpoint = placement.container or "", placement.endpoint or ""
    before = _reload_status(endpoint, placement.model)
    script = _script(engine.inspect(name), placement)
    logged = _last_time(engine, name)
    started = time.monotonic()
    try:
        os.utime(script)
    except OSError as error:
        raise CliError(
            f"{script} cannot be touched: {error.strerror or error}.",
            hint="The container watches the script of the checkout that deployed it.",
        ) from None
    while True:
        time.sleep(_INTERVAL_SECONDS)
        now = _reload_status(endpoint, placement.model)
        took = time.monotonic() - started
        if now["generation"] > before["generation"]:
            return Reloaded(script, now["generation"], took, None)
        if now["error"] and (now["error"] != before["error"] or _was_refused(engine, name, logged)):
            return Reloaded(script, now["generation"], took, now["error"])
        if took > seconds:
            raise CliError(
                f"{placement.model} has not loaded its script within {seconds:g} s; the one before answers.",
                hint=f"`slipway logs {placement.model}` tells what it does; --timeout gives it longer.",
            )


def _reload_status(endpoint: str, model: str) -> dict[str, Any]:
    told = asyncio.run(statuses([endpoint])).get(endpoint)
    if told is None:
        raise CliError(f"{model} does not answer at {endpoint}.", hint="`slipway diagnose` looks for the reason.")
    reload = told.get("reload") or {}
    if not reload.get("enabled"):
        raise CliError(
            f"{model} is not in reload mode.",
            hint="Give its target `reload: true` in models.yaml, where the stack has `slipway:development: true`; "
            "then `slipway up`.",
        )
    return {"generation": int(reload.get("generation") or 0), "error": reload.get("error")}


def _script(container: dict[str, Any] | None, placement: Placement) -> Path:
    """The script on this machine: what the container mounts, and the name that its image gives."""
    container = container or {}
    sources = [str(one.get("Source")) for one in container.get("Mounts") or [] if one.get("Destination") == MOUNT]
    variables: dict[str, str] = dict(
        one.partition("=")[::2] for one in (container.get("Config") or {}).get("Env") or []
    )
    if not sources or _SCRIPT not in variables:
        raise CliError(f"The container of {placement.model} mounts no script.", hint="`slipway up` makes it anew.")
    return Path(sources[0]) / variables[_SCRIPT]


def _last_time(engine: Engine, name: str) -> str:
    return max((at for at, _ in engine.log(name, tail=1)), default="")


def _was_refused(engine: Engine, name: str, after: str) -> bool:
    # The engine's times sort as text.
    return any(at > after and any(words in line for words in _REFUSED) for at, line in engine.log(name, tail=1000))
