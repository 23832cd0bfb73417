"""What cannot be changed in place, by kind: as the API server refuses it, or as the official plugin has it."""

from __future__ import annotations

import re

_ALL = ("kind", "metadata.name", "metadata.namespace", "metadata.generateName")
_POD = re.compile(r"spec\.(?!activeDeadlineSeconds|tolerations|(?:initC|c)ontainers\[\d+\]\.image$)")
_CONTENT = re.compile(r"(?:data|binaryData|stringData)\b")
_PATHS: dict[str, tuple[str, ...]] = {
    "ConfigMap": ("data", "binaryData", "immutable"),
    "Secret": ("data", "stringData", "type", "immutable"),
    "DaemonSet": ("spec.selector",),
    "Deployment": ("spec.selector",),
    "ReplicaSet": ("spec.selector",),
    "StatefulSet": ("spec.selector", "spec.serviceName", "spec.podManagementPolicy", "spec.volumeClaimTemplates"),
    "Job": ("spec.selector", "spec.template", "spec.completionMode", "spec.manualSelector"),
    "Service": ("spec.clusterIP",),
    "PersistentVolumeClaim": (
        "spec.accessModes",
        "spec.selector",
        "spec.storageClassName",
        "spec.volumeMode",
        "spec.volumeName",
    ),
    "StorageClass": ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"),
    "RoleBinding": ("roleRef",),
    "ClusterRoleBinding": ("roleRef",),
    "PriorityClass": ("value",),
}


def replaces(kind: str, path: str, *, mutable: bool = False) -> bool:
    """Tell whether a change at a path needs a new object.

    Args:
        kind: The object's kind.
        path: As in `spec.template.spec.containers[0].image`.
        mutable: Whether a Secret's or a ConfigMap's content is changed in place.
    """
    if mutable and _CONTENT.match(path):
        return False
    if kind == "Pod" and _POD.match(path):
        return True
    return any(path == one or path.startswith((f"{one}.", f"{one}[")) for one in (*_ALL, *_PATHS.get(kind, ())))
