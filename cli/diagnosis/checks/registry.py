"""Whether the registry that images are pushed to answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from cli.diagnosis.finding import Finding
from cli.images.removal import is_local
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
    host, local = registry.partition("/")[0], is_local(registry)
    url = f"{'http' if local else 'https'}://{host}/v2/"
    try:
        with httpx.Client(timeout=_SECONDS, trust_env=not local) as client:
            status = client.get(url).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        yield Finding("problem", f"{host} does not answer: {str(error) or type(error).__name__}.", _mend(host, local))
        return
    if status in (httpx.codes.OK, httpx.codes.UNAUTHORIZED):
        yield Finding("ok", f"{host} answers{', and wants a login' if status == httpx.codes.UNAUTHORIZED else ''}.")
    else:
        yield Finding("problem", f"{url} answers {status}: that is no image registry.", _mend(host, local))


def _mend(host: str, local: bool) -> str:
    return (
        "Run `make setup`: it starts the local registry."
        if local
        else f"Look whether {host} can be reached from here, or change slipway:registry."
    )
