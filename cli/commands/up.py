"""`slipway up`: deploy what the manifest asks for, show what runs, and have each model score its sample."""

import typer

from cli.deployment.deploy import deploy
from cli.errors import Exit
from cli.options import DEFAULT_STACK, PulumiArguments, StackOption
from cli.stack.pulumi import Pulumi
from cli.stack.wanted import checked_environment, checked_manifest


def command(stack: StackOption = DEFAULT_STACK, options: PulumiArguments = None) -> None:
    """Deploy the models of models.yaml, and show what each answers to its sample.

    What an interrupted run left behind is mended first.
    """
    pulumi = Pulumi.here(stack)
    manifest = checked_manifest(pulumi.project)
    checked_environment(pulumi.config)
    if not deploy(pulumi, manifest, options or ()):
        raise typer.Exit(Exit.FAILED)
