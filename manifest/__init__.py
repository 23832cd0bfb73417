"""models.yaml and the stack's configuration as typed, frozen, checked values. Pure Python: imports no Pulumi."""

from manifest.environment import Environment, load_environment
from manifest.load import load_manifest
from manifest.model import Manifest, Model, Scoring
from manifest.problems import ManifestError, Problem
from manifest.targets import AciTarget, AksTarget, AnyTarget, BatchTarget, IotEdgeTarget, LocalDockerTarget

__all__ = [
    "AciTarget",
    "AksTarget",
    "AnyTarget",
    "BatchTarget",
    "Environment",
    "IotEdgeTarget",
    "LocalDockerTarget",
    "Manifest",
    "ManifestError",
    "Model",
    "Problem",
    "Scoring",
    "load_environment",
    "load_manifest",
]
