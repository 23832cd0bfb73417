"""Environment variables out of a file: the JSON that AZUREML_CONFIG_FILE names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scoring.variables import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

# A file of this name in the app root counts too, for these variables: a model may have a config.json of its own.
_UNASKED = "config.json"
_UNASKED_NAMES = {
    "AML_APP_INSIGHTS_ENABLED",
    "AML_APP_INSIGHTS_KEY",
    "AML_CORS_ORIGINS",
    "APP_INSIGHTS_LOG_RESPONSE_ENABLED",
    "AZUREML_ENTRY_SCRIPT",
    "AZUREML_LOG_LEVEL",
    "AZUREML_MODEL_DIR",
    "AZUREML_SOURCE_DIRECTORY",
    "SCORING_TIMEOUT_MS",
    "SERVICE_NAME",
    "SERVICE_PATH_PREFIX",
    "SERVICE_VERSION",
    "WORKSPACE_NAME",
}
_VARIABLE = "AZUREML_CONFIG_FILE"
_DEFAULT_ROOT = "/var/azureml-app"


def merged(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables, and those of the file that are not among them.

    Args:
        variables: The process's environment variables. AZUREML_CONFIG_FILE names a file, relative to AML_APP_ROOT,
            with an object of variables' names and values in it. Without it config.json there is read, for the
            variables of Azure ML's server only.

    Raises:
        SettingsError: The file is missing, is not JSON, or has something else in it.
    """
    root = Path(variables.get("AML_APP_ROOT") or _DEFAULT_ROOT)
    name = variables.get(_VARIABLE, "").strip()
    if not name:
        return {**_unasked(root / _UNASKED), **variables}
    path = root / name
    where = f"environment variable {_VARIABLE}: {path}"
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"{where} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{where} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise SettingsError(f'{where} has to be an object of environment variables, such as {{"WORKER_COUNT": 2}}')
    problems = [
        f"{where}: {key!r} is {'an object' if isinstance(value, dict) else 'a list'}; "
        "allowed are a text, a number, true, false and null"
        for key, value in content.items()
        if isinstance(value, (dict, list))
    ]
    if problems:
        raise SettingsError("; ".join(problems))
    return {**_texts(content), **variables}


def _unasked(path: Path) -> dict[str, str]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return {
        name: text
        for name, text in _texts(content if isinstance(content, dict) else {}).items()
        if name in _UNASKED_NAMES
    }


def _texts(content: dict[str, Any]) -> dict[str, str]:
    """Values as environment variables have them; null is one that is not set."""
    flags = {True: "true", False: "false"}
    return {
        name: flags[value] if isinstance(value, bool) else str(value)
        for name, value in content.items()
        if isinstance(value, (str, int, float))
    }
