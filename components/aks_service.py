"""AksService: a model as a Deployment with a Service on Kubernetes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pulumi

from components.access_keys import AccessKeys
from components.kubernetes import keda, network, versions, workload
from components.kubernetes.monitor import monitor
from components.kubernetes.place import Place
from components.kubernetes.pods import KEYS_DIR, Contents, template
from components.kubernetes.secrets import keys_secret, variables_secret
from components.kubernetes.workload import Count
from components.service_variables import ServiceVariables, body_limit, service_variables

if TYPE_CHECKING:
    from components.azure import Platform
    from components.kubernetes import Cluster
    from components.kubernetes.versions import Trial
    from components.model_image import ModelImage
    from components.project import Project
    from manifest import AksTarget, Model


class AksService(pulumi.ComponentResource):
    """The objects of one model on a cluster.

    Attributes:
        endpoint: Where it answers.
        outputs: What the stack exports of it.
    """

    endpoint: pulumi.Output[str]
    outputs: dict[str, Any]

    def __init__(
        self,
        model: Model,
        target: AksTarget,
        image: ModelImage,
        *,
        project: Project,
        cluster: Cluster,
        platform: Platform | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Register the objects.

        Args:
            model: The model as the manifest has it.
            target: What its manifest entry asks for here.
            image: The image to run.
            project: The checkout and its stack.
            cluster: The cluster.
            platform: What the stack has in Azure, if it has anything there.
            opts: Pulumi's options.

        Raises:
            pulumi.RunError: Manifest and configuration do not go together.
        """
        super().__init__("slipway:index:AksService", model.name, None, opts)
        self._model, self._target, self._platform = model, target, platform
        self._environment, self._settings = project.environment, project.environment.kubernetes
        self._refuse()
        place = Place(cluster, cluster.namespace(target.namespace), model.name, self)
        beside = versions.tried(place, target)
        after: list[pulumi.Resource] = []
        own = keys = None
        if target.auth == "key":
            own = AccessKeys(f"{model.name}-aks", rotate=target.rotate, opts=pulumi.ResourceOptions(parent=self))
            after.append(keys_secret(place, own))
            keys = f"{place.name}-keys"
        collector = cluster.collector(place.namespace) if model.scoring.collect else None
        variables = self._variables(collects_by_identity=collector is not None)
        secret = variables_secret(place, variables.secret) if variables.secret else None
        built = Contents(
            image=image.ref,
            version=model.version,
            plain=variables.plain,
            account=collector or place.namespace.account,
            secret=secret.metadata.apply(lambda found: found.name or "") if secret else None,
            secret_names=tuple(sorted(variables.secret)),
            keys=keys,
            has_identity=collector is not None,
        )
        trial = self._trial(beside, project.repository, image.ref, own) if beside else None
        if trial and beside:
            self._run(place, replace(built, image=trial.image, version=trial.version), trial.stable, after)
            self._run(beside, built, trial.tried, after)
        else:
            self._run(place, built, Count.of(target.replicas), after)
        if target.replicas.min > 1 or target.replicas.autoscaled:
            workload.disruption_budget(place)
        network.policy(place, target.egress)
        self.endpoint = self._reached(place, beside, trial.weight if trial else None, cluster)
        if self._settings.monitor:
            monitor(place, keys)
        # Without the keys: Pulumi's debug log has a stack's outputs as they are. AccessKeys has them in the state.
        self.outputs = {
            "endpoint": self.endpoint,
            "namespace": place.namespace.name,
            "deployment": place.name,
            "service": self._settings.service,
            "auth": target.auth,
            **(trial.outputs if trial else {}),
        }
        self.register_outputs({"endpoint": self.endpoint})

    def _refuse(self) -> None:
        """Refuse what each of manifest and configuration may say, but not both."""
        target, settings, where = self._target, self._settings, f"model {self._model.name}: aks"
        if target.host and not (settings.gateway or settings.ingress):
            raise pulumi.RunError(
                f"{where}: `host` needs slipway:kubernetes with `gateway: {{name, namespace}}` or `ingress: {{class}}` "
                "(docs/kubernetes.md)."
            )
        if target.auth == "none" and (target.host or settings.service != "ClusterIP"):
            raise pulumi.RunError(
                f"{where}: `auth: none` lets everybody ask, and is for inside the cluster only: without `host`, and "
                "with slipway:kubernetes.service ClusterIP. Else use auth: key or entra."
            )
        if target.auth == "entra" and self._environment.entra is None:
            raise pulumi.RunError(f"{where}: `auth: entra` needs slipway:entra with `tenant` and `audience`.")
        if target.shadow and not settings.gateway:
            raise pulumi.RunError(
                f"{where}: `shadow` needs slipway:kubernetes.gateway: nothing else copies requests. "
                "`canary` needs none."
            )
        if target.replicas.triggers and (lacking := keda.lacking(target.replicas, settings.keda)):
            raise pulumi.RunError(f"{where}: {lacking} (docs/kubernetes.md).")
        collect = self._environment.collect
        if self._model.scoring.collect and collect and (collect.to == "volume" or collect.to.startswith("/")):
            raise pulumi.RunError(
                f"{where}: slipway:collect to {collect.to} would be lost with each pod; collect to blob storage, as in "
                "abfs://CONTAINER/PATH, or to `none`."
            )
        if settings.service != "ClusterIP" and not settings.internal:
            pulumi.log.warn(
                f"{self._model.name}: on aks with service {settings.service}, keys and data go over the net openly; "
                "`host` with a Gateway or an Ingress speaks HTTPS."
            )

    def _run(self, place: Place, contents: Contents, count: Count, after: list[pulumi.Resource]) -> None:
        """Run the pods of one version."""
        pods, replicas = template(place, self._target, contents, self._settings), self._target.replicas
        deployment = workload.deployment(place, self._target, count, pods, after)
        if replicas.triggers and self._settings.keda:
            keda.scaled_object(place, replicas, self._settings.keda, deployment)
        elif count.autoscaled:
            workload.autoscaler(place, count)

    def _trial(
        self, beside: Place, repository: pulumi.Input[str], image: pulumi.Output[str], keys: AccessKeys | None
    ) -> Trial | None:
        """How this version is tried beside an earlier one."""
        model, target, earlier = self._model, self._target, self._target.earlier
        if earlier is None:
            return None
        known = pulumi.Output.concat(repository, f"/models/{model.name}@{earlier.digest}")
        if target.canary is None:
            return versions.shadow(target, known, model.version)
        by_gateway = versions.by_gateway(target, self._settings)
        return versions.canary(
            beside, target, target.canary, (known, image), model.version, by_gateway=by_gateway, keys=keys
        )

    def _variables(self, *, collects_by_identity: bool) -> ServiceVariables:
        """The container's environment, and what of it is secret."""
        model, environment, platform = self._model, self._environment, self._platform
        storage: dict[str, pulumi.Input[str]] = {}
        if collects_by_identity and platform and platform.collector:
            storage = {
                "AZURE_STORAGE_ACCOUNT_NAME": platform.storage.name,
                "AZURE_CLIENT_ID": platform.collector.client_id,
            }
        found = service_variables(model, environment, storage=storage)
        found.plain.update(body_limit(model, self._target.memory_mib))
        if (
            model.scoring.telemetry
            and platform
            and not (environment.telemetry or environment.insights_connection_string)
        ):
            found.secret["APPLICATIONINSIGHTS_CONNECTION_STRING"] = platform.insights_connection_string
        # Said, so that a key that is missing stops the service, instead of opening it.
        found.plain["SLIPWAY_AUTH"] = self._target.auth
        if self._target.auth == "key":
            found.plain["SLIPWAY_KEYS_DIR"] = KEYS_DIR
        elif self._target.auth == "entra" and environment.entra:
            found.plain.update(environment.entra.variables)
        return found

    def _reached(
        self, place: Place, beside: Place | None, weight: pulumi.Input[int] | None, cluster: Cluster
    ) -> pulumi.Output[str]:
        """Make the model's ways in; return the address that callers use."""
        settings, host = self._settings, self._target.host
        # A canary has its share of the Service too; a shadow answers nobody.
        selector = place.own if self._target.shadow else place.selector
        service = network.service(place, settings, selector=selector)
        if not host:
            return network.endpoint(service, place, settings, settings.node or cluster.host)
        if settings.gateway:
            network.route(place, host, settings.gateway, versions.rule(place, beside, weight))
        elif settings.ingress:
            network.ingress(place, host, settings.ingress)
        return pulumi.Output.from_input(f"https://{host}")
