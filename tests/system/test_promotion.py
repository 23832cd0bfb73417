"""Promotion between two stacks with a registry each: the real engine, builder, registries and containers."""

import json
import os
import subprocess
import sys

import httpx
import pytest

from tests.system.checkout import ROOT
from tests.system.second_registry import second_registry

pytestmark = [pytest.mark.engine, pytest.mark.system]

MANIFESTS = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"
OFFSET = 7


@pytest.fixture
def slipway(project):
    """Runs any slipway command in the checkout; `check=False` lets it fail."""
    return project.slipway


@pytest.fixture
def prod(project, slipway, tmp_path):
    """The name of a stack that is promoted to, with a registry of its own."""
    name = f"{project.stack}p"
    with second_registry(tmp_path / "registry") as registry:
        (project.folder / f"Pulumi.{name}.yaml").write_text(
            "config:\n  slipway:targets: [local-docker]\n"
            f"  slipway:promoteFrom: {project.stack}\n  slipway:registry: {registry}\n"
            f"  slipway:localDocker: {{portOffset: {OFFSET}}}\n"
        )
        project.prod_registry = registry
        yield name
        slipway("down", "--stack", name, check=False)


def _answer(project, name):
    return httpx.post(f"http://127.0.0.1:{project.ports[name] + OFFSET}/score", content=b"[1, 2]", timeout=60).json()


def _releases(slipway, stack):
    return json.loads(slipway("releases", "--stack", stack, "--json").stdout)["releases"]


def _commit(folder, message):
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", message]):
        subprocess.run([*git, *arguments], cwd=folder, check=True, capture_output=True)
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def _pulumi(project, stack, *arguments):
    log = project.folder / "events.json"
    log.unlink(missing_ok=True)
    subprocess.run(
        ["pulumi", *arguments, "--stack", stack, "--non-interactive", "--event-log", str(log)],
        cwd=project.folder,
        env={**project.env, "PULUMI_DEBUG_COMMANDS": "true"},
        check=True,
        capture_output=True,
    )
    events = [json.loads(line) for line in log.read_text().splitlines()]
    return [(one.get("resourcePreEvent") or {}).get("metadata") for one in events if one.get("resourcePreEvent")]


def test_prod_runs_devs_digests_and_builds_nothing_and_goes_back_to_an_earlier_release(project, slipway, prod):
    project.model("alpha")
    project.model("beta")
    (project.folder / ".gitignore").write_text(".slipway/\n.venv\nevents.json\n__pycache__/\n")
    commit = _commit(project.folder, "first")

    refused = slipway("up", "--stack", prod, check=False)
    assert refused.returncode == 1
    assert f"slipway promote {project.stack} {prod}" in refused.stdout + refused.stderr

    slipway("up", "--stack", project.stack)
    [first] = _releases(slipway, project.stack)
    assert (first["commit"], first["modified"]) == (commit, False)
    assert {one["name"]: json.loads(one["answer"]) for one in first["models"]} == {
        "alpha": {"answer": "first", "sum": 3},
        "beta": {"answer": "first", "sum": 3},
    }
    slipway("up", "--stack", project.stack)
    assert len(_releases(slipway, project.stack)) == 1

    shown = slipway("promote", project.stack, prod, "--dry-run")
    assert first["models"][0]["image"].partition("sha256:")[2][:12] in shown.stdout
    assert slipway("promote", project.stack, prod, check=False).returncode == 2

    done = slipway("promote", project.stack, prod, "--yes")
    assert f"MB copied to {project.prod_registry}/" in done.stderr
    assert _answer(project, "alpha") == {"answer": "first", "sum": 3}
    for model in first["models"]:
        digest = model["image"].partition("@")[2]
        path = f"http://{project.prod_registry}/v2/{project.stack}/models/{model['name']}/manifests/{digest}"
        there = httpx.get(path, headers={"Accept": MANIFESTS}, trust_env=False, timeout=60)
        assert there.headers["Docker-Content-Digest"] == digest
    kinds = {one["type"] for one in _pulumi(project, prod, "preview")}
    assert "slipway:index:PromotedImage" in kinds
    assert not any(kind.startswith("docker-build:") for kind in kinds)
    [in_prod] = _releases(slipway, prod)
    assert in_prod["promotedFrom"] == f"{project.stack}/{first['id']}"

    # A newer one of one model, and a version of it.
    project.model("alpha", answer="second")
    slipway("up", "--stack", project.stack)
    second, _ = _releases(slipway, project.stack)
    assert second["modified"]
    plan = json.loads(slipway("promote", project.stack, prod, "--dry-run", "--json").stdout)
    assert {one["model"]: one["what"] for one in plan["moves"]} == {"alpha": "changed", "beta": "unchanged"}
    slipway("promote", project.stack, prod, "--yes")
    assert _answer(project, "alpha")["answer"] == "second"
    assert {one["op"] for one in _pulumi(project, prod, "preview")} == {"same"}

    older = slipway("promote", project.stack, prod, "--yes", "--release", first["id"], check=False)
    assert older.returncode == 1
    assert "is older than what" in older.stderr
    assert _answer(project, "alpha")["answer"] == "second"
    slipway("promote", project.stack, prod, "--yes", "--release", first["id"], "--force")
    assert _answer(project, "alpha")["answer"] == "first"


