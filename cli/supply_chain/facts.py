"""What is on record of an image, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from releases import ImageRecord, Provenance, Scan


def facts(record: ImageRecord | None) -> list[tuple[str, str]]:
    """Return what is on record of an image: what it is, and its value."""
    if record is None:
        return [("supply chain", "nothing on record (docs/supply-chain.md)")]
    found = _provenance(record.provenance) if record.provenance else []
    if record.sbom:
        found.append(("SBOM", f"{record.sbom.components} components, {record.sbom.digest}, {record.sbom.tool}"))
    if record.scan:
        found.append(("vulnerabilities", found_by(record.scan)))
    for one in record.signatures:
        log = ", in the transparency log" if one.transparency_log else ""
        found.append(("signed", f"with {one.key}{log}, {one.repository}, {one.tool}"))
    return found


def found_by(scan: Scan) -> str:
    """Return what a scan found, worst first, or why there was none."""
    if scan.skipped:
        return f"skipped, because {scan.skipped}"
    counts = ", ".join(f"{count} {severity}" for severity, count in reversed(scan.found.items()))
    return f"{counts or 'none known'}, {scan.tool}, {scan.time:%Y-%m-%d}"


def _provenance(given: Provenance) -> list[tuple[str, str]]:
    commit = f"{given.commit}{' + changes' if given.modified else ''}" if given.commit else None
    base = f"{given.base}{f', {given.base_digest}' if given.base_digest else ''}" if given.base else None
    tools = ", ".join(f"{name} {version}" for name, version in given.tools.items())
    told = {
        "commit": commit,
        "tag": given.tag,
        "environment": given.environment,
        "base image": base,
        "requirements": given.requirements,
        "lock": given.lock,
        "builder": given.builder,
        "tools": tools or None,
        "recorded": f"{given.recorded:%Y-%m-%d %H:%M:%S}Z",
    }
    return [(what, value) for what, value in told.items() if value]
