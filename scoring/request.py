"""A request as the runtime sees it, whole: what the server makes and everything else reads."""

from __future__ import annotations

from typing import Any


class Request:
    """One HTTP request, its body read.

    Attributes:
        method: GET, POST, …, in capitals.
        path: The path without the query, percent-decoded.
        query: What followed the question mark, as it came.
        headers: Names in lower case; repeated headers stand more than once, in order.
        body: The body with its content-encoding undone.
        id: x-request-id, the caller's or one made for it; at most 100 characters.
        scheme: http, or https where the service itself has TLS.
        span: What is traced of it; None where nothing is.
    """

    __slots__ = ("body", "headers", "id", "method", "path", "query", "scheme", "span")

    def __init__(
        self,
        method: str,
        path: str,
        query: bytes = b"",
        headers: list[tuple[bytes, bytes]] | None = None,
        body: bytes = b"",
        id: str = "",  # noqa: A002 - the word of the protocol
    ) -> None:
        """Make a request."""
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers if headers is not None else []
        self.body = body
        self.id = id
        self.scheme = "http"
        self.span: Any = None

    def header(self, name: bytes) -> bytes:
        """Return the first value of a header, empty where there is none.

        Args:
            name: Its name in lower case.
        """
        for known, value in self.headers:
            if known == name:
                return value
        return b""

    def titled_headers(self) -> dict[str, str]:
        """Return the headers as scripts know them: Title-Case, repeated ones joined by commas."""
        found: dict[str, str] = {}
        for raw_name, raw_value in self.headers:
            name, value = raw_name.decode("latin-1").title(), raw_value.decode("latin-1")
            found[name] = f"{found[name]},{value}" if name in found else value
        return found
