"""`slipway down`: remove everything that `up` made."""

from cli.deployment.recovery import recover
from cli.editing.debugging import LABEL as DEBUG_LABEL
from cli.errors import CliError
from cli.images.names import is_local
from cli.images.removal import remove_tags
from cli.options import DEFAULT_STACK, PulumiArguments, StackOption
from cli.placements.containers import BATCH_LABEL, Engine
from cli.stack.locks import only_run
from cli.stack.project import short_name
from cli.stack.pulumi import Pulumi
from cli.stack.state import resources
from cli.stack.wanted import repository_of
from cli.table import console, say


def command(stack: StackOption = DEFAULT_STACK, options: PulumiArguments = None) -> None:
    """Remove everything that `up` made: containers, images and the stack. Its configuration file stays."""
    pulumi = Pulumi.here(stack)
    with only_run(pulumi.project, stack, say) as pulumi.started:
        existed = recover(pulumi, say)
        engine = _engine(pulumi)
        # A registry of the stack's own is in its outputs, which go with it.
        repository = repository_of(pulumi)
        if existed:
            if pulumi.run("destroy", "--yes", "--skip-preview", *(options or [])):
                raise CliError("Not everything could be removed; run it again when that is mended.")
            pulumi.remove()
        removed = _remove_the_rest(pulumi, engine, repository) if engine else []
    out = console()
    if removed:
        out.print(f"Removed: {', '.join(removed)}.")
    if existed:
        out.print(f"The stack {stack} is gone; {pulumi.config.file.name} stays.")
    elif not removed:
        out.print(f"Nothing to remove: the stack {stack} is not there, nor anything of it.")


def _engine(pulumi: Pulumi) -> Engine | None:
    """The Docker engine; it may be stopped, or there may be none, where the stack has nothing on it."""
    try:
        return Engine(pulumi.env)
    except CliError:
        # What is still to be deleted is deleted by the engine, too.
        left = resources(pulumi.state(), with_replaced=True)
        if any(str(one.get("type")).startswith("docker:") for one in left):
            raise
        return None


def _remove_the_rest(pulumi: Pulumi, engine: Engine, repository: str) -> list[str]:
    """Remove what the engine does not know of or keeps on purpose; return what it was, in words."""
    project = pulumi.project.name
    leftover = engine.containers(project, pulumi.stack)
    for container in leftover:
        engine.remove(container)
    for label in (DEBUG_LABEL, BATCH_LABEL):
        for name in engine.labelled(label, f"{project}/{short_name(pulumi.stack)}"):
            engine.remove_by_name(name)
    # Images are named by content, so another stack may run the same ones.
    images = engine.remove_images(repository)
    tags = 0
    if is_local(repository) and not _is_used(engine, pulumi):
        tags = _remove_tags(repository)
    counts = {"leftover container": len(leftover), "image": images, "tag in the local registry": tags}
    return [_counted(number, what) for what, number in counts.items() if number]


def _remove_tags(repository: str) -> int:
    try:
        return remove_tags(repository)
    except CliError as error:
        say(f"{error} Its images stay.")
        return 0


def _is_used(engine: Engine, pulumi: Pulumi) -> bool:
    """Whether another stack of the project may need its images: one with a state, or of another checkout."""
    return bool(pulumi.stacks() or engine.containers(pulumi.project.name))


def _counted(number: int, what: str) -> str:
    if number == 1:
        return f"1 {what}"
    first, space, rest = what.partition(" in ")
    return f"{number} {first}s{space}{rest}"
