"""Images for other processors: which a stack has, what its builder needs for them, and what a user is told."""

import json
from types import SimpleNamespace

import pytest

from cli.deployment.build_log import FailedBuild
from cli.deployment.platforms import foreign_platforms, prepare_builder, unbuildable
from cli.errors import CliError, Exit
from cli.supply_chain.sbom import components, joined
from tests.unit.toolchain_harness import context_in
from tests.unit.wanted_harness import AZURE, config, manifest
from toolchain import builder, emulators
from toolchain.report import Step

__all__ = ["manifest"]
ARM = {"iot-edge": {"device": "a", "platform": "linux/arm64"}}
REFUSED = FailedBuild("iris", ("exec /bin/sh: exec format error",))
FAKE_BUILDCTL = """#!/bin/sh
echo "$*" > "$0.called"
cat <<'EOF'
%s
"""


@pytest.fixture(autouse=True)
def _machine(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")


def stack(tmp_path, *targets, **values):
    """A stack with a builder `ours` in a container, and a docker that answers for it as buildctl does."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    workers = [{"platforms": [{"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "386"}]}]
    workers[0]["platforms"].append({"os": "linux", "architecture": "amd64", "variant": "v2"})
    program.write_text(FAKE_BUILDCTL % json.dumps(workers) + "EOF\n")
    program.chmod(0o755)
    env = {"PATH": f"{program.parent}:/usr/bin:/bin", "BUILDX_CONFIG": str(tmp_path), "SLIPWAY_CACHE": str(tmp_path)}
    builder.record(context_in(tmp_path, env), builder.instance("docker-container", "unix:///s", {}))
    return SimpleNamespace(config=config(*targets, **values), env=env)


def test_what_this_machine_is_and_what_is_promoted_needs_nothing_of_a_builder(tmp_path, manifest):
    azure = {**AZURE, "iotHub": {}}
    wanted = manifest(ARM, "local-docker")
    found = stack(tmp_path, "iot-edge", "local-docker", azure=azure, tlsKey={"secure": "v1:x"})
    assert foreign_platforms(found, wanted) == ("linux/arm64",)
    found.config = config("local-docker")
    assert foreign_platforms(found, wanted) == ()
    found.config = config("iot-edge", azure=azure, promoteFrom="dev")
    assert foreign_platforms(found, wanted) == ()


def test_what_arm_v7_cannot_have_is_a_users_mistake_told_before_the_builder_is_prepared(tmp_path, manifest):
    """The same message as the program's, without a traceback."""
    azure = {**AZURE, "iotHub": {}}
    found = stack(tmp_path, "iot-edge", "batch", azure=azure)
    wanted = manifest({"iot-edge": {"device": "a", "platform": "linux/arm/v7"}}, {"batch": {"output": "abfs://out/"}})
    with pytest.raises(CliError, match="cannot have, a target batch: pyarrow") as refused:
        foreign_platforms(found, wanted)
    assert refused.value.code == Exit.USAGE


def test_a_builder_that_cannot_run_a_platforms_programs_is_told_with_those_that_it_can_and_what_to_do(tmp_path):
    found = stack(tmp_path)
    said = unbuildable(found, ("linux/arm/v7", "linux/arm64"), REFUSED)
    assert "The builder slipway cannot build for linux/arm/v7, linux/arm64: it has linux/amd64, linux/386." in said
    assert "tonistiigi/binfmt --install arm,arm64`" in said
    assert "exec buildx_buildkit_slipway0 buildctl" in (tmp_path / "bin/docker.called").read_text()

    (tmp_path / "bin/docker").write_text("#!/bin/sh\nexit 1\n")
    assert "it does not tell" in unbuildable(found, ("linux/arm64",), REFUSED)


def test_other_failures_are_no_matter_of_platforms(tmp_path):
    found = stack(tmp_path)
    assert unbuildable(found, (), REFUSED) is None
    assert unbuildable(found, ("linux/arm64",), FailedBuild("iris", ("ValueError: torn",))) is None


def test_a_builder_that_is_not_on_this_host_is_left_as_it_is(tmp_path, monkeypatch):
    """The set-up's own lacks nothing where no process of it is here; of another one not even that is asked."""
    monkeypatch.setattr(emulators, "KERNEL", tmp_path / "none")
    lacking, asked, made = emulators.lacking, [], []
    monkeypatch.setattr(emulators, "lacking", lambda *given: asked.append(given) or lacking(*given))
    monkeypatch.setattr(emulators, "ensure", lambda *given: made.append(given) or [])
    found = stack(tmp_path)
    prepare_builder(found, ("linux/arm64",))
    assert [platforms for _, platforms in asked] == [("linux/arm64",)]
    found.config = config(builder="farm")
    prepare_builder(found, ("linux/arm64",))
    assert len(asked) == 1
    assert not made


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """A folder as the kernel's for emulators, and one as the distribution's with their lines."""
    for name in ("kernel", "lines"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(emulators, "KERNEL", tmp_path / "kernel")
    monkeypatch.setattr(emulators, "LINES", tmp_path / "lines")
    (tmp_path / "kernel/register").touch()
    (tmp_path / "lines/qemu-aarch64.conf").write_text(":qemu-aarch64:M::magic:mask:/usr/bin/qemu:F\n")
    return tmp_path / "kernel"


def register(tmp_path, architecture="arm64"):
    return emulators._register(
        context_in(tmp_path), Step("Emulators", None or SimpleNamespace(isatty=bool)), architecture
    )


def test_an_emulator_is_registered_with_the_kernel_as_the_distribution_has_it(tmp_path, kernel):
    assert "now registered" in register(tmp_path)
    assert (kernel / "register").read_text() == ":qemu-aarch64:M::magic:mask:/usr/bin/qemu:F"


def test_one_that_the_kernel_has_is_taken(tmp_path, kernel):
    context = context_in(tmp_path)
    assert not emulators._is_emulated(context, "arm64")
    (kernel / "qemu-aarch64").write_text("enabled\ninterpreter /usr/bin/qemu\n")
    assert emulators._is_emulated(context, "arm64")
    assert not emulators._is_emulated(context, "s390x")


def test_the_sboms_of_several_platforms_are_one_of_what_is_in_any_of_them():
    def sbom(architecture):
        libc = f"pkg:deb/debian/libc6@2.36?arch={architecture}"
        listed = [("numpy", "pkg:pypi/numpy@2.0"), ("libc6", libc)]
        system = {"bom-ref": "os", "type": "operating-system", "name": "debian"}
        found = [
            {"bom-ref": f"{purl}&{architecture}", "type": "library", "name": name, "purl": purl}
            for name, purl in listed
        ]
        needs = [{"ref": found[0]["bom-ref"], "dependsOn": [found[1]["bom-ref"]]}]
        return json.dumps({"bomFormat": "CycloneDX", "components": [system, *found], "dependencies": needs}).encode()

    both = joined([sbom("amd64"), sbom("arm64")])
    assert [(one.kind, one.name) for one in components(both)] == [
        ("deb", "libc6"),
        ("deb", "libc6"),
        ("operating-system", "debian"),
        ("pypi", "numpy"),
    ]
    document = json.loads(both)
    refs = {one["bom-ref"] for one in document["components"]}
    assert {one for told in document["dependencies"] for one in (told["ref"], *told["dependsOn"])} <= refs
    assert len(document["dependencies"]) == 1
