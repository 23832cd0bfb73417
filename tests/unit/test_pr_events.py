"""From the engine's events to changes by model and target; no value that is a text gets through."""

import json

import pytest

from pipelines.events import read_drift, read_preview

STACK = "pulumi:pulumi:Stack"
ROOT = f"urn:pulumi:dev::shop::{STACK}::shop-dev"


def _urn(types, name):
    return f"urn:pulumi:dev::shop::{types}::{name}"


def _state(parent, *, custom=True, **rest):
    return {"parent": parent, "inputs": {}, "outputs": {}, **({"custom": True} if custom else {}), **rest}


def _event(op, types, name, parent, *, kind="resourcePreEvent", custom=True, new=None, old=None, **metadata):
    states = {}
    if op not in {"delete", "delete-replaced"}:
        states["new"] = _state(parent, custom=custom, **(new or {}))
    if op != "create":
        states["old"] = _state(parent, custom=custom, **(old or {}))
    return {
        kind: {"metadata": {"op": op, "urn": _urn(types, name), "type": types.split("$")[-1], **states, **metadata}}
    }


@pytest.fixture
def read(tmp_path):
    def read(*events, by=read_preview, code=0, **options):
        log = tmp_path / "events"
        log.write_text("".join(json.dumps(one) + "\n" for one in events) + '{"cut off')
        return by("dev", log, code=code, **options)

    return read


AKS = "slipway:index:AksService"


def test_resources_belong_to_the_component_below_the_stack_however_deep(read):
    component = _urn(AKS, "iris")
    deployment = _urn(f"{AKS}$kubernetes:apps/v1:Deployment", "iris-deployment")
    found = read(
        _event("same", AKS, "iris", ROOT, custom=False),
        _event("same", f"{AKS}$kubernetes:apps/v1:Deployment", "iris-deployment", component),
        _event(
            "update",
            f"{AKS}$kubernetes:apps/v1:Deployment$kubernetes:core/v1:ConfigMap",
            "settings",
            deployment,
            detailedDiff={"data.threshold": {"diffKind": "update"}},
        ),
    )
    [change] = found.changes
    assert (change.model, change.target, change.action) == ("iris", "aks-service", "updated")
    assert change.reasons == ["threshold"]


def test_a_numbers_change_is_shown_and_a_texts_only_named(read):
    types = "slipway:index:AciService$azure-native:containerinstance:ContainerGroup"
    parent = _urn("slipway:index:AciService", "iris")
    [change] = read(
        _event(
            "update",
            types,
            "iris",
            parent,
            detailedDiff={one: {"diffKind": "update"} for one in ("memory", "public", "password", "port")},
            old={"inputs": {"memory": 1.5, "public": False, "password": "hunter1", "port": "[secret]"}},
            new={"inputs": {"memory": 2, "public": True, "password": "hunter2", "port": 8080}},
        )
    ).changes
    assert change.reasons == ["memory 1.5 → 2", "public false → true", "password", "port"]
    # An update of a container group starts its containers anew.
    assert change.restarts


def test_an_update_that_changes_no_template_restarts_nothing(read):
    types = f"{AKS}$kubernetes:core/v1:Service"
    diff = {"spec.type": {"diffKind": "update"}}
    [service] = read(_event("update", types, "iris", _urn(AKS, "iris"), detailedDiff=diff)).changes
    assert not service.restarts
    types = f"{AKS}$kubernetes:apps/v1:Deployment"
    diff = {"spec.template.spec.containers[0].image": {"diffKind": "update"}}
    [deployment] = read(_event("update", types, "iris", _urn(AKS, "iris"), detailedDiff=diff)).changes
    assert deployment.restarts
    assert deployment.reasons == ["its image"]


