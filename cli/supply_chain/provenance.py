"""Where a stack's images came from: read from its state, from the checkout, and from the registries."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any

from cli.errors import CliError
from cli.images.base_image import base_digest
from cli.stack.state import resources
from releases import Provenance
from storage.checkout import commit_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cli.stack.pulumi import Pulumi

_IMAGE = "docker-build:index:Image"
_SCORING, _ENVIRONMENT = "slipway:index:ScoringImage$", "slipway:index:EnvironmentImage$"
_DOCKER_IMAGE = "docker-image://"
_LOCK = "scoring/requirements.lock"
# The one that the set-up makes, and says the version of.
_BUILDER = "slipway"


def provenance_of(pulumi: Pulumi, state: Mapping[str, Any], names: Iterable[str]) -> dict[str, Provenance]:
    """Return where the images of models came from that a stack has just built, or found built under the same tag.

    Args:
        pulumi: The stack.
        state: Its state, as exported.
        names: The models.
    """
    images = resources(state, _IMAGE)
    scoring = {_name(one): one for one in images if _SCORING in str(one.get("urn"))}
    environments = {_digest(one): one for one in images if _ENVIRONMENT in str(one.get("urn"))}
    commit, modified = commit_of(pulumi.project.root)
    lock = pulumi.project.root / _LOCK
    common = Provenance(
        commit=commit,
        modified=modified,
        recorded=datetime.now(UTC).replace(microsecond=0),
        lock=_sha256(lock.read_bytes()) if lock.is_file() else None,
        builder=_builder(pulumi),
        tools=_tools(),
    )
    bases: dict[tuple[str, str], str | None] = {}
    found = {}
    for name in names:
        image = scoring.get(name) or {}
        inputs = image.get("inputs") or {}
        named = ((inputs.get("context") or {}).get("named") or {}).get("environment") or {}
        environment = str(named.get("location") or "").removeprefix(_DOCKER_IMAGE) or None
        built_from = environments.get((environment or "").partition("@")[2]) or {}
        arguments = (built_from.get("inputs") or {}).get("buildArgs") or {}
        base = arguments.get("BASE")
        if base and environment and (base, environment) not in bases:
            bases[base, environment] = base_digest(base, environment)
        own = {
            "tag": next(iter(inputs.get("tags") or []), None),
            "environment": environment,
            "base": base,
            "base_digest": bases.get((base or "", environment or "")),
            "requirements": _sha256(json.dumps(arguments, sort_keys=True).encode()) if arguments else None,
        }
        found[name] = common.model_copy(update=own)
    return found


def _builder(pulumi: Pulumi) -> str:
    name = str(pulumi.config.values.get("slipway:builder") or _BUILDER)
    return (pulumi.project.taken("builder") if name == _BUILDER else None) or name


def _tools() -> dict[str, str]:
    found = {}
    for package in ("slipway", "pulumi", "pulumi-docker-build"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _name(resource: Mapping[str, Any]) -> str:
    return str(resource.get("urn", "")).rpartition("::")[2]


def _digest(resource: Mapping[str, Any]) -> str:
    return str((resource.get("outputs") or {}).get("digest") or "")


def _sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def state_of(pulumi: Pulumi) -> dict[str, Any]:
    """Return a stack's state.

    Raises:
        CliError: It cannot be read.
    """
    state = pulumi.state()
    if state is None:
        raise CliError(f"The stack {pulumi.stack} has no state.")
    return state
