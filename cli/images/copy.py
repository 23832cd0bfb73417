"""Copies images between registries by their digest: the same bytes, so the same name, at the other end."""

from __future__ import annotations

import json
from typing import Any

from cli.images.names import parts_of
from cli.images.registry import Manifest, Registry


class ImageCopier:
    """Copies images; a layer that several of them share goes over once."""

    def __init__(self) -> None:
        """Begin without a connection."""
        self._registries: dict[str, Registry] = {}
        # Digest to a repository at the target that has it by now, to mount it from.
        self._there: dict[tuple[str, str], str] = {}

    def close(self) -> None:
        """Close all connections."""
        for registry in self._registries.values():
            registry.close()

    def copy(self, source: str, target: str) -> int:
        """Copy an image.

        Args:
            source: Its name with its digest.
            target: The name it is to have; the digest is the same.

        Returns:
            How many bytes of layers were sent; 0 where the target had everything.

        Raises:
            RegistryError: A registry does not answer, lacks the image, or refuses it.
        """
        (from_host, from_name, digest), (to_host, to_name, _) = parts_of(source), parts_of(target)
        if (from_host, from_name) == (to_host, to_name):
            return 0
        return self._manifest(self._registry(from_host), from_name, self._registry(to_host), to_name, digest)

    def copy_signature(self, source: str, target: str) -> bool:
        """Copy what cosign signed an image with: it lies beside the image, under a tag that follows from the digest.

        Args:
            source: The image's name with its digest.
            target: The name it has at the target.

        Returns:
            Whether there was anything to copy.

        Raises:
            RegistryError: A registry does not answer, or refuses it.
        """
        (from_host, from_name, digest), (to_host, to_name, _) = parts_of(source), parts_of(target)
        here, there, tag = self._registry(from_host), self._registry(to_host), _signature_tag(digest)
        if (from_host, from_name) == (to_host, to_name) or not here.has("manifests", from_name, tag):
            return False
        manifest = here.manifest(from_name, tag)
        if there.has("manifests", to_name, tag) and _signatures(manifest) <= _signatures(there.manifest(to_name, tag)):
            # The target's own signatures beside these stay.
            return True
        for blob in manifest.blobs:
            self._blob(here, from_name, there, to_name, blob)
        there.put_manifest(to_name, tag, manifest)
        return True

    def _registry(self, host: str) -> Registry:
        if host not in self._registries:
            self._registries[host] = Registry(host)
        return self._registries[host]

    def _manifest(self, source: Registry, name: str, target: Registry, new_name: str, digest: str) -> int:
        # A registry takes a manifest only after all that it names: where it is, everything is.
        if target.has("manifests", new_name, digest):
            return 0
        manifest = source.manifest(name, digest)
        sent = 0
        if manifest.is_index:
            for child in manifest.document.get("manifests") or []:
                sent += self._manifest(source, name, target, new_name, child["digest"])
        else:
            for blob in manifest.blobs:
                sent += self._blob(source, name, target, new_name, blob)
        target.put_manifest(new_name, digest, manifest)
        return sent

    def _blob(self, source: Registry, name: str, target: Registry, new_name: str, blob: dict[str, Any]) -> int:
        digest, size = str(blob["digest"]), int(blob["size"])
        key = (target.host, digest)
        if target.has("blobs", new_name, digest):
            self._there[key] = new_name
            return 0
        has_it = name if source.host == target.host else self._there.get(key)
        if has_it and target.mount(new_name, digest, has_it) is None:
            self._there[key] = new_name
            return 0

        def send() -> None:
            # A connection that broke has used up what was read: each try begins at the first byte.
            target.upload(new_name, target.begin(new_name), digest, size, source.blob(name, digest))

        target.again(send)
        self._there[key] = new_name
        return size


def image_size(image: str) -> int | None:
    """Return how many bytes an image's layers have in its registry, compressed; None where that cannot be told.

    Args:
        image: Its name with a tag or a digest.
    """
    host, name, reference = parts_of(image)
    with Registry(host, wait=lambda _: None) as registry:
        try:
            manifest = registry.manifest(name, reference)
            if manifest.is_index:
                # The first is the image; what follows are other platforms or its attestations.
                manifest = registry.manifest(name, manifest.document["manifests"][0]["digest"])
            return sum(int(layer["size"]) for layer in manifest.document["layers"])
        except Exception:  # noqa: BLE001 - a size is a courtesy: whatever is wrong, the rest goes on without it
            return None


def has_signature(image: str) -> bool:
    """Tell whether something is in an image's registry where cosign puts its signatures.

    Args:
        image: Its name with its digest.

    Raises:
        RegistryError: The registry does not answer.
    """
    host, name, digest = parts_of(image)
    with Registry(host) as registry:
        return registry.has("manifests", name, _signature_tag(digest))


def _signature_tag(digest: str) -> str:
    return f"{digest.replace(':', '-')}.sig"


def _signatures(manifest: Manifest) -> set[str]:
    """The signatures of a manifest of cosign's, each as a text that is like no other's."""
    layers = manifest.document["layers"]
    return {json.dumps([one["digest"], one.get("annotations")], sort_keys=True) for one in layers}
