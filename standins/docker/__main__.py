"""Runs the plugin: `python -m standins.docker ENGINE_ADDRESS`, which the engine does through ../bin."""

from __future__ import annotations

from provider.protocol import serve
from standins.docker.plugin import DockerPackage

if __name__ == "__main__":
    serve(DockerPackage())
