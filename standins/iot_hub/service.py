"""The hub's REST interface: which request does what, and who may ask for it."""

from __future__ import annotations

import json
import re
import urllib.parse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from manifest.edge.query import QueryError, parse
from standins.iot_hub import API_VERSION, deployments, devices, queries, sas, twins
from standins.iot_hub.failure import HubError, invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from standins.iot_hub.hub import Hub

_PAGE = 100
_MOST_PAGE = 1000


@dataclass(frozen=True)
class Policy:
    """A shared access policy.

    Attributes:
        keys: Both of its keys.
        rights: Of RegistryRead, RegistryWrite, ServiceConnect and DeviceConnect.
    """

    keys: tuple[str, ...]
    rights: frozenset[str]


@dataclass
class Request:
    """One request.

    Attributes:
        hub: The hub.
        method: Of HTTP.
        path: Without the query.
        query: The query's parameters.
        headers: By name in lower case.
        body: What was sent.
        parts: The path's parameters.
    """

    hub: Hub
    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes
    parts: tuple[str, ...] = ()

    @property
    def if_match(self) -> str | None:
        """The header If-Match."""
        return self.headers.get("if-match")

    def json(self) -> Any:
        """Return the body.

        Raises:
            HubError: It is no JSON.
        """
        try:
            return json.loads(self.body)
        except ValueError:
            raise invalid("the body is no JSON") from None

    def object(self) -> dict[str, Any]:
        """Return the body, an object.

        Raises:
            HubError: It is none.
        """
        found = self.json()
        if not isinstance(found, dict):
            raise invalid("the body must be an object")
        return found


@dataclass
class Answer:
    """What is answered."""

    status: int = 200
    value: Any = None
    headers: dict[str, str] = field(default_factory=dict)


def _identity(record: dict[str, Any], hub: Hub) -> Answer:
    return Answer(200, twins.identity(record, hub.clock()), {"ETag": f'"{record["etag"]}"'})


def _twin(record: dict[str, Any], hub: Hub) -> Answer:
    return Answer(200, twins.shown(record, hub.clock()), {"ETag": f'"{record["twin"]["etag"]}"'})


def _record(one: Request) -> dict[str, Any]:
    return one.hub.module(*one.parts) if len(one.parts) > 1 else one.hub.device(one.parts[0])


def _put_device(one: Request) -> Answer:
    return _identity(one.hub.put_device(one.parts[0], one.object(), one.if_match), one.hub)


def _delete_device(one: Request) -> Answer:
    one.hub.delete_device(one.parts[0], _needed(one))
    return Answer(204)


def _put_module(one: Request) -> Answer:
    device, module = one.parts
    return _identity(one.hub.put_module(device, module, one.object(), one.if_match), one.hub)


def _delete_module(one: Request) -> Answer:
    device, module = one.parts
    one.hub.delete_module(device, module, _needed(one))
    return Answer(204)


def _needed(one: Request) -> str:
    if one.if_match is None:
        raise invalid("the header If-Match is needed")
    return one.if_match


def _list_devices(one: Request) -> Answer:
    top = min(int(one.query.get("top", _MOST_PAGE)), _MOST_PAGE)
    found = list(one.hub.store.all("devices").values())[:top]
    return Answer(200, [twins.identity(record, one.hub.clock()) for record in found])


def _list_modules(one: Request) -> Answer:
    one.hub.device(one.parts[0])
    found = [one.hub.module(one.parts[0], name) for name in one.hub.modules_of(one.parts[0])]
    return Answer(200, [twins.identity(record, one.hub.clock()) for record in found])


def _patch_twin(one: Request) -> Answer:
    return _twin(one.hub.patch_twin(_record(one), one.object(), one.if_match, whole=one.method == "PUT"), one.hub)


def _query(one: Request) -> Answer:
    text = str(one.object().get("query") or "")
    found = one.hub.query(text)
    size = min(int(one.headers.get("x-ms-max-item-count") or _PAGE), _MOST_PAGE)
    start = int(one.headers.get("x-ms-continuation") or 0)
    kind = "twin" if queries.read(text).columns is None and queries.read(text).count is None else "raw"
    headers = {"x-ms-item-type": kind}
    if start + size < len(found):
        headers["x-ms-continuation"] = str(start + size)
    return Answer(200, found[start : start + size], headers)


def _get_configuration(one: Request) -> Answer:
    with one.hub.store.changed:
        found = deployments.with_metrics(one.hub, deployments.found(one.hub, one.parts[0]))
    return Answer(200, found, {"ETag": f'"{found["etag"]}"'})


def _put_configuration(one: Request) -> Answer:
    found = one.hub.put_configuration(one.parts[0], one.object(), one.if_match)
    return Answer(200, found, {"ETag": f'"{found["etag"]}"'})


def _delete_configuration(one: Request) -> Answer:
    one.hub.delete_configuration(one.parts[0], one.if_match)
    return Answer(204)


def _list_configurations(one: Request) -> Answer:
    top = int(one.query.get("top") or _PAGE)
    with one.hub.store.changed:
        found = [deployments.with_metrics(one.hub, each) for each in one.hub.store.all("configurations").values()]
    return Answer(200, found[:top])


def _test_queries(one: Request) -> Answer:
    body, problem = one.object(), ""
    try:
        parse(str(body.get("targetCondition") or ""))
    except QueryError as error:
        problem = str(error)
    wrong = {}
    for name, text in (body.get("customMetricQueries") or {}).items():
        try:
            queries.read(text)
        except HubError as error:
            wrong[name] = error.message
    return Answer(200, {"targetConditionError": problem, "customMetricQueryErrors": wrong})


