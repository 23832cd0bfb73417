"""Stand-in for the official `azure-native` plugin: its types and rules, over this machine instead of Azure."""

# The SDK's, since Pulumi asks for the plugin of the same version.
VERSION = "3.29.0"

from standins.azure_native.banner import in_use  # noqa: E402 - which needs the version

__all__ = ["VERSION", "in_use"]
