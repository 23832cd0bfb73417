"""Whether the registry that images are pushed to answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.diagnosis.finding import Finding
from cli.images.connection import RegistryError
from cli.images.names import is_local
from cli.images.registry import Registry
from cli.stack.wanted import makes_registry, own_registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.diagnosis.context import Context

_SECONDS = 5.0


def check(context: Context) -> Iterator[Finding]:
    """Ask for its version of the protocol; one that wants a login is there as well."""
    registry = context.environment.registry
    if "slipway:azure" in context.config.values and makes_registry(context.config, context.manifest):
        own = own_registry(context.outputs)
        if own is None:
            yield Finding("skipped", f"The first deployment of {context.stack} makes its registry.")
            return
        registry = own
    host = registry.partition("/")[0]
    try:
        with Registry(host, wait=lambda _: None, seconds=_SECONDS) as there:
            wants_login = there.wants_login()
    except RegistryError as error:
        yield Finding("problem", str(error), _mend(host))
        return
    yield Finding("ok", f"{host} answers{', and wants a login' if wants_login else ''}.")


def _mend(host: str) -> str:
    return (
        "Run `make setup`: it starts the local registry."
        if is_local(host)
        else f"Look whether {host} can be reached from here, or change slipway:registry."
    )
