"""What IoT Hub and Docker take: names, twins, create options."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

from manifest.problems import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MOST_TWIN_BYTES = 32 * 1024
MOST_TAG_BYTES = 8 * 1024
MOST_MODULES = 50
"""In one deployment, without the two of the system."""
MOST_DEPLOYMENTS = 100
"""In a hub."""
_MOST_TEXT_BYTES = 4096
_DEEPEST = 10
_LARGEST = 2**53 - 1
_WRONG_KEY = re.compile(r"[\x00-\x1f\x7f-\x9f.$ ]")
_CHUNK = 512
_MOST_CHUNKS = 8
# What Docker's API takes where it makes a container, and nothing else: it ignores what it does not know.
_CREATE_OPTIONS = frozenset(
    {
        "ArgsEscaped",
        "AttachStderr",
        "AttachStdin",
        "AttachStdout",
        "Cmd",
        "Domainname",
        "Entrypoint",
        "Env",
        "ExposedPorts",
        "Healthcheck",
        "HostConfig",
        "Hostname",
        "Labels",
        "MacAddress",
        "NetworkDisabled",
        "NetworkingConfig",
        "OnBuild",
        "OpenStdin",
        "Shell",
        "StdinOnce",
        "StopSignal",
        "StopTimeout",
        "Tty",
        "User",
        "Volumes",
        "WorkingDir",
    }
)


def size(value: Any) -> int:
    """Return how large a value of a twin is: as JSON without spaces, which the hub's own count does not go over."""
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def wrong_twin(value: Any, at: str = "", depth: int = 1) -> Iterator[str]:
    """Say what the hub would refuse of a twin's properties.

    Args:
        value: The properties, or one of them.
        at: Where it is, for messages.
        depth: How deep that is.
    """
    here = f"{at}: " if at else ""
    if depth > _DEEPEST + 1:
        yield f"{here}is more than {_DEEPEST} levels deep; a twin has no more"
    elif isinstance(value, dict):
        for name, inner in value.items():
            if not isinstance(name, str) or not name or _WRONG_KEY.search(name):
                rule = "no dots, spaces, $ and control characters"
                yield f"{here}{shown(name)} is no name for a property of a twin: {rule}"
            else:
                yield from wrong_twin(inner, f"{at}.{name}" if at else name, depth + 1)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from wrong_twin(inner, f"{at}[{index}]", depth + 1)
    elif message := _wrong_value(value):
        yield f"{here}{message}"


def _wrong_value(value: Any) -> str | None:
    if isinstance(value, str):
        length = len(value.encode())
        return f"a text of {length:,} bytes; a twin takes {_MOST_TEXT_BYTES:,}" if length > _MOST_TEXT_BYTES else None
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is no number of JSON"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _LARGEST:
        return f"{value} is too large; put it in quotes"
    return None if isinstance(value, int | float | None) else f"{shown(str(value))} is no JSON; put it in quotes"


def wrong_create_options(value: Mapping[str, Any]) -> Iterator[str]:
    """Say what Docker would not understand of create options, and what is not for the manifest to say."""
    for name in value:
        if name == "Image":
            yield "must not name the Image, which is that of the module"
        elif name not in _CREATE_OPTIONS:
            near = next((one for one in _CREATE_OPTIONS if one.lower() == str(name).lower()), None)
            hint = f"; did you mean {near}?" if near else f"; there are {', '.join(sorted(_CREATE_OPTIONS))}"
            yield f"{shown(name)} is no create option of Docker's{hint}"
    if not isinstance(value.get("HostConfig", {}), dict):
        yield "HostConfig must be a mapping"


def chunked(options: Mapping[str, Any]) -> dict[str, str]:
    """Return create options as the edge agent takes them: JSON as text, in parts of 512 characters.

    Raises:
        ValueError: They are too large; the text says how large they may be.
    """
    text = json.dumps(options, sort_keys=True, separators=(",", ":"))
    parts = [text[at : at + _CHUNK] for at in range(0, len(text), _CHUNK)]
    if len(parts) > _MOST_CHUNKS:
        raise ValueError(
            f"the create options are {len(text):,} characters; the edge agent takes {_CHUNK * _MOST_CHUNKS:,}"
        )
    return {f"createOptions{index:02d}" if index else "createOptions": part for index, part in enumerate(parts)}


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge create options: mappings key by key, lists one after the other, other values as they were said last."""
    found = dict(base)
    for name, value in over.items():
        before = found.get(name)
        if isinstance(before, dict) and isinstance(value, dict):
            found[name] = merged(before, value)
        elif isinstance(before, list) and isinstance(value, list) and name != "Cmd":
            found[name] = [*before, *(one for one in value if one not in before)]
        else:
            found[name] = value
    return found
