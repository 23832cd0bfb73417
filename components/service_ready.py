"""ServiceReady: a service, once it answers; what leads callers to it depends on this."""

from __future__ import annotations

import pulumi


class ServiceReady(pulumi.CustomResource):
    """Waits for a service; see provider/slipway/service_ready.py."""

    def __init__(
        self,
        name: str,
        *,
        url: pulumi.Input[str],
        revision: str,
        seconds: int,
        drain: int = 0,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Wait.

        Args:
            name: The resource's name.
            url: What answers 200 when the service is ready.
            revision: Another one is waited for anew.
            seconds: How long the service may take.
            drain: How long, in seconds, it is kept after callers are led elsewhere.
            opts: Pulumi's options.
        """
        inputs = {"url": url, "revision": revision, "seconds": seconds, "drain": drain}
        super().__init__("slipway:index:ServiceReady", name, inputs, opts)
