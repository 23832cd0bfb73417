"""Azure's management API, as far as a model's place is asked for: who asks, what is tried again, what refusals say."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx

from registry.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import tenacity

ADDRESS = "https://management.azure.com"
_SCOPE = "https://management.azure.com/.default"
_API = "2024-10-01"
_TIMEOUT = httpx.Timeout(60, connect=30)
_BUSY = frozenset({408, 429, 500, 502, 503, 504})
_ATTEMPTS = 6
_FIRST_PAUSE = 0.5
# A server that asks for longer is not waited for.
_LONGEST_PAUSE = 60.0
_MOST_PAGES = 100


class AbsentError(RegistryError):
    """There is no such thing in Azure.

    Attributes:
        code: Azure's own, as `ResourceNotFound`.
    """

    def __init__(self, code: str, message: str) -> None:
        """Say what Azure says.

        Args:
            code: Azure's own.
            message: For people.
        """
        super().__init__(message)
        self.code = code


class _BusyError(Exception):
    """It may answer later; `pause` is how many seconds it asks for."""

    def __init__(self, message: str, pause: float = 0) -> None:
        super().__init__(message)
        self.pause = pause


def login() -> Any:
    """Return who asks: the environment's credentials, a machine's identity, or what `az login` left."""
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415 - slow, and only models in a workspace need it

    return DefaultAzureCredential()


class Arm:
    """The API, as one user."""

    def __init__(self) -> None:
        """Open no connection yet.

        Raises:
            RegistryError: Nobody is logged in.
        """
        self._client = httpx.Client(base_url=ADDRESS, timeout=_TIMEOUT)
        self._token = _token()

    def get(self, path: str, may_need: str, **query: str) -> dict[str, Any]:
        """Return a resource.

        Args:
            path: Its id.
            may_need: The role that somebody needs who may not read it, and on what.
            query: Beside the API's version.

        Raises:
            AbsentError: There is none.
            RegistryError: Azure refuses, or does not answer.
        """
        return self._answer(str(httpx.URL(path, params={"api-version": _API, **query})), may_need)

    def all(self, path: str, may_need: str, **query: str) -> Iterator[dict[str, Any]]:
        """Yield the resources of a list, page by page; as for `get`."""
        page = self.get(path, may_need, **query)
        for _ in range(_MOST_PAGES):
            yield from page.get("value", ())
            more = page.get("nextLink")
            if not more:
                return
            # The token goes nowhere else.
            if httpx.URL(more).copy_with(raw_path=b"/") != httpx.URL(ADDRESS).copy_with(raw_path=b"/"):
                raise RegistryError(f"Azure's list of {path} goes on at another server, {httpx.URL(more).host}")
            page = self._answer(more, may_need)

    def _answer(self, url: str, may_need: str) -> dict[str, Any]:
        import tenacity  # noqa: PLC0415 - as above

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_BusyError),
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=_pause,
            reraise=True,
        )
        try:
            return retrying(self._once, url, may_need)
        except _BusyError as error:
            raise RegistryError(f"Azure's management API {error} ({_ATTEMPTS} attempts); run it again later") from None

    def _once(self, url: str, may_need: str) -> dict[str, Any]:
        try:
            response = self._client.get(url, headers={"Authorization": f"Bearer {self._token}"})
        except httpx.TransportError as error:
            raise _BusyError(f"cannot be reached: {error or type(error).__name__}") from None
        status = response.status_code
        if status in _BUSY:
            asked = response.headers.get("Retry-After", "")
            raise _BusyError(f"answers {status}", float(asked) if asked.isdecimal() else 0)
        answer = _mapping(response)
        if status == HTTPStatus.OK and answer is not None:
            return answer
        said = (answer or {}).get("error")
        said = said if isinstance(said, dict) else {}
        raise _refused(status, str(said.get("code", "")), str(said.get("message", "")), may_need)


def _token() -> str:
    from azure.core.exceptions import ClientAuthenticationError  # noqa: PLC0415 - as above

    try:
        return str(login().get_token(_SCOPE).token)
    except ClientAuthenticationError as error:
        # The library's own message has a line for each way that it tried.
        reason = "" if "DefaultAzureCredential failed" in str(error) else f" ({str(error).splitlines()[0]})"
        raise RegistryError(
            f"nobody is logged in to Azure here{reason}: run `az login`, or in a pipeline set AZURE_TENANT_ID, "
            "AZURE_CLIENT_ID and what belongs to them, or let its identity log in"
        ) from None


def _pause(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.pause if isinstance(error, _BusyError) else 0
    return float(min(max(asked, _FIRST_PAUSE * 2 ** (state.attempt_number - 1)), _LONGEST_PAUSE))


def _mapping(response: httpx.Response) -> dict[str, Any] | None:
    try:
        answer = response.json()
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _refused(status: int, code: str, message: str, may_need: str) -> RegistryError:
    first = (message.splitlines() or [""])[0]
    said = ": ".join(part for part in (code, first) if part) or "nothing readable"
    if status == HTTPStatus.NOT_FOUND:
        return AbsentError(code, said)
    if status == HTTPStatus.UNAUTHORIZED:
        return RegistryError(
            f"Azure does not take the login ({said}): `az login` again, with `--tenant` where it is in another tenant"
        )
    if status == HTTPStatus.FORBIDDEN:
        return RegistryError(f"who is logged in to Azure may not read it ({code or status}): it takes {may_need}")
    return RegistryError(f"Azure answers {status}: {said}")
