"""LocalDocker: a model as a container on this machine's Docker engine, bound to loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
import pulumi_docker as docker

from components.dockerfile import PORT
from components.port_handover import port_handover
from components.service_variables import COLLECTED, VOLUME, body_limit, service_variables

if TYPE_CHECKING:
    from pathlib import Path

    from components.model_image import ModelImage
    from components.project import Project
    from manifest import Environment, LocalDockerTarget, Model

_RELOAD_MOUNT = "/mnt/source"
# The runtime drains for 20 s; Docker kills after this.
_STOP_SECONDS = 25
_HIGHEST_PORT = 65535


class LocalDocker(pulumi.ComponentResource):
    """One container; ready, for Pulumi too, when the model is.

    Attributes:
        endpoint: Where it answers, as `http://127.0.0.1:PORT`.
        container_name: The container's name on the engine.
        outputs: What the stack exports of it.
    """

    endpoint: str
    container_name: str
    outputs: dict[str, str | bool]

    def __init__(
        self,
        model: Model,
        target: LocalDockerTarget,
        image: ModelImage,
        *,
        project: Project,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Register the container and the image that it takes.

        Args:
            model: The model as the manifest has it.
            target: What its manifest entry asks for here.
            image: The image to run.
            project: The checkout and its stack.
            opts: Pulumi's options.
        """
        super().__init__("slipway:index:LocalDocker", model.name, None, opts)
        environment = project.environment
        port = _port(model, target, environment)
        reload = target.reload and environment.development
        self.container_name = f"{pulumi.get_project()}-{pulumi.get_stack()}-{model.name}"
        self.endpoint = f"http://127.0.0.1:{port}"
        # A resource of its own, so that the container changes with the image's id. Kept, because another stack may run
        # the same image: `slipway up` and `down` remove those that no container uses.
        pulled = docker.RemoteImage(
            model.name, name=image.ref, keep_locally=True, opts=pulumi.ResourceOptions(parent=self)
        )
        memory = target.memory_mib or environment.local_docker.memory_mib
        variables = service_variables(model, environment)
        if model.scoring.telemetry and not variables.traces:
            pulumi.log.info(
                f"{model.name} has `telemetry`, and nothing is traced here: this stack has neither slipway:telemetry: "
                "{otlp: ...} nor slipway:insightsConnectionString."
            )
        plain = {**variables.plain, **body_limit(model, memory)}
        mounts = []
        if reload:
            plain["SLIPWAY_RELOAD"] = _RELOAD_MOUNT
            mounts.append(_source_mount(model, project.root))
        if variables.collects_here and environment.collect:
            mounts.append(self._collected_mount(model, environment.collect.to))
        docker.Container(
            model.name,
            name=self.container_name,
            image=pulled.image_id,
            ports=[docker.ContainerPortArgs(internal=PORT, external=port, ip="127.0.0.1")],
            envs=[
                *(f"{name}={value}" for name, value in plain.items()),
                *(pulumi.Output.concat(f"{name}=", value) for name, value in variables.secret.items()),
            ],
            labels=[
                docker.ContainerLabelArgs(label=f"io.slipway.{name}", value=value)
                for name, value in {
                    "project": pulumi.get_project(),
                    "stack": pulumi.get_stack(),
                    "model": model.name,
                    "version": model.version,
                }.items()
            ],
            mounts=mounts or None,
            network_mode="bridge",
            restart="unless-stopped",
            memory=memory,
            # The same as memory: no swap.
            memory_swap=memory,
            cpus=f"{target.cpu or environment.local_docker.cpu:g}",
            read_only=True,
            tmpfs={"/tmp": "rw,noexec,nosuid,size=64m"},  # noqa: S108 - the container's own
            capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
            security_opts=["no-new-privileges"],
            log_driver="json-file",
            log_opts={"max-size": "10m", "max-file": "3"},
            healthcheck=docker.ContainerHealthcheckArgs(
                tests=["CMD", "/opt/venv/bin/python", "-I", "-S", "/opt/slipway/scoring/health.py"],
                interval="30s",
                timeout="5s",
                retries=3,
                start_period="60s",
                start_interval="500ms",
            ),
            wait=True,
            wait_timeout=target.startup_seconds,
            destroy_grace_seconds=_STOP_SECONDS,
            # Name and port are fixed, so the old container has to go first.
            opts=pulumi.ResourceOptions(
                parent=self,
                delete_before_replace=True,
                hooks=port_handover(model.name, port, _STOP_SECONDS),
                additional_secret_outputs=["envs"] if variables.secret else None,
            ),
        )
        self.outputs = {"endpoint": self.endpoint, "container": self.container_name, "reload": reload}
        self.register_outputs(self.outputs)

    def _collected_mount(self, model: Model, to: str) -> docker.ContainerMountArgs:
        """Where collected rows are kept: a folder as it is, or a volume, which has the owner that the image gives."""
        if to != VOLUME:
            return docker.ContainerMountArgs(type="bind", source=to, target=COLLECTED)
        volume = docker.Volume(
            model.name,
            name=f"{self.container_name}-collected",
            # What was collected is worth more than the stack: `docker volume rm` is the way to lose it.
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
        )
        return docker.ContainerMountArgs(type="volume", source=volume.name, target=COLLECTED)


def _port(model: Model, target: LocalDockerTarget, environment: Environment) -> int:
    offset = environment.local_docker.port_offset
    port = target.port_for(model.name) + offset
    if port > _HIGHEST_PORT:
        # The manifest and the configuration are each right; only together they are not.
        raise pulumi.RunError(
            f"model {model.name}: port {port - offset} and slipway:localDocker.portOffset {offset} make {port}; "
            f"the highest port is {_HIGHEST_PORT}. Give a lower port or offset."
        )
    return port


def _source_mount(model: Model, root: Path) -> docker.ContainerMountArgs:
    """The code's folder, not the file: editors replace files, and a mounted file would stay the old one."""
    source = root / model.folder / model.code_folder
    return docker.ContainerMountArgs(type="bind", source=str(source.resolve()), target=_RELOAD_MOUNT, read_only=True)
