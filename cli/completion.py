"""What the shell offers at TAB: names of models and of stacks, read without checking anything."""

from __future__ import annotations

import yaml

from cli.errors import CliError
from cli.stack.project import find_project


def model_names() -> list[str]:
    """Return the names in models.yaml, as far as it can be read; a half-written manifest is no reason for silence."""
    try:
        document = yaml.safe_load(find_project().manifest.read_text(encoding="utf-8"))
    except (CliError, OSError, ValueError, yaml.YAMLError):
        return []
    models = document.get("models") if isinstance(document, dict) else None
    named = [model.get("name") for model in models if isinstance(model, dict)] if isinstance(models, list) else []
    return [name for name in named if isinstance(name, str)]


def complete_models(incomplete: str) -> list[str]:
    """Return the models that a word may become."""
    return [name for name in model_names() if name.startswith(incomplete)]


def complete_stacks(incomplete: str) -> list[str]:
    """Return the stacks with a configuration that a word may become."""
    try:
        stacks = find_project().stacks()
    except CliError:
        return []
    return [name for name in stacks if name.startswith(incomplete)]
