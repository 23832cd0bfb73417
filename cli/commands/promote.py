"""`slipway promote`: deploy in one stack exactly the images that another one runs, or ran."""

import sys
from typing import Annotated, Any

import typer

from cli.deployment.deploy import DeploymentError, converge, deploy
from cli.deployment.platforms import checked_platforms
from cli.errors import CliError, Exit
from cli.images.copy import ImageCopier
from cli.options import JsonOption
from cli.placements.keys import Keys
from cli.releases.log import promotes_from, store_of
from cli.releases.promotion import Move, differing_answers, is_older, moves, objections, to_be_asked
from cli.stack.locks import only_run
from cli.stack.project import find_project
from cli.stack.pulumi import Pulumi
from cli.stack.wanted import (
    checked_environment,
    checked_manifest,
    makes_registry,
    own_registry,
    plain_environment,
    repository_of,
)
from cli.supply_chain.verification import unsigned
from cli.table import console, plain_table, print_json, say
from manifest import Manifest
from manifest.live import live_models
from releases import Release, ReleaseError

_DIGEST = 12
_COLOURS = {"new": "green", "changed": "yellow", "removed": "red", "unchanged": "dim"}


def command(
    source: Annotated[str, typer.Argument(help="The stack that has it.", show_default=False)],
    target: Annotated[str, typer.Argument(help="The stack that gets it.", show_default=False)],
    release_id: Annotated[
        str | None,
        typer.Option("--release", metavar="ID", help="An earlier release (`slipway releases`). Default: the latest."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Even one older than what runs: to roll back.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would move.")] = False,
    json: JsonOption = False,
) -> None:
    """Deploy in a stack exactly the images that another one released; nothing is built.

    Shows what would move, and asks. An earlier release is a rollback: --release ID --force.
    """
    project = find_project()
    env = project.environment()
    giving, taking = Pulumi(project, source, env), Pulumi(project, target, env)
    manifest = checked_manifest(project)
    _check_configuration(taking, source)
    release, reasons, note = _release(giving, taking, release_id, force=force)
    running = taking.outputs()
    planned = moves(release, running, {one.name for one in live_models(manifest, taking.config.live_targets)})
    reasons += unsigned(taking, release, {one.model for one in planned if one.becomes})
    reasons += _lacking(taking, release, manifest)
    if json:
        print_json(_report(giving, taking, release, planned, reasons))
    else:
        _show(release, target, planned)
    if note:
        say(note)
    if reasons:
        raise CliError(f"Not promoted: {'; '.join(reasons)}.", hint=_hint(reasons, source, target))
    lacks_registry = makes_registry(taking.config, manifest) and not own_registry(running)
    if lacks_registry:
        say(f"{target} has no registry yet to copy the images to: what its models share is made first.")
    if dry_run:
        return
    if not yes:
        _ask(target)
    if lacks_registry:
        _make_platform(taking)
    _copy_images(taking, release, planned)
    try:
        store_of(taking).promote(target, release)
    except ReleaseError as error:
        raise CliError(f"Not promoted: {error}") from None
    _deploy(taking, manifest, release, source)


def _check_configuration(taking: Pulumi, source: str) -> None:
    checked_environment(taking.config)
    configured = promotes_from(taking)
    if configured != source:
        name = taking.config.file.name
        says = f"says slipway:promoteFrom: {configured}" if configured else "has no slipway:promoteFrom"
        raise CliError(
            f"{taking.stack} is not promoted from {source}: {name} {says}.",
            hint=f"Add to {name}:  slipway:promoteFrom: {source}",
            code=Exit.USAGE,
        )


def _release(giving: Pulumi, taking: Pulumi, id_: str | None, *, force: bool) -> tuple[Release, list[str], str | None]:
    """The release that is meant, what speaks against it, and what could not be checked."""
    store = store_of(giving)
    try:
        release = store.get(giving.stack, id_) if id_ else store.latest(giving.stack)
        running = store_of(taking).latest(taking.stack)
    except ReleaseError as error:
        raise CliError(str(error)) from None
    if release is None:
        raise CliError(
            f"{giving.stack} has no release to promote.", hint=f"`slipway up --stack {giving.stack}` makes one."
        )
    reasons, note = objections(giving, release)
    if note and not id_:
        # Somebody deployed with plain Pulumi: the latest release is not what is meant.
        reasons.append(f"{giving.stack} runs other images than its latest release {release.id} has on record")
        note = None
    if not force and is_older(release, running):
        reasons.append(
            f"release {release.id} is older than what {taking.stack} runs, {running and running.promoted_from}"
        )
    return release, reasons, note


def _lacking(taking: Pulumi, release: Release, manifest: Manifest) -> list[str]:
    """Which models' images were not built for all that they would run on."""
    environment = plain_environment(taking.config)
    needed = checked_platforms(manifest, environment) if environment else {}
    return [reason for one in release.models if (reason := one.lacking(needed.get(one.name, ())))]


def _hint(reasons: list[str], source: str, target: str) -> str:
    if any("is older than" in one for one in reasons):
        return f"If it is meant as a rollback: slipway promote {source} {target} --release ID --force"
    if any(" is not signed " in one for one in reasons):
        return (
            f"`slipway up --stack {source}` signs images where Pulumi.{source}.yaml has slipway:supplyChain.sign "
            "(docs/supply-chain.md)."
        )
    if any(" was built for " in one for one in reasons):
        return f"`slipway:platforms: [...]` in Pulumi.{source}.yaml has it built for these too; deploy {source} then."
    return f"Mend it in {source} (`slipway up --stack {source}`), or promote an earlier release: --release ID"


def _show(release: Release, target: str, planned: list[Move]) -> None:
    out = console()
    commit = f", commit {release.commit[:10]}" if release.commit else ""
    out.print(f"Release {release.id} of {release.stack}{commit}, by {release.who}, to {target}:\n")
    table = plain_table("MODEL", "", "NOW", "THEN")
    for one in planned:
        table.add_row(one.model, one.what, _short(one.was), _short(one.becomes), style=_COLOURS[one.what])
    out.print(table)
    out.print()


def _short(image: tuple[str, str] | None) -> str:
    return f"{image[0]} {image[1].removeprefix('sha256:')[:_DIGEST]}" if image else "-"


def _ask(target: str) -> None:
    if not sys.stdin.isatty():
        raise CliError(
            "Nobody can be asked here.", hint="--yes promotes without asking, --dry-run only shows.", code=Exit.USAGE
        )
    if not typer.confirm(f"Promote to {target}?"):
        raise typer.Exit(Exit.FAILED)


def _make_platform(taking: Pulumi) -> None:
    """Make what the models of a stack share in Azure, its registry among it, and none of the models."""
    with only_run(taking.project, taking.stack, say) as taking.started:
        code, failed = converge(taking, variables={"SLIPWAY_PLATFORM_ONLY": "1"})
    if code:
        where = f" at {', '.join(failed)}" if failed else ""
        raise CliError(f"What the models of {taking.stack} share was not made{where}; see above. Nothing was promoted.")


def _copy_images(taking: Pulumi, release: Release, planned: list[Move]) -> None:
    """Bring the images to the target's registry; one that has them already gets nothing."""
    repository = repository_of(taking)
    kept = {one.model for one in planned if one.becomes}
    copier = ImageCopier()
    try:
        for model in release.models:
            if model.name not in kept:
                continue
            if sent := copier.copy(model.image, model.image_in(repository)):
                say(f"{model.name}: {sent / 1e6:.1f} MB copied to {repository}")
            copier.copy_signature(model.image, model.image_in(repository))
    finally:
        copier.close()


def _deploy(taking: Pulumi, manifest: Manifest, release: Release, source: str) -> None:
    """Deploy what was noted, and compare what the models answer; whatever is wrong, tell the way back."""
    target = taking.stack
    back = (
        f"To go back: slipway promote {source} {target} --release ID --force, with an ID of "
        f"`slipway releases --stack {source}`."
    )
    try:
        answered = deploy(taking, manifest)
    except DeploymentError as error:
        raise CliError(str(error), hint="\n".join(filter(None, (error.hint, back)))) from None
    with to_be_asked(taking) as at:
        wrong = differing_answers(at, release, Keys(taking), target)
    if not answered and not wrong:
        # One without an answer on record, as it differs each time: there is nothing to compare.
        wrong = [f"not every model answers its sample in {target}; see above"]
    if wrong:
        raise CliError(f"Promoted, but {'; '.join(wrong)}.", hint=back)


def _report(
    giving: Pulumi, taking: Pulumi, release: Release, planned: list[Move], reasons: list[str]
) -> dict[str, Any]:
    return {
        "source": giving.stack,
        "target": taking.stack,
        "release": release.id,
        "moves": [
            {
                "model": one.model,
                "what": one.what,
                "was": one.was and {"version": one.was[0], "digest": one.was[1]},
                "becomes": one.becomes and {"version": one.becomes[0], "digest": one.becomes[1]},
            }
            for one in planned
        ],
        "refused": reasons,
    }
