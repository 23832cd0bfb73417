"""Where the cluster is and how it is reached, from a kubeconfig of the configuration."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pulumi
import yaml

if TYPE_CHECKING:
    from manifest import Environment


@dataclass(frozen=True)
class Access:
    """A way to a cluster.

    Attributes:
        kubeconfig: A file's path, or a kubeconfig's content as a secret.
        context: The kubeconfig's context; None for its current one.
        identity: What tells the cluster from others, whatever the kubeconfig's other content.
        host: The API server's host, where it is known.
    """

    kubeconfig: pulumi.Input[str]
    context: str | None
    identity: pulumi.Input[str]
    host: str = ""


def configured(environment: Environment, root: Path) -> Access | None:
    """Return the cluster that the configuration names; None where it names none.

    Args:
        environment: The stack's configuration.
        root: The project's folder.

    Raises:
        pulumi.RunError: The kubeconfig cannot be read, or is without that context.
    """
    settings, content = environment.kubernetes, environment.kubeconfig
    if not content and not settings.names_cluster:
        return None
    if content and settings.kubeconfig:
        raise pulumi.RunError(
            "slipway:kubeconfig and slipway:kubernetes.kubeconfig both say which cluster; remove one of them."
        )
    if content:
        if not pulumi.runtime.is_config_secret("slipway:kubeconfig"):
            raise pulumi.RunError(
                "slipway:kubeconfig stands in the configuration as it is; it has to be encrypted: "
                "`pulumi config set --secret slipway:kubeconfig < FILE`."
            )
        server = _server(content, settings.context, "slipway:kubeconfig")
        return Access(pulumi.Output.secret(content), settings.context, server, urlsplit(server).hostname or "")
    path = _path(settings.kubeconfig, root)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise pulumi.RunError(f"The kubeconfig {path} cannot be read: {reason}.") from None
    server = _server(text, settings.context, str(path))
    # The path, not the content: nothing secret comes into the state.
    return Access(str(path), settings.context, server, urlsplit(server).hostname or "")


def _path(given: str | None, root: Path) -> Path:
    if given:
        return root / Path(given).expanduser()
    # As kubectl looks for it; of several files the first.
    first = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    return Path(first) if first else Path.home() / ".kube" / "config"


def _server(text: str, context: str | None, source: str) -> str:
    """The API server's address in a context; nothing else of the text is shown."""
    try:
        config = yaml.safe_load(text)
        contexts = _named(config, "contexts")
        name = context or config.get("current-context")
    except (yaml.YAMLError, AttributeError, TypeError, KeyError):
        raise pulumi.RunError(f"{source} is no kubeconfig.") from None
    if name not in contexts:
        there = ", ".join(sorted(contexts)) or "none"
        asked = f"the context {name}" if name else "a current context; name one in slipway:kubernetes.context"
        raise pulumi.RunError(f"{source} is without {asked}. It has: {there}.")
    try:
        return str(_named(config, "clusters")[contexts[name]["context"]["cluster"]]["cluster"]["server"])
    except (AttributeError, TypeError, KeyError):
        raise pulumi.RunError(f"{source} does not say where the cluster of the context {name} is.") from None


def _named(config: dict[str, Any], kind: str) -> dict[str, Any]:
    return {str(one["name"]): one for one in config.get(kind) or []}
