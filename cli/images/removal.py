"""Removes a project's images from the registry on this machine."""

from __future__ import annotations

import httpx

from cli.errors import CliError

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_SECONDS = 20.0
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, "
    "application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json"
)


def is_local(registry: str) -> bool:
    """Tell whether a registry, as image names begin, is on this machine's loopback."""
    host, _, _ = registry.partition("/")
    return host.rpartition(":")[0] in _LOOPBACK or host in _LOOPBACK


def remove_tags(repository: str) -> int:
    """Remove all tags of the repositories below a name from a local registry.

    Args:
        repository: As it is in front of images' names: `localhost:5050/slipway`.

    Returns:
        How many tags were removed.

    Raises:
        CliError: The registry does not answer, or refuses.
    """
    host, _, name = repository.partition("/")
    removed = 0
    try:
        with httpx.Client(base_url=f"http://{host}", timeout=_SECONDS, trust_env=False) as client:
            for found in _repositories(client, f"{name}/"):
                tags = client.get(f"/v2/{found}/tags/list").json().get("tags") or []
                for tag in tags:
                    _remove(client, found, tag)
                removed += len(tags)
    except (httpx.HTTPError, ValueError) as error:
        raise CliError(f"The registry {host} does not answer: {str(error) or type(error).__name__}.") from None
    return removed


def _repositories(client: httpx.Client, prefix: str) -> list[str]:
    names: list[str] = []
    page = "/v2/_catalog?n=1000"
    while page:
        answer = client.get(page)
        names += [name for name in answer.json().get("repositories") or [] if name.startswith(prefix)]
        page = str(answer.links.get("next", {}).get("url", ""))
    return names


def _remove(client: httpx.Client, repository: str, tag: str) -> None:
    # A manifest is deleted by its digest; two tags may have the same one.
    manifest = f"/v2/{repository}/manifests"
    found = client.head(f"{manifest}/{tag}", headers={"Accept": _MANIFESTS})
    if found.status_code == httpx.codes.NOT_FOUND:
        return
    found.raise_for_status()
    deleted = client.delete(f"{manifest}/{found.headers['Docker-Content-Digest']}")
    if deleted.status_code == httpx.codes.METHOD_NOT_ALLOWED:
        raise CliError(
            f"The registry {client.base_url.netloc.decode()} deletes nothing.",
            hint="Its configuration needs storage.delete.enabled: true.",
        )
    if deleted.status_code != httpx.codes.NOT_FOUND:
        deleted.raise_for_status()
