"""A client of one hub over azure-iot-hub: throttling is waited out, and failures are told in words."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

from azure_management.login import credential
from iot_hub.trust import authority

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator


# Without a right, absent, there already, changed meanwhile: answers, not accidents.
NOT_ALLOWED, ABSENT, THERE, CHANGED = (401, 403), 404, 409, 412
_BUSY = frozenset({429, 500, 502, 503})
_PATIENCE_SECONDS = 180.0
_LONGEST_PAUSE = 20.0
_CONNECTIONS = 4
_PAGE = 500
_ANSWER_SECONDS = 60


class HubError(Exception):
    """The hub refuses, or cannot be reached; its text is for people."""

    def __init__(self, message: str, status: int | None = None) -> None:
        """Say why.

        Args:
            message: For people.
            status: Of HTTP, where there was an answer.
        """
        super().__init__(message)
        self.status = status


class HubClient:
    """One hub. The SDK takes a while to import, so that happens with the first request.

    Attributes:
        host: Its name.
    """

    host: str

    def __init__(
        self,
        host: str,
        connection_string: str | None = None,
        *,
        cancelled: threading.Event | None = None,
        patience: float = _PATIENCE_SECONDS,
        busy: Callable[[str], None] | None = None,
    ) -> None:
        """Take a hub; nothing is sent yet.

        Args:
            host: Its name.
            connection_string: With a key of the hub; without one, whoever is signed in to Azure asks.
            cancelled: Ends waiting.
            patience: How long, in seconds, a hub that is busy is asked again.
            busy: Told that the hub is busy.
        """
        self.host = host
        self._connection_string = connection_string
        self._cancelled = cancelled
        self._patience = patience
        self._busy = busy

    @cached_property
    def _manager(self) -> Any:
        import logging  # noqa: PLC0415 - only requests need it

        from azure.iot.hub import IoTHubConfigurationManager  # type: ignore[import-untyped]  # noqa: PLC0415 - slow

        # It warns of each time that the hub writes without a zone.
        logging.getLogger("msrest.serialization").setLevel(logging.ERROR)
        try:
            if self._connection_string:
                manager = IoTHubConfigurationManager.from_connection_string(self._connection_string)
            else:
                manager = IoTHubConfigurationManager.from_token_credential(self.host, credential())
        except ValueError as error:
            raise HubError(f"the connection string of {self.host} cannot be used: {error}") from None
        # It would wait by itself, and nothing could interrupt that.
        retry = manager.protocol.config.retry_policy
        retry.retries = 0
        retry.policy.status_forcelist, retry.policy.respect_retry_after_header = [], False
        connection = manager.protocol.config.connection
        connection.timeout = _ANSWER_SECONDS
        if own := authority(self.host):
            connection.verify = str(own)
        return manager

    @property
    def _api(self) -> Any:
        # The managers' own methods leave out what is needed here: pages of raw queries, and twins of modules.
        return self._manager.protocol

    # Devices.

    def device(self, name: str) -> dict[str, Any] | None:
        """Return a device's identity; None when there is none."""
        return self._found(lambda: self._api.devices.get_identity(name))

    def put_device(self, name: str, identity: dict[str, Any], etag: str | None = None) -> dict[str, Any]:
        """Register a device, or with an ETag change its identity.

        Raises:
            HubError: The hub refuses; the status is 409 when it is there already.
        """
        from azure.iot.hub.models import Device  # type: ignore[import-untyped]  # noqa: PLC0415 - slow

        body = Device.from_dict({"deviceId": name, **identity})
        return self._plain(lambda: self._api.devices.create_or_update_identity(name, body, _quoted(etag)))

    def delete_device(self, name: str) -> None:
        """Remove a device; it may be gone already."""
        self._found(lambda: self._api.devices.delete_identity(name, "*"))

    def tags(self, name: str) -> dict[str, Any]:
        """Return the tags of a device's twin."""
        twin = self._found(lambda: self._api.devices.get_twin(name)) or {}
        return dict(twin.get("tags") or {})

    def set_tags(self, name: str, tags: dict[str, Any]) -> None:
        """Merge tags into a device's twin; None takes one away."""
        # The SDK leaves out what is None, and with it the removal.
        self._request("PATCH", f"/twins/{_path(name)}", {"tags": tags}, {"If-Match": "*"})

    # Configurations.

    def configuration(self, name: str) -> dict[str, Any] | None:
        """Return a configuration; None when there is none."""
        return self._found(lambda: self._api.configuration.get(name))

    def configurations(self) -> list[dict[str, Any]]:
        """Return all configurations of the hub, of which it has a hundred at most."""
        found = self._ask(lambda: self._api.configuration.get_configurations(100))
        return [one.serialize(keep_readonly=True) for one in found or []]

    def put_configuration(self, body: dict[str, Any], etag: str | None = None) -> dict[str, Any]:
        """Create a configuration, or with an ETag change it.

        Raises:
            HubError: The hub refuses; the status is 409 when it is there already, 412 when it was changed meanwhile.
        """
        from azure.iot.hub.models import Configuration  # noqa: PLC0415 - slow

        name, model = body["id"], Configuration.from_dict(body)
        return self._plain(lambda: self._api.configuration.create_or_update(name, model, _quoted(etag)))

    def delete_configuration(self, name: str, etag: str = "*") -> None:
        """Delete a configuration; it may be gone already."""
        self._found(lambda: self._api.configuration.delete(name, _quoted(etag)))

    # What devices say.

    def query(self, text: str) -> Iterator[dict[str, Any]]:
        """Yield what a query finds, page by page."""
        more = None
        while True:
            headers = {"x-ms-max-item-count": str(_PAGE), **({"x-ms-continuation": more} if more else {})}
            answer = self._request("POST", "/devices/query", {"query": text}, headers)
            yield from answer.json()
            more = answer.headers.get("x-ms-continuation")
            if not more:
                return

    def call(self, device: str, module: str, method: str, payload: Any, seconds: int = 30) -> tuple[int, Any]:
        """Have a module run a direct method; return its status and what it answers.

        Raises:
            HubError: The device is not there, or does not answer in time.
        """
        body = {"methodName": method, "payload": payload, "responseTimeoutInSeconds": seconds}
        answer = self._request("POST", f"/twins/{_path(device)}/modules/{_path(module)}/methods", body, {}).json()
        return int(answer["status"]), answer.get("payload")

    # How it is asked.

    def _request(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        """Ask what the SDK's own operations lack, by its own client: the same address, credentials and version."""
        client = self._api._client  # noqa: SLF001 - its one way to send anything else
        query = {"api-version": self._api.api_version}
        send = {"POST": client.post, "PATCH": client.patch}[method]

        def ask() -> Any:
            request = send(path, query, {"Content-Type": "application/json; charset=utf-8", **headers}, body)
            request.data = json.dumps(body)
            answer = client.send(request, stream=False)
            if answer.status_code >= 300:  # noqa: PLR2004 - the first that is no success
                raise HubError(self._told(answer.status_code, answer), answer.status_code)
            return answer

        return self._ask(ask)

    def _plain(self, ask: Callable[[], Any]) -> dict[str, Any]:
        found: dict[str, Any] = self._ask(ask).serialize(keep_readonly=True)
        return found

    def _found(self, ask: Callable[[], Any]) -> dict[str, Any] | None:
        try:
            answer = self._ask(ask)
        except HubError as error:
            if error.status == ABSENT:
                return None
            raise
        return answer.serialize(keep_readonly=True) if answer is not None else None

    def _ask(self, ask: Callable[[], Any]) -> Any:
        import tenacity  # noqa: PLC0415 - only requests need it

        def again(error: BaseException) -> bool:
            return isinstance(error, HubError) and (error.status in _BUSY or error.status is None)

        def before(state: tenacity.RetryCallState) -> None:
            if self._busy:
                self._busy(f"{self.host} is busy, trying again ({state.attempt_number})")

        def enough(state: tenacity.RetryCallState) -> bool:
            error = state.outcome.exception() if state.outcome else None
            unreachable = isinstance(error, HubError) and error.status is None
            late = (state.seconds_since_start or 0) > self._patience
            interrupted = self._cancelled is not None and self._cancelled.is_set()
            return late or interrupted or (unreachable and state.attempt_number >= _CONNECTIONS)

        event = tenacity.sleep_using_event(self._cancelled) if self._cancelled else tenacity.nap.sleep
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(again),
            stop=enough,
            wait=tenacity.wait_random_exponential(0.5, _LONGEST_PAUSE),
            sleep=event,
            before_sleep=before,
            reraise=True,
        )(self._once, ask)

    def _once(self, ask: Callable[[], Any]) -> Any:
        from azure.core.exceptions import ClientAuthenticationError  # noqa: PLC0415 - slow
        from msrest.exceptions import ClientException, HttpOperationError  # noqa: PLC0415 - slow

        try:
            return ask()
        except HttpOperationError as error:
            status = int(error.response.status_code)
            raise HubError(self._told(status, error.response), status) from None
        except ClientAuthenticationError as error:
            first = str(error).splitlines()[0]
            raise HubError(f"not signed in to Azure for {self.host}: {first}", NOT_ALLOWED[0]) from None
        except (ClientException, OSError) as error:
            raise HubError(f"{self.host} cannot be reached: {_reason(error)}") from None

    def _told(self, status: int, response: Any) -> str:
        try:
            message = str(json.loads(response.text)["Message"])
        except (ValueError, KeyError, TypeError):
            message = str(getattr(response, "reason", "") or "no reason given")
        if status in NOT_ALLOWED:
            hint = "its key is not one of the hub's, or lacks a right: RegistryRead, RegistryWrite, ServiceConnect"
            return f"{self.host} refuses ({status}): {message}; {hint}"
        return f"{self.host} answers {status}: {message}"


def _quoted(etag: str | None) -> str | None:
    return etag if etag in (None, "*") or etag.startswith('"') else f'"{etag}"'


def _path(name: str) -> str:
    from urllib.parse import quote  # noqa: PLC0415 - only requests need it

    return quote(name, safe="")


def _reason(error: BaseException) -> str:
    inner = getattr(error, "inner_exception", None) or error
    text = str(inner)
    return text.rpartition("Caused by ")[2].rstrip(")") or type(inner).__name__
