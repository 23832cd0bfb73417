"""Images by digest: what was checked is what runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from policies.rules.every import containers
from policies.rules.rule import UNKNOWN, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from policies.rules.rule import Resource

# An image's id on a Docker engine is a digest too.
_DIGEST = re.compile(r"(?:[^@\s]+@)?sha256:[0-9a-f]{64}")


def _check(resource: Resource, _options: Mapping[str, Any]) -> Iterator[str]:
    for one in containers(resource):
        if one.image is not None and one.image is not UNKNOWN and not _DIGEST.fullmatch(str(one.image)):
            yield (
                f"{one.what} has the image {one.image}, whose name can come to mean another image. "
                "Allowed: NAME@sha256:DIGEST. "
                f"`docker buildx imagetools inspect {one.image}` prints the digest; images that Slipway builds have it."
            )


IMAGES_BY_DIGEST = Rule("images-by-digest", "Images are named by their digests, not by tags.", _check)
