"""The API server: requests as the kubeconfig's user, where objects of a kind are, and errors in one sentence."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from provider.resource import ProviderError

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

NOT_FOUND, CONFLICT, FORBIDDEN, INVALID, TOO_MANY = 404, 409, 403, 422, 429
_BAD = 400
_BUSY = (429, 500, 503, 504)
_TRIES = 5
_SECONDS = 60
_JSON = "application/json"
APPLY = "application/apply-patch+yaml"  # JSON is YAML.


class ApiError(ProviderError):
    """What the API server refused.

    Attributes:
        status: Its HTTP status.
        details: What it says in particular.
    """

    def __init__(self, status: int, text: str, details: dict[str, Any] | None = None) -> None:
        """Keep what was said."""
        super().__init__(text)
        self.status = status
        self.details = details or {}


class UnreachableError(ProviderError):
    """No API server answers."""


@dataclass(frozen=True)
class Settings:
    """Which cluster, as the provider's configuration says.

    Attributes:
        kubeconfig: Its path or its content; empty for the user's own.
        context: The context; None for the current one.
        cluster: The cluster, in place of the context's.
        namespace: Of objects that name none.
        delete_unreachable: Whether what cannot be reached counts as deleted.
        secret_mutable: Whether a Secret's content is changed in place.
        config_map_mutable: The same of a ConfigMap's.
    """

    kubeconfig: str = ""
    context: str | None = None
    cluster: str | None = None
    namespace: str | None = None
    delete_unreachable: bool = False
    secret_mutable: bool = False
    config_map_mutable: bool = False


@dataclass(frozen=True)
class Place:
    """Where objects of a kind are.

    Attributes:
        path: The collection's path, without a namespace.
        plural: Its last part.
        namespaced: Whether each is in a namespace.
    """

    path: str
    plural: str
    namespaced: bool

    def of(self, namespace: str, name: str | None = None) -> str:
        """Return the path of an object, or of all in a namespace."""
        parts = [self.path, *(["namespaces", quote(namespace)] if self.namespaced else []), self.plural]
        return "/".join([*parts, *([quote(name, safe="")] if name else [])])


class Api:
    """An API server, connected to at the first request."""

    def __init__(self) -> None:
        """Begin with the user's own kubeconfig."""
        self.settings: Settings | None = Settings()
        self._client: ApiClient | None = None
        self._places: dict[str, dict[str, Place]] = {}
        self._lock = threading.Lock()

    def configure(self, settings: Settings | None) -> None:
        """Point at a cluster; None while it is not known which."""
        self.settings = settings
        self._client = None

    @property
    def is_known(self) -> bool:
        """Whether it is known which cluster is meant."""
        return self.settings is not None

    def place(self, version: str, kind: str) -> Place:
        """Find where objects of a kind are.

        Args:
            version: The API's group and version, as `apps/v1`; without a group `v1`.
            kind: As `Deployment`.

        Raises:
            ApiError: The API server does not have the kind; with status 404.
            UnreachableError: It does not answer.
        """
        with self._lock:
            if kind not in self._places.get(version, {}):
                self._places[version] = self._discovered(version)
            if kind not in self._places[version]:
                raise ApiError(NOT_FOUND, f"the API server has no kind {kind} in {version}")
            return self._places[version][kind]

    def _discovered(self, version: str) -> dict[str, Place]:
        path = f"/apis/{version}" if "/" in version else f"/api/{version}"
        try:
            found = self.request("GET", path)
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
            raise ApiError(
                NOT_FOUND, f"the API server has no {version}: is what defines it installed in the cluster?"
            ) from None
        return {
            one["kind"]: Place(path, one["name"], bool(one["namespaced"]))
            for one in found["resources"]
            if "/" not in one["name"]
        }

    def namespace(self, metadata: dict[str, Any]) -> str:
        """Return the namespace that an object is in, if its kind is in one."""
        return str(metadata.get("namespace") or (self.settings and self.settings.namespace) or "default")

    def request(
        self, method: str, path: str, body: Any = None, *, content_type: str = _JSON, text: bool = False, **query: str
    ) -> Any:
        """Ask; a server that is busy is asked again.

        Args:
            method: HTTP's.
            path: Below the server's address.
            body: To be sent as JSON.
            content_type: What the body is.
            text: Return the answer as it is, not as JSON.
            query: The query.

        Raises:
            ApiError: The server refuses.
            UnreachableError: It does not answer.
        """
        for attempt in range(1, _TRIES + 1):
            status, answer = self._once(method, path, body, content_type, query)
            if status < _BAD:
                return answer if text else json.loads(answer or "{}")
            if status not in _BUSY or attempt == _TRIES:
                raise _refused(status, answer, method, path)
            time.sleep(0.2 * 2**attempt)
        raise AssertionError

    def _once(self, method: str, path: str, body: Any, content_type: str, query: dict[str, str]) -> tuple[int, str]:
        # Slow to import.
        import urllib3  # noqa: PLC0415
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415

        client = self._connected()
        host = client.configuration.host.rstrip("/")
        headers = {"Accept": "*/*" if path.endswith("/log") else _JSON, "User-Agent": "slipway-kubernetes"}
        client.update_params_for_auth(headers, [], ["BearerToken"], path, method, None)
        if body is not None:
            headers["Content-Type"] = content_type
        url = f"{host}{path}" + (f"?{urlencode(query)}" if query else "")
        pool = client.rest_client.pool_manager
        try:
            answer = pool.request(
                method,
                url,
                headers=headers,
                body=None if body is None else json.dumps(body).encode(),
                timeout=urllib3.Timeout(connect=10, read=_SECONDS),
                retries=False,
            )
        except (urllib3.exceptions.HTTPError, ApiException, OSError) as error:
            raise UnreachableError(
                f"the API server {host} does not answer: {_reason(error)}. Is the cluster running, and the kubeconfig "
                "of this one?"
            ) from None
        return answer.status, answer.data.decode(errors="replace")

    def _connected(self) -> ApiClient:
        if self._client is None:
            if self.settings is None:
                raise UnreachableError("it is not known yet where the cluster is")
            self._client = _client(self.settings)
        return self._client


