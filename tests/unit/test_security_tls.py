"""TLS: what is served, what is refused at start, and how a certificate is replaced while serving."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl

import pytest
import uvloop
from cryptography import x509
from cryptography.x509.oid import NameOID

from scoring.security.tls import Certificate
from scoring.variables import Reader, SettingsError
from tests.unit.security_harness import eventually, issue


@pytest.fixture
def folder(tmp_path):
    issue(tmp_path / "tls", "first")
    return tmp_path / "tls"


def certificate_of(folder) -> Certificate:
    found, problems = read(folder)
    assert found is not None, problems
    return found


def read(folder) -> tuple[Certificate | None, list[str]]:
    reader = Reader({"SLIPWAY_TLS_CERT": str(folder / "tls.crt"), "SLIPWAY_TLS_KEY": str(folder / "tls.key")})
    return Certificate.from_reader(reader), reader.problems


async def served_name(certificate: Certificate, name: str | None = "localhost") -> str:
    """Whose certificate a client sees."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, ssl=certificate.context())
    try:
        port = server.sockets[0].getsockname()[1]
        return await asyncio.to_thread(_seen, port, name)
    finally:
        server.close()


def _seen(port: int, name: str | None, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> str:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    client.maximum_version = version
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
        client.wrap_socket(plain, server_hostname=name) as secure,
    ):
        shown = x509.load_der_x509_certificate(secure.getpeercert(binary_form=True) or b"")
        return str(shown.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def test_the_certificate_is_served_with_and_without_a_name(folder):
    certificate = certificate_of(folder)
    assert uvloop.run(served_name(certificate)) == "first"
    assert uvloop.run(served_name(certificate, None)) == "first"


def test_tls_1_2_is_served_and_what_is_older_is_not(folder):
    context = certificate_of(folder).context()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    # Elliptic-curve key exchange and authenticated encryption in each.
    assert {cipher["protocol"] for cipher in context.get_ciphers()} == {"TLSv1.2", "TLSv1.3"}
    assert all(cipher["aead"] for cipher in context.get_ciphers())

    async def of_version(version: ssl.TLSVersion) -> str:
        server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0, ssl=context)
        try:
            return await asyncio.to_thread(_seen, server.sockets[0].getsockname()[1], "localhost", version)
        finally:
            server.close()

    assert uvloop.run(of_version(ssl.TLSVersion.TLSv1_2)) == "first"
    with pytest.warns(DeprecationWarning, match="TLSv1_1"), pytest.raises(ssl.SSLError):
        uvloop.run(of_version(ssl.TLSVersion.TLSv1_1))


@pytest.mark.parametrize("name", ["localhost", None])
def test_a_replaced_pair_is_served_to_new_connections(folder, name):
    certificate = certificate_of(folder)
    issue(folder, "second")
    certificate.reload()
    assert uvloop.run(served_name(certificate, name)) == "second"
    issue(folder, "third")
    certificate.reload()
    assert uvloop.run(served_name(certificate, name)) == "third"


def test_a_change_is_noticed_while_serving(folder):
    certificate = certificate_of(folder)

    async def is_served(name: str) -> bool:
        return await served_name(certificate) == name

    async def live() -> None:
        certificate.start(asyncio.get_running_loop())
        issue(folder, "second")
        await eventually(lambda: is_served("second"), "the new certificate is served")
        certificate.stop()

    uvloop.run(live())


def test_a_half_replaced_pair_leaves_the_last_good_one_in_force(folder, tmp_path, caplog):
    certificate = certificate_of(folder)
    issue(tmp_path / "next", "second")
    shutil.copy(tmp_path / "next" / "tls.crt", folder)
    for _ in range(3):
        certificate.reload()
    assert uvloop.run(served_name(certificate)) == "first"
    assert caplog.text.count("the last good certificate is served on") == 1
    shutil.copy(tmp_path / "next" / "tls.key", folder)
    certificate.reload()
    assert uvloop.run(served_name(certificate)) == "second"


@pytest.mark.parametrize("content", [None, b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
@pytest.mark.parametrize("file", ["tls.crt", "tls.key"])
def test_a_broken_file_leaves_the_last_good_pair_in_force(folder, file, content):
    certificate = certificate_of(folder)
    good = (folder / file).read_bytes()
    (folder / file).unlink() if content is None else (folder / file).write_bytes(content)
    certificate.reload()
    assert uvloop.run(served_name(certificate)) == "first"
    (folder / file).write_bytes(good)
    certificate.reload()
    assert uvloop.run(served_name(certificate)) == "first"


def test_without_the_variables_there_is_no_tls():
    assert Certificate.from_reader(Reader({})) is None


@pytest.mark.parametrize(("given", "missing"), [("CERT", "KEY"), ("KEY", "CERT")])
def test_one_variable_without_the_other_is_a_start_error(folder, given, missing):
    reader = Reader({f"SLIPWAY_TLS_{given}": str(folder / "tls.crt")})
    assert Certificate.from_reader(reader) is None
    with pytest.raises(SettingsError, match=f"SLIPWAY_TLS_{given} is set, and SLIPWAY_TLS_{missing} is not"):
        reader.finish()


def test_files_that_cannot_be_used_are_a_start_error_that_says_why(folder, tmp_path):
    issue(tmp_path / "other", "other")
    shutil.copy(tmp_path / "other" / "tls.key", folder)
    assert "KEY_VALUES_MISMATCH" in read(folder)[1][0]
    (folder / "tls.key").write_text("garbage")
    assert "in PEM, the key not encrypted" in read(folder)[1][0]
    issue(folder, "encrypted", b"password")
    assert "the key not encrypted" in read(folder)[1][0]
    (folder / "tls.key").unlink()
    assert "tls.key of SLIPWAY_TLS_KEY cannot be read: No such file" in read(folder)[1][0]
