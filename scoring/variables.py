"""Reading environment variables, with every one that cannot be used named in one message."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class SettingsError(Exception):
    """Environment variables that cannot be used; the message names each of them."""


class Reader:
    """Reads values out of environment variables and gathers what is wrong with them.

    Attributes:
        problems: One sentence for each value that cannot be used.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        """Read from these variables."""
        self._variables = variables
        self.problems: list[str] = []

    def finish(self) -> None:
        """Raise what was found.

        Raises:
            SettingsError: A value cannot be used.
        """
        if self.problems:
            raise SettingsError("; ".join(self.problems))

    def text(self, name: str, default: str = "") -> str:
        """Return a variable's text; an empty one counts as unset."""
        return self._variables.get(name, "").strip() or default

    def integer(self, name: str, default: int, *, least: int, most: int | None = None) -> int:
        """Return a whole number."""
        text = self._variables.get(name, "").strip()
        if not text:
            return default
        # int() would take signs, underscores and other alphabets' digits.
        value = int(text) if text.isascii() and text.isdigit() else -1
        if value < least or (most is not None and value > most):
            allowed = f"from {least} to {most}" if most is not None else f"of at least {least}"
            self.problems.append(f"environment variable {name} is {text!r}; allowed is a whole number {allowed}")
            return default
        return value

    def flag(self, name: str) -> bool:
        """Return whether a switch is on: 1 or true."""
        text = self._variables.get(name, "").strip().lower()
        if text not in {"", "0", "1", "false", "true"}:
            self.problems.append(f"environment variable {name} is {text!r}; allowed are 0, 1, false, true")
        return text in {"1", "true"}

    def path(self, name: str, base: Path) -> Path | None:
        """Return a path, relative ones from a folder; None where it is unset."""
        text = self._variables.get(name)
        return base / text if text else None