def _apply(one: Request) -> Answer:
    one.hub.apply_manually(one.parts[0], one.object())
    return Answer(204)


def _call(one: Request) -> Answer:
    device, module = (*one.parts, "")[:2]
    return Answer(200, one.hub.call(device, module, one.object()))


def _messages(one: Request) -> Answer:
    return Answer(200, one.hub.messages(one.query.get("device")))


_ID = "([^/]+)"
_ROUTES: list[tuple[str, str, str, Any]] = [
    ("PUT", f"/devices/{_ID}", "RegistryWrite", _put_device),
    ("GET", f"/devices/{_ID}", "RegistryRead", lambda one: _identity(_record(one), one.hub)),
    ("DELETE", f"/devices/{_ID}", "RegistryWrite", _delete_device),
    ("GET", "/devices", "RegistryRead", _list_devices),
    ("POST", "/devices/query", "RegistryRead", _query),
    ("POST", f"/devices/{_ID}/applyConfigurationContent", "RegistryWrite", _apply),
    ("PUT", f"/devices/{_ID}/modules/{_ID}", "RegistryWrite", _put_module),
    ("GET", f"/devices/{_ID}/modules/{_ID}", "RegistryRead", lambda one: _identity(_record(one), one.hub)),
    ("DELETE", f"/devices/{_ID}/modules/{_ID}", "RegistryWrite", _delete_module),
    ("GET", f"/devices/{_ID}/modules", "RegistryRead", _list_modules),
    *(
        (method, f"/twins/{_ID}{module}", "ServiceConnect", handler)
        for module in ("", f"/modules/{_ID}")
        for method, handler in (
            ("GET", lambda one: _twin(_record(one), one.hub)),
            ("PATCH", _patch_twin),
            ("PUT", _patch_twin),
        )
    ),
    *(("POST", f"/twins/{_ID}{module}/methods", "ServiceConnect", _call) for module in ("", f"/modules/{_ID}")),
    ("GET", "/configurations", "RegistryRead", _list_configurations),
    ("POST", "/configurations/testQueries", "RegistryRead", _test_queries),
    ("GET", f"/configurations/{_ID}", "RegistryRead", _get_configuration),
    ("PUT", f"/configurations/{_ID}", "RegistryWrite", _put_configuration),
    ("DELETE", f"/configurations/{_ID}", "RegistryWrite", _delete_configuration),
    ("GET", "/standin/messages", "ServiceConnect", _messages),
    ("GET", "/standin/requests", "ServiceConnect", lambda _: Answer(200, None)),
    *((method, path, "DeviceConnect", handler) for method, path, handler in devices.ROUTES),
]
_COMPILED = [(method, re.compile(path), right, handler) for method, path, right, handler in _ROUTES]


class Service:
    """Answers requests.

    Attributes:
        counted: How many requests there were, by method and kind of path.
    """

    def __init__(self, hub: Hub, host: str, policies: Mapping[str, Policy]) -> None:
        """Serve a hub.

        Args:
            hub: The hub.
            host: Its name with its port, which tokens are for.
            policies: Who may do what, by name.
        """
        self.hub = hub
        self.host = host.lower()
        self.policies = policies
        self.counted: dict[str, int] = {}

    def answer(self, one: Request) -> Answer:
        """Answer a request.

        Raises:
            HubError: It is refused.
        """
        path_known = False
        for method, pattern, right, handler in _COMPILED:
            found = pattern.fullmatch(one.path)
            if found is None:
                continue
            path_known = True
            if method != one.method:
                continue
            one.parts = tuple(urllib.parse.unquote(part) for part in found.groups())
            key = f"{method} {pattern.pattern.replace(_ID, '*')}"
            self.counted[key] = self.counted.get(key, 0) + 1
            self._authorize(one, right)
            if one.path == "/standin/requests":
                return Answer(200, dict(self.counted))
            if right != "DeviceConnect" and not one.path.startswith("/standin/"):
                self._version(one)
            result: Answer = handler(one)
            return result
        if path_known:
            raise HubError(405, "MethodNotAllowed", f"{one.method} is not for {one.path}")
        raise HubError(404, "NotFound", f"there is nothing at {one.path}")

    def _version(self, one: Request) -> None:
        if one.query.get("api-version") != API_VERSION:
            raise HubError(
                400, "InvalidProtocolVersion", f"api-version must be {API_VERSION}: this stand-in knows no other"
            )

    def _authorize(self, one: Request, right: str) -> None:
        token = sas.parsed(one.headers.get("authorization", ""))
        if token is None or token.expired or not self._holds(token, one, right):
            raise HubError(401, "IotHubUnauthorizedAccess", "Unauthorized")

    def _holds(self, token: sas.Token, one: Request, right: str) -> bool:
        if token.policy:
            policy = self.policies.get(token.policy)
            return policy is not None and token.scope == self.host and right in policy.rights and token.by(policy.keys)
        device = one.parts[0] if right == "DeviceConnect" else None
        record = self.hub.store.get("devices", device) if device else None
        if record is None or token.scope != f"{self.host}/devices/{device}".lower() or record["status"] != "enabled":
            return False
        keys = record["authentication"]["symmetricKey"]
        return token.by(key for key in keys.values() if key)
