"""What a failed image build printed, from the engine's event log.

docker-build passes a build's output on as passing status lines, and its error names only the command that
failed. The lines of that command, a script's traceback among them, are what a user needs to see, and what failed.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BUILD = "docker-build:index:Image"
_KINDS = {
    _BUILD: "image",
    "docker:index/remoteImage:RemoteImage": "pulling the image",
    "docker:index/container:Container": "container",
}
# BuildKit's plain progress: `#11 0.071 text` is a step's output, `#11 ERROR: …` its failure.
_OUTPUT = re.compile(r"#(\d+) \d+\.\d+ ?(.*)")
_FAILURE = re.compile(r"#(\d+) ERROR: ")
_FULL = re.compile(r"[^\n]*(?:no space left on device|disk quota exceeded)", re.IGNORECASE)
_LEAST_BYTES = 1 << 20


@dataclass(frozen=True)
class FailedBuild:
    """One image that was not built.

    Attributes:
        name: The resource's name.
        lines: What the failed step printed, without its times; where no step printed anything, as when the builder
            cannot be reached, the error itself.
        requirements: What an environment was to install, a line each; None for another image.
    """

    name: str
    lines: tuple[str, ...]
    requirements: str | None = None


def failed_builds(event_log: Path) -> list[FailedBuild]:
    """Return the image builds that failed in one run of the engine, in the order of their failures.

    Args:
        event_log: The file that `pulumi up --event-log` wrote; a missing or cut-off one is read as far as it goes.
    """
    output: dict[str, dict[str, list[str]]] = {}
    # Resource to the step that failed; "" where the build's last lines, which say so, came too late for the log.
    failed: dict[str, str] = {}
    errors: dict[str, list[str]] = {}
    requirements: dict[str, str] = {}
    for event in _events(event_log):
        begun = (event.get("resourcePreEvent") or {}).get("metadata") or {}
        arguments = ((begun.get("new") or {}).get("inputs") or {}).get("buildArgs") or {}
        if "REQUIREMENTS" in arguments:
            requirements[begun["urn"]] = arguments["REQUIREMENTS"]
    for urn, text, severity in _diagnostics(event_log):
        if _BUILD not in urn:
            continue
        if severity == "error":
            failed.setdefault(urn, "")
            errors.setdefault(urn, []).extend(line for line in text.splitlines() if line.strip())
        for line in text.splitlines():
            if match := _OUTPUT.fullmatch(line):
                output.setdefault(urn, {}).setdefault(match[1], []).append(match[2])
            elif match := _FAILURE.match(line):
                failed[urn] = failed.get(urn) or match[1]
    return [
        FailedBuild(
            urn.rpartition("::")[2],
            _lines(output.get(urn, {}), step) or tuple(errors.get(urn, ())),
            requirements.get(urn),
        )
        for urn, step in failed.items()
    ]


def failures(event_log: Path) -> list[str]:
    """Return what failed in one run of the engine, as `iris (image)`, in the order of the failures.

    Args:
        event_log: As for `failed_builds`.
    """
    failed = {urn: _KINDS.get(_type(urn)) for urn, _, severity in _diagnostics(event_log) if severity == "error"}
    # What is of none of these kinds, as the stack itself, only repeats it.
    return [f"{urn.rpartition('::')[2]} ({kind})" for urn, kind in failed.items() if kind]


def no_room(event_log: Path) -> str | None:
    """Return what says that a disk was full in one run of the engine; None where nothing does.

    Args:
        event_log: As for `failed_builds`. Its folder has to be there.
    """
    for _, text, _ in _diagnostics(event_log):
        if found := _FULL.search(text):
            return found[0].strip()
    # A log that could not be written tells nothing.
    is_full = shutil.disk_usage(event_log.parent).free < _LEAST_BYTES
    return f"{event_log.parent}: no space left on device" if is_full else None


def _type(urn: str) -> str:
    """The resource's own type: `urn:pulumi:STACK::PROJECT::PARENT$TYPE::NAME`."""
    return urn.rpartition("::")[0].rpartition("::")[2].rpartition("$")[2]


def _lines(steps: dict[str, list[str]], failed: str) -> tuple[str, ...]:
    """The failed step's output; the last step's that had any, where it is not known which one failed."""
    return tuple(steps.get(failed or next(reversed(steps), ""), ()))


def _diagnostics(event_log: Path) -> Iterator[tuple[str, str, str]]:
    for one in _events(event_log):
        event = one.get("diagnosticEvent") or {}
        yield event.get("urn", ""), event.get("message", ""), event.get("severity", "")


def _events(event_log: Path) -> Iterator[dict[str, Any]]:
    try:
        text = event_log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        # The last line may be cut off.
        with contextlib.suppress(ValueError):
            yield json.loads(line)