def test_versions_and_sizes_come_from_what_the_stack_exports(read):
    def image(digit):
        return f"registry.example.com/shop/models/iris@sha256:{digit * 64}"

    def exported(version, image):
        return {"outputs": {"models": {"iris": {"version": version, "image": image, "targets": {}}}}}

    events = [
        {
            "resOutputsEvent": {
                "metadata": {
                    "op": "same",
                    "urn": ROOT,
                    "type": STACK,
                    "old": exported("1", image("a")),
                    "new": exported("2", image("b")),
                }
            }
        },
        _event("replace", f"{AKS}$docker:index/container:Container", "iris", _urn(AKS, "iris"), diffs=["image"]),
    ]
    sizes = {image("a"): 100, image("b"): 120}
    [(name, model)] = read(*events, size_of=sizes.get).models.items()
    assert (name, model.was, model.becomes, model.size_was, model.size_becomes) == ("iris", "1", "2", 100, 120)


def test_a_failure_tells_its_errors_without_what_the_environment_keeps_secret(read):
    events = [
        {"diagnosticEvent": {"severity": "error", "message": "no access with hunter22 at <b>\n\n  line two\n"}},
        {"diagnosticEvent": {"severity": "info", "message": "not this"}},
    ]
    environ = {"REGISTRY_PASSWORD": "hunter22", "API_KEY": "two", "HOME": "access"}
    found = read(*events, code=1, environ=environ)
    assert found.failed == ["no access with [secret] at <b>", "  line two"]
    assert read(code=1).failed == ["The engine gave no reason; see its log."]
    assert read(*events, code=0).failed == []


def test_what_mandatory_policies_refuse_comes_before_the_engines_own_error(read):
    def violation(severity, name):
        message = f"What it asks for.\n{name}: it has {severity}. Allowed: other.\n"
        event = {"policyName": "allowed-sizes", "enforcementLevel": severity, "message": message}
        return {"policyEvent": {"resourceUrn": _urn("a:b:Pool", name), **event}}

    error = {"diagnosticEvent": {"severity": "error", "message": "preview failed\n"}}
    found = read(error, violation("mandatory", "iris"), violation("advisory", "digits"), code=1)
    assert found.failed == ["allowed-sizes: iris: it has mandatory. Allowed: other.", "preview failed"]
    assert read(violation("advisory", "digits"), code=0).failed == []


def test_a_log_that_is_not_there_is_an_empty_one(tmp_path):
    assert read_preview("dev", tmp_path / "none", code=0).changes == []


def test_drift_is_what_a_refresh_finds_other_than_recorded(read):
    types = "slipway:index:LocalDocker$docker:index/container:Container"

    def found(op, name, **metadata):
        parent = _urn("slipway:index:LocalDocker", name)
        return _event(op, types, name, parent, kind="resOutputsEvent", **metadata)

    drift = read(
        _event("refresh", types, "iris", _urn("slipway:index:LocalDocker", "iris")),
        found("same", "iris"),
        found("delete", "digits"),
        found("update", "diabetes", detailedDiff={"memory": {"diffKind": "update"}}),
        # A provider that only reads more than before has found nothing.
        found("update", "quiet"),
        by=read_drift,
    )
    assert {one.model: (one.action, one.reasons) for one in drift.changes} == {
        "iris": ("unchanged", []),
        "digits": ("updated", ["Container is gone"]),
        "diabetes": ("updated", ["memory"]),
        "quiet": ("unchanged", []),
    }


def test_an_image_that_the_containers_host_has_lost_is_no_drift(read):
    component = _urn("slipway:index:LocalDocker", "iris")

    def found(op, kind):
        types = f"slipway:index:LocalDocker$docker:index/{kind[0].lower()}{kind[1:]}:{kind}"
        return _event(op, types, f"iris-{kind}", component, kind="resOutputsEvent")

    [lost] = read(found("same", "Container"), found("delete", "RemoteImage"), by=read_drift).changes
    assert (lost.action, lost.reasons) == ("unchanged", [])
    [both] = read(found("delete", "Container"), found("delete", "RemoteImage"), by=read_drift).changes
    assert (both.action, both.reasons) == ("updated", ["Container is gone"])
