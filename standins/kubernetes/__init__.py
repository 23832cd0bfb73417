"""Stand-in for the official `kubernetes` plugin: objects of any kind, applied to a real API server."""

# The SDK's, since Pulumi asks for the plugin of the same version.
VERSION = "4.34.2"
