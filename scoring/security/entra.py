"""Access by Microsoft Entra's tokens: signature, issuer, audience, time, and who asks.

Protocol: RFC 7519 (JSON Web Token), RFC 8725 (its best practices); Microsoft identity platform, access tokens
v1 and v2.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scoring.refused import RefusedError
from scoring.security.bearer import bearer, forbidden, unauthorized
from scoring.security.issuer import SigningKeys, is_safe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from scoring.variables import Reader

TENANT_NAME, AUDIENCE_NAME = "SLIPWAY_ENTRA_TENANT", "SLIPWAY_ENTRA_AUDIENCE"
CLIENTS_NAME, ROLES_NAME = "SLIPWAY_ENTRA_CLIENTS", "SLIPWAY_ENTRA_ROLES"
AUTHORITY_NAME = "SLIPWAY_ENTRA_AUTHORITY"
# Those with the most groups that Entra puts into one are about 12 KiB.
MOST_TOKEN_BYTES = 16 * 1024
_AUTHORITY = "https://login.microsoftonline.com"
# Clocks of two machines.
_LEEWAY_SECONDS = 60
_MOST_VERIFIED = 1024
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,127}")
_OF_EVERYBODY = {"common", "organizations", "consumers"}
_LATER = ((b"retry-after", b"10"),)


@dataclass(frozen=True)
class EntraSettings:
    """Whose tokens are taken.

    Attributes:
        tenant: The tenant's id or domain.
        audiences: Whom tokens must be for: the client id of the service's app registration, or its URI.
        clients: Ids of the applications that may ask; empty for all of the tenant.
        roles: Application roles, one of which is needed; empty for none.
        authority: URL of the cloud's sign-in service.
    """

    tenant: str = ""
    audiences: tuple[str, ...] = ()
    clients: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    authority: str = _AUTHORITY

    @classmethod
    def from_reader(cls, reader: Reader) -> EntraSettings:
        """Read the settings; what cannot be used is told to the reader."""
        tenant, audiences = reader.text(TENANT_NAME), _list(reader, AUDIENCE_NAME)
        authority = reader.text(AUTHORITY_NAME, _AUTHORITY).rstrip("/")
        problems = reader.problems
        if not tenant:
            problems.append(f"tokens of Microsoft Entra are asked for, and {TENANT_NAME} is not set: the tenant's id")
        elif not _TENANT.fullmatch(tenant) or tenant.lower() in _OF_EVERYBODY:
            problems.append(
                f"environment variable {TENANT_NAME} is {tenant!r}; allowed is one tenant's id or domain, "
                f"not {', '.join(sorted(_OF_EVERYBODY))}"
            )
        if not audiences:
            problems.append(
                f"tokens of Microsoft Entra are asked for, and {AUDIENCE_NAME} is not set: the client id of the "
                "service's app registration, or its application id URI, or both with a comma"
            )
        if not is_safe(authority):
            problems.append(
                f"environment variable {AUTHORITY_NAME} is {authority!r}; allowed is the https URL of a cloud's "
                f"sign-in service, such as {_AUTHORITY}"
            )
        return cls(
            tenant=tenant,
            audiences=audiences,
            clients=frozenset(each.lower() for each in _list(reader, CLIENTS_NAME)),
            roles=frozenset(_list(reader, ROLES_NAME)),
            authority=authority,
        )


class EntraGuard:
    """Lets requests pass that have a good token; a token that was found good once is not verified again."""

    def __init__(self, settings: EntraSettings) -> None:
        """Guard by these settings."""
        self._settings = settings
        # Until when each is good, by the clock of the world. Only good ones get in, so that garbage fills no memory.
        self._verified: dict[bytes, int] = {}
        self.keys = SigningKeys(settings.authority, settings.tenant, self._verified.clear)

    @classmethod
    def from_settings(cls, settings: EntraSettings, reader: Reader) -> EntraGuard:
        """Guard by these settings; packages that are missing are told to the reader."""
        try:
            # Before the workers are forked, so that they share it.
            import cryptography  # noqa: F401, PLC0415 - an optional package
            import jwt  # noqa: F401, PLC0415 - as above
        except ImportError as error:
            reader.problems.append(
                f"`auth: entra` needs the package pyjwt[crypto], and {error.name} is not in the image: have the "
                "manifest's entry say `auth: entra`, so that the image gets it, or add it to the model's requirements"
            )
        return cls(settings)

    def check(self, headers: Sequence[tuple[bytes, bytes]]) -> Awaitable[None] | None:
        """Check a request: `scoring.security.Guard`."""
        token = bearer(headers, "TOKEN")
        if self._verified.get(token, 0) > time.time():
            return None
        if len(token) > MOST_TOKEN_BYTES:
            raise unauthorized(f"The token is longer than {MOST_TOKEN_BYTES} bytes.")
        issuer, key_id = _peek(token)
        if self._has_key(issuer, key_id):
            self._verify(token, issuer, key_id)
            return None
        return self._verify_later(token, issuer, key_id)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to keep the issuer's keys fresh."""
        self.keys.start(loop)

    def stop(self) -> None:
        """End that."""
        self.keys.stop()

    def _has_key(self, issuer: str, key_id: str) -> bool:
        """Whether there is nothing to be fetched first: also for issuers whose keys are never fetched."""
        if not self.keys.are_usable:
            return False
        if not self.keys.knows(issuer):
            raise unauthorized("The token is not valid: its issuer is not this service's tenant.")
        return self.keys.find(issuer, key_id) is not None

    async def _verify_later(self, token: bytes, issuer: str, key_id: str) -> None:
        task = self.keys.ask()
        if task is not None:
            # Others wait for it too: a caller who leaves does not end it.
            await asyncio.wait([task])
        if not self.keys.are_usable:
            message = "Tokens cannot be checked now: the keys of Microsoft Entra could not be fetched."
            raise RefusedError(503, message, _LATER)
        if not self._has_key(issuer, key_id):
            raise unauthorized("The token is not valid: it is signed with a key that its issuer does not have.")
        self._verify(token, issuer, key_id)

    def _verify(self, token: bytes, issuer: str, key_id: str) -> None:
        import jwt  # noqa: PLC0415 - an optional package

        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self.keys.find(issuer, key_id),  # type: ignore[arg-type]  # it is there: _has_key said so
                algorithms=["RS256"],
                issuer=issuer,
                audience=self._settings.audiences,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.PyJWTError as error:
            raise unauthorized(f"The token is not valid: {_reason(error)}.") from None
        except (ValueError, TypeError, RecursionError, OverflowError):
            raise unauthorized("The token is not valid: it cannot be read.") from None
        self._authorize(claims)
        if len(self._verified) >= _MOST_VERIFIED:
            # The oldest; callers that are still there come in again.
            del self._verified[next(iter(self._verified))]
        self._verified[token] = int(claims["exp"]) + _LEEWAY_SECONDS

    def _authorize(self, claims: dict[str, Any]) -> None:
        # v2 and v1 name the application that asks differently. Tokens that only tell who a user is name none.
        client = claims.get("azp") or claims.get("appid")
        if not isinstance(client, str):
            raise unauthorized("The token is not valid: it is not an access token.")
        if self._settings.clients and client.lower() not in self._settings.clients:
            raise forbidden(
                "The application that the token was issued to is not among those that may use this service."
            )
        roles = claims.get("roles")
        if self._settings.roles and not (
            isinstance(roles, list) and self._settings.roles.intersection(map(str, roles))
        ):
            raise forbidden("The token has none of the application roles that may use this service.")


