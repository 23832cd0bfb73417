"""A file on a web server, in pieces where the server can."""

from __future__ import annotations

import netrc
import os
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from registry.errors import RegistryError
from registry.source import CutError, Reading, RemoteFile, file_name

if TYPE_CHECKING:
    from collections.abc import Iterator

_TIMEOUT = httpx.Timeout(60, connect=30)
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


class HttpsSource:
    """One file at an https address; ~/.netrc (or $NETRC) holds what servers ask for."""

    single = True

    def __init__(self, url: str) -> None:
        """Open no connection yet."""
        self._url = url
        self._client = httpx.Client(timeout=_TIMEOUT, follow_redirects=True, auth=_netrc())
        self._reader = Reader(self._client)

    def files(self) -> list[RemoteFile]:
        """Return the file; its size comes with its first byte."""
        return [RemoteFile(file_name(self._url), self._url)]

    def read(self, file: RemoteFile, offset: int) -> Reading:
        """Begin to read it."""
        return self._reader.read(file.address, offset)


def _netrc() -> httpx.Auth | None:
    path = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    try:
        return httpx.NetRCAuth(str(path)) if path.is_file() else None
    except netrc.NetrcParseError as error:
        raise RegistryError(f"{path} cannot be read: {error}") from None


class Reader:
    """Reads what is behind addresses; remembers each one's version, so that a continued file is the same file."""

    def __init__(self, client: httpx.Client) -> None:
        """Use a client."""
        self._client = client
        self._stamps: dict[str, str] = {}

    def read(self, address: str, offset: int) -> Reading:
        """Begin to read.

        Args:
            address: The file.
            offset: Where to begin, in bytes.

        Raises:
            RegistryError: The server refuses.
            CutError: Trying again may help.
        """
        # Not compressed: offsets count the file's own bytes.
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if stamp := self._stamps.get(address):
                headers["If-Range"] = stamp
        try:
            response = self._client.send(self._client.build_request("GET", address, headers=headers), stream=True)
        except httpx.TransportError as error:
            raise _transport(address, error) from None
        status = response.status_code
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and offset:
            # All of it was there, or another file is there now: the checksum will tell.
            response.close()
            return Reading(offset, offset, iter(()))
        if status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
            response.close()
            raise _refused(address, status)
        tag = response.headers.get("ETag", "")
        if tag and not tag.startswith("W/"):
            self._stamps[address] = tag
        begin = _begin(response, offset) if status == HTTPStatus.PARTIAL_CONTENT else 0
        length = response.headers.get("Content-Length", "")
        size = begin + int(length) if length.isdecimal() else None
        return Reading(begin, size, _chunks(address, response, size, begin))


def _begin(response: httpx.Response, offset: int) -> int:
    given = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    if not given.isdecimal() or int(given) != offset:
        response.close()
        raise RegistryError(f"{response.url.host} sent another part of the file than it was asked for")
    return offset


def _chunks(address: str, response: httpx.Response, size: int | None, begin: int) -> Iterator[bytes]:
    seen = begin
    try:
        # As it comes: with a size, what was collected for a piece would be lost with the connection.
        for chunk in response.iter_raw():
            seen += len(chunk)
            yield chunk
    except httpx.TransportError as error:
        raise _transport(address, error) from None
    finally:
        response.close()
    if size is not None and seen < size:
        raise CutError(f"the connection ended after {seen:,} of {size:,} bytes")


def _transport(address: str, error: httpx.TransportError) -> Exception:
    said = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return RegistryError(
            f"the certificate of {httpx.URL(address).host} is not trusted ({said}); name a file with the "
            "certificates that you trust in SSL_CERT_FILE"
        )
    return CutError(said)


def _refused(address: str, status: int) -> Exception:
    if status in _TRY_AGAIN:
        return CutError(f"{httpx.URL(address).host} answers {status}")
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return RegistryError(f"{address} answers {status}: it asks for credentials; put them into ~/.netrc")
    return RegistryError(f"{address} answers {status}")
