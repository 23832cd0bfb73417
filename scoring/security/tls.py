"""TLS: the service's certificate, replaced while serving when its files are."""

from __future__ import annotations

import hashlib
import logging
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from scoring.security.periodic import LOOK_SECONDS, Periodic
from scoring.variables import SettingsError

if TYPE_CHECKING:
    import asyncio

    from scoring.variables import Reader

CERTIFICATE_NAME, KEY_NAME = "SLIPWAY_TLS_CERT", "SLIPWAY_TLS_KEY"
# For TLS 1.2: forward secrecy and authenticated encryption only. TLS 1.3 has nothing else.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
_log = logging.getLogger("slipway")


class Certificate:
    """A certificate and its key, in two PEM files."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Load them.

        Args:
            certificate: The certificate, followed by those of the authorities between it and the root.
            key: Its private key, not encrypted.

        Raises:
            SettingsError: They cannot be used.
        """
        self._certificate = certificate
        self._key = key
        self._digest = self._read()
        self._last_problem = ""
        self._look: Periodic | None = None
        # What handshakes begin with, and what they go on with.
        self._listening = self._newest = self._load()
        self._listening.sni_callback = self._choose  # Called without a name too.

    @classmethod
    def from_reader(cls, reader: Reader) -> Certificate | None:
        """Load what the environment names; None where it names none. What cannot be used is told to the reader."""
        # The process changes its working folder later.
        certificate, key = (reader.path(name, Path.cwd()) for name in (CERTIFICATE_NAME, KEY_NAME))
        if certificate is None and key is None:
            return None
        if certificate is None or key is None:
            missing, given = (CERTIFICATE_NAME, KEY_NAME) if certificate is None else (KEY_NAME, CERTIFICATE_NAME)
            reader.problems.append(f"environment variable {given} is set, and {missing} is not; TLS needs both")
            return None
        try:
            return cls(certificate, key)
        except SettingsError as error:
            reader.problems.append(str(error))
            return None

    def context(self) -> ssl.SSLContext:
        """Return what to listen with; it follows the files once `start` was called."""
        return self._listening

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to follow the files; once in each process, after the fork."""
        self._look = Periodic(loop, LOOK_SECONDS, self.reload)

    def stop(self) -> None:
        """End that."""
        if self._look is not None:
            self._look.stop()

    def reload(self) -> None:
        """Take over what has changed in the files; until certificate and key fit, the last good pair is served."""
        try:
            digest = self._read()
            if digest == self._digest:
                self._last_problem = ""
                return
            newest = self._load()
        except SettingsError as error:
            if str(error) != self._last_problem:
                self._last_problem = str(error)
                _log.warning("%s; the last good certificate is served on", error)
            return
        self._newest, self._digest, self._last_problem = newest, digest, ""
        _log.info("a new certificate is in force: %s", self._certificate)

    def _choose(self, handshake: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Go on with the newest pair. Loading it into the live context would show a wrong one for a moment."""
        handshake.context = self._newest

    def _read(self) -> bytes:
        """Return a hash of both files."""
        found = hashlib.sha256()
        for path, name in ((self._certificate, CERTIFICATE_NAME), (self._key, KEY_NAME)):
            try:
                found.update(hashlib.sha256(path.read_bytes()).digest())
            except OSError as error:
                raise SettingsError(f"the file {path} of {name} cannot be read: {error.strerror}") from None
        return found.digest()

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_CIPHERS)
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.set_alpn_protocols(["http/1.1"])
        try:
            # Without a password OpenSSL would ask for one at the terminal.
            context.load_cert_chain(os.fspath(self._certificate), os.fspath(self._key), password=lambda: "")
        except (ssl.SSLError, OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or "not PEM"
            raise SettingsError(
                f"{CERTIFICATE_NAME} ({self._certificate}) and {KEY_NAME} ({self._key}) cannot be used: {reason}; "
                "needed are a certificate and its own key, in PEM, the key not encrypted"
            ) from None
        return context
