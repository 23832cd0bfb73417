"""The package as a whole: a resource for every kind that the API server has, and the provider's own configuration."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from provider.resource import Failure, Package
from provider.values import has_unknown
from standins.kubernetes import VERSION
from standins.kubernetes.api import Api, Settings
from standins.kubernetes.resource import KubernetesObject

_TOKEN = re.compile(r"kubernetes:(?P<version>(?:[a-z0-9.-]+/)?v\w+):(?P<kind>[A-Z]\w*)")
_TAKEN = (
    "kubeconfig",
    "context",
    "cluster",
    "namespace",
    # Says when another kubeconfig is the same cluster. Here no change of the configuration replaces anything.
    "clusterIdentifier",
    "enableConfigMapMutable",
    "enableSecretMutable",
    "enableServerSideApply",
    "deleteUnreachable",
    "suppressDeprecationWarnings",
    "suppressHelmHookWarnings",
)
# Pulumi's own, beside the plugin's.
_PULUMI = frozenset({"version", "pluginDownloadURL", "pluginChecksums"})


class _Resources(Mapping[str, KubernetesObject]):
    """The types by token, made as they are asked for."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def __getitem__(self, token: str) -> KubernetesObject:
        found = _TOKEN.fullmatch(token)
        # A part of another's object, a list, or a folder of files is no single object.
        if (
            found is None
            or found["kind"].endswith(("Patch", "List"))
            or found["version"].partition("/")[0] in {"helm.sh", "kustomize", "yaml"}
        ):
            raise KeyError(token)
        return KubernetesObject(self._api)

    def __iter__(self) -> Iterator[str]:
        return iter(("kubernetes:GROUP/VERSION:Kind",))

    def __len__(self) -> int:
        return 1


class KubernetesPackage(Package):
    """Objects of any kind, over one API server."""

    def __init__(self) -> None:
        """Make the parts; nothing is connected yet."""
        self.api = Api()
        super().__init__("kubernetes", VERSION, _Resources(self.api))

    def check_config(self, config: dict[str, Any]) -> list[Failure]:
        """Refuse what is not served."""
        values = _values(config)
        failures = [
            Failure(name, "is not served by this stand-in for the kubernetes plugin, whose options are " + _listed())
            for name, value in sorted(values.items())
            if name not in _TAKEN and value
        ]
        if values.get("enableServerSideApply") is False:
            failures.append(Failure("enableServerSideApply", "must be true: this stand-in applies on the server only"))
        return failures

    def configure(self, config: dict[str, Any]) -> None:
        """Take where the cluster is; unknown while the program makes it in the same run."""
        values = _values(config)
        self.api.configure(
            None
            if has_unknown(values)
            else Settings(
                kubeconfig=values.get("kubeconfig") or "",
                context=values.get("context") or None,
                cluster=values.get("cluster") or None,
                namespace=values.get("namespace") or None,
                delete_unreachable=bool(values.get("deleteUnreachable")),
                secret_mutable=bool(values.get("enableSecretMutable")),
                config_map_mutable=bool(values.get("enableConfigMapMutable")),
            )
        )

    def refusal(self, token: str) -> str:
        """Name the way out."""
        return (
            f"this stand-in for the kubernetes plugin does not serve {token}: only single objects, as "
            "kubernetes:apps/v1:Deployment; the official one has it: `pulumi plugin install resource kubernetes`"
        )


def _listed() -> str:
    return ", ".join(_TAKEN)


def _values(config: dict[str, Any]) -> dict[str, Any]:
    """Undo the engine's encoding: whatever is no string arrives as JSON; a kubeconfig is left as it is."""
    values = {}
    for name, value in config.items():
        if name in _PULUMI or name.startswith("__"):
            continue
        values[name] = value
        if name != "kubeconfig" and isinstance(value, str) and value in {"true", "false"}:
            with contextlib.suppress(ValueError):
                values[name] = json.loads(value)
    return values
