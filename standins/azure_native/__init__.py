"""Stand-in for the official `azure-native` plugin: its types and rules, over this machine instead of Azure."""

# The SDK's, since Pulumi asks for the plugin of the same version.
VERSION = "3.29.0"
