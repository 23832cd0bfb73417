"""What the cloud targets of a stack share in Azure. Imported only where one of them is live: the SDK is large."""

from components.azure.platform import Platform

__all__ = ["Platform"]
