"""The header `Authorization: Bearer …`, and the refusals of a request without a good one.

Protocol: RFC 6750 (bearer tokens), RFC 9110 section 11 (authentication).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scoring.refused import RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

_SCHEME = b"bearer "


def bearer(headers: Sequence[tuple[bytes, bytes]], what: str) -> bytes:
    """Return the credentials of a request.

    Args:
        headers: Its headers, names in lower case.
        what: What is to be sent, for the message: KEY or TOKEN.

    Raises:
        RefusedError: 401: there are none, or not one.
    """
    found = None
    for name, value in headers:
        if name == b"authorization":
            if found is not None:
                raise unauthorized("The request has more than one Authorization header.")
            found = value
    if found is None or found[:7].lower() != _SCHEME:
        what_is_wrong = "is missing" if found is None else "is not a Bearer one"
        message = f"The Authorization header {what_is_wrong}. Send the header: Authorization: Bearer {what}"
        raise RefusedError(401, message, [(b"www-authenticate", b"Bearer")])
    return found[7:].strip()


def unauthorized(message: str) -> RefusedError:
    """Return the refusal of credentials that are no good; the message says nothing of what they are."""
    return RefusedError(401, message, [(b"www-authenticate", b'Bearer error="invalid_token"')])


def forbidden(message: str) -> RefusedError:
    """Return the refusal of somebody who is known, and may not."""
    return RefusedError(403, message, [(b"www-authenticate", b'Bearer error="insufficient_scope"')])
