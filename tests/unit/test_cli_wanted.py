"""Whether a stack is in Azure, as its configuration and the manifest tell before it is deployed."""

import pytest

from cli.stack.wanted import makes_registry, uses_azure
from tests.unit.wanted_harness import AZURE, config, manifest

__all__ = ["manifest"]
ON_CLUSTER = {"batch": {"engine": "kubernetes", "input": "s3://in/*.csv", "output": "s3://out/"}}


@pytest.mark.parametrize(
    ("target", "given", "expected"),
    [
        ({"local-docker": {"port": 8000}}, config("local-docker"), False),
        ("aci", config("aci", azure=AZURE), True),
        ("batch", config("batch"), False),
        ("batch", config("batch", azure=AZURE), True),
        # What a target says of itself goes before what the stack has.
        ({"batch": {"engine": "local"}}, config("batch", azure=AZURE), False),
        (ON_CLUSTER, config("batch", azure=AZURE, kubernetes={"context": "there"}), False),
        (ON_CLUSTER, config("batch", azure=AZURE), True),
        ({"local-docker": {"port": 8000}}, config("local-docker", azure=AZURE), False),
        ("aks", config("aks", azure=AZURE), True),
        ("aks", config("aks", kubernetes={"context": "there"}), False),
        # No model has a target that is live.
        ("aks", config("aci", azure=AZURE), False),
    ],
)
def test_a_stack_is_in_azure_where_a_live_target_is(manifest, target, given, expected):
    assert uses_azure(given, manifest(target)) is expected
    assert makes_registry(given, manifest(target)) is expected


def test_a_registry_that_is_named_is_made_by_nobody(manifest):
    given = config("batch", azure=AZURE, registry="registry.example.com")
    assert not makes_registry(given, manifest("batch"))
