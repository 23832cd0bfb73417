"""Names of Azure resources: within Azure's limits, the same each time, and different for what is different."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.azure import names
from standins.azure_native.names import DNS_LABEL, NAMES

KINDS = {
    "applicationinsights:Component": names.INSIGHTS,
    "containerinstance:ContainerGroup": names.CONTAINER_GROUP,
    "containerregistry:Registry": names.REGISTRY,
    "keyvault:Vault": names.VAULT,
    "machinelearningservices:Workspace": names.MACHINE_LEARNING,
    "managedidentity:UserAssignedIdentity": names.IDENTITY,
    "operationalinsights:Workspace": names.LOGS,
    "resources:ResourceGroup": names.RESOURCE_GROUP,
    "storage:StorageAccount": names.STORAGE,
}
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
# What Pulumi takes as a project's or a stack's name, and the manifest as a model's.
PULUMI = st.from_regex(r"[A-Za-z0-9_.-]{1,100}", fullmatch=True)
MODEL = st.from_regex(r"[a-z](?:-?[a-z0-9]){0,15}", fullmatch=True)
STACKS = st.builds(
    names.Names,
    st.just(SUBSCRIPTION),
    PULUMI,
    PULUMI,
    st.none() | st.from_regex("[a-z][a-z0-9]{1,11}", fullmatch=True),
)


@given(STACKS, st.lists(MODEL, max_size=2), st.sampled_from(sorted(KINDS)))
def test_every_name_is_one_that_azure_takes(stack, parts, token):
    name = stack.of(KINDS[token], *parts)
    assert NAMES[token].refusal(name) is None


@given(STACKS, MODEL, MODEL)
def test_a_label_leaves_room_for_the_hash_that_azure_adds(stack, model, version):
    name = stack.of(names.DNS_LABEL, model, version)
    assert DNS_LABEL.refusal(f"{name}-{'a' * 16}") is None
    assert "--" not in name


@given(STACKS, STACKS, MODEL, MODEL, st.sampled_from(sorted(KINDS)))
def test_what_differs_has_another_name_however_much_is_cut(one, other, model, second, token):
    kind = KINDS[token]
    assert (one.of(kind, model) == other.of(kind, second)) == ((one, model) == (other, second))


@given(STACKS, MODEL, st.sampled_from(sorted(KINDS)))
def test_a_name_keeps_its_suffix_and_begins_with_what_people_know(stack, model, token):
    name = stack.of(KINDS[token], model)
    unique = names.suffix(SUBSCRIPTION, stack.project, stack.stack, stack.prefix or "", model)
    assert name.endswith(unique)
    if stack.prefix:
        assert name.startswith(stack.prefix[: len(name) - len(unique) - 1])


def test_names_are_the_same_for_ever():
    stack = names.Names(SUBSCRIPTION, "slipway", "prod")
    assert stack.of(names.STORAGE) == "slipwayprodrsynsy30"
    assert stack.of(names.CONTAINER_GROUP, "iris") == "slipway-prod-iris-4r59g7ny"


def test_a_subscriptions_case_is_no_other_subscription():
    lower = "0a0b0c0d-0000-0000-0000-00000000000f"
    one, other = (names.Names(text, "slipway", "prod") for text in (lower, lower.upper()))
    assert one.of(names.REGISTRY) == other.of(names.REGISTRY)


@pytest.mark.parametrize("project", ["1st", "_", "..."])
def test_a_name_begins_with_a_letter_whatever_the_project_is_called(project):
    assert re.match("[a-z]", names.Names(SUBSCRIPTION, project, "prod").of(names.VAULT))
