"""Storage and registries: nobody comes in without a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from policies.rules.rule import Rule, at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from policies.rules.rule import Resource

# Kind of resource, its property, and what opens it.
_OPEN = (
    ("azure-native:storage:StorageAccount", "allowBlobPublicAccess", (True,), "false"),
    ("azure-native:storage:BlobContainer", "publicAccess", ("Blob", "Container"), "None"),
    ("azure-native:containerregistry:Registry", "anonymousPullEnabled", (True,), "false"),
    ("azure-native:containerregistry:Registry", "adminUserEnabled", (True,), "false"),
)


def _check(resource: Resource, _options: Mapping[str, Any]) -> Iterator[str]:
    for kind, name, values, allowed in _OPEN:
        given = at(resource.body, name)
        if resource.kind == kind and given in values:
            yield (
                f"it has {name}: {str(given).lower() if given is True else given}. Allowed: {allowed}. "
                "Give callers an identity with a role instead: what Slipway makes has those."
            )


NO_ANONYMOUS_ACCESS = Rule(
    "no-anonymous-access",
    "Nobody reads storage or pulls images without an identity, and no registry has an admin user.",
    _check,
)
