"""The package as a whole: its resources by token, its functions, and the provider's own configuration."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from provider.resource import Failure, Package, ProviderError
from standins.azure_native import VERSION
from standins.azure_native.arm import Arm
from standins.azure_native.banner import BANNER, credentials_in
from standins.azure_native.functions import Functions
from standins.azure_native.kinds.all import kind_of
from standins.azure_native.paths import PATHS
from standins.azure_native.resource import AzureResource
from standins.azure_native.store import Store

if TYPE_CHECKING:
    from provider.resource import Call

_PREFIX = "azure-native:"
SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"


class _Resources(Mapping[str, AzureResource]):
    """The types by token, made as they are asked for."""

    def __init__(self, package: AzurePackage) -> None:
        self._package = package
        self._made: dict[str, AzureResource] = {}

    def __getitem__(self, token: str) -> AzureResource:
        kind = token.removeprefix(_PREFIX)
        if kind not in PATHS:
            raise KeyError(token)
        if token not in self._made:
            package = self._package
            self._made[token] = AzureResource(
                kind_of(kind, package.store), package.arm, package.config, package.say_once
            )
        return self._made[token]

    def __iter__(self) -> Iterator[str]:
        return (_PREFIX + kind for kind in PATHS)

    def __len__(self) -> int:
        return len(PATHS)


class AzurePackage(Package):
    """The types that are served, all over one store."""

    def __init__(self) -> None:
        """Make the parts; nothing is read yet."""
        self.store = Store()
        self.arm = Arm(self.store)
        self.config: dict[str, str] = {"subscriptionId": os.environ.get("ARM_SUBSCRIPTION_ID") or SUBSCRIPTION}
        self._said = threading.Event()
        resources = _Resources(self)
        super().__init__("azure-native", VERSION, resources, Functions(self.store, self.config, resources))

    def check_config(self, config: dict[str, Any]) -> list[Failure]:
        """Refuse to stand in where Azure itself is meant."""
        del config
        if reason := credentials_in(os.environ):
            return [Failure("", reason)]
        return []

    def configure(self, config: dict[str, Any]) -> None:
        """Take the subscription and the default location."""
        for name in ("subscriptionId", "tenantId", "clientId", "location"):
            if isinstance(config.get(name), str) and config[name]:
                self.config[name] = config[name]

    def say_once(self, call: Call) -> None:
        """Say that nothing goes to Azure."""
        if reason := credentials_in(os.environ):
            raise ProviderError(reason)
        if not self._said.is_set():
            self._said.set()
            call.log("warning", BANNER)

    def refusal(self, token: str) -> str:
        """Name the way out."""
        return (
            f"the stand-in for azure-native does not serve {token}: its table of paths "
            "(standins/azure_native/paths.py) lacks it, or nobody needed that function yet. The official plugin has "
            "it: `pulumi plugin install resource azure-native`"
        )
