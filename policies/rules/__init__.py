"""The rules, in the order in which they are looked at."""

from policies.rules.access import NO_ANONYMOUS_ACCESS
from policies.rules.endpoints import AUTHENTICATED_ENDPOINTS
from policies.rules.images import IMAGES_BY_DIGEST
from policies.rules.limits import CONTAINER_LIMITS
from policies.rules.places import ALLOWED_REGIONS, ALLOWED_SIZES
from policies.rules.privileges import LEAST_PRIVILEGE
from policies.rules.rule import JointRule, Resource, Rule
from policies.rules.services import AUTHENTICATED_SERVICES

RULES: tuple[Rule | JointRule, ...] = (
    IMAGES_BY_DIGEST,
    CONTAINER_LIMITS,
    LEAST_PRIVILEGE,
    AUTHENTICATED_ENDPOINTS,
    AUTHENTICATED_SERVICES,
    NO_ANONYMOUS_ACCESS,
    ALLOWED_REGIONS,
    ALLOWED_SIZES,
)

__all__ = ["RULES", "JointRule", "Resource", "Rule"]
