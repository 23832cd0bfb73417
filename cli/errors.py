"""How the command ends: exit codes, and errors that are messages."""

from __future__ import annotations

from enum import IntEnum
from typing import Self


class Exit(IntEnum):
    """Exit codes, the same for every command.

    Attributes:
        meaning: What `slipway --help` says about the code.
    """

    meaning: str

    OK = 0, "it worked"
    FAILED = 1, "it failed, or something is wrong"
    USAGE = 2, "wrong usage, manifest or configuration"
    SETUP = 3, "the set-up is missing (make setup)"
    INTERRUPTED = 130, "interrupted"

    def __new__(cls, code: int, meaning: str) -> Self:
        """Make the number with its meaning."""
        self = int.__new__(cls, code)
        self._value_ = code
        self.meaning = meaning
        return self


class CliError(Exception):
    """Something that a user has to know, in words; never shown with a traceback.

    Attributes:
        hint: What to do about it.
        code: How the command ends.
    """

    hint: str | None
    code: Exit

    def __init__(self, message: str, *, hint: str | None = None, code: Exit = Exit.FAILED) -> None:
        """Say what is wrong, and what to do."""
        super().__init__(message)
        self.hint = hint
        self.code = code
