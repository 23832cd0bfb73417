"""How resources of ours speak to an IoT hub."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from provider.resource import ProviderError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iot_hub import HubClient
    from provider.resource import Call


def client(call: Call, inputs: dict[str, Any]) -> HubClient:
    """Return a client of the hub that inputs name."""
    from iot_hub import HubClient  # noqa: PLC0415 - an unchanged stack starts without it

    return HubClient(inputs["hub"], inputs.get("connectionString"), cancelled=call.cancelled, busy=call.status)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Show what the hub refuses as it is."""
    from iot_hub import HubError  # noqa: PLC0415 - as above

    try:
        yield
    except HubError as error:
        raise ProviderError(str(error)) from None
