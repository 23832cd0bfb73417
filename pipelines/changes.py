"""What a preview found, as data: written by a job that runs a pull request's code, read by one that trusts nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_FILE = 20 * 1024 * 1024
MOST_FILES = 20
_MOST_CHANGES = 50_000

Action = Literal["created", "updated", "replaced", "deleted", "unchanged"]
# What matters most to a reader comes first.
ACTIONS: tuple[Action, ...] = ("deleted", "replaced", "updated", "created", "unchanged")

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
# Free text: shown as code, so that nothing in it is taken for Markdown.
Text = Annotated[str, StringConstraints(max_length=200)]
ErrorLine = Annotated[str, StringConstraints(max_length=1000)]
Bytes = Annotated[int, Field(ge=0, le=2**50)]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Change(_Data):
    """What happens to one model at one target; `image` is the model's image.

    Attributes:
        model: The model.
        target: The kind of target, `image`, or `environment` for what models share.
        action: What happens.
        reasons: Why, in a few words each.
        restarts: Whether what answers there is started anew.
    """

    model: Name
    target: Name
    action: Action
    reasons: Annotated[list[Text], Field(max_length=50)] = []
    restarts: bool = False


class ModelChange(_Data):
    """A model's version and size before and after.

    Attributes:
        was: The version that runs; None for a new one.
        becomes: The version wanted; None for one that goes.
        size_was: Bytes of the image that runs, compressed; None where unknown.
        size_becomes: Bytes of the image wanted; None where unknown, as before it is built.
    """

    was: Text | None = None
    becomes: Text | None = None
    size_was: Bytes | None = None
    size_becomes: Bytes | None = None


class Preview(_Data):
    """What a run of the engine would do, or has found, for one stack.

    Attributes:
        format: Of this data.
        stack: The stack.
        failed: What it failed with, line by line; empty where it worked.
        changes: All models and targets, the unchanged ones too.
        models: By name.
    """

    format: Literal[1] = 1
    stack: Name
    failed: Annotated[list[ErrorLine], Field(max_length=100)] = []
    changes: Annotated[list[Change], Field(max_length=_MOST_CHANGES)] = []
    models: Annotated[dict[Name, ModelChange], Field(max_length=_MOST_CHANGES)] = {}


class UnreadableError(Exception):
    """A file is not what a preview writes."""


def read_previews(folder: Path) -> list[Preview]:
    """Read all results below a folder, by stack: as data of unknown origin.

    Raises:
        UnreadableError: One of them is not what a preview writes.
    """
    # Artifacts are unpacked into a folder each.
    files = sorted(path for path in folder.rglob("*.json") if path.is_file() and not path.is_symlink())
    if len(files) > MOST_FILES:
        raise UnreadableError(f"there are {len(files)} results, more than {MOST_FILES}")
    previews = []
    for file in files:
        if file.stat().st_size > LARGEST_FILE:
            raise UnreadableError("a result is too large")
        try:
            previews.append(Preview.model_validate_json(file.read_bytes()))
        except ValidationError as error:
            raise UnreadableError(f"a result is not what a preview writes, in {error.error_count()} places") from None
    return sorted(previews, key=lambda one: one.stack)
