"""What the tests of access share."""

from __future__ import annotations

import asyncio
import datetime as dt
import inspect
import ipaddress
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from tests.unit.scoring_harness import Server, until

if TYPE_CHECKING:
    from collections.abc import Callable

PRIMARY, LATER = "primary-key-of-the-service-0123456789", "another-key-of-the-service-0123456789"
SCRIPT = """
    import os

    def init():
        pass

    def run(data):
        return repr(dict(os.environ))
    """


async def eventually(condition: Callable[[], Any], what: str) -> None:
    """Wait, on the event loop, until a condition holds."""
    try:
        async with asyncio.timeout(30):
            while not await _value(condition()):  # noqa: ASYNC110 - it is the code under test that changes it
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"waited in vain until {what}") from None


async def _value(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


def issue(folder, name: str, password: bytes = b"") -> None:
    """Write a certificate of that name, and its key."""
    folder.mkdir(exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    (folder / "tls.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "tls.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))


def bearer(credentials: str) -> dict[str, str]:
    return {"authorization": f"Bearer {credentials}"}


def ready(server: Server) -> Server:
    until(lambda: server.client.get("/ready").status_code == 200, "the service is ready")
    return server
