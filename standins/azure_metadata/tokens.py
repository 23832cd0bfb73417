"""Tokens of managed identities, as Microsoft Entra makes them: signed, for one audience, for a time."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from standins.azure_native.kinds.kind import TENANT, made_up

if TYPE_CHECKING:
    from pathlib import Path

ISSUER = f"https://sts.windows.net/{TENANT}/"
LIFE_SECONDS = 86_400
_ALGORITHM = "ES256"
_KEY = "token-key.pem"


class Tokens:
    """Makes tokens and checks them, with a key that is made once and never leaves its folder."""

    def __init__(self, folder: Path) -> None:
        """Use the key in a folder, or make it."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / _KEY
        if not path.exists():
            made = ec.generate_private_key(ec.SECP256R1()).private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(made)
        key = serialization.load_pem_private_key(path.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{path} is no key of an elliptic curve")
        self._key = key

    def issue(
        self, identity: str, audience: str, *, now: float | None = None, life: int = LIFE_SECONDS
    ) -> dict[str, Any]:
        """Make a token.

        Args:
            identity: The identity's id.
            audience: The resource that it is for.
            now: When it begins; in seconds since 1970.
            life: How many seconds it holds.

        Returns:
            What the endpoint answers.
        """
        begin = int(time.time() if now is None else now)
        end = begin + life
        principal, client = made_up("principal", identity), made_up("client", identity)
        claims = {
            "aud": audience,
            "iss": ISSUER,
            "iat": begin,
            "nbf": begin,
            "exp": end,
            "appid": client,
            "idtyp": "app",
            "oid": principal,
            "sub": principal,
            "tid": TENANT,
            "ver": "1.0",
            "xms_mirid": identity,
        }
        return {
            "access_token": jwt.encode(claims, self._key, _ALGORITHM),
            "client_id": client,
            "expires_in": str(life),
            "expires_on": str(end),
            "ext_expires_in": str(life),
            "not_before": str(begin),
            "resource": audience,
            "token_type": "Bearer",
        }

    def principal(self, token: str, audiences: list[str]) -> str:
        """Return whose a token is.

        Args:
            token: As the request brings it.
            audiences: What it may be for.

        Raises:
            jwt.InvalidTokenError: It is not ours, not for this, not yet valid, or no longer.
        """
        required = ["aud", "exp", "iss", "nbf", "oid"]
        claims = jwt.decode(
            token,
            self._key.public_key(),
            algorithms=[_ALGORITHM],
            audience=audiences,
            issuer=ISSUER,
            options={"require": required},
        )
        return str(claims["oid"])
