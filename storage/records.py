"""Records as JSON files: what they have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

if TYPE_CHECKING:
    from pydantic import ValidationError


class Record(BaseModel):
    """A record that is never changed, in camel case in its file."""

    # What a later version of Slipway adds is passed over, not refused.
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


def first_fault(error: ValidationError) -> str:
    """Return where a record is not one, and why, in a line."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where or 'content'}: {first['msg']}"
