"""Official downloads: with short time limits, checked, and not waited for again where the network refuses them."""

from __future__ import annotations

import hashlib
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from toolchain.cache import read_json, write_json
from toolchain.report import ToolchainError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from toolchain.context import Context

PULUMI_RELEASES = "https://get.pulumi.com"
GITHUB = "https://github.com"
DOCKER_HUB = "https://registry-1.docker.io/v2/"

CONNECT_SECONDS = 5.0
REMEMBER_SECONDS = 24 * 3600.0
CHUNK = 1 << 18


class Network:
    """What can be reached from here, decided once a day."""

    def __init__(self, context: Context) -> None:
        """Decide for `context`, whose cache remembers the decisions."""
        self._path = context.cache.home / "network.json"
        self._official = context.official
        self._decided: dict[str, bool] = {}

    def reaches(self, url: str) -> bool:
        """Tell whether a server answers at `url`, as remembered or by asking it."""
        if self._official is False:
            return False
        if url in self._decided:
            return self._decided[url]
        remembered = read_json(self._path).get(url)
        if self._official is None and isinstance(remembered, dict):
            age = time.time() - float(remembered.get("at", 0))
            if 0 <= age < REMEMBER_SECONDS:
                return bool(remembered.get("reaches"))
        return self.remember(url, reaches=_answers(url))

    def remember(self, url: str, *, reaches: bool) -> bool:
        """Keep a decision for a day, and return it."""
        self._decided[url] = reaches
        write_json(self._path, {**read_json(self._path), url: {"reaches": reaches, "at": time.time()}})
        return reaches


def _open(url: str, timeout: float) -> Any:
    return urllib.request.urlopen(url, timeout=timeout)  # noqa: S310 - our own https addresses, no user's input.


def _answers(url: str) -> bool:
    """Ask a server; any answer but a server's error shows that it can be reached."""
    try:
        with _open(url, CONNECT_SECONDS):
            return True
    except urllib.error.HTTPError as error:
        # A proxy that blocks the way answers for the server, mostly with 403 or 407.
        return error.code in {401, 404}
    except (OSError, ValueError):
        return False


def download(url: str, target: Path, progress: Callable[[str], None]) -> str:
    """Download a file.

    Args:
        url: Where it is.
        target: Where it goes; replaced as a whole.
        progress: Told how much has arrived.

    Returns:
        Its SHA-256.

    Raises:
        ToolchainError: If it cannot be had.
    """
    partial = target.with_name(target.name + ".partial")
    target.parent.mkdir(parents=True, exist_ok=True)
    whole = hashlib.sha256()
    arrived = 0
    try:
        with _open(url, CONNECT_SECONDS * 4) as answer, partial.open("wb") as stream:
            total = int(answer.headers.get("Content-Length") or 0)
            for chunk in iter(lambda: answer.read(CHUNK), b""):
                stream.write(chunk)
                whole.update(chunk)
                arrived += len(chunk)
                progress(f"{arrived >> 20} of {total >> 20} MB" if total else f"{arrived >> 20} MB")
    except (OSError, ValueError) as error:
        partial.unlink(missing_ok=True)
        raise ToolchainError(f"{url} cannot be downloaded: {error}.") from error
    partial.replace(target)
    return whole.hexdigest()


def read_text(url: str) -> str:
    """Return a small text file from the network.

    Raises:
        ToolchainError: If it cannot be had.
    """
    try:
        with _open(url, CONNECT_SECONDS) as answer:
            return str(answer.read().decode())
    except (OSError, ValueError) as error:
        raise ToolchainError(f"{url} cannot be downloaded: {error}.") from error
