"""What the program asks of Azure for models on Container Instances; no engine, no Azure."""

import base64

import pulumi
import pytest

from tests.program.azure_mocks import (
    ARM,
    CANARIES,
    CONNECTION,
    PRIMARY,
    SECONDARY,
    Azure,
    give_target,
    plain,
    settings,
    shown,
    wrong,
)

GROUP, KEYS, READY, SWITCH = "ContainerGroup", "AccessKeys", "ServiceReady", "Profile"
HTTP = {"https": False}
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\ncanary-tls-key\n-----END PRIVATE KEY-----\n"
PROXY = "mcr.example.com/nginx@sha256:" + "0" * 64
TLS = {"tls": {"certificate": CERTIFICATE, "proxy": PROXY}}
SUBNET = f"{ARM}/providers/Microsoft.Network/virtualNetworks/net/subnets/aci"


@pytest.fixture
def aci(declare, project):
    """Declares the project with an aci target on iris; returns the recorder."""

    def run(target=HTTP, *, scoring=None, preview=False, unknown=False, secrets=(), config=None, **azure):
        give_target(project, target, **(scoring or {}))
        recorder = Azure(unknown=unknown)
        pulumi.runtime.set_all_config({}, secret_keys=[f"slipway:{key}" for key in secrets])
        keys = {**settings(**azure), **(config or {})}
        return declare(stack="prod", recorder=recorder, preview=preview, **keys)

    yield run
    pulumi.runtime.set_all_config({}, secret_keys=[])


def _containers(group):
    # The mocks mark the whole list where a value in it is a secret; tests/engine looks at what the state has.
    return plain(group.inputs["containers"])


def _variables(group):
    """The model's environment: plain ones, and those that are secret."""
    given = _containers(group)[0]["environmentVariables"]
    return (
        {one["name"]: one["value"] for one in given if "value" in one},
        {one["name"]: one["secureValue"] for one in given if "secureValue" in one},
    )


def test_a_model_is_one_container_group_with_all_that_it_needs_and_nothing_else(aci):
    recorder = aci()
    assert recorder.azure == {
        ("ResourceGroup", "group"),
        ("Registry", "registry"),
        ("UserAssignedIdentity", "pull"),
        ("RoleAssignment", "pull"),
        ("Workspace", "logs"),
        ("ContainerGroup", "iris"),
    }
    assert not recorder.of("RemoteImage")
    assert not recorder.of("Container")
    assert wrong(recorder) == []


def test_the_image_is_taken_by_digest_from_the_stacks_registry_by_an_identity(aci):
    recorder = aci()
    group = recorder.one(GROUP)
    digest = "sha256:" + "d" * 64
    assert _containers(group)[0]["image"] == f"theregistry.azurecr.io/slipway/models/iris@{digest}"
    (identity,) = group.inputs["identity"]["userAssignedIdentities"]
    assert group.inputs["identity"]["type"] == "UserAssigned"
    assert group.inputs["imageRegistryCredentials"] == [{"server": "theregistry.azurecr.io", "identity": identity}]
    assert recorder.of("Image")["iris"].inputs["tags"][0].startswith("theregistry.azurecr.io/slipway/models/iris:1-")


def test_the_group_waits_for_the_right_to_pull(aci):
    recorder = aci()
    group, role = recorder.one(GROUP), recorder.one("RoleAssignment")
    assert len(group.options.depends_on) == 1
    assert role.inputs["principalId"] == "principal-pull"


def test_keys_are_secrets_of_the_container_and_stand_nowhere_else(aci):
    recorder = aci()
    variables, secret = _variables(recorder.one(GROUP))
    assert variables["SLIPWAY_AUTH"] == "key"
    assert secret == {"SLIPWAY_PRIMARY_KEY": PRIMARY, "SLIPWAY_SECONDARY_KEY": SECONDARY}
    for one in recorder.registered:
        assert not [canary for canary in CANARIES if canary in shown(one.inputs)], one.name


