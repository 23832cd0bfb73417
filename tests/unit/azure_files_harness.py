"""Shares of a test's own: the stand-in for Azure Files, in a thread."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from standins.azure_files.service import FilesServer
from standins.azure_files.tree import Node, Share
from standins.azure_metadata.tokens import Tokens
from standins.azure_native.kinds.kind import made_up
from standins.iot_hub import tls

IDENTITY = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/batch"
CLIENT, PRINCIPAL = made_up("client", IDENTITY), made_up("principal", IDENTITY)


class Served:
    """A share named `data`, seen from behind the service.

    Attributes:
        server: Whose it is.
        url: Its address.
        variables: What a job needs to reach it.
    """

    def __init__(self, server):
        self.server = server
        self.url = "azfiles://data"
        self.variables = {"AZURE_STORAGE_CONNECTION_STRING": server.connection_string}
        self._share = server.operations.shares["data"] = Share("data")

    def put(self, name, content):
        """Write a file, and the folders above it."""
        parts = name.split("/")
        for depth in range(1, len(parts)):
            if self._share.node("/".join(parts[:depth])) is None:
                self._share.put("/".join(parts[:depth]), Node(parts[depth - 1], None))
        self._share.put(name, Node(parts[-1], bytearray(content)))

    def files(self, folder=""):
        """Every file below a folder, by its name there."""
        nodes, found = self._share.nodes, {}
        for path, node in nodes.items():
            parts = path.split("/")
            name = "/".join(nodes["/".join(parts[: depth + 1])].name for depth in range(len(parts)))
            if node.content is not None and name.startswith(folder):
                found[name.removeprefix(folder).lstrip("/")] = bytes(node.content)
        return dict(sorted(found.items()))


@contextmanager
def share(**options):
    """Serve one."""
    server = FilesServer(**options)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield Served(server)
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def share_for_identities(folder, role):
    """Serve one over TLS to an identity with a role, whose tokens come from a URL, as on App Service."""
    tokens = Tokens(folder)
    authority, certificate = tls.certificates(folder / "tls")
    issued = []

    class Endpoint(BaseHTTPRequestHandler):
        def do_GET(self):
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            assert query["client_id"] == CLIENT
            issued.append(tokens.issue(IDENTITY, query["resource"]))
            content = json.dumps(issued[-1]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    endpoint = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=endpoint.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        with share(certificate=certificate, tokens=tokens, roles={PRINCIPAL: role} if role else {}) as served:
            served.variables = {
                "IDENTITY_ENDPOINT": f"http://127.0.0.1:{endpoint.server_address[1]}/token",
                "IDENTITY_HEADER": "header",
                "AZURE_CLIENT_ID": CLIENT,
                "REQUESTS_CA_BUNDLE": str(authority),
            }
            served.url = f"azfiles://data@{served.server.url.removeprefix('https://')}"
            served.issued = issued
            yield served
    finally:
        endpoint.shutdown()
        endpoint.server_close()
