"""Releases: what was deployed when, by whom, with which images; recorded once and never changed. Imports no Pulumi."""

from releases.errors import ReleaseError
from releases.image_record import ImageRecord, Provenance, Sbom, Scan, Signature
from releases.image_store import ImageStore
from releases.release import Release, ReleasedModel
from releases.store import ReleaseStore, release_location

__all__ = [
    "ImageRecord",
    "ImageStore",
    "Provenance",
    "Release",
    "ReleaseError",
    "ReleaseStore",
    "ReleasedModel",
    "Sbom",
    "Scan",
    "Signature",
    "release_location",
]
