"""`slipway status`: what is deployed, and how it is."""

from dataclasses import asdict

from cli.errors import CliError
from cli.options import DEFAULT_STACK, JsonOption, StackOption
from cli.placements.host_names import missing_name
from cli.placements.overview import overview
from cli.placements.planned import with_planned
from cli.placements.states import UNREACHABLE
from cli.placements.table import print_placements
from cli.stack.pulumi import Pulumi
from cli.stack.wanted import checked_manifest
from cli.table import console, print_json, say


def command(stack: StackOption = DEFAULT_STACK, json: JsonOption = False) -> None:
    """Show each model's version, target, state and endpoint, and why it does not serve if it does not."""
    pulumi = Pulumi.here(stack)
    seen = overview(pulumi)
    placements, notes = list(seen.placements), [seen.note] if seen.note else []
    notes += [line for one in placements if one.state == UNREACHABLE and (line := missing_name(one))]
    try:
        placements = with_planned(placements, checked_manifest(pulumi.project), pulumi.config.live_targets)
    except CliError as error:
        # What runs is of interest all the more.
        notes.append(f"{error}\nOnly what is deployed is shown.")
    for note in notes:
        say(note)
    if json:
        print_json({"stack": stack, "models": [asdict(one) for one in placements], "notes": notes})
        return
    if not seen.placements:
        console().print(f"The stack {stack} has nothing deployed. `slipway up` deploys models.yaml.")
    elif placements:
        print_placements(placements, stack)
