"""Shared access signatures: made as clients make them, and held to the keys as the hub does."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_PREFIX = "SharedAccessSignature "


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it was shown.

    Attributes:
        scope: What it is for, decoded and in lower case: the hub, or a device below it.
        policy: The name of the key that it is signed with; empty for a device's own.
        expires: When, in seconds since 1970.
    """

    scope: str
    policy: str
    expires: int
    _signed: str
    _signature: bytes

    def by(self, keys: Iterable[str]) -> bool:
        """Tell whether one of some keys signed it."""
        return any(hmac.compare_digest(_sign(key, self._signed), self._signature) for key in keys)

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return self.expires < time.time()


def parsed(header: str) -> Token | None:
    """Read what the header Authorization says; None where that is no such token."""
    if not header.startswith(_PREFIX):
        return None
    parts = dict(one.partition("=")[::2] for one in header.removeprefix(_PREFIX).split("&"))
    try:
        scope, expires = parts["sr"], parts["se"]
        signature = base64.b64decode(urllib.parse.unquote(parts["sig"]), validate=True)
        policy = urllib.parse.unquote(parts.get("skn", ""))
        decoded = urllib.parse.unquote(scope).lower()
        return Token(decoded, policy, int(expires), f"{scope}\n{expires}", signature)
    except (KeyError, ValueError, binascii.Error):
        return None


def token(scope: str, key: str, policy: str = "", seconds: int = 3600) -> str:
    """Make a token.

    Args:
        scope: What it is for, as `HOST` or `HOST/devices/ID`.
        key: The key, in base64.
        policy: The key's name, where it is not a device's.
        seconds: How long it holds.
    """
    quoted = urllib.parse.quote(scope.lower(), safe="")
    expires = int(time.time()) + seconds
    signature = base64.b64encode(_sign(key, f"{quoted}\n{expires}")).decode()
    found = f"{_PREFIX}sr={quoted}&sig={urllib.parse.quote(signature, safe='')}&se={expires}"
    return f"{found}&skn={policy}" if policy else found


def connection(text: str) -> dict[str, str]:
    """Take a connection string apart."""
    return dict(part.partition("=")[::2] for part in text.split(";") if part)


def _sign(key: str, text: str) -> bytes:
    try:
        decoded = base64.b64decode(key, validate=True)
    except binascii.Error:
        decoded = b""
    return hmac.new(decoded, text.encode(), hashlib.sha256).digest()
