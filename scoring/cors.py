"""Cross-origin requests: which web pages may call the service from a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scoring.request import Request

_ANY = "*"
_METHODS = b"GET, POST"
_VARY = (b"vary", b"Origin")


class Cors:
    """The headers that let a browser give an answer to a page of another origin (https://fetch.spec.whatwg.org)."""

    def __init__(self, origins: str) -> None:
        """Take the origins.

        Args:
            origins: As AML_CORS_ORIGINS has them, with commas between; `*` is any. Empty for none.
        """
        listed = {origin.strip().rstrip("/").lower() for origin in origins.split(",")} - {""}
        self._any = _ANY in listed
        self._listed = {origin.encode("latin-1", "replace") for origin in listed}

    def headers(self, request: Request) -> list[tuple[bytes, bytes]]:
        """Return an answer's headers: none for a page whose origin is not listed.

        Args:
            request: The request; OPTIONS with access-control-request-method is a browser's question before its own.
        """
        if not self._listed:
            return []
        origin = request.header(b"origin")
        # An answer that a cache keeps for one origin must not reach another.
        vary = [] if self._any else [_VARY]
        if not origin or not (self._any or origin.lower() in self._listed):
            return vary
        headers = [(b"access-control-allow-origin", _ANY.encode() if self._any else origin), *vary]
        if request.method == "OPTIONS" and request.header(b"access-control-request-method"):
            headers.append((b"access-control-allow-methods", _METHODS))
            if wanted := request.header(b"access-control-request-headers"):
                headers.append((b"access-control-allow-headers", wanted))
        else:
            headers.append((b"access-control-expose-headers", _EXPOSED))
        return headers


# What a page may read of an answer, beside its body and content type.
_EXPOSED = b"x-request-id, x-ms-request-id, x-ms-client-request-id, x-ms-run-function-failed, x-ms-run-fn-exec-ms"
