"""SBOMs by syft, as CycloneDX: what it knows of the operating system is what trivy looks vulnerabilities up by."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cli.errors import CliError
from toolchain.supply_chain import SYFT

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def make_sbom(tools: Tools, image: str, platforms: Sequence[str]) -> bytes:
    """Return the SBOM of an image in a registry, as CycloneDX in JSON.

    Args:
        tools: Where syft comes from.
        image: Its name with its digest.
        platforms: What it was built for: with several, the SBOM lists what is in it for any of them. Without one,
            syft takes this machine's.

    Raises:
        CliError: It cannot be made.
    """
    arguments = ("scan", f"registry:{image}", "--output", "cyclonedx-json", "--quiet")
    found = []
    for one in platforms or (None,):
        of_platform = ("--platform", one) if one else ()
        content = tools.run(SYFT, *arguments, *of_platform, what=f"There is no SBOM of {image}")
        components(content)
        found.append(content)
    return found[0] if len(found) == 1 else joined(found)


def joined(sboms: Sequence[bytes]) -> bytes:
    """Return one SBOM with what is in any of several; packages of an operating system name their processor.

    Args:
        sboms: As CycloneDX in JSON.
    """
    documents = [json.loads(one) for one in sboms]
    kept: dict[str, dict[str, Any]] = {}
    dependencies: dict[str, list[str]] = {}
    for document in documents:
        for one in document.get("components") or []:
            # The same package is the same, though each SBOM has a reference of its own for it.
            kept.setdefault(one.get("purl") or one["bom-ref"], one)
        for one in document.get("dependencies") or []:
            dependencies.setdefault(one["ref"], one.get("dependsOn") or [])
    refs = {one["bom-ref"] for one in kept.values()}
    told = [
        {"ref": ref, "dependsOn": [one for one in others if one in refs]}
        for ref, others in dependencies.items()
        if ref in refs
    ]
    return json.dumps({**documents[0], "components": list(kept.values()), "dependencies": told}).encode()


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
