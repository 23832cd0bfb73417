"""The model registry: versions bound for ever to their bytes, and where those bytes come from. Imports no Pulumi."""

from registry.errors import RegistryError, VersionTakenError
from registry.fetch import bytes_of, context_folder, digest_of
from registry.record import Lineage, ModelVersion, Notes
from registry.versions import DEFAULT_LOCATION, Registry, open_registry

__all__ = [
    "DEFAULT_LOCATION",
    "Lineage",
    "ModelVersion",
    "Notes",
    "Registry",
    "RegistryError",
    "VersionTakenError",
    "bytes_of",
    "context_folder",
    "digest_of",
    "open_registry",
]
