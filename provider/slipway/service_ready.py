"""ServiceReady: waits until a service is ready, and before its removal until its callers have left it.

It stands between a service and what leads callers to it: that depends on this one, and this one on the service. So a
new version is led to only when it answers, and an old one goes only when it is no longer looked up.
Inputs: `url` (what answers 200 when it is ready), `revision` (another one is waited for anew), `seconds` (how long),
`drain` (seconds from the switch to the removal). Certificates are not checked: nothing secret is sent.
"""

from __future__ import annotations

import http.client
import ssl
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from provider.resource import Diff, ProviderError, Resource, State, changes

if TYPE_CHECKING:
    from provider.resource import Call

_BETWEEN = 1.0
_ANSWER_SECONDS = 5.0
_RELEVANT = ("url", "revision")


class ServiceReady(Resource):
    """A service that answers."""

    def diff(self, call: Call, old: State, new: dict[str, Any]) -> Diff:
        """Compare: another address is another resource, another revision is waited for; times say how, not what."""
        del call
        before, after = ({name: one.get(name) for name in (*_RELEVANT, "drain")} for one in (old.inputs, new))
        return Diff(changes(before, after, replaces=lambda name: name == "url"))

    def preview(self, call: Call, inputs: dict[str, Any], old: State | None) -> dict[str, Any]:
        """Know the inputs."""
        del call, old
        return inputs

    def create(self, call: Call, inputs: dict[str, Any]) -> State:
        """Wait for it."""
        _wait(call, inputs["url"], inputs["seconds"])
        return State(inputs["url"], inputs, inputs)

    def read(self, call: Call, state: State) -> State | None:
        """Keep it: whether the service answers just now is not what this is about."""
        del call
        return state

    def update(self, call: Call, old: State, new: dict[str, Any]) -> dict[str, Any]:
        """Wait for the other revision."""
        if any(old.inputs.get(name) != new.get(name) for name in _RELEVANT):
            _wait(call, new["url"], new["seconds"])
        return new

    def delete(self, call: Call, state: State) -> None:
        """Wait until callers have left."""
        if seconds := state.inputs.get("drain", 0):
            call.status(f"waiting {seconds:g} s for callers to leave")
            call.cancelled.wait(seconds)


def _wait(call: Call, url: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (found := _answer(url)) is not None:
        call.status(f"waiting for {url}: {found}")
        if time.monotonic() >= end:
            raise ProviderError(
                f"{url} is not ready after {seconds:g} s: {found}. What was there before is still in use; the "
                "container's log says why (docs/azure.md), and the next `up` goes on from here."
            )
        if call.cancelled.wait(_BETWEEN):
            raise ProviderError(f"interrupted while waiting for {url}")


def _answer(url: str) -> str | None:
    """Ask once; return what is wrong, or None."""
    parts = urlsplit(url)
    if parts.hostname is None:
        return "no address"
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=_ANSWER_SECONDS)
    if parts.scheme == "https":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=_ANSWER_SECONDS, context=context)
    try:
        connection.request("GET", parts.path or "/")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"no answer ({getattr(error, 'strerror', None) or type(error).__name__})"
    finally:
        connection.close()
    return None if status == http.client.OK else f"it answers {status}"
