"""Stand-in for the official `docker` plugin: containers, images, networks and volumes of a Docker engine."""

# The SDK's, since Pulumi asks for the plugin of the same version.
VERSION = "5.2.0"
