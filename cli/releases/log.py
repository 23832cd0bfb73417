"""Records releases: what a deployment left running, from which commit, by whom, and what each model answers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cli.errors import CliError
from cli.placements.keys import Keys
from cli.placements.placement import recorded
from cli.placements.samples import sample_file
from cli.placements.service import score
from cli.stack.project import short_name
from releases import Release, ReleasedModel, ReleaseError, ReleaseStore, release_location
from storage.checkout import commit_of, who

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cli.placements.placement import Placement
    from cli.stack.pulumi import Pulumi
    from manifest import Manifest
    from releases import ImageRecord

_LONGEST = 256 * 1024
_SECONDS = 60.0
_AT_ONCE = 8


def store_of(pulumi: Pulumi) -> ReleaseStore:
    """Return where a stack's releases are recorded.

    Raises:
        CliError: It cannot be opened.
    """
    try:
        return ReleaseStore(releases_location(pulumi))
    except ReleaseError as error:
        raise CliError(str(error)) from None


def releases_location(pulumi: Pulumi) -> str:
    """Return where a stack's releases are recorded, and what is known of its images."""
    configured = pulumi.config.values.get("slipway:releases")
    return release_location(str(configured) if configured else None, pulumi.project.root)


def promotes_from(pulumi: Pulumi) -> str | None:
    """Return the stack that a stack is promoted from, if it is."""
    source = pulumi.config.values.get("slipway:promoteFrom")
    return str(source) if source else None


def record_release(
    pulumi: Pulumi,
    manifest: Manifest,
    keys: Keys | None = None,
    *,
    images: Mapping[str, ImageRecord] | None = None,
) -> Release | None:
    """Record what a stack has just deployed.

    Args:
        pulumi: The stack, deployed.
        manifest: The manifest that it was deployed from.
        keys: The models' keys, where the command needs them elsewhere too.
        images: What is on record of the models' images.

    Returns:
        The release; None where nothing has changed since the last one: neither images nor commit nor what is known of
        the images.

    Raises:
        CliError: It cannot be recorded.
    """
    store = store_of(pulumi)
    try:
        promoted = store.promoted(pulumi.stack) if promotes_from(pulumi) else None
        outputs = pulumi.outputs() or {}
        release = _release(pulumi, outputs, promoted, images or {})
        latest = store.latest(pulumi.stack)
        if latest and _is_known(release, latest):
            return None
        # Only now: where inputs are collected, samples are collected with them.
        release = _with_answers(release, outputs, manifest, pulumi.project.root, keys or Keys(pulumi))
        store.add(release)
    except ReleaseError as error:
        raise CliError(f"The models are deployed, but the release is not recorded: {error}") from None
    return release


def answer_of(placement: Placement, sample: bytes, keys: Keys) -> str | None:
    """Return what a model answers to a request, as text; None where it does not.

    Raises:
        CliError: Its key cannot be read.
    """
    key = keys.of(placement)
    try:
        answer = score(placement.endpoint or "", sample, _SECONDS, key)
    except CliError:
        return None
    return answer.text if answer.is_success else None


def answering(outputs: Mapping[str, Any]) -> dict[str, Placement]:
    """Return where each model of a stack's outputs answers: at the first of its targets that has an address."""
    found: dict[str, Placement] = {}
    for one in recorded(outputs):
        if one.endpoint:
            found.setdefault(one.model, one)
    return found


def deployed_images(outputs: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return each model's version and image, as a stack's outputs have them."""
    return {name: (str(model["version"]), str(model["image"])) for name, model in _models(outputs).items()}


def deployed_platforms(outputs: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return what each model's image was built for; nothing for one whose stack was deployed before that was told."""
    return {name: tuple(map(str, model.get("platforms") or ())) for name, model in _models(outputs).items()}


def _models(outputs: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    models = outputs.get("models")
    return dict(models) if isinstance(models, dict) else {}


def _release(
    pulumi: Pulumi, outputs: Mapping[str, Any], promoted: Release | None, images: Mapping[str, ImageRecord]
) -> Release:
    """The release as it would be recorded, without the models' answers."""
    built_for = deployed_platforms(outputs)
    models = tuple(
        ReleasedModel(name=name, version=version, image=image, platforms=built_for[name], supply_chain=images.get(name))
        for name, (version, image) in sorted(deployed_images(outputs).items())
    )
    time = datetime.now(UTC).replace(microsecond=0)
    commit, modified = commit_of(pulumi.project.root)
    return Release(
        id=Release.id_for(time, models),
        project=pulumi.project.name,
        stack=short_name(pulumi.stack),
        time=time,
        commit=commit,
        modified=modified,
        who=who(),
        promoted_from=f"{promoted.stack}/{promoted.id}" if promoted else None,
        models=models,
    )


def _with_answers(release: Release, outputs: Mapping[str, Any], manifest: Manifest, root: Path, keys: Keys) -> Release:
    at = answering(outputs)
    files = {model.name: sample_file(model, root) for model in manifest.models}

    def answered(model: ReleasedModel) -> ReleasedModel:
        sample, answer = _asked(at.get(model.name), files.get(model.name), keys)
        return model.model_copy(update={"sample": sample, "answer": answer})

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return release.model_copy(update={"models": tuple(pool.map(answered, release.models))})


def _asked(placement: Placement | None, file: Path | None, keys: Keys) -> tuple[str | None, str | None]:
    """A model's sample and answer, where they can be compared with a later answer."""
    try:
        sample = file.read_bytes() if file else b""
        text = sample.decode()
    except (OSError, ValueError):
        return None, None
    if not placement or not sample or len(sample) > _LONGEST:
        return None, None
    first, second = answer_of(placement, sample, keys), answer_of(placement, sample, keys)
    # One that holds a time or a random number says nothing about the image.
    if first is None or first != second or len(first) > _LONGEST:
        return None, None
    return text, first


def _is_known(release: Release, latest: Release) -> bool:
    return (
        release.deploys_the_same_as(latest)
        and {one.name: one.supply_chain for one in release.models}
        == {one.name: one.supply_chain for one in latest.models}
        and (release.commit, release.modified, release.promoted_from)
        == (latest.commit, latest.modified, latest.promoted_from)
    )  # fmt: skip
