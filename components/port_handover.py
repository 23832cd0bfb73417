"""Hands a port on to the model that takes it over: the engine removes only when it has made everything else."""

from __future__ import annotations

import os
from contextlib import closing, suppress

import pulumi

# Ids of the containers in the stack's state, with commas, as `slipway up` gives them to the program.
CONTAINERS = "SLIPWAY_CONTAINERS"


def port_handover(model: str, port: int, stop_seconds: int) -> pulumi.ResourceHookBinding | None:
    """Return what stops another container of this stack that has a model's port, before the model's own is made.

    The manifest gives each port to one model, so that container is about to be removed or replaced. It serves until
    the image in the place of its own is built, checked and pulled.

    Args:
        model: The model's name.
        port: The port that it takes on this machine.
        stop_seconds: How long the other container may take to stop.

    Returns:
        The hook; None where it is not known which containers are the stack's.
    """
    # One that only bears the stack's labels is of another checkout, and its owner's to stop.
    own = set(filter(None, os.environ.get(CONTAINERS, "").split(",")))
    if not own:
        return None

    def stop_holder(_: pulumi.ResourceHookArgs) -> None:
        import docker  # noqa: PLC0415 - slow to import, and needed by few runs

        # The engine may be removing it at the same time; of a Docker engine that does not answer, the provider tells.
        with suppress(docker.errors.DockerException, OSError), closing(docker.from_env()) as client:
            for one in client.api.containers():
                if one["Id"] in own and port in {published.get("PublicPort") for published in one["Ports"] or []}:
                    pulumi.log.info(f"{one['Names'][0].lstrip('/')} is stopped: {model} takes its port {port}.")
                    client.api.stop(one["Id"], timeout=stop_seconds)

    return pulumi.ResourceHookBinding(before_create=[pulumi.ResourceHook(f"port-of-{model}", stop_holder)])
