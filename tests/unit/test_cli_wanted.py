"""Whether a stack is in Azure, as its configuration tells before it is deployed."""

from pathlib import Path

import pytest

from cli.stack_config import StackConfig
from cli.wanted import makes_registry, uses_azure


def config(*targets, **values):
    given = {"slipway:targets": list(targets), **{f"slipway:{name}": value for name, value in values.items()}}
    return StackConfig(file=Path("Pulumi.test.yaml"), values=given, secrets_provider=None, is_whole=True, _text="")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (config("local-docker"), False),
        (config("aci", azure={"location": "westeurope"}), True),
        (config("batch"), False),
        (config("batch", azure={"location": "westeurope"}), True),
        (config("local-docker", azure={"location": "westeurope"}), False),
        (config("aks", azure={"location": "westeurope"}), True),
        (config("aks", kubernetes={"context": "there"}), False),
    ],
)
def test_a_stack_is_in_azure_where_a_live_target_is(given, expected):
    assert uses_azure(given) is expected
    assert makes_registry(given) is expected


def test_a_registry_that_is_named_is_made_by_nobody():
    assert not makes_registry(config("batch", azure={"location": "westeurope"}, registry="registry.example.com"))
