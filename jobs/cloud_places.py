"""Where batch jobs read and write on Azure: containers of the stack's own storage, or storage elsewhere."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

INPUTS, OUTPUTS = "inputs", "outputs"
# A container without an account is the stack's own.
_OWN = re.compile(r"(?:abfss?|az)://([a-z0-9](?:-?[a-z0-9]){2,62})(?:/.*)?")
_NO_ACCOUNT = re.compile(r"azfiles://[^/@]*(?:/.*)?")


@dataclass(frozen=True)
class CloudPlace:
    """A place in a storage.

    Attributes:
        url: Its address.
        container: The container of the stack's storage that it is in; None where it is elsewhere.
    """

    url: str
    container: str | None


def cloud_place(given: str, container: str) -> CloudPlace:
    """Return where a place of the manifest, or of who starts a job, is on Azure.

    Args:
        given: A URL, or a path in a container of the stack's storage.
        container: Which.

    Raises:
        ValueError: It is a path that can only be one on this machine, or a share of no account.
    """
    if _NO_ACCOUNT.fullmatch(given):
        raise ValueError(
            f"{given} names no account, as azfiles://SHARE@ACCOUNT/PATH does, and the stack's has no shares"
        )
    if "://" in given:
        own = _OWN.fullmatch(given)
        return CloudPlace(given, own[1] if own else None)
    if given.startswith(("/", "~")) or ".." in given.split("/"):
        raise ValueError(f"{given} is a place on a machine, where a pool's nodes are not")
    path = posixpath.normpath(given)
    return CloudPlace(f"abfs://{container}/{'' if path == '.' else path}", container)
