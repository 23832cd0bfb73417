"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "problem", "skipped"]


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        status: `problem` is wrong; `warning` may become so; `skipped` could not be looked at.
        message: What was found, in words.
        mend: What to do about it.
        model: The model that it is about, if it is about one.
        check: The check's name.
    """

    status: Status
    message: str
    mend: str | None = None
    model: str | None = None
    check: str = ""
