"""The connection to the Docker engine: where it is, a client for each thread, and its errors as messages."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any

from provider.resource import ProviderError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import APIClient

# A stop waits for the container's grace, which is added to this.
_TIMEOUT_SECONDS = 120
NOT_FOUND, CONFLICT = 404, 409


class EngineError(ProviderError):
    """The engine refused; `status` is its HTTP status."""

    def __init__(self, text: str, status: int) -> None:
        """Keep the status.

        Args:
            text: What could not be done, and why.
            status: The engine's answer.
        """
        super().__init__(text)
        self.status = status


class Engine:
    """A Docker engine, connected to when it is first needed: previews without changes never do."""

    def __init__(self) -> None:
        """Point at the engine that the environment names."""
        self._config: dict[str, str] = {}
        self._clients = threading.local()
        self._version: str | None = None

    def configure(self, *, host: str = "", context: str = "", cert_path: str = "") -> None:
        """Name the engine.

        Args:
            host: Its address, such as "unix:///var/run/docker.sock" or "ssh://user@host".
            context: A Docker context, which goes before `host`, as with the official plugin.
            cert_path: A folder with ca.pem, cert.pem and key.pem for `host`.
        """
        self._config = {"host": host, "context": context, "cert_path": cert_path}

    @property
    def api(self) -> APIClient:
        """A client of this thread's own: a requests session is not safe to share.

        Raises:
            ProviderError: The engine cannot be reached.
        """
        if not hasattr(self._clients, "api"):
            self._clients.api = self._connect()
        client: APIClient = self._clients.api
        return client

    def _connect(self) -> APIClient:
        from docker import APIClient  # noqa: PLC0415 - longer to import than all the rest; many calls need no engine
        from docker.errors import DockerException  # noqa: PLC0415 - as above

        where = self._where()
        ssh = where.get("base_url", "").startswith("ssh://")
        try:
            client = APIClient(**where, version=self._version, timeout=_TIMEOUT_SECONDS, use_ssh_client=ssh)
        except (DockerException, OSError) as error:
            raise ProviderError(_unreachable(where, error)) from error
        self._version = client.api_version
        return client

    def _where(self) -> dict[str, Any]:
        from docker import tls, utils  # noqa: PLC0415 - as above
        from docker.context import ContextAPI  # noqa: PLC0415 - as above

        config = self._config
        context = config.get("context") or os.environ.get("DOCKER_CONTEXT")
        if context:
            where = dict(ContextAPI.kwargs_from_context(context))
            if not where:
                raise ProviderError(
                    f'there is no Docker context "{context}": `docker context ls` shows those there are'
                )
            return where
        if host := config.get("host"):
            certificates = config.get("cert_path")
            if not certificates:
                return {"base_url": host}
            pair = (f"{certificates}/cert.pem", f"{certificates}/key.pem")
            return {
                "base_url": host,
                "tls": tls.TLSConfig(client_cert=pair, ca_cert=f"{certificates}/ca.pem", verify=True),
            }
        if os.environ.get("DOCKER_HOST"):
            return dict(utils.kwargs_from_env())
        return dict(ContextAPI.kwargs_from_context())

    def at_least(self, version: str) -> bool:
        """Tell whether the engine's API is of this version or later."""
        have = tuple(map(int, self.api.api_version.split(".")))
        return have >= tuple(map(int, version.split(".")))

    @contextlib.contextmanager
    def doing(self, what: str) -> Iterator[Any]:
        """Turn the engine's refusals into messages.

        Args:
            what: What is being done, for "cannot ...".

        Yields:
            The client, as `Any`: its stubs are half untyped.

        Raises:
            EngineError: The engine refused.
            ProviderError: It cannot be reached.
        """
        client = self.api
        # Loaded by now: there is a client.
        from docker.errors import APIError, DockerException  # noqa: PLC0415 - with the client
        from requests.exceptions import RequestException  # noqa: PLC0415 - as above

        try:
            yield client
        except APIError as error:
            reason = str(error.explanation or error).strip()
            raise EngineError(f"cannot {what}: {reason}", error.status_code or 0) from error
        except RequestException as error:
            raise ProviderError(f"cannot {what}: {_unreachable(self._where(), error)}") from error
        except DockerException as error:
            raise ProviderError(f"cannot {what}: {error}") from error

    def inspect_container(self, container: str) -> dict[str, Any] | None:
        """Look at a container, by its id or name; None when there is none."""
        try:
            with self.doing(f"inspect container {container}") as api:
                found: dict[str, Any] = api.inspect_container(container)
                return found
        except EngineError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def inspect_image(self, image: str) -> dict[str, Any] | None:
        """Look at an image, by its id or name; None when there is none."""
        try:
            with self.doing(f"inspect image {image}") as api:
                found: dict[str, Any] = api.inspect_image(image)
                return found
        except EngineError as error:
            if error.status == NOT_FOUND:
                return None
            raise


def _unreachable(where: dict[str, Any], error: BaseException) -> str:
    address = where.get("base_url", "unix:///var/run/docker.sock")
    cause = _first_cause(error)
    permission = isinstance(cause, PermissionError)
    advice = (
        "your user may not use it: join the group `docker` and log in again"
        if permission
        else "start Docker (`docker info` tells whether it runs), or name another engine by "
        "`pulumi config set docker:host`, DOCKER_HOST or a Docker context"
    )
    return f"the Docker engine at {address} does not answer ({cause}); {advice}"


def _first_cause(error: BaseException) -> BaseException:
    """Dig out the operating system's own words from under those of the HTTP libraries."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno is not None:
            return seen
        seen = seen.__cause__ or seen.__context__
    return error
