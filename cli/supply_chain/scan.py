"""Known vulnerabilities by trivy, from an SBOM; skipped with the reason where its database cannot be had."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cli.errors import CliError
from cli.supply_chain.tools import MissingToolError, ToolError
from releases import Scan
from releases.image_record import SEVERITIES
from toolchain.supply_chain import TRIVY

if TYPE_CHECKING:
    from cli.supply_chain.tools import Tools

_DATABASE_SECONDS = 900.0
_NAMED = 10


class Scanner:
    """Scans SBOMs; the database is fetched, or found to be out of reach, once."""

    def __init__(self, tools: Tools) -> None:
        """Fetch nothing yet."""
        self._tools = tools
        self._reason: str | None = None
        self._ready = False

    def unavailable(self) -> str | None:
        """Return why nothing can be scanned; None where it can."""
        if not self._ready:
            self._ready = True
            try:
                self._tools.run(
                    TRIVY,
                    "image",
                    "--download-db-only",
                    "--no-progress",
                    what="trivy's database cannot be had",
                    seconds=_DATABASE_SECONDS,
                )
            except (MissingToolError, ToolError) as error:
                self._reason = str(error).rstrip(".")[:1000]
        return self._reason

    def scan(self, sbom: bytes) -> tuple[Scan, bytes]:
        """Return what is known against what an SBOM lists, and trivy's report. Ask `unavailable` before.

        Raises:
            CliError: trivy fails, or writes something else.
        """
        with tempfile.TemporaryDirectory(prefix="slipway-scan-") as folder:
            file = Path(folder) / "sbom.cdx.json"
            file.write_bytes(sbom)
            arguments = ("sbom", "--skip-db-update", "--no-progress", "--quiet", "--format", "json", str(file))
            report = self._tools.run(TRIVY, *arguments, what="The SBOM was not scanned")
        return scan_of(report, self._tools.get(TRIVY).version), report


def scan_of(report: bytes, tool: str) -> Scan:
    """Return the record of a report.

    Args:
        report: As trivy writes it in JSON.
        tool: What wrote it, with its version.

    Raises:
        CliError: It is not such a report.
    """
    try:
        results = json.loads(report).get("Results") or []
        # One package in two places is two entries, and one vulnerability.
        found = {
            (str(one["VulnerabilityID"]), str(one.get("PkgName"))): str(one["Severity"]).lower()
            for result in results
            for one in result.get("Vulnerabilities") or []
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CliError("What trivy wrote is not its report in JSON.") from None
    ranked = ("unknown", *SEVERITIES)
    worst = sorted(found, key=lambda one: (-ranked.index(found[one]), one))[:_NAMED]
    return Scan(
        found={one: count for one in ranked if (count := sum(it == one for it in found.values()))},
        worst=tuple(f"{id_} in {package}" for id_, package in worst),
        time=datetime.now(UTC).replace(microsecond=0),
        tool=tool,
    )
