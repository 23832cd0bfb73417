"""Durations as Go writes them ("500ms", "1m30s"), which Docker's options use."""

import re

_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5
    "μs": 1_000,  # U+03BC, which Go takes too
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_LONGEST = 2**63 - 1


def parse_duration(text: str) -> int:
    """Read a duration.

    Args:
        text: One or more numbers with a unit each, such as "1h", "1.5s" or "1m30s"; or "0".

    Returns:
        Nanoseconds.

    Raises:
        ValueError: The text is something else, is negative, or is longer than 292 years.
    """
    if text == "0":
        return 0
    total, end = 0, 0
    for part in _PART.finditer(text):
        if part.start() != end:
            break
        whole, _, fraction = part[1].partition(".")
        unit = _NANOSECONDS[part[2]]
        # In integers, as Go does: 0.3 s are 300 ms, not 299.999.
        total += int(whole or "0") * unit + int(fraction or "0") * unit // 10 ** len(fraction)
        end = part.end()
    if not text or end != len(text) or total > _LONGEST:
        raise ValueError(f'{text!r} is not a duration: give numbers with ns, us, ms, s, m or h, such as "1m30s"')
    return total


def format_duration(nanoseconds: int) -> str:
    """Write a duration.

    Args:
        nanoseconds: Not negative.

    Returns:
        The shortest text that `parse_duration` reads back.
    """
    if nanoseconds == 0:
        return "0s"
    text = ""
    for unit in ("h", "m", "s", "ms", "us", "ns"):
        count, nanoseconds = divmod(nanoseconds, _NANOSECONDS[unit])
        text += f"{count}{unit}" if count else ""
    return text
