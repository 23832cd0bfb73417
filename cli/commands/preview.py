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
    # The same for all models, also where one is new; what changes is in the resources.
    if pulumi.run("preview", "--suppress-outputs", *(options or [])):
        raise CliError("The preview failed.")
