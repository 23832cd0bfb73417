"""Where a device's deployment comes from and its messages go: an IoT hub's stand-in, or a file and a function."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import time
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

import httpx

from standins.edge_runtime.errors import EdgeError
from standins.edge_runtime.twins import merge

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Modules = dict[str, dict[str, Any]]
    Message = dict[str, Any]

_TOKEN_SECONDS = 3600
_SECONDS = 30.0
_LOOK_SECONDS = 0.2
_NOT_MODIFIED = 304
_SERVER_ERROR = 500


class Cloud(Protocol):
    """What a device needs of the cloud. All methods raise OSError while it is away."""

    name: str

    def modules(self, etag: str, seconds: float) -> tuple[str, Modules] | None:
        """Wait for another deployment than the one with that tag; None where there is none in time."""

    def report(self, module: str, patch: dict[str, Any]) -> None:
        """Report a module's properties."""

    def send(self, messages: list[Message]) -> None:
        """Take messages."""

    def methods(self, seconds: float) -> list[dict[str, Any]]:
        """Wait for calls of direct methods: rid, module, methodName, payload."""

    def answer(self, rid: str, status: int, payload: Any) -> None:
        """Take the answer of one."""


class FileCloud:
    """A deployment in a file, which may be edited, and a function that takes messages.

    Attributes:
        name: The host name that modules are told.
        reported: What modules have reported.
    """

    name = "localhost"

    def __init__(self, path: Path, take: Callable[[list[Message]], None]) -> None:
        """Read the deployment from a file.

        Args:
            path: The file: `modulesContent` of a deployment, as JSON.
            take: Takes messages.
        """
        self._path = path
        self.send = take
        self.reported: Modules = {}

    def modules(self, etag: str, seconds: float) -> tuple[str, Modules] | None:
        """Read the file, when it has changed."""
        until = time.monotonic() + seconds
        while True:
            content = self._path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            if digest != etag:
                return digest, _modules(self._path, content)
            if time.monotonic() > until:
                return None
            time.sleep(_LOOK_SECONDS)

    def report(self, module: str, patch: dict[str, Any]) -> None:
        """Keep it."""
        self.reported[module] = merge(self.reported.get(module, {}), patch)

    def methods(self, seconds: float) -> list[dict[str, Any]]:
        """Nobody calls."""
        time.sleep(seconds)
        return []

    def answer(self, rid: str, status: int, payload: Any) -> None:
        """Nobody asked."""


def _modules(path: Path, content: bytes) -> Modules:
    try:
        read = json.loads(content)
        read = read.get("content", read)
        read = read.get("modulesContent", read)
        return {name: {"desired": twin["properties.desired"]} for name, twin in read.items()}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise EdgeError(f"{path} is no deployment (modulesContent as JSON): {error!r}") from error


class HubCloud:
    """The stand-in of an IoT hub, as a device sees it.

    Attributes:
        name: The hub's host name.
    """

    def __init__(self, connection_string: str, ca: Path) -> None:
        """Name the hub.

        Args:
            connection_string: The device's: HostName=…;DeviceId=…;SharedAccessKey=….
            ca: The certificate that the hub's is signed by.

        Raises:
            EdgeError: It is no connection string of a device.
        """
        parts = dict(part.split("=", 1) for part in connection_string.strip().split(";") if "=" in part)
        try:
            self.name, self.device = parts["HostName"], parts["DeviceId"]
            self._key = base64.b64decode(parts["SharedAccessKey"], validate=True)
        except (KeyError, ValueError):
            raise EdgeError("a device's connection string is HostName=…;DeviceId=…;SharedAccessKey=…") from None
        self._client = httpx.Client(
            base_url=f"https://{self.name}/standin/devices/{quote(self.device, safe='')}",
            verify=ssl.create_default_context(cafile=str(ca)),
        )

    def modules(self, etag: str, seconds: float) -> tuple[str, Modules] | None:
        """Ask for the deployment."""
        answer = self._ask("GET", "/modules", seconds, params={"etag": etag, "wait": seconds})
        if answer.status_code == _NOT_MODIFIED:
            return None
        found = answer.json()
        return found["etag"], found["modules"]

    def report(self, module: str, patch: dict[str, Any]) -> None:
        """Report to the module's twin."""
        self._ask("PATCH", f"/modules/{quote(module, safe='')}/reported", json=patch)

    def send(self, messages: list[Message]) -> None:
        """Send messages to the hub."""
        self._ask("POST", "/messages", json=messages)

    def methods(self, seconds: float) -> list[dict[str, Any]]:
        """Ask for calls."""
        answer = self._ask("GET", "/methods", seconds, params={"wait": seconds})
        return answer.json() if answer.content else []

    def answer(self, rid: str, status: int, payload: Any) -> None:
        """Answer a call."""
        self._ask("POST", f"/methods/{quote(rid, safe='')}", json={"status": status, "payload": payload})

    def _ask(self, method: str, path: str, wait: float = 0.0, **options: Any) -> httpx.Response:
        headers = {"authorization": self._token()}
        try:
            answer = self._client.request(method, path, headers=headers, timeout=_SECONDS + wait, **options)
        except httpx.HTTPError as error:
            raise ConnectionError(f"the IoT hub {self.name} does not answer: {error!r}") from error
        if answer.status_code >= _SERVER_ERROR:
            raise ConnectionError(f"the IoT hub {self.name} answers {answer.status_code}")
        if answer.is_error:
            raise EdgeError(f"the IoT hub {self.name} refuses {method} {path}: {answer.status_code} {answer.text}")
        return answer

    def _token(self) -> str:
        resource = quote(f"{self.name}/devices/{self.device}", safe="")
        until = int(time.time()) + _TOKEN_SECONDS
        digest = hmac.new(self._key, f"{resource}\n{until}".encode(), hashlib.sha256).digest()
        return f"SharedAccessSignature sr={resource}&sig={quote(base64.b64encode(digest), safe='')}&se={until}"
