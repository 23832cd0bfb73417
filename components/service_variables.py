"""What a target gives a model's container as environment variables: what this stack adds to what the image says."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pulumi

from manifest.environment import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from manifest import Environment, Model

# In the image, of the user that serves: what is mounted here can be written.
COLLECTED = "/var/lib/slipway/collected"
VOLUME = "volume"
_NONE = "none"
_MEBIBYTE = 1024 * 1024
_BODY = "SLIPWAY_MAX_BODY_BYTES"
_BODY_DEFAULT = 100 * _MEBIBYTE
_BODY_SHARE = 10


@dataclass
class ServiceVariables:
    """Environment variables of one model in one stack.

    Attributes:
        plain: Those that anybody may read.
        secret: Those that are encrypted in the state.
        collects_here: Whether it collects to COLLECTED, where the target has to mount what is kept.
    """

    plain: dict[str, pulumi.Input[str]] = field(default_factory=dict)
    secret: dict[str, pulumi.Output[str]] = field(default_factory=dict)
    collects_here: bool = False

    @property
    def traces(self) -> bool:
        """Whether traces go anywhere."""
        return "OTEL_EXPORTER_OTLP_ENDPOINT" in self.plain or "APPLICATIONINSIGHTS_CONNECTION_STRING" in self.secret


def service_variables(
    model: Model, environment: Environment, *, storage: Mapping[str, pulumi.Input[str]] | None = None
) -> ServiceVariables:
    """Return what the stack says about collecting and telling, for a model that does.

    Args:
        model: The model as the manifest has it.
        environment: The stack's configuration.
        storage: What lets the container reach blob storage as an identity of its own, instead of a connection string.

    Raises:
        pulumi.RunError: The model asks for what the configuration does not have.
    """
    found = ServiceVariables(plain={"SLIPWAY_DEVELOPMENT": "1"} if environment.development else {})
    _collect(found, model, environment, storage)
    _telemetry(found, model, environment)
    return found


def body_limit(model: Model, memory_mib: int) -> dict[str, str]:
    """Return the largest body that fits: it is held as bytes and as text, and run() makes values of it, in each worker.

    Args:
        model: The model as the manifest has it.
        memory_mib: What its container has.
    """
    if _BODY in model.scoring.variables:
        return {}
    share = memory_mib * _MEBIBYTE // _BODY_SHARE // model.scoring.serving.workers
    return {_BODY: str(share)} if share < _BODY_DEFAULT else {}


def _collect(
    found: ServiceVariables,
    model: Model,
    environment: Environment,
    storage: Mapping[str, pulumi.Input[str]] | None,
) -> None:
    collect, where = model.scoring.collect, environment.collect
    if collect is None:
        return
    if where is None:
        raise pulumi.RunError(
            f"model {model.name} has `collect`, and Pulumi.{pulumi.get_stack()}.yaml does not say where to: set "
            f"{NAMESPACE}:collect: {{to: ...}} to blob storage as in abfs://CONTAINER/PATH, to a folder of the Docker "
            "engine's machine, to `volume`, or to `none`, which collects nothing here."
        )
    if where.to == _NONE:
        return
    to = where.to
    found.collects_here = to == VOLUME or to.startswith("/")
    if found.collects_here:
        to = COLLECTED
    elif storage:
        found.plain.update(storage)
    else:
        why = f"model {model.name} collects to {to}"
        found.secret["AZURE_STORAGE_CONNECTION_STRING"] = _secret(
            environment.storage_connection_string, "storageConnectionString", why
        )
    if collect.hash:
        why = f"model {model.name} hashes {', '.join(collect.hash)}"
        found.secret["SLIPWAY_COLLECT_HASH_KEY"] = _secret(environment.collect_hash_key, "collectHashKey", why)
    settings = {"to": to, **collect.settings(), **where.settings()}
    found.plain["SLIPWAY_COLLECT"] = json.dumps(settings, sort_keys=True)


def _telemetry(found: ServiceVariables, model: Model, environment: Environment) -> None:
    if not model.scoring.telemetry:
        return
    if environment.telemetry is not None:
        found.plain["OTEL_EXPORTER_OTLP_ENDPOINT"] = environment.telemetry.otlp
        if environment.otlp_headers:
            found.secret["OTEL_EXPORTER_OTLP_HEADERS"] = _secret(environment.otlp_headers, "otlpHeaders")
    if environment.insights_connection_string:
        found.secret["APPLICATIONINSIGHTS_CONNECTION_STRING"] = _secret(
            environment.insights_connection_string, "insightsConnectionString"
        )


def _secret(value: str, key: str, why: str = "") -> pulumi.Output[str]:
    """A value of the configuration that has to be encrypted there too."""
    name = f"{NAMESPACE}:{key}"
    command = f"`pulumi config set --secret {name}` asks for it"
    if not value:
        raise pulumi.RunError(f"{why}, which needs the secret {name}: {command}.")
    if not pulumi.runtime.is_config_secret(name):
        raise pulumi.RunError(f"{name} stands in the configuration as it is; it has to be encrypted: {command}.")
    return pulumi.Output.secret(value)
