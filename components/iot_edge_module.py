"""IotEdgeModule: a model as a module on devices of IoT Edge, by a layered deployment; and the base below the layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi

from components.azure import names
from components.azure.iot_hub import EdgeDeployment
from components.service_variables import body_limit
from manifest.edge import deployment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from components.azure.platform import Platform
    from components.project import Project
    from manifest import IotEdgeTarget, Model

_PASSWORD = "slipway:edgeRegistryPassword"  # noqa: S105 - a key of the configuration
_BASE_PRIORITY = 1


class IotEdgeBase(pulumi.ComponentResource):
    """What the devices of all models have: the runtime, and the right to pull images.

    Attributes:
        deployment: The deployment; None where somebody else's is there.
    """

    deployment: EdgeDeployment | None

    def __init__(
        self,
        targets: Iterable[IotEdgeTarget],
        *,
        project: Project,
        platform: Platform,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Register the deployment.

        Args:
            targets: All that are live, for their devices.
            project: The checkout and its stack.
            platform: What the stack has in Azure.
            opts: Pulumi's options.
        """
        super().__init__("slipway:index:IotEdgeBase", "iot-edge", None, opts)
        settings, scope = platform.scope.settings.iot_hub, platform.scope
        self.deployment = None
        if settings.base:
            registries = _registries(project, platform)
            content = registries.apply(
                lambda known: deployment.base(
                    version=settings.runtime, registries=known, keep_seconds=settings.keep_seconds
                )
            )
            self.deployment = EdgeDeployment(
                "iot-edge-base",
                hub=platform.iot_hub,
                configuration=scope.names.of(names.EDGE_DEPLOYMENT, "base"),
                content=content,
                target_condition=deployment.all_of(target.condition for target in targets),
                priority=_BASE_PRIORITY,
                labels=_labels(),
                opts=pulumi.ResourceOptions(parent=self, depends_on=[platform.iot_hub.ready]),
            )
        self.register_outputs({})


class IotEdgeModule(pulumi.ComponentResource):
    """One model's layer: its module, the others of its pipeline, and their routes.

    Attributes:
        outputs: What the stack exports of it.
    """

    outputs: dict[str, Any]

    def __init__(
        self,
        model: Model,
        target: IotEdgeTarget,
        images: Mapping[str, pulumi.Input[str]],
        *,
        base: IotEdgeBase,
        platform: Platform,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Register the deployment.

        Args:
            model: The model as the manifest has it.
            target: What its manifest entry asks for here.
            images: The images of this model, and of those that its pipeline names.
            base: What the devices have already.
            platform: What the stack has in Azure.
            opts: Pulumi's options.
        """
        super().__init__("slipway:index:IotEdgeModule", model.name, None, opts)
        if model.scoring.collect or model.scoring.telemetry:
            pulumi.log.info(
                f"{model.name}: on devices nothing is collected or traced; route its outputs to the hub, or ask with "
                "the direct method `collect`."
            )
        variables = {
            "SLIPWAY_AUTH": "none",
            **({"SLIPWAY_EDGE_SCORE": target.score} if target.score else {}),
            **body_limit(model, target.memory_mib),
        }
        content = pulumi.Output.all(**images).apply(
            lambda known: deployment.layer(model.name, target, known, variables)
        )
        hub = platform.iot_hub
        made = EdgeDeployment(
            model.name,
            hub=hub,
            configuration=platform.scope.names.of(names.EDGE_DEPLOYMENT, model.name),
            content=content,
            target_condition=target.condition,
            # Room for the one that it replaces, which is put one lower.
            priority=2 * target.priority + _BASE_PRIORITY,
            labels={**_labels(), "slipway-model": model.name, "slipway-version": model.version},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[base.deployment or hub.ready]),
        )
        self.outputs = {
            "deployment": made.id,
            "hub": hub.host,
            "condition": target.condition,
            "module": model.name,
            "device": target.device,
        }
        self.register_outputs({"deployment": made.id})


def _labels() -> dict[str, str]:
    return {"slipway-project": pulumi.get_project(), "slipway-stack": pulumi.get_stack()}


def _registries(project: Project, platform: Platform) -> pulumi.Output[dict[str, dict[str, str]]]:
    """Who may pull: devices have no identity of Azure's, and whoever reads their twins reads the password."""
    user, password = platform.scope.settings.iot_hub.registry_user, project.environment.edge_registry_password
    server = platform.registry_server or pulumi.Output.from_input(project.environment.registry.partition("/")[0])
    if user is None:
        if platform.registry_server is not None:
            pulumi.log.warn(
                "iot-edge: slipway:azure.iotHub.registryUser is not set, so devices pull images only where they have "
                "credentials of their own. docs/iot-edge.md says how to make a token that may pull and nothing else."
            )
        return pulumi.Output.from_input({})
    command = f"`pulumi config set --secret {_PASSWORD}` asks for it"
    if not password:
        raise pulumi.RunError(f"slipway:azure.iotHub.registryUser needs the secret {_PASSWORD}: {command}.")
    if not pulumi.runtime.is_config_secret(_PASSWORD):
        raise pulumi.RunError(f"{_PASSWORD} stands in the configuration as it is; it has to be encrypted: {command}.")
    secret = pulumi.Output.secret(password)
    return pulumi.Output.all(server, secret).apply(
        lambda known: {"images": {"address": known[0], "username": user, "password": known[1]}}
    )
