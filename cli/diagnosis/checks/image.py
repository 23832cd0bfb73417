"""Whether each deployed model's image is still in its registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.diagnosis.finding import Finding
from cli.images.connection import RegistryError
from cli.images.registry import Registry
from cli.stack.project import short_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.diagnosis.context import Context


def check(context: Context) -> Iterator[Finding]:
    """Ask the registry for each image's digest; without it no other machine can run that version."""
    images = {one.model: one.image for one in context.placements if one.image}
    for model, image in images.items():
        host, _, rest = image.partition("/")
        repository, _, digest = rest.partition("@")
        # One attempt: a registry that does not answer is another check's matter.
        registry = Registry(host, wait=lambda _: None)
        try:
            if registry.has("manifests", repository, digest):
                yield Finding("ok", f"{repository}@{digest[:19]} is in {host}.", model=model)
            else:
                yield Finding(
                    "problem",
                    f"{host} has lost {repository}@{digest[:19]}; the container goes on, but cannot be made again.",
                    _mend(context, model),
                    model,
                )
        except RegistryError as error:
            yield Finding("skipped", f"{host} does not tell: {error}", model=model)
        finally:
            registry.close()
    if not images:
        yield Finding("ok", f"The stack {context.stack} has nothing deployed.")


def _mend(context: Context, model: str) -> str:
    stack = short_name(context.stack)
    if source := context.config.values.get("slipway:promoteFrom"):
        return f"Copy it again: slipway promote {source} {stack}"
    # A refresh does not see it: the plugin asks registries without TLS over TLS.
    urn = f"urn:pulumi:{stack}::{context.project.name}::slipway:index:ScoringImage$docker-build:index:Image::{model}"
    return f"Build it again; the digest stays: slipway up --stack {context.stack} -- --replace '{urn}'"
