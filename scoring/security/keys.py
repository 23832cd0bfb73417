"""Access by keys: a primary and a secondary one, either of which lets a request pass, replaced while serving.

Clients move from one key to the other while the first is replaced, as with Azure ML's managed endpoints.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from scoring.security.bearer import bearer, unauthorized
from scoring.security.periodic import LOOK_SECONDS, Periodic

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping, Sequence

    from scoring.variables import Reader

NAMES = ("primary", "secondary")
FOLDER_NAME = "SLIPWAY_KEYS_DIR"
VARIABLES = {"primary": "SLIPWAY_PRIMARY_KEY", "secondary": "SLIPWAY_SECONDARY_KEY"}
# 128 bits in hexadecimal digits.
SHORTEST, LONGEST = 32, 1024
# What may stand in a header after "Bearer" without being taken for something else.
_ALLOWED = re.compile(rb"[\x21-\x7e]+")
_log = logging.getLogger("slipway")


class _KeyError(Exception):
    """Something that is no key; the message says why, and nothing of what it is."""


@dataclass(frozen=True)
class KeySettings:
    """Where the keys are.

    Attributes:
        folder: An absolute folder with the files `primary` and `secondary`, as Kubernetes and Docker mount secrets.
        values: Keys by name, from environment variables; an empty one is there too.
    """

    folder: Path | None = None
    values: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @classmethod
    def from_reader(cls, reader: Reader) -> KeySettings:
        """Read the settings, and take the keys out of this process's environment."""
        values = {}
        for name, variable in VARIABLES.items():
            text = reader.text(variable)
            # An empty one too says that a key is wanted: it came from something that did not find its secret.
            if os.environ.pop(variable, None) is not None or text:
                values[name] = text.encode("utf-8", "surrogateescape")
        # The process changes its working folder later.
        folder = reader.path(FOLDER_NAME, Path.cwd())
        return cls(folder, values)

    @property
    def is_given(self) -> bool:
        """Whether anything says that keys are wanted."""
        return self.folder is not None or bool(self.values)


class KeyGuard:
    """Lets requests pass that have one of two keys. It keeps their hashes only: nothing can print them."""

    def __init__(self, digests: Mapping[str, bytes], folder: Path | None = None) -> None:
        """Guard by these keys.

        Args:
            digests: SHA-256 of each key, by name.
            folder: Where their files are.
        """
        self._digests = {name: digests.get(name) or _nobodys() for name in NAMES}
        self._folder = folder
        self._last_problem = ""
        self._look: Periodic | None = None
        self._primary, self._secondary = self._digests.values()

    @classmethod
    def from_settings(cls, settings: KeySettings, reader: Reader) -> KeyGuard:
        """Read the keys; what cannot be used is told to the reader."""
        folder, problems = settings.folder, reader.problems
        if folder is not None and settings.values:
            variable = VARIABLES[next(iter(settings.values))]
            problems.append(f"there are keys in {FOLDER_NAME} and in {variable}: remove the one or the other")
            return cls({})
        digests = {}
        for name in NAMES:
            where = f"the file {folder / name}" if folder is not None else f"environment variable {VARIABLES[name]}"
            try:
                key = _read(folder / name) if folder is not None else settings.values.get(name, b"")
                if key:
                    digests[name] = _digest(key)
            except _KeyError as error:
                problems.append(f"{where} {error}")
        if not digests and not problems:
            where = f"{folder} ({FOLDER_NAME}) has no key in its files primary and secondary"
            if folder is None:
                where = (
                    f"keys are asked for, and there is none: set {FOLDER_NAME} or {' and '.join(VARIABLES.values())}"
                )
            problems.append(f"{where}; a key has {SHORTEST} to {LONGEST} characters")
        return cls(digests, folder)

    def check(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Check a request: `scoring.security.Guard`."""
        key = bearer(headers, "KEY")
        if len(key) <= LONGEST:
            digest = hashlib.sha256(key).digest()
            is_primary = hmac.compare_digest(digest, self._primary)
            # Always both, so that the time does not tell which one it is.
            is_secondary = hmac.compare_digest(digest, self._secondary)
            if is_primary or is_secondary:
                return
        raise unauthorized("The key is not one of this service's.")

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to look for new keys."""
        if self._folder is not None:
            self._look = Periodic(loop, LOOK_SECONDS, self.reload)

    def stop(self) -> None:
        """End that."""
        if self._look is not None:
            self._look.stop()

    def reload(self) -> None:
        """Take over what has changed in the files; a file that has no key now leaves the last one in force."""
        found, problem = self._read()
        # Files that are replaced one after the other are read between the two: only what stays is taken.
        if (found, problem) != self._read():
            return
        if problem and problem != self._last_problem:
            _log.warning("%s; the last good key stays in force", problem)
        self._last_problem = problem
        changed = [name for name, digest in found.items() if digest != self._digests[name]]
        if changed:
            self._digests.update(found)
            self._primary, self._secondary = (self._digests[name] for name in NAMES)
            _log.info("new keys are in force: %s", ", ".join(changed))

    def _read(self) -> tuple[dict[str, bytes], str]:
        """Return the hashes of the keys that are there, and what is wrong with the others."""
        found, problem = {}, ""
        for name in NAMES if self._folder is not None else ():
            path = self._folder / name  # type: ignore[operator]  # None is looked for above
            try:
                key = _read(path)
                if key:
                    found[name] = _digest(key)
            except _KeyError as error:
                problem = f"the file {path} {error}"
        return found, problem


def _read(path: Path) -> bytes:
    """Return what a file has, without the white space that editors add; nothing when there is no file."""
    try:
        with path.open("rb") as file:
            return file.read(4 * LONGEST).strip()
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as error:
        raise _KeyError(f"cannot be read: {error.strerror}") from None


def _digest(key: bytes) -> bytes:
    if not SHORTEST <= len(key) <= LONGEST:
        what = "few" if len(key) < SHORTEST else "many"
        raise _KeyError(f"has a key of too {what} characters; allowed are {SHORTEST} to {LONGEST}")
    if not _ALLOWED.fullmatch(key):
        raise _KeyError(
            "has a key with characters that a header cannot have; allowed are visible ASCII ones, no spaces"
        )
    return hashlib.sha256(key).digest()


def _nobodys() -> bytes:
    """Return what no key has as its hash, so that one key takes the same time as two."""
    return secrets.token_bytes(hashlib.sha256().digest_size)
