"""The docker stand-in's parts: durations, types from the SDK, rules, normal forms, and the body of a create call."""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.values import UNKNOWN
from standins.docker import VERSION
from standins.docker.container_config import create_body
from standins.docker.container_rules import DEFAULTS, IN_PLACE, ON_PAPER, REFUSED, RULES
from standins.docker.durations import format_duration, parse_duration
from standins.docker.normal import normal
from standins.docker.rules import apply_rules
from standins.docker.schema import check_types, load_schema, read_sdk

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("500ms", 500_000_000),
        ("1m30s", 90_000_000_000),
        ("1.5h", 5_400_000_000_000),
        (".5s", 500_000_000),
        ("1.s", 1_000_000_000),
        ("0.3s", 300_000_000),
        ("2us3ns", 2_003),
        ("2µs", 2_000),
        ("90s1m", 150_000_000_000),
    ],
)
def test_durations_are_read_as_go_reads_them(text, nanoseconds):
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "5", "s", "1 m", "1m ", "-1s", "1d", "1s500", "1e3s", "one", "9999999h"])
def test_what_is_no_duration_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="is not a duration: give numbers with"):
        parse_duration(text)


@given(st.integers(0, 2**63 - 1))
def test_a_written_duration_is_read_back(nanoseconds):
    assert parse_duration(format_duration(nanoseconds)) == nanoseconds


@given(st.text())
def test_any_text_is_a_duration_or_a_value_error(text):
    try:
        assert parse_duration(text) >= 0
    except ValueError as error:
        assert repr(text) in str(error)  # noqa: PT017 - not raising is as right


def test_the_version_is_the_sdks():
    assert importlib.metadata.version("pulumi-docker") == VERSION


def test_the_types_are_those_of_the_sdk():
    container = read_sdk()["ContainerArgs"]
    assert container["required"] == ["image"]
    members = container["members"]
    assert members["memory"] == {"type": "integer"}
    assert members["envs"] == {"type": "array", "items": {"type": "string"}}
    assert members["tmpfs"] == {"type": "map", "items": {"type": "string"}}
    assert members["ports"]["items"]["required"] == ["internal"]
    assert members["healthcheck"]["members"]["startInterval"] == {"type": "string"}


def test_every_table_names_only_properties_that_the_sdk_has():
    members = read_sdk()["ContainerArgs"]["members"]
    tops = {path.partition(".")[0].partition("[")[0] for path in RULES}
    assert {*DEFAULTS, *IN_PLACE, *ON_PAPER, *REFUSED, *tops} <= members.keys()
    for path in RULES:
        here = {"type": "object", "members": members}
        for step in path.replace("[]", ".[]").split("."):
            here = here["items"] if step == "[]" else here["members"][step]


def test_the_types_are_kept_and_a_damaged_file_is_read_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIPWAY_CACHE", str(tmp_path))
    first = load_schema()
    (kept,) = (tmp_path / "schemas").iterdir()
    assert json.loads(kept.read_text()) == first
    kept.write_text("{")
    assert load_schema() == first
    assert json.loads(kept.read_text()) == first


