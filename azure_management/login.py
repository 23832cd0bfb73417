"""Who asks Azure: the environment's credentials, a machine's identity, or what `az login` left."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def credential(env: Mapping[str, str] | None = None) -> Any:
    """Return who Pulumi's azure-native is, where its variables say so; else who is logged in.

    Args:
        env: The environment; this process's own by default.
    """
    from azure import identity  # noqa: PLC0415 - slow to import

    # What it warns of is an error that callers tell, in one line.
    logging.getLogger("azure.identity").setLevel(logging.ERROR)
    env = os.environ if env is None else env
    tenant, client = env.get("ARM_TENANT_ID", ""), env.get("ARM_CLIENT_ID", "")
    if tenant and client and (secret := env.get("ARM_CLIENT_SECRET")):
        return identity.ClientSecretCredential(tenant, client, secret)
    if tenant and client and (token := env.get("ARM_OIDC_TOKEN")):
        return identity.ClientAssertionCredential(tenant, client, lambda: token)
    return identity.DefaultAzureCredential()