def _client(settings: Settings) -> ApiClient:
    # Slow to import.
    import yaml  # noqa: PLC0415
    from kubernetes import config  # noqa: PLC0415
    from kubernetes.config.config_exception import ConfigException  # noqa: PLC0415

    given = settings.kubeconfig
    is_path = "\n" not in given and not given.lstrip().startswith("{")
    try:
        if is_path:
            first = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
            path = Path(given or first or Path.home() / ".kube" / "config").expanduser()
            text, given = path.read_text(encoding="utf-8"), f"the kubeconfig {path}"
            found = _absolute(yaml.safe_load(text), path.parent)
        else:
            found, given = yaml.safe_load(given), "the kubeconfig of the provider"
        if settings.cluster:
            _with_cluster(found, settings)
        client: ApiClient = config.new_client_from_config_dict(  # type: ignore[no-untyped-call] # has no types
            found, context=settings.context, persist_config=False
        )
    except OSError as error:
        raise UnreachableError(f"the kubeconfig {given or 'of this user'} cannot be read: {error.strerror}") from None
    except (ConfigException, yaml.YAMLError, AttributeError, TypeError, KeyError) as error:
        # Of the content nothing is shown: it has credentials.
        said = str(error).splitlines()[0] if isinstance(error, ConfigException) else type(error).__name__
        raise UnreachableError(f"{given} cannot be used: {said}") from None
    return client


def _absolute(found: Any, folder: Path) -> Any:
    """Take the files that a kubeconfig names from beside it."""
    names = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
    for kind in ("cluster", "user"):
        for one in found.get(f"{kind}s") or []:
            part = one.get(kind) or {}
            part.update({name: str(folder / part[name]) for name in names if part.get(name)})
    return found


def _with_cluster(found: dict[str, Any], settings: Settings) -> None:
    name = settings.context or found["current-context"]
    for one in found["contexts"]:
        if one["name"] == name:
            one["context"]["cluster"] = settings.cluster


def _reason(error: BaseException) -> str:
    inner = getattr(error, "reason", None) or error
    return (str(inner).splitlines() or [type(inner).__name__])[0][:300]


def _refused(status: int, answer: str, method: str, path: str) -> ApiError:
    try:
        said = json.loads(answer)
        message, details = str(said["message"]), said.get("details") or {}
    except (ValueError, KeyError, TypeError):
        message, details = answer[:300] or f"{method} {path}: status {status}", {}
    if status == FORBIDDEN:
        message += "; the kubeconfig's user needs a role that allows it"
    return ApiError(status, message, details)