def _list(reader: Reader, name: str) -> tuple[str, ...]:
    """Return the values that a variable lists with commas."""
    return tuple(filter(None, (value.strip() for value in reader.text(name).split(","))))


def _peek(token: bytes) -> tuple[str, str]:
    """Return what a token says of itself, to find the key that proves it: issuer and key id."""
    import jwt  # noqa: PLC0415 - an optional package

    try:
        unproven = jwt.decode_complete(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError, OverflowError):
        raise unauthorized("The token is not valid: it cannot be read.") from None
    header, claims = unproven["header"], unproven["payload"]
    if header.get("alg") != "RS256":
        raise unauthorized("The token is not valid: it is not signed with RS256.")
    issuer, key_id = claims.get("iss"), header.get("kid")
    if not isinstance(issuer, str) or not isinstance(key_id, str):
        raise unauthorized("The token is not valid: it does not name its issuer and key.")
    return issuer, key_id


def _reason(error: Exception) -> str:
    """Say why a token was refused, without anything of what it has."""
    import jwt  # noqa: PLC0415 - an optional package

    reasons = {
        jwt.ExpiredSignatureError: "it has expired",
        jwt.ImmatureSignatureError: "its time has not begun",
        jwt.InvalidAudienceError: "it was issued for another audience",
        jwt.InvalidSignatureError: "its signature is wrong",
        jwt.MissingRequiredClaimError: "it lacks a claim that tokens of Microsoft Entra have",
    }
    return next((reason for kind, reason in reasons.items() if isinstance(error, kind)), "it cannot be verified")
