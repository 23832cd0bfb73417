"""A pull request from its branch to its comment: a bare remote, the real engine, builder and registry.

GitHub's API is a stand-in over HTTP; git, the engine and the scripts that the workflows call are real.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest

from tests.system.checkout import ROOT, Project
from tests.unit.github_standin import REPOSITORY, TOKEN, US, github

pytestmark = [pytest.mark.engine, pytest.mark.system]

EXPECTED = Path(__file__).parent / "expected/pull_request_comment.md"
CANARY = "canary-7f3a9c"
IGNORED = ".slipway/\n.venv\n__pycache__/\nevents.json\nresults/\n"
GIT = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com"]


def _git(folder, *arguments):
    done = subprocess.run([*GIT, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _pipelines(project, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "pipelines", *arguments],
        cwd=project.folder,
        env={**project.env, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    """A deployed project, its commit on a bare remote's main."""
    made = Project(tmp_path_factory.mktemp("pulls") / "checkout")
    for name in ("alpha", "beta", "delta"):
        made.model(name)
    (made.folder / ".gitignore").write_text(IGNORED)
    bare = made.folder.parent / "remote.git"
    subprocess.run(["git", "init", "-q", "--bare", str(bare)], check=True)
    _git(made.folder, "init", "-q", "-b", "main")
    _git(made.folder, "add", "-A")
    _git(made.folder, "commit", "-qm", "first")
    _git(made.folder, "remote", "add", "origin", str(bare))
    _git(made.folder, "push", "-q", "origin", "main")
    made.run("up")
    yield made
    made.close()


@pytest.fixture
def project(deployed, request):
    """The project as it was deployed, whatever an earlier test has made of it."""
    entries, env = deepcopy(deployed._entries), dict(deployed.env)
    _git(deployed.folder, "checkout", "-qf", "main")
    shutil.rmtree(deployed.folder / "results", ignore_errors=True)
    if getattr(request.node, "execution_count", 1) > 1:
        # Once more, after a failure in the middle.
        deployed.run("up", "--", "--refresh")
    yield deployed
    deployed._entries, deployed.env = entries, env


@pytest.fixture
def branch(project):
    """Commits what a function changes, pushes it, and checks it out from the remote as a job does."""

    def push(change, name="patch"):
        _git(project.folder, "checkout", "-qB", name, "origin/main")
        change()
        _git(project.folder, "add", "-A")
        _git(project.folder, "commit", "-qm", "change")
        _git(project.folder, "push", "-qf", "origin", name)
        commit = _git(project.folder, "rev-parse", "HEAD")
        _git(project.folder, "checkout", "-q", "main")
        _git(project.folder, "fetch", "-q", "origin", name)
        _git(project.folder, "checkout", "-q", "--detach", commit)
        return commit

    return push


def _comment(project, server, commit, *, owner="team", results="results"):
    event = {
        "workflow_run": {
            "head_sha": commit,
            "head_branch": "patch",
            "html_url": "https://github.example.com/team/models/actions/runs/1",
            "head_repository": {"full_name": f"{owner}/models", "owner": {"login": owner}},
        }
    }
    server.pulls[:] = [{"number": 7, "state": "open", "head": {"sha": commit, "label": f"{owner}:patch"}}]
    file = project.folder.parent / "event.json"
    file.write_text(json.dumps(event))
    done = _pipelines(
        project,
        "comment",
        "--results",
        results,
        GITHUB_API_URL=server.url,
        GITHUB_REPOSITORY=REPOSITORY,
        GITHUB_TOKEN=TOKEN,
        GITHUB_EVENT_PATH=str(file),
    )
    assert done.returncode == 0, done.stderr
    [ours] = [one for one in server.comments if one["user"]["login"] == US]
    return ours["body"]


def _preview(project):
    return _pipelines(project, "preview", "--stack", project.stack, "--out", "results/dev.json")


def _stable(text, project, commit):
    text = text.replace(commit[:10], "COMMIT").replace(project.stack, "STACK")
    return re.sub(r"\d+\.\d MB", "N MB", text)


