"""The target `aci` and the stack's `azure`: what is taken, and what is refused with what is allowed."""

import pytest
from pydantic import ValidationError

from manifest import AciTarget, ManifestError, load_environment

SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-00000000000a"
GROUP = f"{SUBSCRIPTION}/resourceGroups/theirs"
REGISTRY = f"{GROUP}/providers/Microsoft.ContainerRegistry/registries/theirs"


def load(**azure):
    return load_environment({"targets": ["aci"], "azure": {"location": "westeurope", **azure}}, source="prod")


def said(**azure):
    with pytest.raises(ManifestError) as refused:
        load(**azure)
    (problem,) = refused.value.problems
    return str(problem)


def test_a_region_is_all_that_a_stack_has_to_say():
    azure = load().azure
    assert (azure.location, azure.protect, azure.assign_roles) == ("westeurope", True, True)
    assert (azure.registry, azure.machine_learning, azure.tls) == (None, None, None)


def test_a_live_target_without_its_cloud_is_refused_with_what_to_write():
    with pytest.raises(ManifestError, match=r"slipway:azure, at least \{location: REGION\}"):
        load_environment({"targets": ["aci"]}, source="prod")
    assert load_environment({"targets": ["local-docker"]}, source="prod").azure is None


def test_a_mistake_in_azure_is_not_told_as_a_missing_azure():
    assert "region's short name" in said(location="West Europe")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("prefix", "My-Team", "2 to 12 lower-case letters and digits"),
        ("resourceGroup", "theirs", "an id as in /subscriptions/ID/resourceGroups/NAME,"),
        ("resourceGroup", REGISTRY, "an id as in /subscriptions/ID/resourceGroups/NAME,"),
        ("registry", {"id": GROUP}, "Microsoft.ContainerRegistry/registries/NAME"),
        ("registry", {"id": REGISTRY, "sku": "Basic"}, 'remove "sku", or the id to create one'),
        ("registry", {"sku": "Free"}, "'Basic', 'Standard' or 'Premium'"),
        ("storage", {"keepDays": 0}, "must be at least 1"),
        ("logs", {"retentionDays": 7}, "must be at least 30"),
        ("aci", {"subnet": GROUP}, "Microsoft.Network/virtualNetworks/NAME/subnets/NAME"),
        ("regoin", "x", 'unknown key "regoin"'),
    ],
)
def test_what_azure_would_refuse_is_refused_here(key, value, message):
    assert message.replace(",", "") in said(**{key: value}).replace(",", "")


def test_ids_of_each_kind_are_taken():
    subnet = f"{GROUP}/providers/Microsoft.Network/virtualNetworks/net/subnets/aci"
    azure = load(resourceGroup=GROUP, registry={"id": REGISTRY}, aci={"subnet": subnet}).azure
    assert (azure.resource_group, azure.registry.id, azure.aci.subnet) == (GROUP, REGISTRY, subnet)


@pytest.mark.parametrize("text", ["canary", "-----BEGIN PRIVATE KEY-----\ncanary", "\n"])
def test_what_is_no_certificate_is_refused_without_being_shown(text):
    message = said(tls={"certificate": text, "proxy": "nginx@sha256:" + "0" * 64})
    assert "as PEM text" in message
    assert "canary" not in message


def test_a_key_that_is_encrypted_or_none_is_refused_without_being_shown():
    values = {"targets": [], "tlsKey": "-----BEGIN ENCRYPTED PRIVATE KEY-----\ncanary"}
    with pytest.raises(ManifestError, match="not encrypted") as refused:
        load_environment(values, source="prod")
    assert "canary" not in str(refused.value)


def test_the_proxy_is_an_image_by_its_digest():
    tls = {"certificate": "-----BEGIN CERTIFICATE-----\nx", "proxy": "nginx:1"}
    assert "an image by its digest" in said(tls=tls)


def test_a_target_is_safe_by_default():
    target = AciTarget()
    assert (target.https, target.auth, target.update, target.memory_mib) == (True, "key", "in-place", 1024)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"cpu": 0.25}, "must be in tenths"),
        ({"cpu": 5}, "less than or equal to 4"),
        ({"memory": "17Gi"}, 'at most "16Gi"'),
        ({"cpu": 4}, "0.2 processors and 256Mi beside"),
        ({"memory": "16Gi"}, "0.2 processors and 256Mi beside"),
        ({"update": "blue-green", "restartPolicy": "Never"}, "blue-green needs restartPolicy: Always"),
        ({"restartPolicy": "UnlessStopped"}, "'Always', 'OnFailure' or 'Never'"),
        ({"label": "a--bcde"}, "single hyphens"),
        ({"label": "four"}, "5 to 50"),
        ({"gpu": {"count": 3}}, "1, 2 or 4"),
        ({"zone": "4"}, "'1', '2' or '3'"),
    ],
)
def test_a_group_that_cannot_be_is_refused_with_what_is_allowed(keys, message):
    with pytest.raises(ValidationError) as refused:
        AciTarget.model_validate(keys)
    assert message in str(refused.value)


def test_without_https_the_model_has_the_whole_group():
    assert AciTarget.model_validate({"cpu": 4, "memory": "16Gi", "https": False}).cpu == 4


def test_two_models_cannot_ask_for_the_same_label():
    assert AciTarget(label="iris-prod").claims("iris") == {"label": "iris-prod"}
    assert AciTarget().claims("iris") == {}
