"""Arguments and options that several commands have in common."""

from typing import Annotated, Any

import typer

from cli.completion import complete_models, complete_stacks


def _or_above(context: typer.Context, option: typer.CallbackParam, value: Any) -> Any:
    """Take what stands before the command of a group, where the option is one of the group's too."""
    above = context.parent.params if context.parent else {}
    source = context.get_parameter_source(option.name or "")
    return value if source and source.name == "COMMANDLINE" else above.get(option.name or "", value)


StackOption = Annotated[
    str,
    typer.Option(
        "--stack",
        "-s",
        envvar="SLIPWAY_STACK",
        help="The environment: Pulumi.STACK.yaml configures it.",
        autocompletion=complete_stacks,
        callback=_or_above,
    ),
]
DEFAULT_STACK = "dev"

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.", callback=_or_above)]

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
