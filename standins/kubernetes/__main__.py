"""Runs the plugin: `python -m standins.kubernetes ENGINE_ADDRESS`, which the engine does through ../bin."""

from __future__ import annotations

from provider.protocol import serve
from standins.kubernetes.plugin import KubernetesPackage

if __name__ == "__main__":
    serve(KubernetesPackage())
