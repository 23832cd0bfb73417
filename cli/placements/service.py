"""Asks deployed models: what state they are in, and to score."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import urlsplit

import httpx

from cli.errors import CliError
from cli.placements.states import UNAUTHORIZED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_STATUS_SECONDS = 3.0


class _Options(TypedDict):
    trust_env: bool
    verify: bool


@dataclass(frozen=True)
class Answer:
    """What a model answered.

    Attributes:
        status: The HTTP status.
        text: The body.
        milliseconds: How long it took, seen from here.
    """

    status: int
    text: str
    milliseconds: float

    @property
    def is_success(self) -> bool:
        """Whether the model scored the request."""
        return httpx.codes.is_success(self.status)

    @property
    def value(self) -> Any:
        """The answer as a JSON value, or as text where it is none."""
        try:
            return json.loads(self.text)
        except ValueError:
            return self.text

    @property
    def message(self) -> str:
        """What an answer that is an error says."""
        value = self.value
        if isinstance(value, dict) and isinstance(value.get("message"), str):
            return str(value["message"])
        return self.text.strip() or "without a message"


def score(endpoint: str, body: bytes, seconds: float, key: str | None = None) -> Answer:
    """Have a model score a request.

    Args:
        endpoint: Where the model answers.
        body: The request.
        seconds: How long to wait.
        key: What to show that one may ask.

    Raises:
        CliError: There is no answer.
    """
    start = time.perf_counter()
    try:
        with httpx.Client(timeout=seconds, **_options(endpoint)) as client:
            headers = {"Content-Type": "application/json", **_authorization(key)}
            answer = client.post(f"{endpoint}/score", content=body, headers=headers)
    except httpx.TimeoutException:
        raise CliError(f"{endpoint} did not answer within {seconds:g} s.") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CliError(f"{endpoint} cannot be reached: {str(error) or type(error).__name__}.") from None
    return Answer(answer.status_code, answer.text, (time.perf_counter() - start) * 1000)


async def statuses(endpoints: Sequence[str], keys: Mapping[str, str] | None = None) -> dict[str, dict[str, Any]]:
    """Ask services for their state, all at once.

    Args:
        endpoints: Where the services answer.
        keys: What to show to them, by endpoint.

    Returns:
        What `/status` told, by endpoint; those that told nothing are left out. Where it told only that a key is
        missing or wrong, `state` is `unauthorized`.
    """
    found = await asyncio.gather(*(_status(endpoint, (keys or {}).get(endpoint)) for endpoint in endpoints))
    return {endpoint: told for endpoint, told in zip(endpoints, found, strict=True) if told is not None}


async def _status(endpoint: str, key: str | None) -> dict[str, Any] | None:
    try:
        async with httpx.AsyncClient(timeout=_STATUS_SECONDS, **_options(endpoint)) as client:
            answer = await client.get(f"{endpoint}/status", headers=_authorization(key))
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            return {"state": UNAUTHORIZED}
        told = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return None
    return told if isinstance(told, dict) and isinstance(told.get("state"), str) else None


def _authorization(key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def _is_here(host: str) -> bool:
    """Whether a host is this machine; container groups of the stand-in have loopback addresses of their own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _options(endpoint: str) -> _Options:
    parts = urlsplit(endpoint)
    return {
        # A proxy of the environment is never for this machine.
        "trust_env": not _is_here(parts.hostname or ""),
        # Where nothing is encrypted, certificates are not even loaded: that takes longer than the request.
        "verify": parts.scheme == "https",
    }
