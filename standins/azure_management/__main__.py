"""Runs the service: `python -m standins.azure_management STORE --port PORT`; the stand-in for Azure does."""

from __future__ import annotations

import argparse
import logging
import os
import signal
from pathlib import Path

from standins.azure_management.service import ManagementServer
from standins.azure_metadata.tokens import Tokens
from standins.azure_native.management import HERE, folder_of
from standins.azure_native.store import Store


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m standins.azure_management", description=__doc__)
    parser.add_argument("store", type=Path, help="the folder of the stand-in's Azure")
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    store = Store(given.store)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    ManagementServer((HERE, given.port), store, Tokens(folder_of(store))).serve_forever()


if __name__ == "__main__":
    main()
