"""What tests of the registry share: a real TLS server whose connections break, a real S3, and small models."""

import datetime as dt
import hashlib
import ipaddress
import os
import re
import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import s3fs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from moto.server import ThreadedMotoServer

from manifest.listing import list_files
from registry import Lineage, ModelVersion, Notes

WHEN = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


def sha(data):
    return hashlib.sha256(data).hexdigest()


def version_of(folder, files, version="1", *, name="iris", single=False, notes=None, when=WHEN):
    """Write files into a folder and return their record."""
    for file, data in files.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    lineage = Lineage(who="someone", when=when, source="models/iris")
    return ModelVersion.of(name, version, list_files(folder, files, single=single), lineage, notes or Notes())


class _Files(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        server.requests.append((self.path, self.headers.get("Range"), self.headers.get("Authorization")))
        if server.statuses:
            self.send_response(server.statuses.pop(0))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path not in server.files:
            self.send_error(404)
            return
        data = server.files[self.path]
        start = self._start(data)
        if start is None:
            return
        allowed = server.cuts.pop(0) if server.cuts else None
        rest = data[start:]
        self.send_header("Content-Length", str(len(rest)))
        self.send_header("ETag", f'"{sha(data)}"')
        self.end_headers()
        self.wfile.write(rest[:allowed])
        if allowed is not None and allowed < len(rest):
            # In the middle of the file, as when a cable is pulled.
            self.wfile.flush()
            self.connection.close()
            self.close_connection = True

    def _start(self, data):
        given = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if not given or not self.server.ranges or self.headers.get("If-Range", f'"{sha(data)}"') != f'"{sha(data)}"':
            self.send_response(200)
            return 0
        start = int(given[1])
        if start >= len(data):
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        return start

    def log_message(self, *arguments):
        """Keep the test's output clean."""


@contextmanager
def tls_server(folder):
    """A web server with a certificate of a test's own authority.

    Attributes of what is returned: `files` by path, `cuts` (after how many bytes each next answer breaks), `ranges`
    (whether parts are served), `statuses` (what the next requests are refused with), `requests` (path, range and
    authorization of each), `url`, `authority`.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Files)
    server.files, server.cuts, server.statuses, server.requests, server.ranges = {}, [], [], [], True
    server.authority, certificate = _certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.url = f"https://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def _certificates(folder):
    now = dt.datetime.now(dt.UTC)
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority of a test")])

    def builder(subject, public_key):
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(authority_name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
        )

    authority = (
        builder(authority_name, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    own_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "server of a test")])
    own = (
        builder(own_name, key.public_key()).add_extension(address, critical=False).sign(authority_key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "authority.pem").write_bytes(authority.public_bytes(encoding))
    (folder / "server.pem").write_bytes(own.public_bytes(encoding) + private)
    return folder / "authority.pem", folder / "server.pem"


@contextmanager
def s3(bucket="models"):
    """A real S3 API on loopback, with a bucket; the variables that lead to it are set meanwhile."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    variables = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        # What an earlier server in this process held is still there.
        httpx.post(f"http://{host}:{port}/moto-api/reset", timeout=120).raise_for_status()
        s3fs.S3FileSystem.clear_instance_cache()
        system = s3fs.S3FileSystem()
        system.mkdir(bucket)
        yield system
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
        server.stop()
