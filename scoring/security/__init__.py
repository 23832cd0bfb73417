"""Who may ask this service: keys or Microsoft Entra tokens, and TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from scoring.security.keys import KeyGuard, KeySettings

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Sequence

    from scoring.variables import Reader

AUTH_NAME = "SLIPWAY_AUTH"
_MODES = ("key", "entra", "none")
_ENTRA_NAMES = tuple(f"SLIPWAY_ENTRA_{name}" for name in ("TENANT", "AUDIENCE", "CLIENTS", "ROLES", "AUTHORITY"))
# Probes carry no secrets. What is not named here needs one, so that no later route is open by an oversight.
_OPEN = frozenset({"/", "/live", "/ready"})


class Guard(Protocol):
    """Lets requests pass, or refuses them. Used on one thread: that of the event loop."""

    def check(self, headers: Sequence[tuple[bytes, bytes]]) -> Awaitable[None] | None:
        """Check a request.

        Args:
            headers: Its headers, names in lower case.

        Returns:
            None when it may pass. Something to await when that has to be found out first, which ends or raises as here.

        Raises:
            RefusedError: 401: who asks is not known; 403: is known and may not; 503: cannot be found out now.
        """
        ...

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to follow changes of keys; once in each process, after the fork."""
        ...

    def stop(self) -> None:
        """End that."""
        ...


def guarded(path: str) -> bool:
    """Return whether a route is only for those whom the guard lets pass.

    Args:
        path: The request's path without the query.
    """
    return path not in _OPEN


def guard(reader: Reader) -> Guard | None:
    """Return what the environment asks for; None where it asks for nothing, and the service is open.

    Keys in environment variables are taken out of this process's environment, so that the script does not see them.

    Args:
        reader: The environment's variables.

    Raises:
        SettingsError: It cannot be used. Never is a service open because of a mistake.
    """
    keys = KeySettings.from_reader(reader)
    mode = _mode(reader, has_keys=keys.is_given, has_entra=any(map(reader.text, _ENTRA_NAMES)))
    found: Guard | None = None
    if mode == "key":
        found = KeyGuard.from_settings(keys, reader)
    elif mode == "entra":
        # Not every environment has the packages.
        from scoring.security.entra import EntraGuard, EntraSettings  # noqa: PLC0415

        found = EntraGuard.from_settings(EntraSettings.from_reader(reader), reader)
    reader.finish()
    return found


def _mode(reader: Reader, *, has_keys: bool, has_entra: bool) -> str:
    """Return the mode that is named, or else the one whose variables are there."""
    given = {"key": has_keys, "entra": has_entra}
    named = reader.text(AUTH_NAME).lower()
    if named and named not in _MODES:
        reader.problems.append(f"environment variable {AUTH_NAME} is {named!r}; allowed are {', '.join(_MODES)}")
    contradicting = [mode for mode, is_given in given.items() if is_given and mode != named]
    if named in _MODES and contradicting:
        reader.problems.append(
            f"environment variable {AUTH_NAME} is {named!r}, and there are variables for {contradicting[0]!r} too: "
            f"remove the one or the other"
        )
    if not named and all(given.values()):
        reader.problems.append(
            f"there are variables for keys and for Entra; a service has one of them: set {AUTH_NAME}"
        )
    return named or next((mode for mode, is_given in given.items() if is_given), "none")
