"""Numbers of bytes in words."""

_UNITS = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def size(number: float) -> str:
    """Return a number of bytes in words."""
    unit, amount = next((one for one in _UNITS if number >= one[1]), _UNITS[-1])
    return f"{number / amount:.1f} {unit}"
