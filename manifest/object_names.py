"""Names and labels of objects, within Kubernetes' limits and the same at every run."""

from __future__ import annotations

import hashlib
import re

_LONGEST = 63
_SUFFIX = 8


def dns_label(text: str) -> str:
    """Return a text as a name; one that had to be changed has a hash, so that no two become the same.

    Args:
        text: Such as PROJECT-STACK.
    """
    plain = re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")
    if plain == text and len(plain) <= _LONGEST:
        return plain
    suffix = hashlib.sha256(text.encode()).hexdigest()[:_SUFFIX]
    return f"{plain[: _LONGEST - _SUFFIX - 1].rstrip('-')}-{suffix}".lstrip("-")


def instance(project: str, stack: str) -> str:
    """Return what tells a stack's objects from all others: a name, and the value of a label."""
    return dns_label(f"{project}-{stack}")
