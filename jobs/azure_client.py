"""The way to a Batch account: who asks, and what its refusals say to a person."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from azure_management.login import credential

if TYPE_CHECKING:
    from collections.abc import Mapping

    from azure.batch import BatchClient
    from azure.core.exceptions import AzureError

# What the stand-in takes for a person's token; Azure's are of Microsoft Entra.
_NOBODY = "stand-in"
_UNAUTHORIZED, _FORBIDDEN = 401, 403
_POLL_SECONDS = 1


def open_client(account: str, env: Mapping[str, str] | None = None) -> BatchClient:
    """Return a client of an account.

    Args:
        account: Its address, as the stack exports it.
        env: The environment that says who asks; this process's own by default.

    Raises:
        ValueError: The address is one that tokens must not be sent to.
    """
    # Slow to import.
    from azure.batch import BatchClient  # noqa: PLC0415 - as above

    if urlsplit(account).scheme == "https":
        return BatchClient(account, credential(env))
    return BatchClient(account, _StandIn(), authentication_policy=_plain_token(account), polling_interval=_POLL_SECONDS)


class _StandIn:
    """Who asks the stand-in: it is on this machine, and asks nobody who they are."""

    def get_token(self, *scopes: str, **options: Any) -> Any:
        raise NotImplementedError(scopes, options)


def _plain_token(account: str) -> Any:
    """Let the stand-in on this machine be asked without TLS, which the library refuses for a good reason."""
    from azure.core.pipeline.policies import SansIOHTTPPolicy  # noqa: PLC0415 - slow to import

    host = urlsplit(account).hostname or ""
    try:
        is_here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_here = False
    if not is_here:
        raise ValueError(f"{account} is not https, and not on this machine")

    class PlainToken(SansIOHTTPPolicy[Any, Any]):
        def on_request(self, request: Any) -> None:
            request.http_request.headers["Authorization"] = f"Bearer {_NOBODY}"

    return PlainToken()


def reason_of(error: AzureError) -> str:
    """Return what a refusal says, in one line, and what to do where that is known."""
    model = getattr(error, "model", None)
    code = getattr(model, "code", None)
    text = getattr(getattr(model, "message", None), "value", None) or str(error)
    details = [f"{one.key}: {one.value}" for one in getattr(model, "error_values", None) or []]
    first = (text.splitlines() or [type(error).__name__])[0].rstrip(".")
    said = ", ".join([f"{code}: {first}" if code else first, *details])
    status = getattr(error, "status_code", None)
    if status in {_UNAUTHORIZED, _FORBIDDEN}:
        said += "; who asks needs the role Azure Batch Job Submitter on the account (docs/azure-batch.md)"
    return said
