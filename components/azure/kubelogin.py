"""Kubeconfigs of clusters without passwords: who deploys gets in by kubelogin, without a browser and a code."""

from __future__ import annotations

import base64
from itertools import pairwise
from typing import Any

import yaml

# Azure's application for all such clusters.
_SERVER = "6dae42f8-4368-4678-94ff-3960e28e3630"
_HINT = "kubelogin is missing: `az aks install-cli` installs it (docs/kubernetes.md)."


def usable(encoded: str, login: str) -> str:
    """Return a cluster's kubeconfig as text that programs can use.

    Azure's asks a person to type a code into a browser. One with a certificate or a token stays as it is.

    Args:
        encoded: As Azure hands it out.
        login: How kubelogin gets in: `azurecli`, `workloadidentity` or `spn`.
    """
    config: dict[str, Any] = yaml.safe_load(base64.b64decode(encoded))
    for one in config.get("users") or []:
        user = one.get("user") or {}
        if "exec" in user:
            one["user"] = {"exec": _exec(user["exec"].get("args") or [], login)}
        elif "auth-provider" in user:
            given = user["auth-provider"].get("config") or {}
            arguments = ["--server-id", str(given.get("apiserver-id") or _SERVER)]
            if given.get("tenant-id"):
                arguments += ["--tenant-id", str(given["tenant-id"])]
            one["user"] = {"exec": _exec(arguments, login)}
    return yaml.safe_dump(config, sort_keys=False)


def _exec(arguments: list[str], login: str) -> dict[str, Any]:
    given = dict[str, str](pairwise(arguments))
    kept = {name: value for name, value in given.items() if name in {"--environment", "--tenant-id"}}
    wanted: dict[str, str] = {"--login": login, "--server-id": given.get("--server-id", _SERVER), **kept}
    return {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "kubelogin",
        "args": ["get-token", *(part for pair in wanted.items() for part in pair)],
        "env": None,
        "installHint": _HINT,
        "interactiveMode": "Never",
        "provideClusterInfo": False,
    }
