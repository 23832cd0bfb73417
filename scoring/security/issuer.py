"""The keys that Microsoft Entra signs with: fetched, kept fresh in the background, and kept through its outages.

Protocol: OpenID Connect Discovery 1.0; RFC 7517 (JSON Web Key).
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, build_opener

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    _Documents = dict[str, list[dict[str, Any]]]

# Entra asks services to look at least once a day.
_REFRESH_SECONDS = 3600.0
_RETRY_SECONDS = 30.0
# How long keys are believed in while the issuer cannot be asked.
_VALID_SECONDS = 24 * 3600.0
# A token of an unknown key makes the service ask, but not more often than this, whoever sends them.
_LEAST_SECONDS = 10.0
_ANSWER_SECONDS = 10.0
_MOST_BYTES = 1 << 20
_LEAST_BITS = 2048
_NOT_FOUND = 404
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_log = logging.getLogger("slipway")


class _IssuerError(Exception):
    """The issuer cannot be asked, or what it answers is of no use."""


class SigningKeys:
    """The keys of a tenant's two issuers: that of v1 and that of v2 tokens."""

    def __init__(self, authority: str, tenant: str, changed: Callable[[], None]) -> None:
        """Begin without keys.

        Args:
            authority: URL of the cloud's sign-in service, without a slash at its end.
            tenant: The tenant's id or domain.
            changed: Called when the keys are others than before.
        """
        self._urls = [f"{authority}/{tenant}{version}/.well-known/openid-configuration" for version in ("", "/v2.0")]
        self._changed = changed
        # By the issuer, then by the key's id: the keys of one issuer are not another's.
        self._documents: _Documents = {}
        self._keys: dict[str, dict[str, RSAPublicKey]] = {}
        self._fetched = self._tried = -float("inf")
        self._fetching: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._has_failed = False

    @property
    def are_usable(self) -> bool:
        """Whether there are keys, and they are not too old."""
        return time.monotonic() - self._fetched < _VALID_SECONDS

    def knows(self, issuer: str) -> bool:
        """Return whether it is one of this tenant's issuers."""
        return issuer in self._keys

    def find(self, issuer: str, key_id: str) -> RSAPublicKey | None:
        """Return an issuer's key."""
        return self._keys.get(issuer, {}).get(key_id)

    def ask(self) -> asyncio.Task[None] | None:
        """Ask the issuer for its keys.

        Returns:
            What ends when it has answered or failed to; None when it was asked too short a time ago.
        """
        if self._fetching is not None:
            return self._fetching
        now = time.monotonic()
        if now - self._tried < _LEAST_SECONDS:
            return None
        self._tried = now
        self._fetching = asyncio.get_running_loop().create_task(self._fetch())
        return self._fetching

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to keep the keys fresh."""
        self._refreshing = loop.create_task(self._refresh())

    def stop(self) -> None:
        """End that."""
        for task in (self._refreshing, self._fetching):
            if task is not None:
                task.cancel()

    async def _refresh(self) -> None:
        while True:
            task = self.ask()
            if task is not None:
                await asyncio.wait([task])
            await asyncio.sleep(_RETRY_SECONDS if self._has_failed or not self.are_usable else _REFRESH_SECONDS)

    async def _fetch(self) -> None:
        self._has_failed = True
        try:
            documents, keys = await asyncio.get_running_loop().run_in_executor(None, _read_all, self._urls)
        except _IssuerError as error:
            _log.warning("the keys of Microsoft Entra cannot be fetched from %s: %s", self._urls[-1], error)
            return
        finally:
            self._fetching = None
        self._has_failed = False
        self._fetched = time.monotonic()
        if documents != self._documents:
            self._documents, self._keys = documents, keys
            self._changed()


def is_safe(url: str) -> bool:
    """Return whether a URL is https, or http on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK))


def _read_all(urls: list[str]) -> tuple[_Documents, dict[str, dict[str, RSAPublicKey]]]:
    """Return the keys of each issuer, as they were answered, and those that can be used. Blocks."""
    found: _Documents = {}
    for url in urls:
        try:
            configuration = _read(url)
        except HTTPError as error:
            # One of the two forms of tokens may come to its end.
            if error.code == _NOT_FOUND:
                continue
            raise _IssuerError(f"it answered {error.code}") from None
        issuer, place = configuration.get("issuer"), configuration.get("jwks_uri")
        if not isinstance(issuer, str) or not isinstance(place, str) or "{" in issuer:
            raise _IssuerError(f"{url} is no OpenID configuration of one tenant")
        if not is_safe(place):
            raise _IssuerError("its keys are at a URL that is not https")
        try:
            entries = _read(place).get("keys")
        except HTTPError as error:
            raise _IssuerError(f"it answered {error.code}") from None
        if not isinstance(entries, list):
            raise _IssuerError(f"{place} is no JSON Web Key Set")
        found[issuer] = [entry for entry in entries if isinstance(entry, dict)]
    if not found:
        raise _IssuerError("it answered 404: there is no such tenant")
    keys = {issuer: _usable(issuer, entries) for issuer, entries in found.items()}
    if not any(keys.values()):
        raise _IssuerError("it names no RSA key to sign with")
    return found, keys


def _read(url: str) -> dict[str, Any]:
    try:
        # Proxies of the environment are used.
        with build_opener(_NoRedirects).open(url, timeout=_ANSWER_SECONDS) as answer:
            text = answer.read(_MOST_BYTES + 1)
        value = json.loads(text) if len(text) <= _MOST_BYTES else None
    except HTTPError as error:
        error.close()
        raise
    except OSError as error:
        raise _IssuerError(str(getattr(error, "reason", None) or error)) from None
    except Exception as error:  # noqa: BLE001 - what broken HTTP, JSON and encodings raise has no class in common
        raise _IssuerError(f"its answer cannot be read ({type(error).__name__})") from None
    if not isinstance(value, dict):
        raise _IssuerError("its answer is not a JSON object, or larger than 1 MiB")
    return value


class _NoRedirects(HTTPRedirectHandler):
    """Whom to trust is configured, and not for an answer to say."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Take none: the answer is then an error like others."""


def _usable(issuer: str, entries: list[dict[str, Any]]) -> dict[str, RSAPublicKey]:
    """Return the keys that can have signed a token of this issuer, by their ids."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415 - an optional package
    from jwt import PyJWTError  # noqa: PLC0415 - as above
    from jwt.algorithms import RSAAlgorithm  # noqa: PLC0415 - as above

    found = {}
    for entry in entries:
        key_id, belongs_to = entry.get("kid"), entry.get("issuer")
        if entry.get("use", "sig") != "sig" or entry.get("alg", "RS256") != "RS256" or not isinstance(key_id, str):
            continue
        # Keys of v2 say whose they are; {tenantid} stands for every tenant of the cloud.
        if isinstance(belongs_to, str) and not _is_same(belongs_to, issuer):
            continue
        try:
            key = RSAAlgorithm.from_jwk(entry)
        except (PyJWTError, ValueError, TypeError, KeyError):
            # Of another kind: they may come without notice.
            continue
        if isinstance(key, RSAPublicKey) and key.key_size >= _LEAST_BITS:
            found[key_id] = key
    return found


def _is_same(belongs_to: str, issuer: str) -> bool:
    before, placeholder, after = belongs_to.partition("{tenantid}")
    if not placeholder:
        return belongs_to == issuer
    return issuer.startswith(before) and issuer.endswith(after) and len(issuer) > len(before) + len(after)
