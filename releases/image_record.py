"""What is on record of an image: where it came from, what is in it, what is known against it, who signed it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from storage.records import Record

Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=1024)]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
# From harmless to severe; trivy has a fifth, unknown, which no limit counts.
SEVERITIES = ("low", "medium", "high", "critical")


class Provenance(Record):
    """Where an image came from, as far as it could be told when it was first recorded.

    Attributes:
        commit: The git commit of the checkout that it was built from; None where it is no git checkout.
        modified: Whether that checkout had changes that no commit has.
        recorded: When.
        tag: The image's name with its tag, which is a hash of all that went into it.
        environment: The image with its dependencies, with tag and digest.
        base: The base image's name.
        base_digest: Its digest, where its layers are those that the environment begins with.
        requirements: SHA-256 of what its dependencies were asked for: base, extras and requirements.
        lock: SHA-256 of the runtime's locked dependencies.
        builder: What built it, as the set-up found it, or its name.
        tools: Programs to versions.
    """

    commit: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40,64}$")] | None = None
    modified: bool = False
    recorded: AwareDatetime
    tag: Line | None = None
    environment: Line | None = None
    base: Line | None = None
    base_digest: Digest | None = None
    requirements: Digest | None = None
    lock: Digest | None = None
    builder: Line | None = None
    tools: dict[str, Line] = Field(default_factory=dict)


class Sbom(Record):
    """The list of what is in an image.

    Attributes:
        digest: Of the file.
        components: How many packages and programs it lists.
        tool: What made it, with its version.
    """

    digest: Digest
    components: int
    tool: Line


class Scan(Record):
    """A search for known vulnerabilities, or why there was none.

    Attributes:
        skipped: Why nothing was looked for; all else is empty then.
        digest: Of trivy's report.
        found: Severity to number of vulnerabilities.
        worst: The ids of the most severe ones, a few of them.
        time: When.
        tool: What looked, with its version.
    """

    skipped: Line | None = None
    digest: Digest | None = None
    found: dict[str, int] = Field(default_factory=dict)
    worst: tuple[Line, ...] = ()
    time: AwareDatetime | None = None
    tool: Line | None = None

    def at_least(self, severity: str) -> int:
        """Return how many vulnerabilities are as severe as this, or worse."""
        return sum(self.found.get(one, 0) for one in SEVERITIES[SEVERITIES.index(severity) :])


class Signature(Record):
    """A signature in a registry.

    Attributes:
        repository: Where the signed image is, without its digest.
        key: What signed: the key's file, variable or address, as configured.
        transparency_log: Whether it is in Sigstore's public log.
        tool: What signed, with its version.
    """

    repository: Line
    key: Line
    transparency_log: bool = False
    tool: Line


class ImageRecord(Record):
    """All of it.

    Attributes:
        format: Of the record.
        provenance: Where it came from.
        sbom: What is in it.
        scan: What is known against it.
        signatures: Who signed it where.
    """

    format: Literal[1] = 1
    provenance: Provenance | None = None
    sbom: Sbom | None = None
    scan: Scan | None = None
    signatures: tuple[Signature, ...] = ()
