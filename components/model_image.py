"""ModelImage: what a target takes of a model's image, whether this stack built it or another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pulumi


@dataclass(frozen=True)
class ModelImage:
    """The image of one model version, which may run.

    Attributes:
        ref: Its name with its digest.
        tag: Known before it is built.
        platforms: What it is built for; empty where the release that it is of does not tell.
    """

    ref: pulumi.Output[str]
    tag: str
    platforms: tuple[str, ...]
