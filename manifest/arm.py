"""Ids of Azure's resources, and what may stand beside one."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from manifest.fields import Rule, matching, refusal
from manifest.problems import shown

_GUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_GROUP = rf"/subscriptions/{_GUID}/resourceGroups/[\w.()-]{{1,90}}"


def arm_id(kind: str) -> Rule:
    """Return the rule that a text is the Azure id of a resource.

    Args:
        kind: As in `Microsoft.Storage/storageAccounts`; below another resource `.../virtualNetworks/subnets`. Empty
            for a resource group.
    """
    namespace, *types = kind.split("/")
    below = f"/providers/{re.escape(namespace)}" + "".join(rf"/{one}/[\w.()-]{{1,128}}" for one in types)
    example = f"/subscriptions/ID/resourceGroups/NAME{f'/providers/{namespace}' if kind else ''}"
    example += "".join(f"/{one}/NAME" for one in types)
    return matching(_GROUP + (below if kind else ""), f"an id as in {example}")


def nothing_beside_id(kind: type[BaseModel], value: str | None, given: Mapping[str, Any]) -> str | None:
    """Refuse what would change a resource that is only attached.

    Args:
        kind: The class; `id` is its last field, so that the others are known.
        value: The id.
        given: The other fields' values.
    """
    changed = [name for name, one in given.items() if one != kind.model_fields[name].default]
    if value and changed:
        name = kind.model_fields[changed[0]].alias
        raise refusal(f"what is attached stays as it is: remove {shown(name)}, or the id to create one")
    return value