def test_a_pull_requests_comment_says_what_changes_and_is_kept_current(project, branch):
    def change():
        project.model("alpha", answer="second")
        project.remove("beta")
        project.model("gamma")
        project._entries["delta"]["targets"][0]["local-docker"]["memory"] = "300Mi"
        project.write_manifest()

    commit = branch(change)
    before = {container.id for container in project.containers().values()}
    done = _preview(project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {container.id for container in project.containers().values()} == before
    with github() as server:
        body = _stable(_comment(project, server, commit), project, commit)
        if os.environ.get("SLIPWAY_WRITE_EXPECTED"):
            EXPECTED.write_text(body)
        assert body == EXPECTED.read_text()

        # The next commit takes it all back.
        empty = branch(lambda: (project.folder / "NOTES.md").write_text("nothing\n"))
        assert _preview(project).returncode == 0
        body = _comment(project, server, empty)
        assert "3 unchanged" not in body
        assert "6 unchanged; nothing changes" in body

        # A result that a newer commit has overtaken says nothing.
        server.pulls[:] = []
        before = list(server.comments)
        _comment_late = _pipelines(
            project,
            "comment",
            "--results",
            "results",
            GITHUB_API_URL=server.url,
            GITHUB_REPOSITORY=REPOSITORY,
            GITHUB_TOKEN=TOKEN,
            GITHUB_EVENT_PATH=str(project.folder.parent / "event.json"),
        )
        assert _comment_late.returncode == 0
        assert server.comments == before


def test_a_broken_pull_request_gets_its_error_in_the_comment_and_no_secret(project, branch):
    def change():
        project.model("alpha")
        project._entries["alpha"]["scoring"]["script"] = "<img src=x onerror=alert(1)>`|@team.py"
        project.write_manifest()

    commit = branch(change)
    done = _preview(project)
    assert done.returncode == 1
    with github() as server:
        body = _comment(project, server, commit)
    assert "the preview failed" in body
    assert "scoring.script" in body
    # All that is not ours stands in code, where neither Markdown nor HTML counts.
    outside = re.sub(r"```text\n.*?\n```|`[^`\n]*`", "", body, flags=re.DOTALL)
    assert "<img" not in outside
    assert "@team" not in outside


def test_no_secret_of_the_state_the_configuration_or_the_environment_reaches_the_comment(project, branch):
    program = project.folder / "__main__.py"
    text = program.read_text().replace(
        "        main()\n",
        "        import os\n"
        "        import pulumi_docker\n"
        "        secret = pulumi.Output.secret(os.environ['CANARY_OF_STATE'])\n"
        "        pulumi.export('own', secret)\n"
        "        kept = [secret.apply(lambda v: f'K={v}')]\n"
        "        pulumi_docker.Container('own', image='none', name='none', envs=kept)\n"
        "        main()\n"
        "        raise pulumi.RunError(f\"no access with {os.environ['CANARY_TOKEN']}\")\n",
        1,
    )
    assert text != program.read_text()
    commit = branch(lambda: program.write_text(text))
    project.env |= {"CANARY_OF_STATE": f"{CANARY}-state", "CANARY_TOKEN": f"{CANARY}-environment"}
    assert _preview(project).returncode == 1
    written = (project.folder / "results/dev.json").read_text()
    with github() as server:
        body = _comment(project, server, commit)
    for shown in (written, body):
        assert CANARY not in shown
        assert "no access with [secret]" in shown


def test_a_forks_result_is_marked_and_a_forged_one_is_refused(project, branch, tmp_path):
    commit = branch(lambda: (project.folder / "NOTES.md").write_text("x\n"))
    forged = tmp_path / "forged"
    forged.mkdir()
    (forged / "dev.json").write_text(json.dumps({"format": 1, "stack": "</summary><b>", "changes": []}))
    with github() as server:
        body = _comment(project, server, commit, owner="mallory", results=str(forged))
    assert "comes from a fork" in body
    assert "cannot be read" in body
    assert "<b>" not in body


def test_drift_opens_an_issue_and_its_end_closes_it(project):
    environment = {
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_TOKEN": TOKEN,
        "GITHUB_SERVER_URL": "https://github.example.com",
        "GITHUB_RUN_ID": "1",
    }
    look = ("drift", "--stack", project.stack, "--out", "results/dev.json")
    with github() as server:
        environment["GITHUB_API_URL"] = server.url

        def report():
            assert _pipelines(project, *look).returncode == 0
            done = _pipelines(project, "drift-issues", "--results", "results", **environment)
            assert done.returncode == 0, done.stderr

        report()
        assert server.issues == []
        project.containers()["alpha"].remove(force=True)
        report()
        report()
        [issue] = server.issues
        assert issue["title"] == f"Drift in {project.stack}"
        assert "| updated | `alpha` | `local-docker` |  | `Container is gone` |" in issue["body"]
        assert "`beta`" not in issue["body"]
        project.run("up", "--", "--refresh")
        report()
        assert issue["state"] == "closed"


def test_what_a_policy_refuses_is_the_comments_failure_until_it_is_mended(project):
    project.model("alpha")
    project.target("alpha", {"aci": {"https": False}})
    stack = project.folder / f"Pulumi.{project.stack}.yaml"

    def held_to(region):
        azure, policies = {"location": "westeurope"}, {"regions": [region]}
        config = {"slipway:targets": ["aci"], "slipway:azure": azure, "slipway:policies": policies}
        stack.write_text(json.dumps({"config": config}))
        done = _preview(project)
        return done.returncode, _pipelines(project, "show", "--results", "results").stdout

    code, comment = held_to("northeurope")
    assert code == 1
    assert "**the preview failed**" in comment
    said = "allowed-regions: azure-native:containerinstance:ContainerGroup alpha: it is in westeurope. "
    assert f"{said}Allowed: northeurope." in comment
    code, comment = held_to("westeurope")
    assert code == 0, comment
    assert "allowed-regions" not in comment