def test_what_logs_are_sent_with_is_a_secret(aci):
    diagnostics = aci().one(GROUP).inputs["diagnostics"]
    assert shown(diagnostics) == ""
    logs = plain(diagnostics)["logAnalytics"]
    assert (logs["workspaceId"], logs["workspaceKey"]) == ("customer", "canary-workspace-key")


def test_probes_ask_for_life_and_readiness_on_the_models_port(aci):
    container = _containers(aci().one(GROUP))[0]
    assert container["livenessProbe"]["httpGet"] == {"path": "/live", "port": 8080, "scheme": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/ready", "port": 8080, "scheme": "http"}


def test_sizes_are_as_the_manifest_says_and_memory_is_rounded_up_to_tenths(aci):
    recorder = aci({**HTTP, "cpu": 1.5, "memory": "1100Mi", "gpu": {"count": 2, "sku": "V100"}, "zone": "2"})
    assert _containers(recorder.one(GROUP))[0]["resources"]["requests"] == {
        "cpu": 1.5,
        "memoryInGB": 1.1,
        "gpu": {"count": 2, "sku": "V100"},
    }
    assert recorder.one(GROUP).inputs["zones"] == ["2"]
    assert wrong(recorder) == []


def test_without_https_the_models_own_port_is_public_and_a_warning_says_what_that_means(aci, monkeypatch):
    said = []
    monkeypatch.setattr(pulumi.log, "warn", said.append)
    address = aci().one(GROUP).inputs["ipAddress"]
    assert address["type"] == "Public"
    assert [port["port"] for port in address["ports"]] == [8080]
    assert address["autoGeneratedDomainNameLabelScope"] == "ResourceGroupReuse"
    assert ["openly" in one for one in said] == [True]


def test_https_is_a_container_beside_the_model_whose_port_is_not_published(aci):
    recorder = aci({}, secrets=["tlsKey"], config={"tlsKey": KEY}, **TLS)
    group = recorder.one(GROUP).inputs
    assert [port["port"] for port in group["ipAddress"]["ports"]] == [443]
    model, proxy = plain(group["containers"])
    assert (model["name"], proxy["name"], proxy["image"]) == ("model", "tls", PROXY)
    assert [port["port"] for port in proxy["ports"]] == [443]
    assert proxy["volumeMounts"] == [{"name": "tls", "mountPath": "/etc/slipway", "readOnly": True}]
    (volume,) = plain(group["volumes"])
    assert shown(group["volumes"]) == ""
    files = {name: base64.b64decode(text).decode() for name, text in volume["secret"].items()}
    assert files["key.pem"] == KEY
    assert files["certificate.pem"] == CERTIFICATE
    assert "server 127.0.0.1:8080;" in files["nginx.conf"]
    # A script that asks for its URL is told what callers use, whatever they say themselves.
    assert "proxy_set_header X-Forwarded-Proto https;" in files["nginx.conf"]
    assert not any("canary-tls-key" in shown(one.inputs) for one in recorder.registered)
    assert recorder.one(READY).inputs["url"].startswith("https://")
    assert wrong(recorder) == []


def test_callers_use_the_name_that_the_certificate_is_for_where_the_manifest_has_one(aci, monkeypatch):
    told = {}

    def export(name, value):
        pulumi.Output.from_input(value).apply(lambda known: told.update({name: known}))

    monkeypatch.setattr(pulumi, "export", export)

    def exported(target):
        recorder = aci(target, secrets=["tlsKey"], config={"tlsKey": KEY}, **TLS)
        return recorder, told["models"]["iris"]["targets"]["aci"]

    recorder, named = exported({"host": "iris.example.com"})
    before, unnamed = exported({})
    label = recorder.one(GROUP).inputs["ipAddress"]["dnsNameLabel"]
    assert named == {**unnamed, "endpoint": "https://iris.example.com", "address": f"{label}.example"}
    assert unnamed["endpoint"] == f"https://{label}.example"
    # It is asked where it is, whether or not the name leads there yet; and the group is the same one.
    assert recorder.one(READY).inputs == before.one(READY).inputs
    assert recorder.one(GROUP).inputs == before.one(GROUP).inputs


@pytest.mark.parametrize(
    ("target", "config", "azure", "message"),
    [
        ({}, {}, {}, "iris: aci: HTTPS needs slipway:azure.tls"),
        ({}, {}, TLS, "iris: aci: HTTPS needs .* the secret slipway:tlsKey"),
        ({}, {"tlsKey": KEY}, TLS, "slipway:tlsKey stands in the configuration as it is; it has to be encrypted"),
        ({**HTTP, "auth": "none"}, {}, {}, "`auth: none` would let everybody ask"),
        ({**HTTP, "update": "blue-green"}, {}, {"aci": {"subnet": SUBNET}}, "blue-green needs a public address"),
    ],
)
def test_what_would_be_open_or_cannot_be_is_refused_before_anything_is_made(aci, target, config, azure, message):
    with pytest.raises(pulumi.RunError, match=message) as refused:
        aci(target, config=config, **azure)
    assert "canary" not in str(refused.value)


def test_a_group_in_a_subnet_has_no_public_address_and_no_name(aci):
    recorder = aci({**HTTP, "auth": "none"}, aci={"subnet": SUBNET})
    group = recorder.one(GROUP).inputs
    assert group["ipAddress"]["type"] == "Private"
    assert "dnsNameLabel" not in group["ipAddress"]
    assert group["subnetIds"] == [{"id": SUBNET}]
    assert _variables(recorder.one(GROUP))[0]["SLIPWAY_AUTH"] == "none"
    assert not recorder.of(KEYS)
    # It cannot be asked from here.
    assert not recorder.of(READY)
    assert wrong(recorder) == []


def test_in_place_keeps_the_name_and_replaces_what_azure_cannot_change(aci, project):
    before = aci().one(GROUP)
    script = project / "models/iris/score.py"
    script.write_text(script.read_text() + "\n# edited\n")
    after = aci().one(GROUP)
    assert before.inputs["containerGroupName"] == after.inputs["containerGroupName"]
    assert before.options.delete_before_replace is True
    assert set(before.options.replace_on_changes) == {
        "osType",
        "restartPolicy",
        "containers[*].resources",
        "ipAddress.ports",
        "subnetIds",
        "diagnostics",
        "sku",
        "priority",
        "zones",
    }


def test_blue_green_names_each_version_and_leads_one_name_to_it_once_it_is_ready(aci, project):
    target = {**HTTP, "update": "blue-green"}
    before = aci(target)
    script = project / "models/iris/score.py"
    script.write_text(script.read_text() + "\n# edited\n")
    after = aci(target)
    for one in (before, after):
        assert wrong(one) == []
        group, profile = one.one(GROUP), one.one(SWITCH)
        assert group.options.delete_before_replace is False
        assert one.one(READY).inputs["url"] == f"http://{group.inputs['ipAddress']['dnsNameLabel']}.example:8080/ready"
        assert one.one(READY).inputs["drain"] == 60
        (endpoint,) = profile.inputs["endpoints"]
        assert endpoint["target"] == f"{group.inputs['ipAddress']['dnsNameLabel']}.example"
        assert [dependency.__class__.__name__ for dependency in profile.options.depends_on] == ["ServiceReady"]
    names = [one.one(GROUP).inputs["containerGroupName"] for one in (before, after)]
    assert names[0] != names[1]
    assert before.one(SWITCH).inputs["dnsConfig"] == after.one(SWITCH).inputs["dnsConfig"]
    assert before.one(SWITCH).inputs["profileName"] == after.one(SWITCH).inputs["profileName"]


@pytest.mark.parametrize(
    "change", [{"cpu": 2}, {"memory": "2Gi"}, {"zone": "1"}, {"rotate": 1}, {"gpu": {"sku": "P100"}}]
)
def test_in_blue_green_every_change_of_the_group_is_another_group(aci, change):
    target = {**HTTP, "update": "blue-green"}
    names = {aci(one).one(GROUP).inputs["containerGroupName"] for one in (target, {**target, **change})}
    assert len(names) == 2


def test_an_unchanged_manifest_is_the_same_group(aci):
    target = {**HTTP, "update": "blue-green"}
    assert aci(target).one(GROUP).inputs == aci(target).one(GROUP).inputs


def test_a_preview_of_an_empty_subscription_registers_everything(aci):
    for target in (HTTP, {**HTTP, "update": "blue-green"}):
        recorder = aci(target, preview=True, unknown=True)
        made = aci(target)
        assert recorder.azure == made.azure
        assert set(recorder.of(READY)) == set(made.of(READY)) == {"iris-aci"}


def test_a_preview_names_the_version_that_it_would_make(aci):
    target = {**HTTP, "update": "blue-green"}
    foreseen = aci(target, preview=True, unknown=True).one(GROUP).inputs["containerGroupName"]
    assert foreseen == aci(target).one(GROUP).inputs["containerGroupName"]


def test_what_is_collected_goes_to_the_stacks_storage_by_an_identity_that_may_write_there_alone(aci):
    recorder = aci(scoring={"collect": True}, config={"collect": {"to": "abfs://collected/prod"}})
    variables, secret = _variables(recorder.one(GROUP))
    assert variables["AZURE_CLIENT_ID"] == "client-collect"
    assert variables["AZURE_STORAGE_ACCOUNT_NAME"] == recorder.one("StorageAccount").inputs["accountName"]
    assert "abfs://collected/prod" in variables["SLIPWAY_COLLECT"]
    assert "AZURE_STORAGE_CONNECTION_STRING" not in secret
    role = recorder.of("RoleAssignment")["collect"].inputs
    assert role["scope"].endswith("BlobContainer/storage-collected")
    assert role["roleDefinitionId"].endswith("/ba92f5b4-2d11-453d-a403-e96b0029c9fe")
    assert len(recorder.one(GROUP).inputs["identity"]["userAssignedIdentities"]) == 2
    assert wrong(recorder) == []


def test_a_model_that_does_not_collect_has_no_identity_that_may(aci):
    recorder = aci(config={"collect": {"to": "abfs://collected/prod"}})
    assert not recorder.of("StorageAccount")
    assert len(recorder.one(GROUP).inputs["identity"]["userAssignedIdentities"]) == 1


def test_a_connection_string_in_the_configuration_goes_before_the_stacks_storage(aci):
    recorder = aci(
        scoring={"collect": True},
        config={"collect": {"to": "abfs://collected/prod"}, "storageConnectionString": "canary-theirs"},
        secrets=["storageConnectionString"],
    )
    assert _variables(recorder.one(GROUP))[1]["AZURE_STORAGE_CONNECTION_STRING"] == "canary-theirs"
    assert not recorder.of("StorageAccount")


def test_traces_go_to_application_insights_where_the_stack_says_nothing_else(aci):
    recorder = aci(scoring={"telemetry": True})
    assert _variables(recorder.one(GROUP))[1]["APPLICATIONINSIGHTS_CONNECTION_STRING"] == CONNECTION
    assert recorder.one("Component").inputs["workspaceResourceId"].endswith(":operationalinsights:Workspace/logs")
    assert wrong(recorder) == []
    elsewhere = aci(scoring={"telemetry": True}, config={"telemetry": {"otlp": "http://collector:4318"}})
    assert not elsewhere.of("Component")


def test_restart_policies_are_azures(aci):
    for policy in ("Always", "OnFailure", "Never"):
        recorder = aci({**HTTP, "restartPolicy": policy})
        assert recorder.one(GROUP).inputs["restartPolicy"] == policy
        assert wrong(recorder) == []


def test_no_group_is_privileged_or_shares_what_it_need_not(aci):
    group = aci().one(GROUP).inputs
    assert group["osType"] == "Linux"
    assert "priority" not in group
    assert not any("securityContext" in one for one in plain(group["containers"]))
    # Other versions of the API have these; this one drops them without a word.
    assert "Reference" not in str(group)
