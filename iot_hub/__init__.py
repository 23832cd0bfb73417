"""How an IoT hub is spoken to, by what deploys to it and by what looks at it."""

from iot_hub.client import HubClient, HubError

__all__ = ["HubClient", "HubError"]
