"""Compressed bodies (RFC 9110, section 8.4): undone up to a limit, and made for callers that accept them."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from scoring.answers import WITHOUT_BODY, Answer
from scoring.refused import RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    Header = tuple[bytes, bytes]

_GZIP_NAMES = {b"gzip", b"x-gzip"}
_GZIP_BITS, _ZLIB_BITS, _RAW_BITS = 31, 15, -15
_GZIP_MAGIC = b"\x1f\x8b"
_ACCEPTED = ((b"accept-encoding", b"gzip, deflate"),)
# What follows a member of a gzip file is copied, so pieces are small, and not each may end a member.
_PIECE = 1 << 14
_MOST_MEMBERS = 10_000

_LEAST_BYTES = 1024
# Level 1 takes a third of the time of the usual 6 for JSON, and makes it a tenth larger.
_LEVEL = 1
_VARY = (b"vary", b"accept-encoding")
_COMPRESSED_KINDS = (b"image/", b"audio/", b"video/", b"font/")
_COMPRESSED_TYPES = {
    b"application/gzip",
    b"application/x-gzip",
    b"application/zip",
    b"application/zstd",
    b"application/pdf",
    b"application/vnd.apache.parquet",
}


def decoded_body(headers: Sequence[Header], body: bytes, limit: int) -> bytes:
    """Undo a body's Content-Encoding.

    Args:
        headers: The request's headers, names in lower case.
        body: The body as it came.
        limit: How many bytes it may become; no more than that is ever held.

    Raises:
        RefusedError: 413 for a body that becomes larger, 400 for one that is damaged or cut off, 415 for an encoding
            that is not known and for several on top of each other.
    """
    found = [value for name, value in headers if name == b"content-encoding"]
    if not found:
        return body
    names = [name for part in b",".join(found).lower().split(b",") if (name := part.strip()) not in {b"", b"identity"}]
    if not names or not body:
        return body
    if len(names) > 1:
        given = b", ".join(names).decode("latin-1")
        raise RefusedError(415, f"The body is encoded more than once ({given[:100]}); one of gzip, deflate is taken.")
    if names[0] in _GZIP_NAMES:
        return _inflated(body, _GZIP_BITS, "gzip", limit)
    if names[0] == b"deflate":
        # Some clients leave out the zlib header that the standard has around it.
        has_header = body[0] & 0x0F == zlib.DEFLATED and int.from_bytes(body[:2], "big") % 31 == 0
        return _inflated(body, _ZLIB_BITS if has_header else _RAW_BITS, "deflate", limit)
    given = names[0].decode("latin-1")[:100]
    raise RefusedError(415, f"Content-Encoding {given} is not known; allowed are gzip, deflate.", _ACCEPTED)


def _inflated(body: bytes, bits: int, name: str, limit: int) -> bytes:
    decompressor = zlib.decompressobj(bits)
    parts: list[bytes] = []
    size, members, position = 0, 1, 0
    with memoryview(body) as view:
        while position < len(body):
            piece = view[position : position + _PIECE]
            if decompressor.eof:
                if bits != _GZIP_BITS or view[position : position + 2] != _GZIP_MAGIC or members == _MOST_MEMBERS:
                    raise RefusedError(400, f"The {name} body goes on after its end.")
                # A gzip file may have several members, one after the other.
                members += 1
                decompressor = zlib.decompressobj(bits)
            try:
                part = decompressor.decompress(piece, limit - size + 1)
            except zlib.error as error:
                raise RefusedError(400, f"The body is not {name}: {error}") from None
            size += len(part)
            if size > limit:
                raise RefusedError(413, f"The request's body is larger than {limit} bytes when it is decompressed.")
            parts.append(part)
            position += len(piece) - len(decompressor.unused_data)
    if not decompressor.eof:
        raise RefusedError(400, f"The {name} body is cut off.")
    return b"".join(parts)


def encoded(answer: Answer, accept_encoding: bytes) -> Answer:
    """Compress an answer, if that is worth it and its caller takes it.

    Args:
        answer: The answer as it is.
        accept_encoding: The request's Accept-Encoding.
    """
    if len(answer.body) < _LEAST_BYTES or answer.status in WITHOUT_BODY or not _is_compressible(answer):
        return answer
    body, headers = answer.body, (*answer.headers, _VARY)
    if accepts_gzip(accept_encoding):
        compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_BITS)
        smaller = compressor.compress(body) + compressor.flush()
        if len(smaller) < len(body):
            body, headers = smaller, (*headers, (b"content-encoding", b"gzip"))
    return Answer(body, answer.status, answer.content_type, headers, answer.failed)


def _is_compressible(answer: Answer) -> bool:
    content_type = answer.content_type or b""
    for name, value in answer.headers:
        if name == b"content-type":
            content_type = value
        # An entity tag names these very bytes.
        elif name in {b"content-encoding", b"etag"} or (name == b"cache-control" and b"no-transform" in value.lower()):
            return False
    kind = content_type.partition(b";")[0].strip().lower()
    return kind == b"image/svg+xml" or not (kind.startswith(_COMPRESSED_KINDS) or kind in _COMPRESSED_TYPES)


def accepts_gzip(accept_encoding: bytes) -> bool:
    """Return whether an Accept-Encoding takes gzip, and would not rather have none (RFC 9110, section 12.5.3)."""
    weights: dict[bytes, float] = {}
    for entry in accept_encoding.lower().split(b","):
        name, _, parameters = entry.partition(b";")
        weights[name.strip()] = weight(parameters)
    gzip = weights.get(b"gzip", weights.get(b"x-gzip", weights.get(b"*", 0.0)))
    return gzip > 0 and gzip >= weights.get(b"identity", 0.0)


def weight(parameters: bytes) -> float:
    """Return the q of an entry's parameters, from 0 to 1: 1 where there is none, 0 where it cannot be read."""
    for parameter in parameters.split(b";"):
        name, _, value = parameter.partition(b"=")
        if name.strip().lower() == b"q":
            text = value.strip()
            # float() would take infinities, exponents and underscores.
            if text.replace(b".", b"", 1).isdigit():
                return min(float(text), 1.0)
            return 0.0
    return 1.0
