"""A registered version of a model, as it is recorded: what never changes, and what is said about it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from manifest.listing import File, Listing
from storage.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
# Also a part of a file's name.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?$")]


class Lineage(Record):
    """Where a version came from.

    Attributes:
        who: Who registered it.
        when: When.
        source: The path or the URL that its bytes were taken from.
        commit: The repository's commit at that time, if there is one.
        dirty: Whether the checkout held more than that commit.
    """

    who: str
    when: AwareDatetime
    source: str
    commit: str | None = None
    dirty: bool = False


class Notes(Record):
    """What the manifest says about a version; it may say something else later.

    Attributes:
        framework: What it was made with.
        description: What it is for.
        tags: Names and values of the user's own.
        data: The training data.
        metrics: How good it is, by name.
    """

    framework: str | None = None
    description: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    data: str | None = None
    metrics: dict[str, float] = Field(default_factory=dict)


class ModelVersion(Record):
    """A registered version. Everything but the notes is bound to it for ever.

    Attributes:
        format: Of the record.
        name: The model.
        version: Its version.
        digest: Of its bytes; see `manifest.listing`.
        size: In bytes.
        single: The model is one file, not a folder.
        files: What it is made of.
        lineage: Where it came from.
        notes: What is said about it.
    """

    format: Literal[1] = 1
    name: Name
    version: Name
    digest: Digest
    size: int
    single: bool
    files: tuple[File, ...]
    lineage: Lineage
    notes: Notes = Notes()

    @classmethod
    def of(cls, name: str, version: str, listing: Listing, lineage: Lineage, notes: Notes) -> ModelVersion:
        """Return the record for files.

        Args:
            name: The model.
            version: Its version.
            listing: Its files.
            lineage: Where they came from.
            notes: What is said about them.
        """
        return cls(
            name=name,
            version=version,
            digest=listing.digest,
            size=listing.size,
            single=listing.single,
            files=listing.files,
            lineage=lineage,
            notes=notes,
        )

    @property
    def listing(self) -> Listing:
        """The version's files."""
        return Listing(self.files, self.single)


def next_free(version: str, taken: Iterable[str]) -> str:
    """Return the version that comes after one and is not taken: its last number counted up.

    Args:
        version: The version that somebody wanted, as "3", "1.9" or "2024-07".
        taken: The registered versions.
    """
    used = {one.casefold() for one in taken} | {version.casefold()}
    ends = re.fullmatch(r"(.*?)(\d{1,9})", version)
    start, digits = (ends[1], ends[2]) if ends else (f"{version}-", "1")
    number = int(digits)
    while True:
        number += 1
        free = f"{start}{number:0{len(digits)}d}"
        if free.casefold() not in used:
            return free
