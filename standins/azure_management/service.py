"""Answers as Azure Resource Manager does: versions, tokens, roles, and its own words where it refuses.

https://learn.microsoft.com/rest/api/container-instances has the two operations that are here.
"""

from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

import jwt

from provider.resource import ProviderError
from standins.azure_metadata.server import RefusalError, StoreServer
from standins.azure_native.faults import struck
from standins.azure_native.groups.run import Group
from standins.azure_native.kinds.kind import made_up
from standins.azure_native.kinds.role_assignment import MAY_READ, has_role
from standins.azure_native.management import AUDIENCE, DEPLOYER
from standins.docker.engine import NOT_FOUND, Engine, EngineError

if TYPE_CHECKING:
    from standins.azure_metadata.tokens import Tokens
    from standins.azure_native.store import Record, Store

_TOKEN = "containerinstance:ContainerGroup"  # noqa: S105 - a type's name
_TYPE = "Microsoft.ContainerInstance/containerGroups"
_VERSIONS = frozenset(
    {"2021-09-01", "2021-10-01", "2022-09-01", "2023-05-01", "2024-05-01-preview", "2024-11-01-preview", "2025-09-01"}
)
_GROUP = re.compile(
    r"(?P<resource_group>/subscriptions/[^/]+/resourceGroups/[^/]+)"
    r"/providers/Microsoft\.ContainerInstance/containerGroups/(?P<name>[^/]+)"
    r"(?:/containers/(?P<container>[^/]+)/logs)?",
    re.IGNORECASE,
)
_LOG_QUERY = frozenset({"tail", "timestamps"})
_MOST_LOG = 4 * 1024 * 1024
_RETRY_SECONDS = 1
# Of a group, beside `properties`; the SDK that the plugin's types are of has all on one level.
_BESIDE = ("location", "tags", "identity", "zones")


def answered(store: Store, tokens: Tokens, engine: Engine, path: str, header: str) -> dict[str, Any]:
    """Answer a GET.

    Args:
        store: What there is.
        tokens: Checks them.
        engine: Where the groups run.
        path: With its query.
        header: Its Authorization.

    Returns:
        The body.

    Raises:
        RefusalError: It is refused.
    """
    parts = urlsplit(path)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    principal = _principal(tokens, header)
    found = _GROUP.fullmatch(unquote(parts.path))
    if not found:
        raise RefusalError(404, "InvalidResourceType", f"the stand-in serves GET of {_TYPE} and their logs alone")
    version = query.pop("api-version", None)
    if not version:
        text = "The api-version query parameter (?api-version=) is required for all requests."
        raise RefusalError(400, "MissingApiVersionParameter", text)
    if version not in _VERSIONS:
        text = f"No registered resource provider found for API version '{version}' for type 'containerGroups'."
        raise RefusalError(400, "NoRegisteredProviderFound", text)
    container = found["container"]
    if unknown := set(query) - (_LOG_QUERY if container else set()):
        # Azure may let it pass; here a slip shall show.
        raise RefusalError(400, "InvalidRequestUri", f"there is no parameter {', '.join(sorted(unknown))}")
    group_id = f"{found['resource_group']}/providers/{_TYPE}/{found['name']}"
    _need_role(store, principal, group_id, "containers/logs/read" if container else "read")
    if struck(store, ("throttle",), _TOKEN, found["name"], "read"):
        raise RefusalError(429, "TooManyRequests", "The request was throttled (injected).")
    record = _record(store, found["resource_group"], group_id, found["name"])
    if container:
        return {"content": _log(Group(engine, store, record.id), record, container, query)}
    return _shown(_observed(store, record))


def _principal(tokens: Tokens, header: str) -> str:
    scheme, _, token = header.partition(" ")
    if scheme != "Bearer" or not token:
        text = "Authentication failed. The 'Authorization' header is missing."
        raise RefusalError(401, "AuthenticationFailed", text)
    try:
        return tokens.principal(token, [AUDIENCE, f"{AUDIENCE}/"])
    except jwt.ExpiredSignatureError:
        raise RefusalError(401, "ExpiredAuthenticationToken", "The access token expiry has passed.") from None
    except jwt.InvalidTokenError as error:
        raise RefusalError(401, "InvalidAuthenticationToken", f"The access token is invalid. ({error})") from None


