"""What every storage offers, and how its faults are told."""

from __future__ import annotations

import contextlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class StorageError(Exception):
    """A storage cannot be opened; the message says where, why and what to do."""


class Store(Protocol):
    """Files by key, with / between folders.

    Each is whole or not there at all whenever the process is killed, and only one of two writers creates it.
    """

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder; none where there is no such folder."""
        ...

    def read(self, key: str) -> bytes | None:
        """Return a small file's content; None where there is none."""
        ...

    def create(self, key: str, content: bytes) -> bool:
        """Write a small file that is not there yet; tell whether it was this call that wrote it."""
        ...

    def replace(self, key: str, content: bytes) -> None:
        """Write a small file."""
        ...


@contextlib.contextmanager
def told(what: str, location: str, raised: type[Exception]) -> Iterator[None]:
    """Say in one line what a file system or a cloud's package says in many.

    Args:
        what: What cannot be done, with the location: the message begins with it.
        location: The folder or the URL.
        raised: The error to raise; one of these goes through as it is.
    """
    try:
        yield
    except raised:
        raise
    except StorageError as error:
        raise raised(str(error)) from None
    except Exception as error:
        # Each of fsspec's file systems has errors of its own; in a folder they are faults of ours.
        if isinstance(error, OSError) or "://" in location:
            reason = getattr(error, "strerror", None) or (str(error).splitlines() or [""])[0] or type(error).__name__
            raise raised(f"{what}: {reason}{_role(error)}") from None
        raise


def _role(error: Exception) -> str:
    """What is missing, where Azure says no more than that something is."""
    if getattr(error, "status_code", None) != HTTPStatus.FORBIDDEN:
        return ""
    return "; who is logged in needs the role Storage Blob Data Contributor on the container"
