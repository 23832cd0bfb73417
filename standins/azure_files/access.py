"""Who may ask: whoever signs with the account's key, or has a token of an identity with a role."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import jwt

from standins.azure_metadata.server import RefusalError
from standins.azure_native.kinds.kind import TENANT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from standins.azure_metadata.tokens import Tokens

READER, CONTRIBUTOR = "Storage File Data Privileged Reader", "Storage File Data Privileged Contributor"
CHALLENGE = (
    f"Bearer authorization_uri=https://login.microsoftonline.com/{TENANT}/oauth2/authorize "
    "resource_id=https://storage.azure.com"
)
_SIGNED = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)
_SKEW_SECONDS = 900
_READING = frozenset({"GET", "HEAD"})


class Access:
    """Decides whether a request may pass."""

    def __init__(self, account: str, key: bytes, tokens: Tokens | None, roles: Mapping[str, str]) -> None:
        """Know whom to let pass.

        Args:
            account: The account's name.
            key: Its key.
            tokens: Checks tokens; None where there is no TLS, without which none is taken.
            roles: READER or CONTRIBUTOR, by the principals that have one.
        """
        self._account = account
        self._key = key
        self._tokens = tokens
        self._roles = roles

    def check(self, method: str, path: str, headers: Mapping[str, str]) -> None:
        """Let a request pass.

        Args:
            method: Of the request.
            path: Its path, as it was sent, with the query.
            headers: By names in small letters.

        Raises:
            RefusalError: It may not.
        """
        _check_time(headers)
        scheme, _, credential = headers.get("authorization", "").partition(" ")
        if scheme == "SharedKey":
            name, _, signature = credential.partition(":")
            expected = hmac.new(self._key, self._signed(method, path, headers).encode(), hashlib.sha256).digest()
            if name != self._account or not hmac.compare_digest(base64.b64encode(expected).decode(), signature):
                raise _failed("The MAC signature found in the HTTP request is not the same as any computed signature.")
        elif scheme == "Bearer":
            self._check_token(method, credential, headers)
        else:
            raise RefusalError(401, "NoAuthenticationInformation", "Server failed to authenticate the request.")

    def _check_token(self, method: str, token: str, headers: Mapping[str, str]) -> None:
        if self._tokens is None:
            raise _failed("Bearer tokens are taken over HTTPS only.")
        own = ["https://storage.azure.com", f"https://{self._account}.file.core.windows.net"]
        try:
            principal = self._tokens.principal(token, [form for one in own for form in (one, f"{one}/")])
        except jwt.InvalidTokenError as error:
            raise RefusalError(401, "InvalidAuthenticationInfo", f"The token is invalid. ({error})") from None
        if headers.get("x-ms-file-request-intent") != "backup":
            raise missing_header("x-ms-file-request-intent")
        role = self._roles.get(principal)
        if role != CONTRIBUTOR and (role != READER or method not in _READING):
            text = "This request is not authorized to perform this operation using this permission."
            raise RefusalError(403, "AuthorizationPermissionMismatch", text)

    def _signed(self, method: str, path: str, headers: Mapping[str, str]) -> str:
        """What a signature is of, as the service says: the verb, headers, and the resource with its query."""
        standard = [headers.get(name, "") for name in _SIGNED]
        # A date of its own kind stands for this one, and no body for its length.
        standard[2] = "" if standard[2] == "0" else standard[2]
        standard[5] = "" if "x-ms-date" in headers else standard[5]
        own = [f"{name}:{headers[name].strip()}" for name in sorted(headers) if name.startswith("x-ms-")]
        parts = urlsplit(path)
        query = sorted((name.lower(), value) for name, value in parse_qsl(parts.query, keep_blank_values=True))
        resource = [f"/{self._account}{parts.path}", *(f"{name}:{value}" for name, value in query)]
        return "\n".join([method, *standard, *own, *resource])


def missing_header(name: str) -> RefusalError:
    """Return the refusal of a request that lacks a header."""
    text = f"An HTTP header that's mandatory for this request is not specified. HeaderName:{name}"
    return RefusalError(400, "MissingRequiredHeader", text)


def _failed(why: str) -> RefusalError:
    text = "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly."
    return RefusalError(403, "AuthenticationFailed", f"{text} {why}")


def _check_time(headers: Mapping[str, str]) -> None:
    given = headers.get("x-ms-date") or headers.get("date")
    if not given:
        raise missing_header("x-ms-date")
    try:
        then = parsedate_to_datetime(given).timestamp()
    except ValueError:
        raise RefusalError(400, "InvalidHeaderValue", "x-ms-date is no date.") from None
    if abs(time.time() - then) > _SKEW_SECONDS:
        raise _failed("Request date header too old.")
