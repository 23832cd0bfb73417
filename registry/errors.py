"""What can go wrong with registered models and their sources, in words for people."""

from __future__ import annotations


class RegistryError(Exception):
    """A model cannot be fetched, registered or read; the message says where, why and what to do."""


class VersionTakenError(RegistryError):
    """The version is registered with other bytes.

    Attributes:
        free: The next version that is free.
    """

    free: str

    def __init__(self, name: str, version: str, *, registered: str, given: str, free: str) -> None:
        """Say what is registered, what was given, and what to do.

        Args:
            name: The model.
            version: The version that is taken.
            registered: The digest that it is bound to.
            given: The digest of the other bytes.
            free: The next free version.
        """
        self.free = free
        super().__init__(
            f"{name} {version} is registered with other bytes ({_short(registered)}, now {_short(given)}), and a "
            f"registered version never changes. Give the model the next free version, {free}, or `version: auto`."
        )


def _short(digest: str) -> str:
    return digest[: len("sha256:") + 12]
