"""Removes a project's images from the registry on this machine."""

from __future__ import annotations

from cli.images.registry import Registry


def remove_tags(repository: str) -> int:
    """Remove all tags of the repositories below a name from a local registry.

    Args:
        repository: As it is in front of images' names: `localhost:5050/slipway`.

    Returns:
        How many tags were removed.

    Raises:
        RegistryError: The registry does not answer, or refuses.
    """
    host, _, name = repository.partition("/")
    removed = 0
    with Registry(host, wait=lambda _: None) as registry:
        for found in registry.repositories(f"{name}/"):
            tags = registry.tags(found)
            # Two tags may have the same manifest, and one may have lost its own.
            for digest in {digest for tag in tags if (digest := registry.digest(found, tag))}:
                registry.delete(found, digest)
            removed += len(tags)
    return removed
