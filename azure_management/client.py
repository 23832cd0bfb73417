"""Azure's management API over HTTP, as one user."""

from __future__ import annotations

import threading
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx

from azure_management.login import credential
from azure_management.place import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import tenacity

_SCOPE = "https://management.azure.com/.default"
_TIMEOUT = httpx.Timeout(60, connect=30)
_BUSY = frozenset({408, 429, 500, 502, 503, 504})
_ATTEMPTS = 6
_FIRST_PAUSE = 0.5
# A server that asks for longer is not waited for.
_LONGEST_PAUSE = 60.0
_MOST_PAGES = 100
# A token that ends within this time is not sent any more.
_TOKEN_SPARE_SECONDS = 300


class ManagementError(Exception):
    """The API refuses, or does not answer; the message says what to do where that is known."""


class AbsentError(ManagementError):
    """There is no such thing.

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


class Management:
    """The API, as one user; threads may share it."""

    def __init__(self, version: str, place: Place | None = None, *, login: Callable[[], Any] = credential) -> None:
        """Open no connection, and ask nobody for a token yet.

        Args:
            version: Of the API, for what is asked.
            place: Where it is.
            login: Makes the credential.
        """
        self._version = version
        self._place = place or Place()
        self._login = login
        # A proxy of the environment is never for this machine.
        self._client = httpx.Client(base_url=self._place.address, timeout=_TIMEOUT, trust_env=self._place.is_azure)
        self._credential: Any = None
        self._token, self._token_ends = self._place.token or "", float("inf")
        self._signing_in = threading.Lock()

    def get(self, path: str, may_need: str, **query: str) -> dict[str, Any]:
        """Return a resource.

        Args:
            path: Its id.
            may_need: The role that somebody needs who may not read it, and on what.
            query: Beside the API's version.

        Raises:
            AbsentError: There is none.
            ManagementError: Nobody is logged in, Azure refuses, or it does not answer.
        """
        return self._answer(str(httpx.URL(path, params={"api-version": self._version, **query})), may_need)

    def all(self, path: str, may_need: str, **query: str) -> Iterator[dict[str, Any]]:
        """Yield the resources of a list, page by page; as for `get`."""
        page = self.get(path, may_need, **query)
        for _ in range(_MOST_PAGES):
            yield from page.get("value", ())
            more = page.get("nextLink")
            if not more:
                return
            # The token goes nowhere else.
            if httpx.URL(more).copy_with(raw_path=b"/") != httpx.URL(self._place.address).copy_with(raw_path=b"/"):
                raise ManagementError(f"Azure's list of {path} goes on at another server, {httpx.URL(more).host}")
            page = self._answer(more, may_need)

    def _answer(self, url: str, may_need: str) -> dict[str, Any]:
        import tenacity  # noqa: PLC0415 - few commands ask Azure

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_BusyError),
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=_pause,
            reraise=True,
        )
        try:
            return retrying(self._once, url, may_need)
        except _BusyError as error:
            later = f"in {error.pause:.0f} s" if error.pause else "later"
            raise ManagementError(f"{self._place.name} {error} ({_ATTEMPTS} attempts); run it again {later}") from None

    def _once(self, url: str, may_need: str) -> dict[str, Any]:
        try:
            response = self._client.get(url, headers={"Authorization": f"Bearer {self._signed_in()}"})
        except httpx.TransportError as error:
            if not self._place.is_azure:
                raise ManagementError(
                    f"{self._place.name} does not answer at {self._place.address}: "
                    "`slipway up --stack STACK -- --refresh` starts it, with the name of the stack that made it"
                ) from None
            raise _BusyError(f"cannot be reached: {error or type(error).__name__}") from None
        status = response.status_code
        if status in _BUSY:
            asked = response.headers.get("Retry-After", "")
            busy = " (too many requests)" if status == HTTPStatus.TOO_MANY_REQUESTS else ""
            raise _BusyError(f"answers {status}{busy}", float(asked) if asked.isdecimal() else 0)
        answer = _mapping(response)
        if status == HTTPStatus.OK and answer is not None:
            return answer
        said = (answer or {}).get("error")
        said = said if isinstance(said, dict) else {}
        raise _refused(status, str(said.get("code", "")), str(said.get("message", "")), may_need)

    def _signed_in(self) -> str:
        """The token: of an hour or so, and a log may be followed for longer."""
        with self._signing_in:
            if not self._token or time.time() > self._token_ends - _TOKEN_SPARE_SECONDS:
                self._credential = self._credential or self._login()
                made = _token(self._credential)
                self._token, self._token_ends = str(made.token), float(made.expires_on)
            return self._token


def _token(login: Any) -> Any:
    from azure.core.exceptions import ClientAuthenticationError  # noqa: PLC0415 - slow, as above

    try:
        return login.get_token(_SCOPE)
    except ClientAuthenticationError as error:
        # The library's own message has a line for each way that it tried.
        reason = "" if "DefaultAzureCredential failed" in str(error) else f" ({str(error).splitlines()[0]})"
        raise ManagementError(
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


def _refused(status: int, code: str, message: str, may_need: str) -> ManagementError:
    first = (message.splitlines() or [""])[0]
    said = ": ".join(part for part in (code, first) if part) or "nothing readable"
    if status == HTTPStatus.NOT_FOUND:
        return AbsentError(code, said)
    if status == HTTPStatus.UNAUTHORIZED:
        return ManagementError(
            f"Azure does not take the login ({said}): `az login` again, with `--tenant` where it is in another tenant"
        )
    if status == HTTPStatus.FORBIDDEN:
        return ManagementError(f"who is logged in to Azure may not read it ({code or status}): it takes {may_need}")
    return ManagementError(f"Azure answers {status}: {said}")
