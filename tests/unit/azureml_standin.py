"""A stand-in of a Machine Learning workspace's management API, over real HTTP.

As strict as what is published of it (https://learn.microsoft.com/rest/api/azureml): paths, versions of the API, queries
that a list takes, a bearer token in each request; lists come in pages, and without what is archived. Azure itself was
never asked.
"""

import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
TOP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/ml/providers/Microsoft.MachineLearningServices/workspaces/flora"
PLACE = f"azureml://subscriptions/{SUBSCRIPTION}/resourceGroups/ml/workspaces/flora"
TOKEN = "canary-token"
VERSIONS = {"2024-04-01", "2024-10-01", "2025-06-01", "2025-09-01"}
LIST = {"$skip", "count", "listViewType", "$top", "$orderBy"}
PAGE = 2


class Token(NamedTuple):
    token: str
    expires_on: int


class Login:
    """In the place of azure-identity's credential: a token for the management API, and for nothing else."""

    def get_token(self, *scopes):
        assert scopes == ("https://management.azure.com/.default",)
        return Token(TOKEN, 2**40)


class _Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server, parts = self.server, urlsplit(self.path)
        path, query = unquote(parts.path), dict(parse_qsl(parts.query, keep_blank_values=True))
        server.requests.append(path)
        if server.refusals:
            status, headers, body = server.refusals.pop(0)
            self._send(status, body, headers)
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._error(401, "InvalidAuthenticationToken", "The access token is invalid.")
        elif query.pop("api-version", None) not in VERSIONS:
            self._error(400, "InvalidApiVersionParameter", "The api-version is invalid.")
        else:
            self._found(path, query)

    def _found(self, path, query):
        server = self.server
        found = re.fullmatch(
            r"/subscriptions/([^/]+)/resourcegroups/([^/]+)/providers/Microsoft\.MachineLearningServices"
            r"/workspaces/([^/]+)/(models|datastores)(?:/([^/]+))?(?:/versions/([^/]+))?",
            path,
            re.IGNORECASE,
        )
        if not found:
            self._error(404, "InvalidResourceType", f"The resource type of {path} could not be found.")
            return
        subscription, group, workspace, kind, name, version = found.groups()
        if subscription.lower() != SUBSCRIPTION:
            self._error(404, "SubscriptionNotFound", f"The subscription '{subscription}' could not be found.")
        elif group.lower() != "ml":
            self._error(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")
        elif workspace.lower() != "flora":
            self._error(404, "ResourceNotFound", f"The Resource '{workspace}' under '{group}' was not found.")
        elif set(query) - (set() if name else LIST):
            self._error(400, "BadArgument", f"unknown: {sorted(query)}")
        elif kind == "datastores":
            self._one(server.datastores, name, f"Datastore {name} not found")
        elif version:
            self._one(server.models.get(name, {}).get("versions", {}), version, f"Model {name}:{version} not found")
        elif name:
            self._one({key: one["container"] for key, one in server.models.items()}, name, f"Model {name} not found")
        else:
            self._list(int(query.get("$skip", 0)))

    def _one(self, there, name, message):
        if name in there:
            self._send(200, {"name": name, "properties": there[name]})
        else:
            self._error(404, "UserError", message)

    def _list(self, begin):
        seen = [name for name, one in self.server.models.items() if not one["container"]["isArchived"]]
        page = {"value": [{"name": one, "properties": {}} for one in seen[begin : begin + PAGE]]}
        if begin + PAGE < len(seen):
            where = self.server.elsewhere or self.server.url
            page["nextLink"] = f"{where}{TOP}/models?api-version=2024-10-01&$skip={begin + PAGE}"
        self._send(200, page)

    def _error(self, status, code, message):
        self._send(status, {"error": {"code": code, "message": message}})

    def _send(self, status, body, headers=None):
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        """Keep the test's output clean."""


@contextmanager
def workspace(monkeypatch):
    """A workspace on loopback, which the registry takes for Azure's.

    Attributes of what is returned: `models` and `datastores` (see `add`), `refusals` (status, headers and body of the
    next answers), `requests` (their paths), `elsewhere` (a server that lists go on at).
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Api)
    server.models, server.datastores, server.refusals, server.requests, server.elsewhere = {}, {}, [], [], None
    server.url = f"http://127.0.0.1:{server.server_port}"
    server.datastores["workspaceblobstore"] = {
        "datastoreType": "AzureBlob",
        "accountName": "slipwaytest",
        "containerName": "models",
        "endpoint": "core.windows.net",
        "protocol": "https",
        "credentials": {"credentialsType": "None"},
        "serviceDataAccessAuthIdentity": "None",
    }
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setattr("registry.arm.ADDRESS", server.url)
    monkeypatch.setattr("registry.arm.login", Login)
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def add(server, name, version, path, *, kind="custom_model", archived=False):
    """Register a version whose files are at a path of the workspace's own datastore."""
    uri = (
        path
        if ":" in path
        else f"{PLACE.replace('resourceGroups', 'resourcegroups')}/datastores/workspaceblobstore/paths/{path}"
    )
    model = server.models.setdefault(name, {"container": {"isArchived": False}, "versions": {}})
    model["versions"][version] = {
        "modelUri": uri,
        "modelType": kind,
        "isArchived": archived,
        "isAnonymous": False,
        "tags": {},
        "properties": {},
    }
    model["container"]["latestVersion"] = version
    return f"{PLACE}/models/{name}/versions/{version}"
