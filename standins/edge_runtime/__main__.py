"""Run a device until it is told to stop: `python -m standins.edge_runtime`."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provider.resource import ProviderError
from standins.docker.engine import Engine
from standins.edge_runtime.clouds import FileCloud, HubCloud
from standins.edge_runtime.device import Device
from standins.edge_runtime.errors import EdgeError
from standins.edge_runtime.show import Show

if TYPE_CHECKING:
    from standins.edge_runtime.clouds import Message


def main(arguments: list[str] | None = None) -> int:
    """Run one device.

    Args:
        arguments: Without the program's name.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m standins.edge_runtime", description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--connection-string",
        type=argparse.FileType("r"),
        metavar="FILE",
        help="a file with the device's connection string, to the stand-in of an IoT hub; - for stdin",
    )
    source.add_argument("--deployment", type=Path, metavar="FILE", help="modulesContent as JSON; no IoT hub then")
    parser.add_argument("--ca", type=Path, help="the certificate of the hub's authority, with --connection-string")
    parser.add_argument("--device", default="line-4", help="the device's name, with --deployment (%(default)s)")
    parser.add_argument("--folder", type=Path, help="where the device keeps what outlives it; else nothing does")
    parser.add_argument("--show", action="store_true", help="show the modules and messages, instead of a log")
    parser.add_argument("--seconds", type=float, help="end by itself after so long")
    given = parser.parse_args(arguments)
    if given.connection_string and not given.ca:
        parser.error("--connection-string needs --ca")
    logging.basicConfig(
        level="ERROR" if given.show else "INFO", format="%(name)s: %(message)s", filename=_log(given), force=True
    )
    ends = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ends.set())
    with tempfile.TemporaryDirectory(prefix="slipway-device-") as temporary:
        try:
            _run(given, given.folder or Path(temporary), ends)
        except (EdgeError, ProviderError) as error:
            sys.stderr.write(f"{error}\n")
            return 1
    return 0


def _log(given: argparse.Namespace) -> str | None:
    """Return where to log: a file where the screen is taken."""
    return str(given.folder / "device.log") if given.show and given.folder and given.folder.is_dir() else None


def _run(given: argparse.Namespace, folder: Path, ends: threading.Event) -> None:
    show = Show() if given.show else None

    def take(messages: list[Message]) -> None:
        for message in messages:
            if show is not None:
                show.take(message)
            else:
                sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    if given.deployment:
        name: str = given.device
        cloud: Any = FileCloud(given.deployment, take)
    else:
        cloud = _Watched(given.connection_string.read(), given.ca, take)
        name = cloud.device
    device = Device(name, folder, cloud, Engine())
    device.start()
    try:
        if show is not None:
            show.run(device, ends, given.seconds)
        else:
            ends.wait(given.seconds)
    finally:
        device.stop(volumes=given.folder is None)


class _Watched(HubCloud):
    """A hub, with a look at what goes there."""

    def __init__(self, connection_string: str, ca: Path, look: Any) -> None:
        super().__init__(connection_string, ca)
        self._look = look

    def send(self, messages: list[Message]) -> None:
        super().send(messages)
        self._look(messages)


if __name__ == "__main__":
    sys.exit(main())