def _need_role(store: Store, principal: str, group: str, action: str) -> None:
    # Who deploys is asked for no role by the plugin either.
    if principal == made_up("principal", DEPLOYER):
        return
    if not has_role(store.all("authorization:RoleAssignment"), principal, MAY_READ, group):
        raise RefusalError(
            403,
            "AuthorizationFailed",
            f"The client with object id '{principal}' does not have authorization to perform action "
            f"'{_TYPE}/{action}' over scope '{group}' or the scope is invalid.",
        )


def _record(store: Store, resource_group: str, group: str, name: str) -> Record:
    if store.get(resource_group) is None:
        short = resource_group.rpartition("/")[2]
        raise RefusalError(404, "ResourceGroupNotFound", f"Resource group '{short}' could not be found.")
    record = store.get(group)
    if record is None:
        short = resource_group.rpartition("/")[2]
        text = f"The Resource '{_TYPE}/{name}' under resource group '{short}' was not found."
        raise RefusalError(404, "ResourceNotFound", text)
    return record


def _log(group: Group, record: Record, container: str, query: dict[str, str]) -> str:
    if container not in [one["name"] for one in record.body["containers"]]:
        text = f"Container '{container}' is not found in container group '{record.name}'."
        raise RefusalError(404, "ContainerNotFound", text)
    tail, timestamps = query.get("tail"), query.get("timestamps", "false").lower()
    if (tail is not None and not re.fullmatch(r"[1-9]\d{0,8}", tail)) or timestamps not in {"true", "false"}:
        raise RefusalError(400, "InvalidRequestContent", "tail is a whole number, and timestamps true or false.")
    try:
        written = group.logs(container, int(tail) if tail else None, timestamps=timestamps == "true")
    except EngineError as error:
        if error.status != NOT_FOUND:
            raise
        raise RefusalError(
            404,
            "ContainerLogNotAvailable",
            f"Log of container '{container}' in container group '{record.name}' is not available yet. "
            "Please check container 'InstanceView' for more information or retry later.",
        ) from None
    if len(written) <= _MOST_LOG:
        return written
    return written[-_MOST_LOG:].partition("\n")[2]


def _observed(store: Store, record: Record) -> Record:
    from standins.azure_native.kinds.all import kind_of  # noqa: PLC0415 - all kinds, for one request of several

    observed = kind_of(_TOKEN, store).observe(record)
    if observed is None:
        text = f"The Resource '{_TYPE}/{record.name}' was not found."
        raise RefusalError(404, "ResourceNotFound", text)
    return observed


def _shown(record: Record) -> dict[str, Any]:
    """Put a group into the API's own shape."""
    flat = {**record.body, **record.computed}
    properties = {name: value for name, value in flat.items() if name not in {*_BESIDE, "resourceGroupName"}}
    properties.pop("containerGroupName", None)
    properties["provisioningState"] = record.provisioning_state
    for kind in ("containers", "initContainers"):
        if kind in flat:
            properties[kind] = [
                {"name": one["name"], "properties": {name: value for name, value in one.items() if name != "name"}}
                for one in flat[kind]
            ]
    beside = {name: flat[name] for name in _BESIDE if name in flat}
    return {"id": record.id, "name": record.name, "type": _TYPE, **beside, "properties": properties}


class ManagementServer(StoreServer):
    """Serves the groups of a store."""

    def __init__(self, address: tuple[str, int], store: Store, tokens: Tokens) -> None:
        """Listen; what is given is as `StoreServer` has it."""
        super().__init__(address, _Handler, store, tokens)
        self.engine = Engine()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ManagementServer

    def do_GET(self) -> None:
        server = self.server
        headers: dict[str, str] = {}
        try:
            header = self.headers.get("Authorization", "")
            status, body = 200, answered(server.store, server.tokens, server.engine, self.path, header)
        except RefusalError as refusal:
            status, body = refusal.status, {"error": {"code": refusal.code, "message": str(refusal)}}
            if status == 429:  # noqa: PLR2004 - HTTP's
                headers["Retry-After"] = str(_RETRY_SECONDS)
            if status == 401:  # noqa: PLR2004 - HTTP's
                headers["WWW-Authenticate"] = f'Bearer error="invalid_token", error_description="{refusal.code}"'
        except ProviderError as error:
            status, body = 500, {"error": {"code": "InternalServerError", "message": str(error)}}
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json; charset=utf-8"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
