"""Requests to an image registry: with a login where it wants one, and again where it is busy or broke off."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar

import httpx

from cli.errors import CliError
from cli.images.login import Login
from cli.images.names import is_local

if TYPE_CHECKING:
    from collections.abc import Callable

    import tenacity

T = TypeVar("T")
_TRIES = 4
_FIRST_WAIT_SECONDS = 0.5
# What a registry may ask for; who has to wait longer had better try again later.
_LONGEST_WAIT_SECONDS = 60.0
_SECONDS = 60.0


class RegistryError(CliError):
    """A registry answered with an error, or not at all."""


class _BusyError(RegistryError):
    """A registry cannot do it now: asked again, it may.

    Attributes:
        seconds: How long it asks to wait; 0 where it does not say.
    """

    seconds: float

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class Connection:
    """One registry, with the credentials that `docker login` left for it.

    Attributes:
        host: As image names begin.
    """

    host: str

    def __init__(self, host: str, *, wait: Callable[[float], None] = time.sleep, seconds: float = _SECONDS) -> None:
        """Connect at the first request.

        Args:
            host: As image names begin, without a path.
            wait: Waits between two tries.
            seconds: How long an answer may take.

        Raises:
            RegistryError: The host cannot be one.
        """
        self.host = host
        self._wait = wait
        try:
            self._client = httpx.Client(
                base_url=f"{'http' if is_local(host) else 'https'}://{host}",
                timeout=seconds,
                trust_env=not is_local(host),
                # A registry hands blobs out from elsewhere; httpx takes our credentials off before it goes there.
                follow_redirects=True,
            )
        except httpx.InvalidURL as error:
            raise RegistryError(f"{host} is no registry's address: {error}.") from None
        self._login = Login(host, self._client)

    def __enter__(self) -> Self:
        """Be closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def request(
        self, method: str, path: str, *, what: str, codes: tuple[int, ...], scope: str, **options: Any
    ) -> httpx.Response:
        """Send a request, again where the registry is only busy, and with a token where it wants one.

        Args:
            method: As in HTTP.
            path: On the registry.
            what: Says in a message what the registry does that answers anything else.
            codes: Answers that are welcome.
            scope: What a token has to allow.
            options: For httpx.

        Raises:
            RegistryError: There is no answer, or another one.
        """
        given = options.pop("headers", {})

        def send() -> httpx.Response:
            return self._client.request(method, path, headers={**given, **self._login.headers(scope)}, **options)

        def act() -> httpx.Response:
            answer = send()
            if answer.status_code == httpx.codes.UNAUTHORIZED and self._login.renew(answer, scope):
                answer = send()
            self._expect(answer, codes, what)
            return answer

        return self.again(act)

    def again(self, act: Callable[[], T]) -> T:
        """Do something, and once more after a broken connection or from a busy registry, with growing pauses.

        Raises:
            RegistryError: It fails each time.
        """
        import tenacity  # noqa: PLC0415 - few commands ask a registry

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((httpx.TransportError, _BusyError)),
            stop=tenacity.stop_after_attempt(_TRIES),
            wait=_pause,
            sleep=self._wait,
            reraise=True,
        )
        try:
            return retrying(act)
        except httpx.TransportError as error:
            raise RegistryError(
                f"The registry {self.host} does not answer: {str(error) or type(error).__name__}."
            ) from None
        except _BusyError as error:
            # No longer as busy: an `again` around this one would do all the tries again.
            raise RegistryError(str(error)) from None

    def _expect(self, answer: httpx.Response, codes: tuple[int, ...], what: str) -> None:
        told = f"The registry {self.host} {what} (HTTP {answer.status_code})."
        if answer.is_server_error or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise _BusyError(told, _seconds(answer.headers.get("Retry-After", "")))
        if answer.status_code in codes:
            return
        hint = None
        if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            hint = f"Log in first, with rights to pull and push: docker login {self.host}"
        raise RegistryError(told, hint=hint)


def _pause(state: tenacity.RetryCallState) -> float:
    """How long to wait after a try: longer each time, and as long as the registry asks."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.seconds if isinstance(error, _BusyError) else 0.0
    return float(max(asked, _FIRST_WAIT_SECONDS * 2 ** (state.attempt_number - 1)))


def _seconds(retry_after: str) -> float:
    """How long a Retry-After asks to wait: a number of seconds or a date (RFC 9110, 10.2.3); 0 for neither."""
    if retry_after.isdecimal():
        return min(float(retry_after), _LONGEST_WAIT_SECONDS)
    try:
        when = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return min(max((when - datetime.now(UTC)).total_seconds(), 0.0), _LONGEST_WAIT_SECONDS)