def test_types_that_cannot_be_kept_are_read_all_the_same(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SLIPWAY_CACHE", str(tmp_path / "file"))
    assert load_schema()["VolumeArgs"]["type"] == "object"


def _wrong(value, args="ContainerArgs"):
    return {failure.property: failure.reason for failure in check_types(read_sdk()[args], value)}


def test_all_that_has_the_wrong_type_is_found_with_its_path():
    assert _wrong(
        {
            "memory": "64",
            "tty": 1,
            "envs": ["A=1", 2],
            "ports": [{"external": 80}, {"internal": True}],
            "tmpfs": {"/run": 5},
            "healthcheck": ["CMD"],
            "lables": [],
        }
    ) == {
        "image": "is required, and missing",
        "memory": "expected a whole number, was given a string",
        "tty": "expected true or false, was given a whole number",
        "envs[1]": "expected a string, was given a whole number",
        "ports[0].internal": "is required, and missing",
        "ports[1].internal": "expected a whole number, was given true or false",
        "tmpfs./run": "expected a string, was given a whole number",
        "healthcheck": "expected an object, was given a list",
        "lables": "there is no such property; did you mean labels?",
    }


def test_unknown_values_and_our_own_marks_pass_the_types():
    assert _wrong({"image": UNKNOWN, "ports": [{"internal": UNKNOWN}], "envs": UNKNOWN, "__defaults": 1}) == {}


def _broken(**inputs):
    return {failure.property: failure.reason for failure in apply_rules(RULES, inputs)}


def test_all_that_docker_does_not_allow_is_found_with_its_path():
    assert _broken(
        restart="sometimes",
        memory=-1,
        waitTimeout=0,
        ports=[{"internal": 80}, {"internal": 0, "protocol": "icmp"}],
        healthcheck={"interval": "1 minute", "startPeriod": "5s"},
        mounts=[{"type": "nfs", "target": "/x"}],
        cpus="two",
        name="-x",
        envs=["A=1\nsecond line", "=1"],
        volumes=[{"hostPath": "relative"}],
    ) == {
        "restart": "must be one of no, on-failure, always, unless-stopped",
        "memory": "must be 0 or more",
        "waitTimeout": "must be 1 or more",
        "ports[1].internal": "must be from 1 to 65535",
        "ports[1].protocol": "must be one of tcp, udp, sctp",
        "healthcheck.interval": (
            "'1 minute' is not a duration: give numbers with ns, us, ms, s, m or h, such as \"1m30s\""
        ),
        "mounts[0].type": "must be one of bind, volume, tmpfs",
        "cpus": 'must be a number of processors, such as "1.5"',
        "name": 'must be two or more letters, digits or any of "_.-", and begin with a letter or digit',
        "envs[1]": "must be of the form NAME=value",
        "volumes[0].hostPath": "must be an absolute path",
    }


def test_unknown_values_pass_the_rules():
    assert _broken(restart=UNKNOWN, ports=[{"internal": UNKNOWN}], healthcheck=UNKNOWN) == {}


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("envs", ["A=1", "B=2"], ["B=2", "A=1"]),
        (
            "labels",
            [{"label": "a", "value": "1"}, {"label": "b", "value": "2"}],
            [{"value": "2", "label": "b"}, {"label": "a", "value": "1"}],
        ),
        ("ports", [{"internal": 80}], [{"internal": 80, "protocol": "tcp", "ip": "0.0.0.0", "external": 0}]),
        ("capabilities", {"drops": ["all"]}, {"drops": ["CAP_ALL"], "adds": []}),
        ("ports", [{"internal": 80}], [{"internal": 80, "protocol": "tcp", "__defaults": ["protocol"]}]),
        ("securityOpts", ["no-new-privileges"], ["no-new-privileges:true"]),
        ("cpus", "1", "1.0"),
        (
            "healthcheck",
            {"tests": ["CMD", "x"], "interval": "90s"},
            {"tests": ["CMD", "x"], "interval": "1m30s", "retries": 0},
        ),
        ("networkMode", "default", "bridge"),
        ("mounts", [{"type": "tmpfs", "target": "/x", "readOnly": False}], [{"type": "tmpfs", "target": "/x"}]),
        (
            "devices",
            [{"hostPath": "/dev/null"}],
            [{"hostPath": "/dev/null", "containerPath": "/dev/null", "permissions": "rwm"}],
        ),
        (
            "volumes",
            [{"hostPath": "/a", "volumeName": "b", "containerPath": "/c"}],
            [{"hostPath": "/a", "containerPath": "/c"}],
        ),
        ("privileged", False, None),
        ("memory", 0, None),
        ("dns", [], None),
    ],
)
def test_what_means_the_same_to_docker_is_no_difference(name, one, other):
    assert normal(name, one) == normal(name, other)


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("command", ["a", "b"], ["b", "a"]),
        ("command", ["a", ""], ["a"]),
        ("ports", [{"internal": 80}], [{"internal": 80, "protocol": "udp"}]),
        ("ports", [{"internal": 80}], [{"internal": 80, "external": 80}]),
        ("envs", ["A=1"], ["A=1", "A=1 "]),
        ("healthcheck", {"tests": ["CMD", "x"]}, {"tests": ["CMD", "y"]}),
        ("cpus", "1", "1.5"),
        ("image", "a", UNKNOWN),
        ("healthcheck", {"interval": "1s"}, {"interval": UNKNOWN}),
    ],
)
def test_what_means_something_else_to_docker_is_a_difference(name, one, other):
    assert normal(name, one) != normal(name, other)


