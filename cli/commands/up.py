"""`slipway up`: deploy what the manifest asks for, show what runs, and have each model score its sample."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import typer

from cli.build_log import failed_builds, failures
from cli.errors import CliError, Exit
from cli.keys import Keys
from cli.locks import only_run, release_stale_locks
from cli.options import DEFAULT_STACK, PulumiArguments, StackOption
from cli.platforms import foreign_platforms, prepare_builder, unbuildable
from cli.project import Project, find_project, short_name
from cli.pulumi import Pulumi
from cli.recovery import recover, strangers
from cli.supply_chain.signing import check_key
from cli.table import console, print_placements, say
from cli.wanted import checked_environment, checked_manifest, repository_of
from manifest import Manifest

# Not needed before the engine has ended; it is the engine that takes the time.
_NEEDED_LATER = ("cli.containers", "cli.deployed", "cli.release_log", "cli.samples", "cli.supply_chain.images")


def command(stack: StackOption = DEFAULT_STACK, options: PulumiArguments = None) -> None:
    """Deploy the models of models.yaml, and show what each answers to its sample.

    What an interrupted run left behind is mended first.
    """
    project = find_project()
    pulumi = Pulumi(project, stack, project.environment())
    manifest = checked_manifest(project)
    checked_environment(pulumi.config)
    check_key(pulumi)
    if pulumi.advice:
        say(pulumi.advice)
    foreign = foreign_platforms(pulumi, manifest)
    prepare_builder(pulumi, foreign)
    with only_run(project, stack):
        code, failed = deploy(pulumi, options or [], foreign)
    keys = Keys(pulumi)
    answered = _show_result(pulumi, manifest, keys)
    if code < 0:
        raise CliError(
            "The deployment was cut off: the engine was killed.", hint="Run it again: it goes on from there."
        )
    if code:
        where = f" at {', '.join(failed)}" if failed else ""
        raise CliError(f"The deployment failed{where}; see above. What is ready goes on answering.", hint=_hint(pulumi))
    if not answered:
        raise typer.Exit(Exit.FAILED)
    from cli.release_log import record_release  # noqa: PLC0415 - see _NEEDED_LATER
    from cli.supply_chain.images import record_images  # noqa: PLC0415 - see _NEEDED_LATER

    record_release(pulumi, manifest, keys, images=record_images(pulumi))


def deploy(pulumi: Pulumi, options: list[str], foreign: tuple[str, ...] = ()) -> tuple[int, list[str]]:
    """Mend what an interrupted run left, run the engine, and show what its failed builds printed.

    Args:
        pulumi: The stack, which no other run has.
        options: Further options of Pulumi's.
        foreign: The platforms that its images are built for and this machine is not.

    Returns:
        The engine's exit code, and what failed.

    Raises:
        CliError: The stack cannot be mended or made.
    """
    failed: list[str] = []
    if not recover(pulumi, say):
        pulumi.create()
    with _scratch(pulumi.project, pulumi.stack) as folder, ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: [import_module(name) for name in _NEEDED_LATER])
        events = folder / "events"
        code = pulumi.run("up", "--yes", "--suppress-outputs", *options, event_log=events)
        if code:
            _show_failed_builds(events, pulumi, foreign)
            failed = failures(events)
            _roll_back(pulumi)
        else:
            _remove_old_images(pulumi)
    return code, failed


def _remove_old_images(pulumi: Pulumi) -> None:
    """Remove from the engine what this run has replaced; the registry keeps it."""
    from cli.containers import Engine  # noqa: PLC0415 - see _NEEDED_LATER

    try:
        Engine(pulumi.env).remove_images(repository_of(pulumi))
    except CliError as error:
        say(f"{error} Old images stay; the next run tries again.")


def _roll_back(pulumi: Pulumi) -> None:
    """Take Deployments back whose new version never became ready."""
    from cli.deployed import AKS, recorded  # noqa: PLC0415 - see _NEEDED_LATER

    if AKS not in pulumi.config.live_targets:
        return
    from cli.cluster import Cluster  # noqa: PLC0415 - only stacks on Kubernetes need it
    from cli.rollback import roll_back  # noqa: PLC0415 - as above

    try:
        roll_back(Cluster.of(pulumi, recorded(pulumi.outputs())), say)
    except CliError as error:
        say(f"Whether something is to be rolled back could not be found out: {error}")


def _show_result(pulumi: Pulumi, manifest: Manifest, keys: Keys) -> bool:
    """Print the table and the answers; tell whether every model answered."""
    from cli.deployed import overview  # noqa: PLC0415 - see _NEEDED_LATER
    from cli.port_forward import reached  # noqa: PLC0415 - see _NEEDED_LATER
    from cli.samples import score_samples  # noqa: PLC0415 - see _NEEDED_LATER

    seen = overview(pulumi, keys)
    out = console()
    if seen.note:
        say(seen.note)
    if not seen.placements:
        out.print(f"The stack {pulumi.stack} runs no model.")
        return True
    out.print()
    print_placements(seen.placements)
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
        out.print(f"\nThe image of {build.name} was not built:", style="bold red")
        for line in build.lines:
            out.print(f"  {line}", soft_wrap=True)
        if reason := unbuildable(pulumi, foreign, build):
            out.print(reason, soft_wrap=True)


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
