"""Names of Azure resources: the same at every run, within Azure's limits, and no two the same.

A name is readable parts and a suffix, a hash of all that they come from. Where they are too long for Azure, the
readable parts are cut, never the suffix.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

_SUFFIX = 8
# Digits and letters that no two people read differently; none of them are vowels, so that no words come about.
_DIGITS = "0123456789bcdfghjkmnpqrstvwxyz"


@dataclass(frozen=True, slots=True)
class Kind:
    """What Azure takes as a name of one type; all here begin with a letter, and take lower-case letters and digits.

    Attributes:
        longest: In characters.
        shortest: In characters.
        hyphens: Whether hyphens may stand between; never two, nor one at an end.
    """

    longest: int
    shortest: int = 3
    hyphens: bool = True


RESOURCE_GROUP = Kind(90)
REGISTRY = Kind(50, 5, hyphens=False)
STORAGE = Kind(24, hyphens=False)
VAULT = Kind(24)
LOGS = Kind(63, 4)
INSIGHTS = Kind(255)
IDENTITY = Kind(128)
MACHINE_LEARNING = Kind(33)
DATASTORE = Kind(255, hyphens=False)
CONTAINER_GROUP = Kind(63)
# Azure may add 17 characters of its own.
DNS_LABEL = Kind(46, 5)
TRAFFIC_MANAGER = Kind(63)
IOT_HUB = Kind(50)
# The content's hash follows.
EDGE_DEPLOYMENT = Kind(117)
CLUSTER = Kind(63)
NODE_GROUP = Kind(80)
FEDERATION = Kind(120)
BATCH_ACCOUNT = Kind(24, hyphens=False)
BATCH_POOL = Kind(64)
BATCH_JOB_SCHEDULE = Kind(64)


def suffix(*parts: str) -> str:
    """Return the hash of parts, as so many letters and digits as every kind has room for."""
    number = int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest())
    digits = []
    for _ in range(_SUFFIX):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(digits)


@dataclass(frozen=True, slots=True)
class Names:
    """Makes the names of one stack.

    Attributes:
        subscription: The subscription's id: many names are taken for all of Azure.
        project: The project's name.
        stack: The stack's name.
        prefix: How names begin; by default with the project's name.
    """

    subscription: str
    project: str
    stack: str
    prefix: str | None = None

    def of(self, kind: Kind, *parts: str) -> str:
        """Return the name of a resource.

        Args:
            kind: Its kind.
            parts: What tells it from others of its kind, as a model's name.
        """
        unique = suffix(self.subscription.lower(), self.project, self.stack, self.prefix or "", *parts)
        words = [_word(part, hyphens=kind.hyphens) for part in (self.prefix or self.project, self.stack, *parts)]
        hyphen = "-" if kind.hyphens else ""
        readable = hyphen.join(word for word in words if word)
        if not readable[:1].isalpha():
            readable = f"s{hyphen}{readable}"
        return readable[: kind.longest - _SUFFIX - len(hyphen)].rstrip("-") + hyphen + unique


def _word(text: str, *, hyphens: bool) -> str:
    plain = "".join(one if one.isascii() and one.isalnum() else "-" for one in text.lower())
    return ("-" if hyphens else "").join(part for part in plain.split("-") if part)
