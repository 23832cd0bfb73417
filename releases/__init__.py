"""Releases: what was deployed when, by whom, with which images; recorded once and never changed. Imports no Pulumi."""

from releases.release import Release, ReleasedModel
from releases.store import ReleaseError, ReleaseStore, release_location

__all__ = ["Release", "ReleaseError", "ReleaseStore", "ReleasedModel", "release_location"]
