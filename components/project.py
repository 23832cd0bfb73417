"""What all components of one stack have in common."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from manifest import content
from registry import DEFAULT_LOCATION

if TYPE_CHECKING:
    from pathlib import Path

    import pulumi

    from manifest import Environment


@dataclass(frozen=True)
class Project:
    """A checkout, as one stack sees it.

    Attributes:
        root: The project's folder.
        environment: The stack's configuration.
        repository: Registry and path that images are pushed below; a registry of the stack's own says where it is.
        own_models: The location of the model registry, where the stack makes that itself.
    """

    root: Path
    environment: Environment
    repository: pulumi.Input[str]
    own_models: pulumi.Input[str] | None = None

    @property
    def model_registry(self) -> pulumi.Input[str]:
        """The location of the model registry."""
        return self.own_models or self.environment.model_registry or DEFAULT_LOCATION

    @cached_property
    def runtime_digest(self) -> str:
        """The scoring runtime's content; every model's image holds the same one, so it is hashed once."""
        folder = self.root / "scoring"
        return content.digest_tree(folder, content.runtime_files(folder))
