"""A deployment: it is mended, run and shown, and each model has to answer its sample."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING

from cli.deployment.build_log import failed_builds, failures, no_room
from cli.deployment.platforms import foreign_platforms, prepare_builder, unbuildable
from cli.deployment.recovery import own_containers, recover, strangers
from cli.errors import CliError
from cli.placements.keys import Keys
from cli.placements.table import print_placements
from cli.stack.locks import only_run, release_stale_locks
from cli.stack.project import short_name
from cli.stack.wanted import repository_of
from cli.supply_chain.signing import check_key
from cli.table import console, say
from manifest import LocalDockerTarget, ManifestError, load_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from cli.stack.project import Project
    from cli.stack.pulumi import Pulumi
    from manifest import Manifest

# Not needed before the engine has ended; it is the engine that takes the time.
_NEEDED_LATER = (
    "cli.placements.containers",
    "cli.placements.overview",
    "cli.releases.log",
    "cli.placements.samples",
    "cli.supply_chain.images",
)
_MAKE_ROOM = (
    "Make room there, and run it again: it goes on from there. `slipway diagnose` tells what is free, and `docker "
    "system prune` removes what nothing uses."
)


class DeploymentError(CliError):
    """The engine could not do all that was asked for."""


def deploy(pulumi: Pulumi, manifest: Manifest, options: Sequence[str] = ()) -> bool:
    """Deploy what the manifest asks for, show what runs, have each model score its sample, and record the release.

    What an interrupted run left behind is mended first. Where a model does not answer, nothing is recorded.

    Args:
        pulumi: The stack, its configuration checked.
        manifest: The manifest.
        options: Further options of Pulumi's.

    Returns:
        Whether every model answered that is awake.

    Raises:
        DeploymentError: Not all of it could be deployed.
        CliError: It could not be begun, was cut off, or is not recorded.
    """
    check_key(pulumi)
    if pulumi.advice:
        say(pulumi.advice)
    foreign = foreign_platforms(pulumi, manifest)
    prepare_builder(pulumi, foreign)
    with only_run(pulumi.project, pulumi.stack, say) as pulumi.started:
        code, failed = converge(pulumi, options, foreign)
    keys = Keys(pulumi)
    answered = _show_result(pulumi, manifest, keys, failed=code != 0)
    if code < 0:
        raise CliError(
            "The deployment was cut off: the engine was killed.", hint="Run it again: it goes on from there."
        )
    if code:
        where = f" at {', '.join(failed)}" if failed else ""
        raise DeploymentError(
            f"The deployment failed{where}; see above. What is ready goes on answering.", hint=_hint(pulumi)
        )
    if answered:
        from cli.releases.log import record_release  # noqa: PLC0415 - see _NEEDED_LATER
        from cli.supply_chain.images import record_images  # noqa: PLC0415 - see _NEEDED_LATER

        record_release(pulumi, manifest, keys, images=record_images(pulumi))
    return answered


def converge(
    pulumi: Pulumi,
    options: Sequence[str] = (),
    foreign: tuple[str, ...] = (),
    variables: Mapping[str, str] | None = None,
) -> tuple[int, list[str]]:
    """Mend what an interrupted run left, run the engine, and show what its failed builds printed.

    Args:
        pulumi: The stack, which no other run has.
        options: Further options of Pulumi's.
        foreign: The platforms that its images are built for and this machine is not.
        variables: Further variables of the program's environment.

    Returns:
        The engine's exit code, and what failed.

    Raises:
        DeploymentError: A disk is full.
        CliError: The stack cannot be mended or made.
    """
    failed: list[str] = []
    variables = dict(variables or {})
    if not recover(pulumi, say):
        pulumi.create()
    elif LocalDockerTarget.kind in pulumi.config.live_targets:
        # components/port_handover.py says what for.
        variables["SLIPWAY_CONTAINERS"] = ",".join(own_containers(pulumi))
    with _scratch(pulumi.project, pulumi.stack) as folder, ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: [import_module(name) for name in _NEEDED_LATER])
        events = folder / "events"
        code = pulumi.run("up", "--yes", "--suppress-outputs", *options, event_log=events, variables=variables)
        if code:
            _show_failed_builds(events, pulumi, foreign)
            failed = failures(events)
            full = no_room(events)
            _roll_back(pulumi)
            if full:
                # What is shown after a deployment is read from a state that may be cut off.
                raise DeploymentError(f"The deployment failed: a disk is full. {full}", hint=_MAKE_ROOM)
        else:
            _remove_old_images(pulumi)
    return code, failed


def _remove_old_images(pulumi: Pulumi) -> None:
    """Remove from the engine what this run has replaced; the registry keeps it."""
    from cli.placements.containers import Engine  # noqa: PLC0415 - see _NEEDED_LATER

    try:
        Engine(pulumi.env).remove_images(repository_of(pulumi))
    except CliError as error:
        say(f"{error} Old images stay; the next run tries again.")


def _roll_back(pulumi: Pulumi) -> None:
    """Take Deployments back whose new version never became ready."""
    from cli.placements.placement import AKS, recorded  # noqa: PLC0415 - see _NEEDED_LATER

    if AKS not in pulumi.config.live_targets:
        return
    from cli.deployment.rollback import roll_back  # noqa: PLC0415 - as above
    from cli.placements.cluster import Cluster  # noqa: PLC0415 - only stacks on Kubernetes need it

    try:
        roll_back(Cluster.of(pulumi, recorded(pulumi.outputs())), say)
    except CliError as error:
        say(f"Whether something is to be rolled back could not be found out: {error}")


def _show_result(pulumi: Pulumi, manifest: Manifest, keys: Keys, *, failed: bool) -> bool:
    """Print the table and the answers; tell whether every model answered."""
    from cli.placements.overview import overview  # noqa: PLC0415 - see _NEEDED_LATER
    from cli.placements.port_forward import reached  # noqa: PLC0415 - see _NEEDED_LATER
    from cli.placements.samples import score_samples  # noqa: PLC0415 - see _NEEDED_LATER

    seen = overview(pulumi, keys)
    out = console()
    if seen.note:
        say(seen.note)
    if not seen.placements:
        out.print(f"The stack {pulumi.stack} runs no model.")
        return True
    out.print()
    print_placements(seen.placements, None if failed else pulumi.stack)
    out.print()
    with reached(pulumi, seen.placements) as placements:
        return score_samples(placements, manifest, pulumi.project.root, keys)


def _hint(pulumi: Pulumi) -> str | None:
    """What may be in the way of the deployment."""
    try:
        # A run by plain Pulumi may have begun in the meantime.
        release_stale_locks(pulumi.backend, pulumi.project.name, pulumi.stack, say)
    except CliError as error:
        return f"{error} {error.hint}"
    try:
        names = strangers(pulumi)
    except CliError:
        return None
    if not names:
        return None
    return (
        f"Another checkout of this project, or an earlier one whose state is lost, made {', '.join(names)}. "
        f"If nobody needs that any more, `slipway down --stack {pulumi.stack}` removes it."
    )


def _show_failed_builds(events: Path, pulumi: Pulumi, foreign: tuple[str, ...]) -> None:
    out = console(error=True)
    for build in failed_builds(events):
        what = _environment_of(build.requirements, pulumi.project.root) or f"The image of {build.name}"
        out.print(f"\n{what} was not built:", style="bold red", soft_wrap=True)
        for line in build.lines:
            out.print(f"  {line}", soft_wrap=True)
        if reason := unbuildable(pulumi, foreign, build):
            out.print(reason, soft_wrap=True)


def _environment_of(wanted: str | None, root: Path) -> str | None:
    """Whose environment installs these requirements: its own name, a hash, says nothing to a user."""
    if wanted is None:
        return None
    from manifest.requirements import dependencies  # noqa: PLC0415 - slow to import, and few builds fail

    users: list[str] = []
    # What was deployed may have been edited since.
    with suppress(ManifestError):
        for model in load_manifest(root / "models.yaml").models:
            if "\n".join(dependencies(model, root).pip) == wanted:
                file = model.scoring.conda or model.scoring.requirements
                users.append(f"{model.name} ({model.folder}/{file})" if file else model.name)
    return f"The environment of {', '.join(users)}" if users else None


@contextmanager
def _scratch(project: Project, stack: str) -> Iterator[Path]:
    """A folder that is gone afterwards; not in a shared one, as events tell about the deployment."""
    folder = project.private / f"up-{short_name(stack)}"
    # A run that was killed has left its own; there is only one run of a stack at a time.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
