"""The Docker engine's HTTP interface, as far as the set-up needs it: no client program has to be installed."""

from __future__ import annotations

import http.client
import json
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from toolchain.report import ToolchainError

if TYPE_CHECKING:
    from collections.abc import Callable

QUICK_SECONDS = 5.0
PULL_SILENCE_SECONDS = 60.0
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
HTTP_OK = 200
HTTP_NO_CONTENT = 204
HTTP_NOT_MODIFIED = 304


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Engine:
    """A Docker engine at an address: unix:///path, or tcp:// on this machine."""

    def __init__(self, address: str) -> None:
        """Talk to the engine at `address`; nothing is sent yet."""
        self.address = address

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        parts = urlsplit(self.address)
        if parts.scheme == "unix":
            return _UnixConnection(parts.path, timeout)
        return http.client.HTTPConnection(parts.hostname or "localhost", parts.port or 2375, timeout=timeout)

    def request(self, method: str, path: str, body: Any = None, timeout: float = QUICK_SECONDS) -> tuple[int, Any]:
        """Send one request, as `send` does, to an engine that must be there.

        Raises:
            ToolchainError: If the engine cannot be reached.
        """
        try:
            return self.send(method, path, body, timeout)
        except OSError as error:
            raise ToolchainError(
                f"The Docker engine at {self.address} did not answer {method} {path}: {error.strerror or error}.",
                to_do="`docker version` must show a server; restart the engine if it hangs, and run it again.",
            ) from error

    def send(self, method: str, path: str, body: Any = None, timeout: float = QUICK_SECONDS) -> tuple[int, Any]:
        """Send one request.

        Args:
            method: Its HTTP method.
            path: Path and query.
            body: Sent as JSON, where there is one.
            timeout: Seconds to wait for an answer.

        Returns:
            The status and the answer: a JSON value, or text where it is none.

        Raises:
            OSError: If the engine cannot be reached.
        """
        connection = self._connection(timeout)
        try:
            payload = None if body is None else json.dumps(body)
            connection.request(method, path, payload, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
        except http.client.HTTPException as error:
            raise OSError(f"no HTTP answer: {error!r}") from error
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text

    def version(self) -> str | None:
        """Return the engine's version, or None when no engine answers."""
        try:
            status, answer = self.send("GET", "/version")
        except OSError:
            return None
        if status != HTTP_OK or not isinstance(answer, dict):
            return None
        return str(answer.get("Version", "unknown"))

    def refusal(self) -> str | None:
        """Return why the engine cannot be reached, or None when it can."""
        try:
            self.send("GET", "/_ping")
        except OSError as error:
            return error.strerror or str(error)
        return None

    def has_mirrors(self) -> bool:
        """Tell whether this engine may pull public images another way than this process: a mirror or a proxy."""
        try:
            answer = self.send("GET", "/info")[1]
        except OSError:
            return False
        if not isinstance(answer, dict):
            return False
        mirrors = (answer.get("RegistryConfig") or {}).get("Mirrors")
        return bool(mirrors or answer.get("HttpsProxy"))

    def has_image(self, name: str) -> bool:
        """Tell whether an image is already there."""
        return self.request("GET", f"/images/{quote(name, safe='/:@')}/json")[0] == HTTP_OK

    def pull(self, repository: str, tag: str, progress: Callable[[str], None]) -> None:
        """Pull an image.

        Args:
            repository: Its name without the tag.
            tag: Its tag.
            progress: Told what the engine is doing.

        Raises:
            ToolchainError: If the engine cannot pull it.
        """
        connection = self._connection(PULL_SILENCE_SECONDS)
        problem = ""
        try:
            connection.request("POST", f"/images/create?fromImage={quote(repository)}&tag={quote(tag)}")
            answer = connection.getresponse()
            for line in answer:
                told = json.loads(line)
                if answer.status != HTTP_OK or "error" in told:
                    problem = str(told.get("error") or told.get("message"))
                elif told.get("status"):
                    progress(f"pulling {repository}:{tag}: {str(told['status']).lower()}")
        except (OSError, ValueError, http.client.HTTPException) as error:
            problem = str(error) or type(error).__name__
        finally:
            connection.close()
        if problem:
            raise ToolchainError(f"The Docker engine cannot pull {repository}:{tag}: {problem}.")

    def container(self, name: str) -> dict[str, Any] | None:
        """Return a container's description, or None when there is none of that name."""
        status, answer = self.request("GET", f"/containers/{quote(name)}/json")
        return answer if status == HTTP_OK and isinstance(answer, dict) else None

    def run(self, name: str, specification: dict[str, Any]) -> None:
        """Create a container and start it.

        Raises:
            ToolchainError: If the engine refuses.
        """
        status, answer = self.request("POST", f"/containers/create?name={quote(name)}", specification, 60)
        if status < http.client.BAD_REQUEST:
            self.start(name)
            return
        raise ToolchainError(f"The Docker engine refuses to create the container {name}: {_message(answer)}.")

    def start(self, name: str) -> None:
        """Start a container that exists.

        Raises:
            ToolchainError: If the engine refuses.
        """
        status, answer = self.request("POST", f"/containers/{quote(name)}/start", timeout=60)
        if status not in {HTTP_NO_CONTENT, HTTP_NOT_MODIFIED}:
            raise ToolchainError(f"The Docker engine refuses to start the container {name}: {_message(answer)}.")

    def remove(self, name: str) -> bool:
        """Remove a container and its anonymous volumes, running or not.

        Returns:
            Whether there was one.
        """
        return self.request("DELETE", f"/containers/{quote(name)}?force=1&v=1", timeout=60)[0] == HTTP_NO_CONTENT

    def remove_volume(self, name: str) -> None:
        """Remove a volume, if it is there."""
        self.request("DELETE", f"/volumes/{quote(name)}?force=1", timeout=60)

    def running(self) -> list[str]:
        """Return the names of all running containers."""
        status, answer = self.request("GET", "/containers/json")
        return _names(answer) if status == HTTP_OK else []

    def labelled(self, label: str) -> list[str]:
        """Return the names of all containers with a label, running or not.

        Raises:
            ToolchainError: If the engine does not tell: none is not the same as not known.
        """
        filters = quote(json.dumps({"label": [label]}))
        status, answer = self.request("GET", f"/containers/json?all=1&filters={filters}")
        if status != HTTP_OK:
            raise ToolchainError(f"The Docker engine does not list its containers: {_message(answer)}.")
        return _names(answer)


def _names(containers: Any) -> list[str]:
    listed = containers if isinstance(containers, list) else []
    return sorted(str(entry["Names"][0]).lstrip("/") for entry in listed if entry.get("Names"))


def _message(answer: Any) -> str:
    return str(answer.get("message", answer)).rstrip(". ") if isinstance(answer, dict) else str(answer)
