"""The package as a whole: its resources by token, and the provider's own configuration."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from provider.resource import Failure, Package
from standins.docker import VERSION
from standins.docker.container import Container
from standins.docker.engine import Engine
from standins.docker.images import RemoteImage
from standins.docker.networks import Network
from standins.docker.schema import check_types, load_schema
from standins.docker.volumes import Volume

_REFUSED = ("caMaterial", "certMaterial", "keyMaterial", "registryAuth", "sshOpts")
# Pulumi's own, beside the plugin's.
_PULUMI = frozenset({"version", "pluginDownloadURL", "pluginChecksums"})


class DockerPackage(Package):
    """The types that are served, all over one Docker engine."""

    def __init__(self) -> None:
        """Make the resources."""
        self.engine = Engine()
        super().__init__(
            "docker",
            VERSION,
            {
                "docker:index/container:Container": Container(self.engine),
                "docker:index/network:Network": Network(self.engine),
                "docker:index/remoteImage:RemoteImage": RemoteImage(self.engine),
                "docker:index/volume:Volume": Volume(self.engine),
            },
        )

    def check_config(self, config: dict[str, Any]) -> list[Failure]:
        """Check the types, and refuse what is not served."""
        values = _values(config)
        failures = check_types(load_schema()["ProviderArgs"], values)
        return failures + [
            Failure(name, "is not served by this stand-in for the docker plugin: use `docker login`, or certPath")
            for name in _REFUSED
            if values.get(name)
        ]

    def configure(self, config: dict[str, Any]) -> None:
        """Point at the engine; `disableDockerDaemonCheck` needs nothing, since there is no such check."""
        values = _values(config)
        self.engine.configure(
            host=values.get("host", ""), context=values.get("context", ""), cert_path=values.get("certPath", "")
        )

    def refusal(self, token: str) -> str:
        """Name the way out."""
        official = "the official one has it: `pulumi plugin install resource docker`"
        return f"{super().refusal(token)}. It is a stand-in; {official}"


def _values(config: dict[str, Any]) -> dict[str, Any]:
    """Undo the engine's encoding: whatever is no string arrives as JSON."""
    values = {}
    for name, value in config.items():
        if name in _PULUMI or name.startswith("__"):
            continue
        values[name] = value
        if isinstance(value, str) and value[:1] in ("[", "{", "t", "f"):
            with contextlib.suppress(ValueError):
                values[name] = json.loads(value)
    return values
