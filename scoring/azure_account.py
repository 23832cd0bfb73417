"""Which storage account a share is in, and as whom it is reached."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import requests
from azure.identity import ClientSecretCredential, DefaultAzureCredential
from azure.storage.fileshare import ShareServiceClient
from requests.adapters import HTTPAdapter, Retry

if TYPE_CHECKING:
    from collections.abc import Mapping

FORM = "azfiles://SHARE@ACCOUNT/PATH"
_DOMAIN = ".file.core.windows.net"
# As many as the runner reads with at once: of each beyond the usual ten there would be a warning.
_CONNECTIONS = 16
_NAME = "AZURE_STORAGE_ACCOUNT_NAME"
_OF_ONE_ACCOUNT = ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN")


def share_service(account: str | None, options: Mapping[str, Any]) -> ShareServiceClient:
    """Reach an account by what adlfs takes for blobs: the same variables, in the same order.

    Args:
        account: Its name, or its host; None where the environment says it.
        options: For the client.

    Raises:
        ValueError: Nothing says it, or the environment has credentials of another.
    """
    options = {"session": _session(), **options}
    env = {name: value for name, value in os.environ.items() if name.startswith("AZURE_STORAGE_") and value}
    if string := env.get("AZURE_STORAGE_CONNECTION_STRING"):
        service = ShareServiceClient.from_connection_string(string, **options)
        if account and account.partition(".")[0] != service.account_name:
            raise ValueError(
                f"its account is {account}, and AZURE_STORAGE_CONNECTION_STRING is of {service.account_name}: unset it"
            )
        return service
    host = account or env.get(_NAME)
    if not host:
        raise ValueError(f"it names no account; write {FORM}, or set {_NAME}")
    name, of = host.partition(".")[0], env.get(_NAME, host).partition(".")[0]
    secret = next((one for one in _OF_ONE_ACCOUNT if one in env), None)
    if secret and name != of:
        raise ValueError(
            f"its account is {account}, and {secret} is of {of}, which {_NAME} names: set both for {account}, "
            f"or unset {secret} to go by an identity"
        )
    host = host if "." in host else host + _DOMAIN
    return ShareServiceClient(f"https://{host}", _credential(name, env), token_intent="backup", **options)  # noqa: S106 - what the service calls it


def _session() -> requests.Session:
    session = requests.Session()
    for scheme in ("https://", "http://"):
        # Azure's library tries again by itself.
        session.mount(scheme, HTTPAdapter(pool_maxsize=_CONNECTIONS, max_retries=Retry(total=False)))
    return session


def _credential(account: str, env: dict[str, str]) -> Any:
    if key := env.get("AZURE_STORAGE_ACCOUNT_KEY"):
        return {"account_name": account, "account_key": key}
    if signature := env.get("AZURE_STORAGE_SAS_TOKEN"):
        return signature
    names = ("AZURE_STORAGE_TENANT_ID", "AZURE_STORAGE_CLIENT_ID", "AZURE_STORAGE_CLIENT_SECRET")
    if all(name in env for name in names):
        return ClientSecretCredential(*(env[name] for name in names))
    return DefaultAzureCredential()