@given(st.permutations(["A=1", "B=2", "C=3", UNKNOWN]))
def test_the_order_of_a_set_does_not_matter(envs):
    assert normal("envs", envs) == normal("envs", ["C=3", UNKNOWN, "A=1", "B=2"])


def test_the_start_interval_is_sent_only_to_engines_that_know_it():
    inputs = {**DEFAULTS, "image": "x", "healthcheck": {"tests": ["CMD", "x"], "startInterval": "200ms"}}
    assert create_body(inputs, start_interval=True)["Healthcheck"]["StartInterval"] == 200_000_000
    assert "StartInterval" not in create_body(inputs, start_interval=False)["Healthcheck"]


def test_cpus_go_before_the_older_way_to_say_it():
    host = create_body({**DEFAULTS, "cpus": "1.5", "cpuQuota": 5, "cpuPeriod": 6}, start_interval=True)["HostConfig"]
    assert host["NanoCpus"] == 1_500_000_000
    assert not {"CpuQuota", "CpuPeriod"} & host.keys()


def test_all_kinds_of_volumes_are_translated():
    volumes = [
        {"containerPath": "/a", "volumeName": "data", "readOnly": True},
        {"containerPath": "/b", "hostPath": "/srv", "selinuxRelabel": "z"},
        {"containerPath": "/c"},
        {"fromContainer": "other"},
    ]
    body = create_body({**DEFAULTS, "volumes": volumes}, start_interval=True)
    assert body["HostConfig"]["Binds"] == ["data:/a:ro", "/srv:/b:rw,z"]
    assert body["HostConfig"]["VolumesFrom"] == ["other"]
    assert set(body["Volumes"]) == {"/a", "/b", "/c"}


def test_unconfined_system_paths_are_the_clients_own_option():
    options = {"securityOpts": ["systempaths=unconfined", "no-new-privileges"]}
    host = create_body({**DEFAULTS, **options}, start_interval=True)["HostConfig"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["MaskedPaths"] == host["ReadonlyPaths"] == []


CHECK_AND_DIFF = """
import sys, threading
from provider.resource import Call, State
from standins.docker.plugin import DockerPackage
resource = DockerPackage().resources["docker:index/container:Container"]
call = Call("urn:pulumi:dev::shop::docker:index/container:Container::box", threading.Event(), lambda *_: None)
inputs, failures = resource.check(call, None, {"image": "x", "name": "box"})
assert not failures and not resource.diff(call, State("id", inputs, inputs), inputs).changes
loaded = {"docker", "requests", "pulumi", "pulumi_docker"} & sys.modules.keys()
assert not loaded, loaded
"""


def test_a_preview_without_changes_loads_neither_the_sdk_nor_the_client():
    load_schema()
    subprocess.run([sys.executable, "-c", CHECK_AND_DIFF], cwd=ROOT, check=True)


def test_the_starting_script_says_what_to_do_where_there_is_no_virtual_environment(tmp_path):
    folder = tmp_path / "standins/bin"
    folder.mkdir(parents=True)
    script = folder / "pulumi-resource-docker"
    script.write_bytes((ROOT / "standins/bin/pulumi-resource-docker").read_bytes())
    script.chmod(0o755)
    done = subprocess.run([script, "127.0.0.1:1"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "run 'make up'" in done.stderr


def test_the_starting_script_works_from_a_link_and_from_any_folder(tmp_path):
    (tmp_path / "provider.py").write_text("raise AssertionError('the user has a file of this name')")
    (tmp_path / "plugin").symlink_to(ROOT / "standins/bin/pulumi-resource-docker")
    plugin = subprocess.Popen([tmp_path / "plugin", "127.0.0.1:1"], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        assert plugin.stdout.readline().strip().isdigit()
    finally:
        plugin.kill()
        plugin.wait()
