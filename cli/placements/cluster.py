"""What a stack runs on a Kubernetes cluster: its Deployments and pods, and what they print."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cli.errors import CliError
from cli.logs.events import dated
from cli.stack.project import short_name
from cli.stack.state import plain_secret, resources
from clusters import ClusterError, client_from
from manifest.object_names import instance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cli.placements.placement import Placement
    from cli.stack.pulumi import Pulumi

# The client's own types let every part be None, which the parts that the API always has are not.
Pod = Any
Deployment = Any

CONTAINER = "model"
_PROVIDER = "pulumi:providers:kubernetes"
_SECONDS = (5, 20)
# For so long, a log that is followed may have nothing new.
_FOLLOWED_SECONDS = 86_400
_INSTANCE = "app.kubernetes.io/instance"
MODEL = "app.kubernetes.io/name"
VERSION = "app.kubernetes.io/version"


@dataclass(frozen=True)
class _Way:
    """How the cluster is reached: as Pulumi's provider was told."""

    kubeconfig: str
    context: str | None


class Cluster:
    """The cluster that a stack's `aks` targets are on, as far as they go.

    Attributes:
        stack: The stack's name.
    """

    stack: str

    def __init__(self, pulumi: Pulumi, *, namespaces: set[str] | None = None) -> None:
        """Connect.

        Args:
            pulumi: The stack.
            namespaces: Where its models are beside what the configuration names.

        Raises:
            CliError: Nothing says how the cluster is reached, or that is no kubeconfig.
        """
        # Importing it takes longer than most commands run.
        from kubernetes import client  # noqa: PLC0415 - see above

        self.stack = pulumi.stack
        self._instance = instance(pulumi.project.name, short_name(pulumi.stack))
        settings = _settings(pulumi)
        self.namespaces = sorted(
            {settings.get("namespace") or self._instance, *settings.get("namespaces", {}), *(namespaces or set())}
        )
        self.api = client_of(pulumi)
        self._core, self._apps = client.CoreV1Api(self.api), client.AppsV1Api(self.api)

    @classmethod
    def of(cls, pulumi: Pulumi, placements: Iterable[Placement]) -> Self:
        """Connect to where a stack's placements are.

        Args:
            pulumi: The stack.
            placements: Any of it; those elsewhere do not matter.

        Raises:
            CliError: As by itself.
        """
        return cls(pulumi, namespaces={one.namespace for one in placements if one.namespace})

    def deployments(self) -> list[Deployment]:
        """Return the stack's Deployments.

        Raises:
            CliError: The cluster does not tell.
        """
        return self._listed(self._apps.list_namespaced_deployment)

    def pods(self) -> list[Pod]:
        """Return the stack's pods, by model and name.

        Raises:
            CliError: The cluster does not tell.
        """
        found = self._listed(self._core.list_namespaced_pod)
        return sorted(found, key=lambda one: (one.metadata.labels.get(MODEL, ""), one.metadata.name))

    def _listed(self, question: Callable[..., Any]) -> list[Any]:
        selector = f"{_INSTANCE}={self._instance},{MODEL}"
        found: list[Any] = []
        for namespace in self.namespaces:
            ask = partial(question, namespace, label_selector=selector, _request_timeout=_SECONDS)
            found += self._asked(ask).items
        return found

    def replica_sets(self, deployment: Deployment) -> list[Any]:
        """Return a Deployment's ReplicaSets, one for each form that its pods had.

        Raises:
            CliError: The cluster does not tell.
        """
        labels = deployment.spec.selector.match_labels.items()
        selector = ",".join(f"{name}={value}" for name, value in sorted(labels))
        answer = self._asked(
            lambda: self._apps.list_namespaced_replica_set(
                deployment.metadata.namespace, label_selector=selector, _request_timeout=_SECONDS
            )
        )
        return list(answer.items)

    def plain(self, found: Any) -> dict[str, Any]:
        """Return an answer's part as the API has it."""
        plain: dict[str, Any] = self.api.sanitize_for_serialization(found)
        return plain

    def apply(self, deployment: Deployment, manager: str, body: dict[str, Any]) -> None:
        """Apply a Deployment on the server.

        Args:
            deployment: The one that is there.
            manager: In whose name.
            body: All that this manager says of it.

        Raises:
            CliError: The cluster refuses.
        """
        name, namespace = deployment.metadata.name, deployment.metadata.namespace
        self._asked(
            lambda: self._apps.patch_namespaced_deployment(
                name,
                namespace,
                body,
                field_manager=manager,
                force=False,
                _content_type="application/apply-patch+yaml",
                _request_timeout=_SECONDS,
            )
        )

    def events(self, pod: Pod) -> list[str]:
        """Return the warnings about a pod, the latest last.

        Raises:
            CliError: The cluster does not tell.
        """
        selector = f"involvedObject.uid={pod.metadata.uid},type=Warning"
        answer = self._asked(
            lambda: self._core.list_namespaced_event(
                pod.metadata.namespace, field_selector=selector, _request_timeout=_SECONDS
            )
        )
        return [str(one.message) for one in answer.items]

    def log(
        self, pod: Pod, *, tail: int | None = None, follow: bool = False, previous: bool = False
    ) -> Iterator[tuple[str, str]]:
        """Read what a pod's model printed.

        Args:
            pod: The pod.
            tail: How many of its last lines; by default all.
            follow: Whether to wait for more until it ends.
            previous: Of the container before the present one.

        Yields:
            For each line when it was printed, and the line.

        Raises:
            CliError: The cluster does not hand it out.
        """
        answer = self._asked(
            lambda: self._core.read_namespaced_pod_log(
                pod.metadata.name,
                pod.metadata.namespace,
                container=CONTAINER,
                follow=follow,
                previous=previous,
                tail_lines=tail,
                timestamps=True,
                _preload_content=False,
                _request_timeout=(_SECONDS[0], _FOLLOWED_SECONDS if follow else _SECONDS[1]),
            )
        )
        rest = b""
        # Whoever sends it may stop in the middle: an API server that is renewed, a node that goes.
        with _told(f"The log of {pod.metadata.name} broke off"):
            for chunk in answer.stream():
                *lines, rest = (rest + chunk).split(b"\n")
                yield from map(dated, lines)
        if rest:
            yield dated(rest)

    @staticmethod
    def _asked(question: Callable[[], Any]) -> Any:
        with _told("The cluster does not answer"):
            return question()


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Tell in words why a cluster does not do what it is asked; `what` is the word for it where it says nothing."""
    from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - as above
    from kubernetes.config import ConfigException  # noqa: PLC0415 - as above
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 - as above

    try:
        yield
    except ApiException as error:
        raise CliError(f"The cluster refuses: {_said(error)}") from None
    except (HTTPError, ConfigException, OSError) as error:
        raise CliError(
            f"{what}: {str(error).rpartition('Caused by ')[2] or error}.",
            hint="`kubectl cluster-info` with the same kubeconfig and context tells more.",
        ) from None


def client_of(pulumi: Pulumi) -> Any:
    """Return the library's client of a stack's cluster, which is reached as Pulumi reaches it.

    Args:
        pulumi: The stack.

    Raises:
        CliError: Nothing says how the cluster is reached, or that is no kubeconfig.
    """
    way = _way(pulumi, _settings(pulumi))
    try:
        return client_from(way.kubeconfig, way.context)
    except ClusterError as error:
        raise CliError(str(error)) from None


def _settings(pulumi: Pulumi) -> dict[str, Any]:
    given = pulumi.config.values.get("slipway:kubernetes")
    return given if isinstance(given, dict) else {}


def _way(pulumi: Pulumi, settings: dict[str, Any]) -> _Way:
    """How Pulumi reaches the cluster: from the configuration, or where that is encrypted or Azure's from the state."""
    path, context = settings.get("kubeconfig"), settings.get("context")
    if path:
        return _Way(str(pulumi.project.root / Path(str(path)).expanduser()), context)
    if context and "slipway:kubeconfig" not in pulumi.config.values:
        first = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
        return _Way(first or str(Path.home() / ".kube" / "config"), context)
    for one in resources(pulumi.state(show_secrets=True), _PROVIDER):
        inputs = one.get("inputs") or {}
        if text := plain_secret(inputs.get("kubeconfig")):
            return _Way(text, inputs.get("context"))
    raise CliError(
        f"The stack {pulumi.stack} has no cluster yet.", hint="`slipway up` deploys models.yaml, and finds or makes it."
    )


def _said(error: Any) -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, KeyError, ValueError):
        return f"{error.status} {error.reason}"
