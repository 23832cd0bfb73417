"""Arguments and options that several commands have in common."""

from typing import Annotated

import typer

from cli.completion import complete_models, complete_stacks

StackOption = Annotated[
    str,
    typer.Option(
        "--stack",
        "-s",
        envvar="SLIPWAY_STACK",
        help="The environment: Pulumi.STACK.yaml configures it.",
        autocompletion=complete_stacks,
    ),
]
DEFAULT_STACK = "dev"

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

ModelArgument = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The model.", show_default=False, autocompletion=complete_models),
]
OptionalModel = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAME]", help="The model. Default: every model.", show_default=False, autocompletion=complete_models
    ),
]

PulumiArguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PULUMI_OPTIONS", help="After --, passed on to Pulumi, for example: -- --refresh", show_default=False
    ),
]
