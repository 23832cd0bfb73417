"""Certificates of this machine's own: an authority, which clients are told to trust, and a server's below it."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_DAYS = 365
_CA = "ca.pem"
_SERVER = "server.pem"


def certificates(
    folder: Path, *, names: Sequence[str] = ("localhost",), authority: str = "Slipway stand-in for IoT Hub"
) -> tuple[Path, Path]:
    """Make the certificates, where they are not there yet or are about to expire.

    Args:
        folder: Where they are kept.
        names: What clients call the server, beside 127.0.0.1.
        authority: The authority's name.

    Returns:
        The authority's certificate, and the server's with its key. The authority's key is not kept.
    """
    ca, server = folder / _CA, folder / _SERVER
    if not (ca.is_file() and server.is_file() and _lasts(server)):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make(ca, server, names, authority)
    return ca, server


def _lasts(server: Path) -> bool:
    found = x509.load_pem_x509_certificate(server.read_bytes())
    return found.not_valid_after_utc > _now() + dt.timedelta(days=_DAYS // 10)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _make(authority: Path, server: Path, names: Sequence[str], title: str) -> None:
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, title)])
    ca = _signed(issuer, issuer, ca_key, ca_key, names=())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    own = _signed(subject, issuer, key, ca_key, names=names)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    # The server's first: clients that find the authority's find a server that goes with it.
    _write(server, own.public_bytes(pem) + private)
    _write(authority, ca.public_bytes(pem))


def _signed(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    *,
    names: Sequence[str],
) -> x509.Certificate:
    """Sign a server's certificate, or the authority's where no name is given."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - dt.timedelta(days=1))
        .not_valid_after(_now() + dt.timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(ca=not names, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if not names:
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        builder = builder.add_extension(usage, critical=True)
    else:
        called = [*map(x509.DNSName, names), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(called), critical=False).add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
    return builder.sign(signer, hashes.SHA256())


def _write(path: Path, data: bytes) -> None:
    beside = path.with_suffix(".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    beside.replace(path)
