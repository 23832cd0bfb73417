"""Names of images, and of the registries that they are in."""

from __future__ import annotations

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def is_local(registry: str) -> bool:
    """Tell whether a registry, as image names begin, is on this machine's loopback."""
    host, _, _ = registry.partition("/")
    return host.rpartition(":")[0] in _LOOPBACK or host in _LOOPBACK


def parts_of(image: str) -> tuple[str, str, str]:
    """Return registry, repository, and digest or tag of an image's name."""
    host, _, rest = image.partition("/")
    name, at, digest = rest.partition("@")
    if at:
        # What says both has its tag for readers.
        return host, name.partition(":")[0], digest
    name, _, tag = rest.rpartition(":")
    return host, name, tag
