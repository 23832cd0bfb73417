"""What both servers of the service are: they answer out of a store, by tokens, or refuse as Azure does."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from standins.azure_metadata.tokens import Tokens
    from standins.azure_native.store import Store


class RefusalError(Exception):
    """What is answered in the place of what was asked for."""

    def __init__(self, status: int, code: str, message: str) -> None:
        """Say it as Azure does."""
        super().__init__(message)
        self.status = status
        self.code = code


class StoreServer(ThreadingHTTPServer):
    """Serves what is in a store."""

    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], store: Store, tokens: Tokens
    ) -> None:
        """Listen.

        Args:
            address: Where.
            handler: Answers.
            store: What there is.
            tokens: Makes tokens, and checks them.
        """
        super().__init__(address, handler)
        self.store = store
        self.tokens = tokens
