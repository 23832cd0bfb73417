"""After a deployment: brings what is on record of each of the stack's images up to what the stack asks for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from cli.errors import CliError
from cli.images.copy import has_signature
from cli.releases.log import deployed_images, deployed_platforms, promotes_from, releases_location
from cli.supply_chain.facts import found_by
from cli.supply_chain.provenance import provenance_of, state_of
from cli.supply_chain.sbom import components, make_sbom
from cli.supply_chain.scan import Scanner
from cli.supply_chain.settings import settings_of
from cli.supply_chain.signing import Signer
from cli.supply_chain.tools import Tools
from cli.table import say
from releases import ImageRecord, ImageStore, ReleaseError, ReleaseStore, Sbom, Scan
from toolchain.supply_chain import SYFT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cli.stack.pulumi import Pulumi
    from manifest.supply_chain import SupplyChainSettings

# syft reads a whole image: more at once only fill the memory.
_AT_ONCE = 2


def record_images(pulumi: Pulumi) -> dict[str, ImageRecord]:
    """Record, scan and sign the images that a stack has just deployed, as far as that is not done yet.

    Args:
        pulumi: The stack, deployed.

    Returns:
        What is on record, by model; nothing where the stack asks for none of it.

    Raises:
        CliError: Something cannot be done, or an image has vulnerabilities that the stack does not take.
    """
    settings = settings_of(pulumi.config)
    if settings is None:
        return {}
    tools = Tools(pulumi.env, pulumi.project.root)
    # Before what takes long: a key that is not there is known at once.
    signer = Signer(tools, settings.sign, pulumi.project.root) if settings.sign else None
    try:
        store = ImageStore(releases_location(pulumi))
        return _Images(pulumi, settings, tools, store, signer).all()
    except ReleaseError as error:
        raise CliError(f"The models are deployed, but the release is not recorded: {error}") from None


class _Images:
    """One run over a stack's images."""

    def __init__(
        self, pulumi: Pulumi, settings: SupplyChainSettings, tools: Tools, store: ImageStore, signer: Signer | None
    ) -> None:
        self._pulumi = pulumi
        self._settings = settings
        self._tools = tools
        self._store = store
        self._signer = signer
        self._scanner = Scanner(tools)

    def all(self) -> dict[str, ImageRecord]:
        outputs = self._pulumi.outputs() or {}
        images = {name: image for name, (_, image) in sorted(deployed_images(outputs).items())}
        built_for = deployed_platforms(outputs)
        records = {name: self._store.record(_digest(image)) for name, image in images.items()}
        known = self._known({name for name, record in records.items() if not (record and record.provenance)})
        found = {name: (records[name] or ImageRecord()).model_copy(update=known.get(name, {})) for name in images}
        if self._settings.sbom:
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                lists = pool.map(lambda name: self._with_sbom(images[name], built_for[name], found[name]), images)
                found = dict(zip(images, lists, strict=True))
        if self._settings.scan:
            found = {name: self._with_scan(images[name], record) for name, record in found.items()}
            if any(record.scan and record.scan.skipped for record in found.values()):
                say(f"Vulnerabilities are not looked for: skipped, because {self._scanner.unavailable()}.")
        for name, record in found.items():
            if record != records[name]:
                self._store.put(_digest(images[name]), record)
        self._refuse_vulnerable(found)
        for name, image in images.items():
            signed = self._with_signature(image, found[name])
            if signed != found[name]:
                self._store.put(_digest(image), signed)
            if signed != records[name]:
                say(f"{name}: {_told(signed)}")
            found[name] = signed
        return found

    def _known(self, names: set[str]) -> dict[str, dict[str, object]]:
        """What is known of images that are not on record: from the release that was promoted, or from the build."""
        if not names:
            return {}
        if promotes_from(self._pulumi):
            release = ReleaseStore(releases_location(self._pulumi)).promoted(self._pulumi.stack)
            brought = {one.name: one.supply_chain for one in release.models} if release else {}
            return {name: {"provenance": it.provenance} for name in names if (it := brought.get(name))}
        built = provenance_of(self._pulumi, state_of(self._pulumi), sorted(names))
        return {name: {"provenance": one} for name, one in built.items()}

    def _with_sbom(self, image: str, platforms: Sequence[str], record: ImageRecord) -> ImageRecord:
        if record.sbom:
            return record
        content = make_sbom(self._tools, image, platforms)
        digest = self._store.add_sbom(_digest(image), content)
        sbom = Sbom(digest=digest, components=len(components(content)), tool=self._tools.get(SYFT).version)
        return record.model_copy(update={"sbom": sbom})

    def _with_scan(self, image: str, record: ImageRecord) -> ImageRecord:
        if record.sbom is None or (record.scan and not record.scan.skipped and not self._too_many(record.scan)):
            return record
        if reason := self._scanner.unavailable():
            if record.scan and record.scan.skipped:
                # In other words, or at another time: nothing that a release has to have on record.
                return record
            return record.model_copy(update={"scan": Scan(skipped=reason)})
        digest = _digest(image)
        scan, report = self._scanner.scan(self._store.sbom(digest, record.sbom.digest))
        kept = self._store.put_report(digest, report)
        return record.model_copy(update={"scan": scan.model_copy(update={"digest": kept})})

    def _refuse_vulnerable(self, found: dict[str, ImageRecord]) -> None:
        bad = [
            f"{name} has {count} ({', '.join(one.scan.worst)})"
            for name, one in found.items()
            if one.scan and (count := self._too_many(one.scan))
        ]
        if bad and self._settings.scan:
            raise CliError(
                f"Vulnerabilities of severity {self._settings.scan.fail_on} or worse: {'; '.join(bad)}. "
                "The models are deployed, but in no release: they are neither signed nor to be promoted.",
                hint="Take versions that are mended, in the requirements or the base image; or name those that do not "
                "matter here in .trivyignore.",
            )

    def _too_many(self, scan: Scan) -> int:
        """How many vulnerabilities are more severe than the stack takes."""
        limit = self._settings.scan.fail_on if self._settings.scan else None
        return scan.at_least(limit) if limit else 0

    def _with_signature(self, image: str, record: ImageRecord) -> ImageRecord:
        if self._signer is None:
            return record
        others = [one for one in record.signatures if not self._signer.made(one, image)]
        if len(others) < len(record.signatures) and has_signature(image):
            return record
        return record.model_copy(update={"signatures": (*others, self._signer.sign(image))})


def _digest(image: str) -> str:
    return image.partition("@")[2]


def _told(record: ImageRecord) -> str:
    """What is on record, in a line."""
    told = []
    if record.sbom:
        told.append(f"SBOM of {record.sbom.components} components")
    if record.scan and not record.scan.skipped:
        told.append(f"vulnerabilities: {found_by(record.scan)}")
    told += [f"signed with {one.key}" for one in record.signatures]
    return ", ".join(told) or "provenance recorded"
