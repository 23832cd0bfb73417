"""Runs the service: `python -m standins.azure_metadata STORE`, in a network of its own; the stand-in for Azure does."""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import signal
import socket
import struct
import threading
from pathlib import Path

from standins.azure_metadata.blobs import BlobServer
from standins.azure_metadata.endpoint import TokenServer
from standins.azure_metadata.tokens import Tokens
from standins.azure_native.metadata import ADDRESS, BLOBS_PORT, TOKENS_PORT
from standins.azure_native.store import Store

_SET_ADDRESS = 0x8916  # SIOCSIFADDR


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m standins.azure_metadata", description=__doc__)
    parser.add_argument("store", type=Path, help="the folder of the stand-in's Azure")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    store, tokens = Store(given.store), Tokens(given.store / "metadata")
    _own(ADDRESS)
    for server in (TokenServer((ADDRESS, TOKENS_PORT), store, tokens), BlobServer(("", BLOBS_PORT), store, tokens)):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    threading.Event().wait()


def _own(address: str) -> None:
    """Give this network's loopback interface a second address."""
    request = struct.pack("16sHH4s8x", b"lo:0", socket.AF_INET, 0, socket.inet_aton(address))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SET_ADDRESS, request)


if __name__ == "__main__":
    main()
