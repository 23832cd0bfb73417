"""Runs the service: `python -m standins.azure_batch STORE --port PORT --host ADDRESS`; the stand-in for Azure does."""

from __future__ import annotations

import argparse
import logging
import signal
from pathlib import Path

from standins.azure_batch.service import Service
from standins.azure_native.store import Store


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m standins.azure_batch", description=__doc__)
    parser.add_argument("store", type=Path, help="the folder of the stand-in's Azure")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", action="append", required=True, help="the last is the one that containers reach")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    url = f"http://{given.host[-1]}:{given.port}"
    service = Service(Store(given.store), given.store / "batch", url)
    signal.signal(signal.SIGTERM, lambda *_: service.stop_soon())
    service.serve(given.host, given.port)
    service.stop()


if __name__ == "__main__":
    main()
