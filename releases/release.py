"""A release: one successful deployment of a stack, as it is recorded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable  # noqa: TC003 - pydantic reads the annotations of its classes
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from releases.image_record import ImageRecord  # noqa: TC001 - pydantic reads the annotation
from storage.records import Record

# A time that sorts as text, and some of the content's hash: two machines do not meet at the same one.
ID_PATTERN = r"\d{8}T\d{6}Z-[0-9a-f]{8}"
_IMAGE_PATTERN = r"[a-z0-9][a-z0-9.:/_-]{0,511}@sha256:[0-9a-f]{64}"

Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=256)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Platform = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,20}(/[a-z0-9_]{1,20}){1,2}$")]


class ReleasedModel(Record):
    """A model of a release.

    Attributes:
        name: The model's name.
        version: Its version.
        image: Its image with the digest, where the stack that released it took it from.
        platforms: What the image was built for, as `linux/amd64`; empty where that is not on record.
        sample: The request that it was asked, as text; None where it has none or where that is too long to keep.
        answer: What it answered, as text; None where it was not asked, or answers differently each time.
        supply_chain: Where its image came from, what is in it, who signed it; None where the stack records none of it.
    """

    name: Name
    version: Name
    image: Annotated[str, StringConstraints(pattern=rf"^{_IMAGE_PATTERN}$")]
    platforms: tuple[Platform, ...] = ()
    sample: str | None = None
    answer: str | None = None
    supply_chain: ImageRecord | None = None

    @property
    def digest(self) -> str:
        """The image's digest, as `sha256:...`."""
        return self.image.partition("@")[2]

    def lacking(self, platforms: Iterable[str]) -> str | None:
        """Return what its image lacks of platforms, as a sentence without its end; None where nothing is known to."""
        lacks = [one for one in platforms if self.platforms and one not in self.platforms]
        if not lacks:
            return None
        return (
            f"the image of {self.name} was built for {', '.join(self.platforms)}, and its targets need "
            f"{', '.join(lacks)}"
        )

    def image_in(self, repository: str) -> str:
        """Return the same image, by the same digest, below another repository.

        Args:
            repository: Registry and project, as it is in front of images' names.
        """
        return f"{repository}/models/{self.name}@{self.digest}"


class Release(Record):
    """One successful deployment.

    Attributes:
        format: Of the record.
        id: Sorts by time.
        project: The project's name.
        stack: The stack that was deployed.
        time: When it was done.
        commit: The git commit of the checkout; None where it is no git checkout.
        modified: Whether the checkout had changes that no commit has.
        who: Who deployed it.
        promoted_from: For a stack that builds nothing, what was promoted to it, as `STACK/ID`.
        models: By name.
    """

    format: Literal[1] = 1
    id: Annotated[str, StringConstraints(pattern=rf"^{ID_PATTERN}$")]
    project: Name
    stack: Name
    time: AwareDatetime
    commit: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40,64}$")] | None = None
    modified: bool = False
    who: Line
    promoted_from: Line | None = None
    models: tuple[ReleasedModel, ...] = Field(default=())

    @staticmethod
    def id_for(time: AwareDatetime, models: tuple[ReleasedModel, ...]) -> str:
        """Return the id of a release.

        Args:
            time: In UTC.
            models: What is released.
        """
        content = json.dumps([[one.name, one.version, one.image] for one in models])
        return f"{time:%Y%m%dT%H%M%SZ}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"

    def model(self, name: str) -> ReleasedModel | None:
        """Return a model of the release, if it has it."""
        return next((one for one in self.models if one.name == name), None)

    def deploys_the_same_as(self, other: Release) -> bool:
        """Tell whether another release has the same models in the same images, wherever these are kept."""
        return {(one.name, one.version, one.digest) for one in self.models} == {
            (one.name, one.version, one.digest) for one in other.models
        }
