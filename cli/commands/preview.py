"""`slipway preview`: show what `up` would do."""

from cli.errors import CliError
from cli.options import DEFAULT_STACK, PulumiArguments, StackOption
from cli.stack.pulumi import Pulumi
from cli.stack.wanted import checked_environment, checked_manifest
from cli.table import say


def command(stack: StackOption = DEFAULT_STACK, options: PulumiArguments = None) -> None:
    """Show what `up` would change. Nothing is built, pulled, started or stopped."""
    pulumi = Pulumi.here(stack)
    checked_manifest(pulumi.project)
    checked_environment(pulumi.config)
    if pulumi.advice:
        say(pulumi.advice)
    if not pulumi.exists():
        pulumi.create()
    if pulumi.run("preview", *(options or [])):
        raise CliError("The preview failed.")
