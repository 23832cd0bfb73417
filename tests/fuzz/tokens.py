"""Forged and broken credentials: they are refused, and nothing of them is told."""

from __future__ import annotations

import base64

import jwt  # noqa: F401 - else it is imported later, and not measured
from cryptography.hazmat.primitives.asymmetric import rsa

from scoring.refused import RefusedError
from scoring.security.entra import EntraGuard, EntraSettings
from scoring.security.keys import KeyGuard
from tests.fuzz.claims import hold_refusal


class Tokens:
    """What stands after `Bearer`: the three parts of a token, encoded here so that inputs get past that."""

    def __init__(self) -> None:
        self._entra = EntraGuard(EntraSettings("contoso.com", ("audience",), authority="http://127.0.0.1:9"))
        # As if fetched: nothing is asked for while fuzzing.
        self._entra.keys._keys = {"https://issuer/": {"key": rsa.generate_private_key(65537, 2048).public_key()}}
        self._entra.keys._fetched = float("inf")
        self._keys = KeyGuard({})

    def __call__(self, data: bytes) -> None:
        token = data
        if not data.startswith(b"raw"):
            token = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in data.split(b"\n"))
        for guard in (self._entra, self._keys):
            try:
                later = guard.check([(b"authorization", b"Bearer " + token)])
            except RefusedError as error:
                refused = error
            else:
                assert later is not None, "a forged token passes"
                later.close()
                continue
            assert refused.status == 401
            hold_refusal(refused)
            # Shorter ones are words of messages.
            assert len(token) < 20 or token.decode("latin-1") not in str(refused)

    @staticmethod
    def seeds() -> list[bytes]:
        """Tokens that are refused for their signature only."""
        header, claims = b'{"alg":"RS256","kid":"key"}', b'{"iss":"https://issuer/","aud":"audience","exp":4000000000}'
        return [
            header + b"\n" + claims + b"\n" + b"x" * 256,
            b'{"alg":"none","kid":"key","crit":["b64"],"b64":false}\n' + claims + b"\n",
            b"raw-key-without-any-point",
        ]