def test_what_is_unhealthy_or_answers_otherwise_is_not_promoted(project, slipway, prod):
    project.model("alpha", reload=True)
    project.model("beta")
    slipway("up", "--stack", project.stack)
    project.containers()["beta"].stop()
    stopped = slipway("promote", project.stack, prod, "--yes", check=False)
    assert stopped.returncode == 1
    assert "beta is stopped on local-docker" in stopped.stderr
    project.containers()["beta"].start()
    project.wait_for(lambda: project.answer("beta")["sum"] == 3)

    # An edit that is live in dev by reloading, but in no image.
    script = project.script("alpha")
    script.write_text(script.read_text().replace("first", "edited"))
    project.wait_for(lambda: project.answer("alpha")["answer"] == "edited")
    differs = slipway("promote", project.stack, prod, "--yes", check=False)
    assert differs.returncode == 1
    assert "alpha answers otherwise than when" in differs.stderr
    assert not (project.state / f".pulumi/stacks/{project.stack}/{prod}.json").exists()


# Answers here, and in production otherwise or not at all; images are checked before they get there.
ELSEWHERE = """import os
def init(): pass
def run(data):
    if os.environ.get("SLIPWAY_DEVELOPMENT"):
        {then}
    return "first"
"""


def test_a_promotion_that_does_not_answer_as_before_tells_the_way_back_and_that_way_leads_back(project, slipway, prod):
    for name in (project.stack, prod):
        file = project.folder / f"Pulumi.{name}.yaml"
        text = file.read_text().replace("  slipway:development: true\n", "")
        file.write_text(text + (f"  slipway:development: {str(name == prod).lower()}\n"))
    project.model("alpha")
    project.model("beta")
    slipway("up", "--stack", project.stack)
    [first] = _releases(slipway, project.stack)
    slipway("promote", project.stack, prod, "--yes")
    back = f"To go back: slipway promote {project.stack} {prod} --release ID --force"

    project.script("beta").write_text(ELSEWHERE.format(then='return "second"'))
    slipway("up", "--stack", project.stack)
    differs = slipway("promote", project.stack, prod, "--yes", check=False)
    assert differs.returncode == 1
    assert f"beta answers otherwise than when {project.stack} released it (in {prod})" in differs.stderr
    assert back in differs.stderr

    project.script("alpha").write_text(ELSEWHERE.format(then='raise ValueError("not here")'))
    slipway("up", "--stack", project.stack)
    silent = slipway("promote", project.stack, prod, "--yes", check=False)
    assert silent.returncode == 1
    # Both are told, of the one that answers otherwise, too.
    assert f"alpha does not answer its sample (in {prod})" in silent.stderr
    assert f"beta answers otherwise than when {project.stack} released it (in {prod})" in silent.stderr
    assert back in silent.stderr

    slipway("promote", project.stack, prod, "--yes", "--release", first["id"], "--force")
    assert _answer(project, "alpha") == {"answer": "first", "sum": 3}

    project.model("gamma")
    slipway("up", "--stack", project.stack)
    stranger = project.docker.containers.create(
        project.containers()["gamma"].image, name=f"{project.stack}-{prod}-gamma"
    )
    try:
        failed = slipway("promote", project.stack, prod, "--yes", check=False)
    finally:
        stranger.remove()
    assert failed.returncode == 1
    assert "The deployment failed at gamma" in failed.stderr
    assert back in failed.stderr


@pytest.fixture
def azure(project, slipway, tmp_path):
    """The name of a stack that is promoted to, with nothing in Azure yet: not even the registry of its own."""
    name = f"{project.stack}z"
    (project.folder / f"Pulumi.{name}.yaml").write_text(
        "config:\n  slipway:targets: [aci]\n"
        f"  slipway:promoteFrom: {project.stack}\n  slipway:azure: {{location: westeurope, protect: false}}\n"
    )
    project.env |= {
        "PATH": f"{ROOT / 'standins/bin'}{os.pathsep}{project.env['PATH']}",
        "SLIPWAY_AZURE": "stand-in",
        "SLIPWAY_AZURE_STORE": str(tmp_path / "azure"),
    }
    yield name
    slipway("down", "--stack", name, check=False)
    tool = [sys.executable, "-m", "standins.azure_native.tool", "reset"]
    subprocess.run(tool, env=project.env, cwd=ROOT, check=False, timeout=120)


def test_a_stack_that_makes_its_own_registry_has_it_made_by_the_first_promotion(project, slipway, azure):
    project.model("alpha")
    project.target("alpha", {"aci": {"https": False, "cpu": 0.2, "memory": "256Mi"}})
    slipway("up", "--stack", project.stack)
    shown = slipway("promote", project.stack, azure, "--dry-run")
    assert "has no registry yet" in shown.stderr
    assert not (project.state / f".pulumi/stacks/{project.stack}/{azure}.json").exists()
    # That refuses, and leaves a stack that is there and exports nothing; the promotion has to see what it exports then.
    assert slipway("up", "--stack", azure, check=False).returncode == 1
    project.env["SLIPWAY_REGISTRY"] = "127.0.0.1:9"
    slipway("promote", project.stack, azure, "--yes")
    del project.env["SLIPWAY_REGISTRY"]
    [told] = [one for one in json.loads(slipway("status", "--stack", azure, "--json").stdout)["models"] if one["group"]]
    assert (told["model"], told["state"]) == ("alpha", "ready")
    answer = slipway("score", "alpha", "--stack", azure).stdout
    assert json.loads(answer) == {"answer": "first", "sum": 3}
    assert {one["op"] for one in _pulumi(project, azure, "preview")} == {"same"}
