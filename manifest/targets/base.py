"""What all targets have in common."""

from collections.abc import Mapping
from typing import ClassVar

from manifest.fields import Checked


class Target(Checked):
    """What a manifest says about one target of a model.

    Attributes:
        kind: The target's name in the manifest.
    """

    kind: ClassVar[str]

    @property
    def models(self) -> tuple[str, ...]:
        """The names of other models that it runs too."""
        return ()

    def claims(self, model: str) -> Mapping[str, int | str]:
        """Return what no other model may have too, by key; whether it was given or follows from the model's name."""
        del model
        return {}
