"""`slipway schema`: the JSON Schema of models.yaml."""

from cli.options import JsonOption
from cli.table import print_json
from manifest.schema import schema


def command(
    json: JsonOption = True,  # noqa: ARG001 - it is JSON in any case; the option is here as elsewhere
) -> None:
    """Print the JSON Schema of models.yaml, for editors and programs."""
    print_json(schema())
