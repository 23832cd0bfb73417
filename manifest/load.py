"""models.yaml -> Manifest: read, check against the model classes, then check what only the files can tell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from manifest.checks import check
from manifest.explain import explain
from manifest.listing import content_version
from manifest.model import Manifest
from manifest.problems import ManifestError
from manifest.source import parse
from manifest.text_file import read_text

if TYPE_CHECKING:
    from manifest.explain import Finding
    from manifest.model import Model
    from manifest.problems import Loc

_LONGEST_SHOWN = 30
AUTO = "auto"


def load_manifest(path: Path, root: Path | None = None) -> Manifest:
    """Read and check a manifest, with the files that it names.

    Args:
        path: models.yaml.
        root: The project's folder, which paths in the manifest are relative to; by default the manifest's.

    Raises:
        ManifestError: With everything that is wrong, each with its place.
    """
    root = Path(path).parent if root is None else root
    document = parse(read_text(Path(path), str(path)), str(path))

    def written(loc: Loc) -> str | None:
        node = document.find(loc)
        # Texts are shown as texts, with care; of other values the spelling says more: 1.10, not 1.1.
        return None if isinstance(node.value, str) or len(node.text or "") > _LONGEST_SHOWN else node.text

    value = document.root.plain()
    manifest = None
    findings: list[Finding] = []
    try:
        manifest = Manifest.model_validate(value, context={"root": root})
    except ValidationError as error:
        findings += explain(error, Manifest, written)
    problems = [*document.problems]
    problems += [document.problem(one.loc, one.message, key=one.on_key) for one in findings]
    problems += check(document, value, root)
    if problems or manifest is None:
        raise ManifestError(problems)
    named = {name for model in manifest.models for target in model.targets for name in target.models}
    models = (model.in_pipeline() if model.name in named else model for model in manifest.models)
    return manifest.model_copy(update={"models": tuple(_with_version(model, root) for model in models)})


def _with_version(model: Model, root: Path) -> Model:
    """The model with the version that `auto` stands for, which only its content can tell."""
    if model.version != AUTO:
        return model
    return model.model_copy(update={"version": content_version(model, root)})
