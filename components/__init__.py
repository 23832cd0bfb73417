"""How each model gets to where it is wanted: one ComponentResource in each file."""

from components.environment_image import EnvironmentImages
from components.local_docker import LocalDocker
from components.placement import Placement, platform_for
from components.project import Project
from components.promoted_image import PromotedImage
from components.scoring_image import ScoringImage

__all__ = [
    "EnvironmentImages",
    "LocalDocker",
    "Placement",
    "Project",
    "PromotedImage",
    "ScoringImage",
    "platform_for",
]
