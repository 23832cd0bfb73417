"""Runs the plugin: `python -m standins.azure_native ENGINE_ADDRESS`, which the engine does through ../bin."""

from __future__ import annotations

from provider.protocol import serve
from standins.azure_native.plugin import AzurePackage

if __name__ == "__main__":
    serve(AzurePackage())
