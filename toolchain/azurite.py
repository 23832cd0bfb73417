"""Azurite, Azure's storage on this machine: installed from its locked npm packages, run for tests on loopback."""

from __future__ import annotations

import base64
import secrets
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolchain import npm
from toolchain.process import open_log, tail
from toolchain.report import ToolchainError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from toolchain.context import Context
    from toolchain.report import Step

ACCOUNT = "slipwaytest"
SERVICES = ("blob", "queue", "table")
READY_SECONDS = 60.0
GRACE_SECONDS = 10.0
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Storage:
    """A running Azurite.

    Attributes:
        ports: The port of each service on 127.0.0.1, by its name: blob, queue, table.
        key: The account's key, made for this run.
    """

    ports: dict[str, int]
    key: str

    def connection_string(self, blob_port: int | None = None) -> str:
        """Return what Azure's clients take, for AZURE_STORAGE_CONNECTION_STRING.

        Args:
            blob_port: Another port for blobs, such as that of a proxy in front.
        """
        ports = {**self.ports, **({"blob": blob_port} if blob_port else {})}
        endpoints = "".join(
            f"{name.title()}Endpoint=http://127.0.0.1:{port}/{ACCOUNT};" for name, port in ports.items()
        )
        return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={self.key};{endpoints}"


def install(context: Context, step: Step) -> Path:
    """Put Azurite into the cache, unless it is there.

    Args:
        context: This run.
        step: Where the progress is shown.

    Returns:
        The folder of its node_modules.

    Raises:
        ToolchainError: If npm fails, or Node's Python package is missing.
    """
    return npm.install(context, step, "azurite", "Azurite")


@contextmanager
def running(context: Context, folder: Path, data: Path) -> Iterator[Storage]:
    """Run Azurite while the block runs, on free ports of 127.0.0.1.

    Args:
        context: This run.
        folder: Where `install` put it.
        data: Where it keeps blobs, and its log.

    Raises:
        ToolchainError: If it does not start.
    """
    storage = Storage(_free_ports(), base64.b64encode(secrets.token_bytes(64)).decode())
    with start(context, folder, data, storage):
        yield storage


@contextmanager
def start(context: Context, folder: Path, data: Path, storage: Storage) -> Iterator[subprocess.Popen[bytes]]:
    """Run Azurite while the block runs, on given ports: a second time it has the same blobs.

    Args:
        context: This run.
        folder: Where `install` put it.
        data: Where it keeps blobs, and its log.
        storage: Its ports and key.

    Raises:
        ToolchainError: If it does not start.
    """
    data.mkdir(parents=True, exist_ok=True)
    main = folder / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
    arguments = ["--location", str(data), "--silent", "--disableTelemetry", "--skipApiVersionCheck"]
    for name, port in storage.ports.items():
        arguments += [f"--{name}Host", "127.0.0.1", f"--{name}Port", str(port)]
    log = data / "azurite.log"
    with open_log(log) as stream:
        process = subprocess.Popen(
            [str(npm.node(context)), str(main), *arguments],
            # The key by its variable, not as an argument: those are seen by everyone on the machine.
            env={**context.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{storage.key}"},
            cwd=data,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait(process, storage, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_ports() -> dict[str, int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in SERVICES]
    try:
        return {name: listener.getsockname()[1] for name, listener in zip(SERVICES, sockets, strict=True)}
    finally:
        for listener in sockets:
            listener.close()


def _wait(process: subprocess.Popen[bytes], storage: Storage, log: Path) -> None:
    """Wait until each service takes connections."""
    until = time.monotonic() + READY_SECONDS
    waiting = set(storage.ports.values())
    while waiting:
        for port in tuple(waiting):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                waiting.discard(port)
            except OSError:
                pass
        if process.poll() is not None or time.monotonic() > until:
            raise ToolchainError("Azurite does not start.", to_do="see its log.", log=log, tail=tail(log))
        time.sleep(POLL_SECONDS)
