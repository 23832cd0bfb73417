"""SBOMs by syft, as CycloneDX: what it knows of the operating system is what trivy looks vulnerabilities up by."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.errors import CliError
from toolchain.supply_chain import SYFT

if TYPE_CHECKING:
    from cli.supply_chain.tools import Tools

# No component of its own: it belongs to one.
_FILES = "file"


@dataclass(frozen=True)
class Component:
    """An entry of an SBOM.

    Attributes:
        name: Of the package or program.
        version: Its version; empty where it has none.
        kind: What package manager or language it belongs to, or what kind of thing it is.
        licences: Names or SPDX ids.
    """

    name: str
    version: str
    kind: str
    licences: tuple[str, ...]


def make_sbom(tools: Tools, image: str) -> bytes:
    """Return the SBOM of an image in a registry, as CycloneDX in JSON.

    Args:
        tools: Where syft comes from.
        image: Its name with its digest.

    Raises:
        CliError: It cannot be made.
    """
    arguments = ("scan", f"registry:{image}", "--output", "cyclonedx-json", "--quiet")
    content = tools.run(SYFT, *arguments, what=f"There is no SBOM of {image}")
    components(content)
    return content


def components(sbom: bytes) -> list[Component]:
    """Return what an SBOM lists, by kind and name.

    Raises:
        CliError: It is not CycloneDX in JSON.
    """
    try:
        document = json.loads(sbom)
        is_one = document["bomFormat"] == "CycloneDX"
        found = [_component(one) for one in document.get("components") or [] if one["type"] != _FILES]
    except (ValueError, KeyError, TypeError):
        is_one, found = False, []
    if not is_one:
        raise CliError("What syft wrote is not CycloneDX in JSON.")
    return sorted(found, key=lambda one: (one.kind, one.name, one.version))


def _component(given: dict[str, object]) -> Component:
    purl = str(given.get("purl") or "")
    listed = given.get("licenses")
    licences = [_licence(one) for one in listed] if isinstance(listed, list) else []
    kind = purl.removeprefix("pkg:").partition("/")[0] if purl else str(given["type"])
    return Component(str(given["name"]), str(given.get("version") or ""), kind, tuple(one for one in licences if one))


def _licence(given: dict[str, object]) -> str:
    inner = given.get("license")
    if isinstance(inner, dict):
        return str(inner.get("id") or inner.get("name") or "")
    return str(given.get("expression") or "")
