"""What holds whatever comes: a refusal is the caller's, can be sent, and tells nothing of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scoring.answers import to_json

if TYPE_CHECKING:
    from scoring.refused import RefusedError

ROOT = Path(__file__).parents[2]
MOST_MESSAGE = 4096


def hold_refusal(refused: RefusedError) -> None:
    """A refusal can be sent, is the caller's, and tells nothing of this machine."""
    message = str(refused)
    assert 400 <= refused.status < 500, (refused.status, message)
    assert len(message) <= MOST_MESSAGE, message
    assert "Traceback" not in message, message
    assert str(ROOT) not in message, message
    assert to_json({"message": message})
