"""The brokers of a device's hub: mosquitto with TLS, one for each module.

IoT Hub's topics for twins and methods carry no name of the module, and a broker does not tell who published. So each
module has a broker to itself, at an address of its own; the hub is a client of all of them.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import shutil
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

from standins.edge_runtime import certificates
from standins.edge_runtime.errors import EdgeError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PORT = 8883
"""Where azure-iot-device connects; it cannot be told otherwise."""
HUB_USER = "hub"
_READY_SECONDS = 20.0
_STOP_SECONDS = 20.0
_POLL_SECONDS = 0.02
_ITERATIONS = 101
_ELSEWHERE = "/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
# What a module may do beside sending and getting messages.
_TOPICS = (
    ("write", "$iothub/twin/GET/#"),
    ("write", "$iothub/twin/PATCH/properties/reported/#"),
    ("read", "$iothub/twin/res/#"),
    ("read", "$iothub/twin/PATCH/properties/desired/#"),
    ("read", "$iothub/methods/POST/#"),
    ("write", "$iothub/methods/res/#"),
)


class Broker:
    """The mosquitto of one module.

    Attributes:
        port: Where the hub connects, on 127.0.0.1.
        password: The hub's password, made for this broker.
        address: Where the module connects.
    """

    def __init__(self, folder: Path, device: str, module: str, address: str, names: Sequence[str] = ()) -> None:
        """Write its configuration.

        Args:
            folder: The device's, with the certificate authority; the broker has a folder in it.
            device: The device's name.
            module: The module's.
            address: Where the module is to connect.
            names: Host names by which it may know that address.

        Raises:
            EdgeError: There is no mosquitto.
        """
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path=_ELSEWHERE)
        if program is None:
            raise EdgeError("mosquitto is not installed; `python3 -m toolchain tests` installs it")
        self._program = program
        self._folder = folder / f"broker-{module}"
        self._process: subprocess.Popen[bytes] | None = None
        self.address = address
        self.port = _free_port()
        self.password = secrets.token_urlsafe(24)
        self._folder.mkdir(parents=True, exist_ok=True)
        certificates.issue(folder, self._folder, device, address, names)
        salt = secrets.token_bytes(12)
        digest = hashlib.pbkdf2_hmac("sha512", self.password.encode(), salt, _ITERATIONS)
        secret = f"$7${_ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"
        passwords = self._folder / "passwords"
        passwords.touch(0o600)
        passwords.write_text(f"{HUB_USER}:{secret}\n", encoding="utf-8")
        own = f"devices/{device}/modules/{module}"
        allowed = [
            f"pattern {way} {topic}"
            for way, topic in (("write", f"{own}/messages/events/#"), ("read", f"{own}/inputs/#"), *_TOPICS)
        ]
        (self._folder / "acl").write_text("\n".join(allowed) + "\n", encoding="utf-8")
        (self._folder / "mosquitto.conf").write_text(self._configuration(), encoding="utf-8")

    @property
    def process(self) -> int | None:
        """The running program; None when it does not run."""
        running = self._process
        return running.pid if running is not None and running.poll() is None else None

    def _configuration(self) -> str:
        folder = self._folder
        return f"""per_listener_settings true
user root
persistence true
persistence_location {folder}/
# A module that is away finds all that came for it.
max_queued_messages 0
max_inflight_messages 0
# Small messages do not wait for each other.
set_tcp_nodelay true
log_dest stderr
log_type error
log_type warning
listener {self.port} 127.0.0.1
allow_anonymous false
password_file {folder}/passwords
listener {PORT} {self.address}
certfile {folder / certificates.CERTIFICATE}
keyfile {folder / certificates.KEY}
tls_version tlsv1.2
allow_anonymous true
acl_file {folder}/acl
"""

    def start(self) -> None:
        """Start it, and wait until it listens.

        Raises:
            EdgeError: It does not come up.
        """
        if self.process is not None:
            return
        log = self._folder / "mosquitto.log"
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                [self._program, "-c", str(self._folder / "mosquitto.conf")],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
            )
        until = time.monotonic() + _READY_SECONDS
        waiting = {("127.0.0.1", self.port), (self.address, PORT)}
        while waiting:
            waiting = {one for one in waiting if not _listens(one)}
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop()
                end = log.read_text(encoding="utf-8", errors="replace")[-500:]
                raise EdgeError(f"mosquitto does not start; {log} ends with: {end}")
            time.sleep(_POLL_SECONDS)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Stop it; by SIGTERM it writes down first what it has."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._process = None


def _listens(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, 1).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
