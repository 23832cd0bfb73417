"""AccessKeys: what callers of a service show, two so that one can be replaced; only ever secrets."""

from __future__ import annotations

import pulumi


class AccessKeys(pulumi.CustomResource):
    """Two random keys; see provider/slipway/access_keys.py.

    Attributes:
        primary: The one that callers use.
        secondary: The one that they use while the primary is replaced.
    """

    primary: pulumi.Output[str]
    secondary: pulumi.Output[str]

    def __init__(self, name: str, *, rotate: int, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the keys.

        Args:
            name: The resource's name.
            rotate: One more replaces one key.
            opts: Pulumi's options.
        """
        inputs = {"rotate": rotate, "primary": None, "secondary": None}
        secret = pulumi.ResourceOptions(additional_secret_outputs=["primary", "secondary"])
        super().__init__("slipway:index:AccessKeys", name, inputs, pulumi.ResourceOptions.merge(opts, secret))
