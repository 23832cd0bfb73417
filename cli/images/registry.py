"""A client of image registries: what looking, copying and removing by digest need of the OCI distribution API.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from cli.images.connection import Connection, RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterator

# What lists other manifests: an image for several platforms, or one with its attestations.
_INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFEST_TYPES = (
    *_INDEX_TYPES,
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_ACCEPT = {"Accept": ", ".join(_MANIFEST_TYPES)}
_PIECE = 1024 * 1024
# A manifest is small; what says to be larger is none.
_LARGEST_MANIFEST = 4 * 1024 * 1024


@dataclass(frozen=True)
class Manifest:
    """A manifest as a registry has it.

    Attributes:
        content: Its bytes.
        media_type: What it is.
        document: What it says.
    """

    content: bytes
    media_type: str
    document: dict[str, Any]

    @property
    def digest(self) -> str:
        """Its digest."""
        return _sha256(self.content)

    @property
    def is_index(self) -> bool:
        """Whether it lists other manifests."""
        return self.media_type in _INDEX_TYPES

    @property
    def blobs(self) -> list[dict[str, Any]]:
        """What an image's manifest names: its configuration and its layers."""
        return [self.document["config"], *(self.document.get("layers") or [])]


class Registry(Connection):
    """One registry, as images are asked for, copied and removed there."""

    def wants_login(self) -> bool:
        """Tell whether the registry, asked for its version of the protocol, wants a login first.

        Raises:
            RegistryError: It does not answer, or is no registry.
        """
        answer = self.again(lambda: self._client.get("/v2/", follow_redirects=False))
        if answer.status_code not in {httpx.codes.OK, httpx.codes.UNAUTHORIZED}:
            raise RegistryError(f"{answer.url} answers {answer.status_code}: that is no image registry.")
        return answer.status_code == httpx.codes.UNAUTHORIZED

    def repositories(self, prefix: str) -> list[str]:
        """Return the repositories whose names begin with a prefix.

        Raises:
            RegistryError: The registry does not tell.
        """
        found = self._listed("/v2/_catalog?n=1000", "repositories", "registry:catalog:*")
        return [name for name in found if name.startswith(prefix)]

    def tags(self, repository: str) -> list[str]:
        """Return the tags of a repository.

        Raises:
            RegistryError: The registry does not tell.
        """
        return self._listed(f"/v2/{repository}/tags/list", "tags", f"repository:{repository}:pull")

    def has(self, kind: str, repository: str, reference: str) -> bool:
        """Tell whether the registry has a blob or a manifest.

        Args:
            kind: `blobs` or `manifests`.
            repository: The repository.
            reference: The digest, as `sha256:...`; of a manifest, also a tag.

        Raises:
            RegistryError: It does not answer, is busy all the time, or does not let us look.
        """
        return self._head(kind, repository, reference).is_success

    def digest(self, repository: str, tag: str) -> str | None:
        """Return the digest that a tag stands for now; None where there is no such tag.

        Raises:
            RegistryError: As `has`.
        """
        digest: str | None = self._head("manifests", repository, tag).headers.get("Docker-Content-Digest")
        return digest

    def manifest(self, repository: str, reference: str) -> Manifest:
        """Return a manifest; one that was asked by its digest has been checked against it.

        Raises:
            RegistryError: The registry does not have it, or what it sent is something else.
        """
        answer = self.request(
            "GET",
            f"/v2/{repository}/manifests/{reference}",
            what=f"does not have {repository}@{reference}",
            codes=(httpx.codes.OK,),
            headers=_ACCEPT,
            scope=f"repository:{repository}:pull",
        )
        content = answer.content
        if reference.startswith("sha256:") and _sha256(content) != reference:
            raise RegistryError(f"{self.host} sent other bytes than {repository}@{reference}.")
        try:
            document = json.loads(content) if len(content) <= _LARGEST_MANIFEST else None
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise RegistryError(f"{self.host} sent a manifest of {repository}@{reference} that is no manifest.")
        media_type = document.get("mediaType") or answer.headers.get("Content-Type", "").partition(";")[0]
        return Manifest(content, media_type, document)

    def blob(self, repository: str, digest: str) -> Iterator[bytes]:
        """Return a blob's bytes, piece by piece; wrong ones end in an error before the last piece is passed on.

        It is tried once: see `again`.

        Raises:
            RegistryError: The registry does not have it, or what it sent is something else.
        """
        hashed = hashlib.sha256()
        # A token may have run out while what came before was copied; this request renews it.
        self.has("blobs", repository, digest)
        path, scope = f"/v2/{repository}/blobs/{digest}", f"repository:{repository}:pull"
        with self._client.stream("GET", path, headers=self._login.headers(scope)) as answer:
            self._expect(answer, (httpx.codes.OK,), f"does not hand out {repository}@{digest}")
            held = b""
            for piece in answer.iter_bytes(_PIECE):
                hashed.update(piece)
                if held:
                    yield held
                held = piece
        if f"sha256:{hashed.hexdigest()}" != digest:
            raise RegistryError(f"{self.host} sent other bytes than {repository}@{digest}.")
        yield held

    def mount(self, repository: str, digest: str, source: str) -> str | None:
        """Take a blob over from another repository of the registry.

        Returns:
            None when it is there; else where to upload it.
        """
        scope = f"repository:{repository}:pull,push repository:{source}:pull"
        return self._begin(repository, {"mount": digest, "from": source}, scope)

    def begin(self, repository: str) -> str:
        """Begin an upload; return where to send it."""
        return self._begin(repository, {}, f"repository:{repository}:pull,push") or ""

    def upload(self, repository: str, place: str, digest: str, size: int, pieces: Iterator[bytes]) -> None:
        """Send a blob to where `begin` or `mount` said. It is tried once: see `again`.

        Raises:
            RegistryError: The registry refuses it.
        """
        scope = f"repository:{repository}:pull,push"
        url = self._client.base_url.join(place)
        answer = self._client.put(
            url.copy_merge_params({"digest": digest}),
            content=pieces,
            headers={
                **(self._login.headers(scope) if url.host == self._client.base_url.host else {}),
                "Content-Length": str(size),
                "Content-Type": "application/octet-stream",
            },
        )
        self._expect(answer, (httpx.codes.CREATED,), f"refuses {repository}@{digest}")

    def put_manifest(self, repository: str, reference: str, manifest: Manifest) -> None:
        """Add a manifest by its digest, or under a tag.

        Raises:
            RegistryError: The registry refuses it.
        """
        self.request(
            "PUT",
            f"/v2/{repository}/manifests/{reference}",
            what=f"refuses {repository}@{reference}",
            codes=(httpx.codes.CREATED,),
            content=manifest.content,
            headers={"Content-Type": manifest.media_type},
            scope=f"repository:{repository}:pull,push",
        )

    def delete(self, repository: str, digest: str) -> None:
        """Remove a manifest, with all of its tags; one that is gone already is no error.

        Raises:
            RegistryError: The registry refuses.
        """
        answer = self.request(
            "DELETE",
            f"/v2/{repository}/manifests/{digest}",
            what=f"does not remove {repository}@{digest}",
            codes=(httpx.codes.ACCEPTED, httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED),
            scope=f"repository:{repository}:delete",
        )
        if answer.status_code == httpx.codes.METHOD_NOT_ALLOWED:
            raise RegistryError(
                f"The registry {self.host} deletes nothing.",
                hint="Its configuration needs storage.delete.enabled: true.",
            )

    def _listed(self, page: str, key: str, scope: str) -> list[str]:
        found: list[str] = []
        codes = (httpx.codes.OK, httpx.codes.NOT_FOUND)
        while page:
            answer = self.request("GET", page, what=f"does not list its {key}", codes=codes, scope=scope)
            try:
                found += answer.json().get(key) or []
            except (ValueError, AttributeError):
                raise RegistryError(f"{self.host} sent something else than a list of {key}.") from None
            page = str(answer.links.get("next", {}).get("url", ""))
        return found

    def _head(self, kind: str, repository: str, reference: str) -> httpx.Response:
        return self.request(
            "HEAD",
            f"/v2/{repository}/{kind}/{reference}",
            what=f"does not tell whether it has {repository}@{reference}",
            codes=(httpx.codes.OK, httpx.codes.NOT_FOUND),
            headers=_ACCEPT,
            scope=f"repository:{repository}:pull",
        )

    def _begin(self, repository: str, query: dict[str, str], scope: str) -> str | None:
        answer = self.request(
            "POST",
            f"/v2/{repository}/blobs/uploads/",
            what=f"takes no uploads to {repository}",
            codes=(httpx.codes.ACCEPTED, *((httpx.codes.CREATED,) if query else ())),
            params=query,
            scope=scope,
        )
        if answer.status_code == httpx.codes.CREATED:
            return None
        return str(answer.headers.get("Location", ""))


def _sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
