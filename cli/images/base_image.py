"""The digest of a base image: found in the registry that it comes from, and taken only where the layers agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.images.connection import RegistryError
from cli.images.names import is_local, parts_of
from cli.images.registry import Manifest, Registry

if TYPE_CHECKING:
    from collections.abc import Iterator

_DOCKER_HUB = "registry-1.docker.io"
_UNKNOWN = "unknown"


def base_digest(base: str, environment: str) -> str | None:
    """Return the digest of the base image that an environment was built on.

    Its tag may name another image by now; so what it names has to begin the environment, layer by layer.

    Args:
        base: The base image's name as configured.
        environment: The environment's name with its digest.

    Returns:
        The digest; None where it cannot be told.
    """
    if "@sha256:" in base:
        return base.partition("@")[2]
    layers = _layers(environment)
    for place in _places(base, environment.partition("/")[0]):
        for digest, own in _images(place):
            if own and layers[: len(own)] == own:
                return digest
    return None


def _places(base: str, registry: str) -> list[str]:
    """Where a base image may come from: its registry, or Docker Hub, for which a local one may stand in."""
    path = base if ":" in base.rpartition("/")[2] else f"{base}:latest"
    first, slash, _ = base.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return [path]
    path = path if slash else f"library/{path}"
    return [*([f"{registry}/{path}"] if is_local(registry) else []), f"{_DOCKER_HUB}/{path}"]


def _images(image: str) -> Iterator[tuple[str, list[str]]]:
    """The digest that a name stands for, with the layers of each platform's image below it; nothing where it is not."""
    host, name, tag = parts_of(image)
    # A digest is a courtesy: nobody waits for a registry that does not answer.
    with Registry(host, wait=lambda _: None) as registry:
        try:
            manifest = registry.manifest(name, tag)
            if not manifest.is_index:
                yield manifest.digest, _digests(manifest)
                return
            for one in manifest.document.get("manifests") or []:
                if (one.get("platform") or {}).get("os") != _UNKNOWN:
                    yield manifest.digest, _digests(registry.manifest(name, one["digest"]))
        except (RegistryError, ValueError, KeyError, TypeError, AttributeError):
            return


def _layers(image: str) -> list[str]:
    return next((layers for _, layers in _images(image)), [])


def _digests(manifest: Manifest) -> list[str]:
    return [str(one["digest"]) for one in manifest.document["layers"]]
