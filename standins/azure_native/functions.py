"""The functions: `getClientConfig`, every `getX` of a served type, and the `list...Keys` of a few."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from provider.resource import ProviderError
from standins.azure_native.arm import ArmError
from standins.azure_native.kinds.kind import TENANT, made_up
from standins.azure_native.paths import PATHS

if TYPE_CHECKING:
    from provider.resource import Call
    from standins.azure_native.resource import AzureResource
    from standins.azure_native.store import Record, Store

Function = Callable[["Call", dict[str, Any]], dict[str, Any]]
_PREFIX = "azure-native:"


class Functions(Mapping[str, Function]):
    """The functions by token; most are made as they are asked for."""

    def __init__(self, store: Store, config: dict[str, str], resources: Mapping[str, AzureResource]) -> None:
        """Serve the functions over a store.

        Args:
            store: What there is.
            config: The provider's configuration.
            resources: The types, by token.
        """
        self._store = store
        self._config = config
        self._resources = resources
        self._own: dict[str, Function] = {
            "azure-native:authorization:getClientConfig": self._client_config,
            "azure-native:authorization:getClientToken": lambda _call, _args: {"token": made_up("token")},
            "azure-native:containerregistry:listRegistryCredentials": self._registry_credentials,
            "azure-native:containerservice:listManagedClusterUserCredentials": self._cluster_credentials,
            "azure-native:iothub:listIotHubResourceKeys": self._hub_keys,
            "azure-native:iothub:listIotHubResourceKeysForKeyName": self._hub_key,
            "azure-native:operationalinsights:getSharedKeys": self._shared_keys,
            "azure-native:storage:listStorageAccountKeys": self._storage_keys,
        }

    def __getitem__(self, token: str) -> Function:
        """Find a function."""
        if token in self._own:
            return self._own[token]
        module, _, name = token.removeprefix(_PREFIX).rpartition(":")
        kind = f"{module}:{name.removeprefix('get')}"
        if not name.startswith("get") or kind not in PATHS:
            raise KeyError(token)
        return lambda _call, arguments: self._get(kind, arguments)

    def __iter__(self) -> Iterator[str]:
        """Name them all."""
        yield from self._own
        yield from (f"{_PREFIX}{kind.replace(':', ':get')}" for kind in PATHS)

    def __len__(self) -> int:
        """Count them."""
        return len(self._own) + len(PATHS)

    def _found(self, kind: str, arguments: dict[str, Any]) -> Record:
        path = PATHS[kind]
        if missing := [name for name in path.parameters if name not in arguments]:
            raise ProviderError(f"{kind} needs {', '.join(missing)}")
        resource = path.id_of(self._config["subscriptionId"], arguments)
        record = self._store.get(resource)
        if record is None:
            raise ArmError(404, "ResourceNotFound", f"The Resource '{resource}' was not found.")
        return record

    def _get(self, kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
        record = self._found(kind, arguments)
        resource = self._resources[_PREFIX + kind]
        return {**resource.outputs(resource.kind.observe(record) or record), "id": record.id}

    def _client_config(self, _call: Call, _arguments: dict[str, Any]) -> dict[str, Any]:
        return {
            "clientId": self._config.get("clientId") or made_up("client", "deployer"),
            "objectId": made_up("principal", "deployer"),
            "subscriptionId": self._config["subscriptionId"],
            "tenantId": self._config.get("tenantId") or TENANT,
        }

    # Not marked as secret, as the official plugin's are not: a program has to do it (Output.secret).

    def _storage_keys(self, _call: Call, arguments: dict[str, Any]) -> dict[str, Any]:
        from standins.azure_native.kinds.storage import account_key  # noqa: PLC0415 - only here

        record = self._found("storage:StorageAccount", arguments)
        return {
            "keys": [
                {"keyName": name, "permissions": "FULL", "value": account_key(self._store, record.id, name)}
                for name in ("key1", "key2")
            ]
        }

    def _cluster_credentials(self, _call: Call, arguments: dict[str, Any]) -> dict[str, Any]:
        from standins.azure_native.kinds.cluster import user_credentials  # noqa: PLC0415 - only here

        return user_credentials(self._found("containerservice:ManagedCluster", arguments))

    def _registry_credentials(self, _call: Call, arguments: dict[str, Any]) -> dict[str, Any]:
        record = self._found("containerregistry:Registry", arguments)
        if not record.body.get("adminUserEnabled"):
            raise ArmError(400, "UnAuthorizedForCredentialOperations", "Admin user is disabled for this registry.")
        passwords = [{"name": name, "value": self._key(record, name)} for name in ("password", "password2")]
        return {"username": record.name, "passwords": passwords}

    def _hub_keys(self, _call: Call, arguments: dict[str, Any]) -> dict[str, Any]:
        from standins.azure_native.kinds import iot_hub  # noqa: PLC0415 - only here

        record = self._found(iot_hub.TOKEN, arguments)
        iot_hub.serve(self._store, record)
        found = iot_hub.policies(self._store, record)
        return {
            "value": [
                {
                    "keyName": name,
                    "primaryKey": one["keys"][0],
                    "secondaryKey": one["keys"][1],
                    "rights": ", ".join(one["rights"]),
                }
                for name, one in found.items()
            ]
        }

    def _hub_key(self, call: Call, arguments: dict[str, Any]) -> dict[str, Any]:
        name = arguments.get("keyName")
        found = [one for one in self._hub_keys(call, arguments)["value"] if one["keyName"] == name]
        if not found:
            raise ArmError(404, "NotFound", f"The shared access policy '{name}' was not found.")
        return dict(found[0])

    def _shared_keys(self, _call: Call, arguments: dict[str, Any]) -> dict[str, Any]:
        record = self._found("operationalinsights:Workspace", arguments)
        return {f"{name}SharedKey": self._key(record, name) for name in ("primary", "secondary")}

    def _key(self, record: Record, name: str) -> str:
        text = f"{self._store.mark}|{record.id.lower()}|{name}"
        return base64.b64encode(hashlib.sha512(text.encode()).digest()).decode()
