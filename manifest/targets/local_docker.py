"""The target `local-docker`: a container on this machine's Docker engine."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le
from pydantic import Field

from manifest.fields import Memory, mebibytes
from manifest.targets.base import Target

# Below the ports that Linux hands out by itself, above those that other software likes.
_FIRST_PORT = 10_000
_PAST_PORTS = 32_768

Port = Annotated[int, Ge(1), Le(65535)]
Cpu = Annotated[float, Gt(0), Le(1024)]


class LocalDockerTarget(Target):
    """A container on this machine, bound to loopback."""

    kind: ClassVar[Literal["local-docker"]] = "local-docker"

    port: Port | None = Field(
        default=None, description="The port on 127.0.0.1. Default: one that follows from the model's name."
    )
    reload: bool = Field(
        default=False,
        description="Take edits of the script at once, without `pulumi up`, where `development` is true.",
    )
    cpu: Cpu | None = Field(default=None, description="Processors, for example 0.5. Default: the environment's.")
    memory: Memory | None = Field(
        default=None, description="Memory, for example 512Mi or 2Gi. Default: the environment's."
    )
    startup_seconds: Annotated[int, Ge(1), Le(3600)] = Field(
        default=300, description="How long the model may take until it is ready."
    )

    @property
    def memory_mib(self) -> int | None:
        """The memory in MiB."""
        return mebibytes(self.memory) if self.memory else None

    def port_for(self, model: str) -> int:
        """Return the port of a model's container: the given one, else one that depends on the name alone.

        Two models can meet at the same port; the manifest is then refused and asks for a `port`. Moving one to the
        next free port instead would replace a running container when an unrelated model is added.
        """
        if self.port is not None:
            return self.port
        number = int.from_bytes(hashlib.sha256(model.encode()).digest()[:8])
        return _FIRST_PORT + number % (_PAST_PORTS - _FIRST_PORT)

    def claims(self, model: str) -> Mapping[str, int | str]:
        """Return the port."""
        return {"port": self.port_for(model)}
