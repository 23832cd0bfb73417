"""`slipway keys`: show the keys of a model, to whoever may read the stack's secrets."""

import sys
from typing import Annotated

import typer

from cli.errors import CliError, Exit
from cli.options import DEFAULT_STACK, JsonOption, OptionalModel, StackOption
from cli.placements.choose import of_model
from cli.placements.devices import device_key
from cli.placements.keys import AUTH, Keys
from cli.placements.placement import recorded
from cli.stack.pulumi import Pulumi
from cli.table import console, plain_table, print_json, say


def command(
    name: OptionalModel = None,
    stack: StackOption = DEFAULT_STACK,
    device: Annotated[
        str | None, typer.Option(help="Print the connection string of a registered device, to set it up with.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Print the keys of a model, which callers send as `Authorization: Bearer KEY`; or a device's.

    They are secrets: whoever has one may use the model, or be the device.
    """
    pulumi = Pulumi.here(stack)
    if device:
        _print_device(pulumi, device, json=json)
        return
    if not name:
        raise CliError("Which model's keys?", hint="slipway keys NAME, or slipway keys --device ID", code=Exit.USAGE)
    placements = [one for one in of_model(pulumi, recorded(pulumi.outputs()), name) if one.auth == AUTH]
    if not placements:
        raise CliError(f"{name} has no keys in the stack {stack}: none of its targets there asks for one.")
    keys = Keys(pulumi)
    found = [(one, pair) for one in placements if (pair := keys.pair(one))]
    if len(found) < len(placements):
        raise CliError(
            f"The state of {stack} is without the keys of {name}.",
            hint=f"`slipway up --stack {stack}` makes them.",
            code=Exit.FAILED,
        )
    say(f"These are secrets: whoever has one may use {name}. Keep them out of logs, tickets and shared terminals.")
    if json:
        shown = [
            {"target": one.target, "endpoint": one.endpoint, "primary": pair.primary, "secondary": pair.secondary}
            for one, pair in found
        ]
        print_json({"model": name, "keys": shown})
        return
    table = plain_table("TARGET", "KEY", "")
    for one, pair in found:
        table.add_row(one.target, "primary", pair.primary)
        table.add_row(one.target, "secondary", pair.secondary)
    console().print(table)


def _print_device(pulumi: Pulumi, device: str, *, json: bool) -> None:
    """Print it alone, so that it can go into a file."""
    found = device_key(pulumi, device)
    if found is None:
        raise CliError(
            f"The stack {pulumi.stack} has registered no device {device} with keys.",
            hint="slipway:azure.iotHub.devices names those to register; `slipway up` does it.",
            code=Exit.USAGE,
        )
    say(f"This is a secret: whoever has it is {device} to the hub. Keep it out of logs, tickets and shared terminals.")
    if json:
        print_json({"device": device, "connectionString": found})
    else:
        sys.stdout.write(f"{found}\n")
