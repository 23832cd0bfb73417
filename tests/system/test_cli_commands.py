"""The commands that look at a deployed stack, on one that really is: each test leaves it as it found it."""

import json
import os
import shlex
import socket
import subprocess
import threading
import time
from xml.etree import ElementTree as ET

import httpx
import pytest

from tests.system.checkout import ROOT, Project

pytestmark = [pytest.mark.engine, pytest.mark.system]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    if not (ROOT / ".slipway/toolchain.json").exists():
        pytest.fail("the toolchain is not set up: run `make setup`")
    made = Project(tmp_path_factory.mktemp("commands") / "checkout")
    made.model("alpha", reload=True)
    made.model("beta")
    made.run("up")
    yield made
    made.close()


@pytest.fixture
def good(project):
    """The script that serves; what a test made of it is undone."""
    script = project.script("alpha")
    text = script.read_text()
    yield text
    script.write_text(text)
    project.run("reload", "alpha")


def _json(project, *arguments, check=True):
    return json.loads(project.run(*arguments, "--json", check=check).stdout)


def _findings(project):
    done = project.run("diagnose", "--json", check=False)
    report = json.loads(done.stdout)
    assert done.returncode == (1 if report["problems"] else 0)
    found = {}
    for one in report["findings"]:
        found.setdefault((one["check"], one["model"]), []).append(one)
    return found


def _statuses(found, check, model=None):
    return {one["status"] for one in found[check, model]}


def _from_below(project, *arguments):
    return subprocess.run(
        project.command(*arguments),
        cwd=project.folder / "models/alpha",
        env=project.env,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


def test_every_model_scores_its_sample_when_none_is_named(project):
    printed = project.run("score").stdout
    assert printed.splitlines() == [
        'alpha   sample.json -> {"answer":"first","sum":3}',
        'beta    sample.json -> {"answer":"first","sum":3}',
    ]
    answers = _json(project, "score")["answers"]
    assert [(one["model"], one["answer"]["sum"], one["error"]) for one in answers] == [
        ("alpha", 3, None),
        ("beta", 3, None),
    ]


def test_logs_of_all_models_name_them_and_one_models_are_as_they_were_printed(project):
    every = project.run("logs").stdout
    assert "alpha | " in every
    assert "beta  | " in every
    [last] = project.run("logs", "beta", "-n", "1").stdout.splitlines()
    assert "ready" in last
    assert "beta  |" not in last
    record = json.loads(project.run("logs", "beta", "-n", "1", "--json").stdout)
    assert record["line"] == last
    assert (record["model"], record["container"]) == ("beta", f"{project.stack}-{project.stack}-beta")


def test_logs_of_a_model_that_is_not_deployed_say_that_it_is_not(project):
    project.model("gamma")
    try:
        done = project.run("logs", "gamma", check=False)
    finally:
        project.remove("gamma")
    assert done.returncode == 2
    assert f"gamma is in models.yaml and not deployed in the stack {project.stack}." in done.stderr


def test_a_deployment_tells_nothing_of_the_plugins_that_the_set_up_provides(project):
    printed = project.run("preview").stdout
    assert "unchanged" in printed
    assert "$PATH" not in printed
    assert "Diagnostics:" not in printed


def test_following_a_log_shows_lines_as_they_come(project, good):
    following = subprocess.Popen(
        project.command("logs", "alpha", "-f", "-n", "0", "--json"),
        cwd=project.folder,
        env=project.env,
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = []

    def read():
        lines.extend(json.loads(line)["line"] for line in following.stdout)

    threading.Thread(target=read, daemon=True).start()
    try:
        # Until it follows, an edit may come too early to be seen.
        project.wait_for(
            lambda: project.run("reload", "alpha") and any("ready: score.py loaded" in line for line in lines)
        )
    finally:
        following.terminate()
        following.wait(30)


def test_reload_says_that_the_script_was_loaded(project):
    before = _json(project, "reload", "alpha")
    after = _json(project, "reload", "alpha")
    assert after["reloaded"]
    assert after["generation"] == before["generation"] + 1
    assert after["script"] == str(project.script("alpha"))


def test_reload_takes_an_edit_whose_time_did_not_change(project, good):
    script = project.script("alpha")
    stat = script.stat()
    # In place, the same size and time: nothing that a watcher would see.
    script.write_text(good.replace("first", "other"))
    os.utime(script, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    project.run("reload", "alpha")
    assert project.answer("alpha")["answer"] == "other"


def test_a_broken_edit_is_an_error_of_reload_every_time_and_seen_by_status_and_diagnose(project, good):
    project.script("alpha").write_text("def init(:\n")
    for _ in range(2):
        failed = project.run("reload", "alpha", check=False)
        assert failed.returncode == 1
        assert "SyntaxError" in failed.stderr
        assert str(project.script("alpha")) in failed.stderr
    assert project.answer("alpha")["answer"] == "first"
    row = project.run("status").stdout.splitlines()[1]
    assert "ready, edit failed" in row
    found = _findings(project)
    assert _statuses(found, "health", "alpha") == {"problem"}
    assert _statuses(found, "health", "beta") == {"ok"}
    [last] = found["last-error", "alpha"]
    assert last["status"] == "warning"
    assert "SyntaxError" in last["message"]
    project.script("alpha").write_text(good)
    project.run("reload", "alpha")
    assert _statuses(_findings(project), "last-error", "alpha") == {"ok"}


def test_a_model_without_reload_mode_is_told_how_to_get_it(project):
    refused = project.run("reload", "beta", check=False)
    assert refused.returncode == 1
    assert "reload: true" in refused.stderr


def test_a_script_that_takes_too_long_to_load_is_given_up_on(project, good):
    # In short steps: the next edit breaks it off between them.
    slow = "def init():\n    for _ in range(6000):\n        time.sleep(0.1)\n\n\ndef run(data):\n    pass\n"
    project.script("alpha").write_text(f"import time\n\n\n{slow}")
    late = project.run("reload", "alpha", "--timeout", "2", check=False)
    assert late.returncode == 1
    assert "within 2 s" in late.stderr
    assert project.answer("alpha")["answer"] == "first"


def test_status_shows_what_is_not_deployed_and_what_is_not_live(project):
    project.model("gamma")
    try:
        shown = project.run("status").stdout
        assert [line.split()[0] for line in shown.splitlines()[1:4]] == ["alpha", "beta", "gamma"]
        assert "not deployed" in shown
        config = project.folder / f"Pulumi.{project.stack}.yaml"
        text = config.read_text()
        config.write_text("config:\n  slipway:targets: []\n  slipway:development: true\n")
        try:
            states = {one["model"]: one["state"] for one in _json(project, "status")["models"]}
        finally:
            config.write_text(text)
        # What runs is shown as it is, whatever is wanted by now.
        assert states == {"alpha": "ready", "beta": "ready", "gamma": "not live here"}
    finally:
        project.remove("gamma")


def test_the_graph_is_svg_with_every_model_image_and_target(project):
    picture = _from_below(project, "graph").stdout
    texts = {element.text for element in ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")}  # noqa: S314 - our own
    assert {"alpha", "beta", "local-docker", "ready", f"http://127.0.0.1:{project.ports['alpha']}"} <= texts
    graph = _json(project, "graph")
    kinds = [node["kind"] for node in graph["nodes"]]
    assert {kind: kinds.count(kind) for kind in kinds} == {"model": 2, "image": 2, "target": 2}
    assert len(graph["edges"]) == 4
    (project.folder / "stack.svg").unlink(missing_ok=True)
    project.run("graph", "-o", "stack.svg")
    assert (project.folder / "stack.svg").read_text() == picture


def test_nothing_is_wrong_with_a_sound_stack(project):
    found = _findings(project)
    assert {one["status"] for findings in found.values() for one in findings} <= {"ok", "warning"}
    per_model = {"files", "ports", "image", "container", "health", "last-error"}
    assert {check for check, model in found if model == "beta"} == per_model
    assert {check for check, model in found if model is None} >= {
        "engine",
        "plugins",
        "docker",
        "builder",
        "registry",
        "disk",
    }


def test_a_container_that_is_gone_is_found_and_the_mend_mends_it(project):
    project.containers()["beta"].remove(force=True)
    found = _findings(project)
    [problem] = found["container", "beta"]
    assert problem["status"] == "problem"
    assert _statuses(found, "health", "beta") == {"problem"}
    assert _statuses(found, "container", "alpha") == {"ok"}
    mend = problem["mend"].partition("slipway ")[2].split()
    assert mend[:3] == ["up", "--stack", project.stack]
    project.run("up", *mend[3:])
    assert _statuses(_findings(project), "container", "beta") == {"ok"}


def test_a_stopped_container_and_the_program_on_its_port_are_named(project):
    container = project.containers()["beta"]
    container.stop()
    try:
        with socket.create_server(("127.0.0.1", project.ports["beta"])):
            found = _findings(project)
        [port] = found["ports", "beta"]
        assert port["status"] == "problem"
        assert f"process {os.getpid()} " in port["message"]
        [stopped] = found["container", "beta"]
        assert "exited" in stopped["message"]
    finally:
        container.start()
    project.wait_for(
        lambda: httpx.get(f"http://127.0.0.1:{project.ports['beta']}/ready", timeout=60).status_code == 200
    )


def test_an_image_that_the_registry_lost_is_found_and_the_mend_mends_it(project):
    image = {one["model"]: one["image"] for one in _json(project, "status")["models"]}["beta"]
    host, _, rest = image.partition("/")
    repository, _, digest = rest.partition("@")
    httpx.delete(f"http://{host}/v2/{repository}/manifests/{digest}", trust_env=False).raise_for_status()
    found = _findings(project)
    [problem] = found["image", "beta"]
    assert problem["status"] == "problem"
    assert _statuses(found, "image", "alpha") == {"ok"}
    container = project.containers()["beta"].id
    mend = shlex.split(problem["mend"].partition("slipway ")[2])
    project.run("up", *mend[3:])
    assert _statuses(_findings(project), "image", "beta") == {"ok"}
    assert project.containers()["beta"].id == container


def test_what_needs_a_broken_part_is_skipped_and_the_rest_is_looked_at(project, tmp_path):
    toolchain = project.folder / ".slipway/toolchain.json"
    text = toolchain.read_text()
    settings = json.loads(text)
    settings["env"]["DOCKER_HOST"] = f"unix://{tmp_path}/nothing.sock"
    toolchain.write_text(json.dumps(settings))
    (project.folder / "models/alpha/sample.json").write_text("{")
    try:
        found = _findings(project)
    finally:
        toolchain.write_text(text)
        (project.folder / "models/alpha/sample.json").write_text("[1, 2]")
    assert _statuses(found, "docker") == {"problem"}
    assert "sample.json is not valid JSON" in found["files", None][0]["message"]
    for check in ("ports", "container", "last-error"):
        assert _statuses(found, check) == {"skipped"}
    assert _statuses(found, "registry") == {"ok"}
    assert _statuses(found, "health", "alpha") == {"ok"}


def test_an_engine_that_accepts_and_never_answers_does_not_hang_it(project, tmp_path):
    path = tmp_path / "mute.sock"
    toolchain = project.folder / ".slipway/toolchain.json"
    text = toolchain.read_text()
    settings = json.loads(text)
    settings["env"]["DOCKER_HOST"] = f"unix://{path}"
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(path))
        mute.listen(16)
        toolchain.write_text(json.dumps(settings))
        try:
            started = time.monotonic()
            done = project.run("diagnose", "--json", "--timeout", "2", check=False, timeout=60)
            took = time.monotonic() - started
        finally:
            toolchain.write_text(text)
    # Generous for a slow machine; each of the four that wait for Docker would take longer by itself.
    assert took < 30
    found = {one["check"]: one for one in json.loads(done.stdout)["findings"] if one["model"] is None}
    assert done.returncode == 1
    assert found["docker"]["status"] == "problem"
    assert found["container"]["status"] == "skipped"
    assert found["registry"]["status"] == "ok"


def test_a_failed_up_names_the_model_in_its_last_line(project):
    script = project.script("beta")
    text = script.read_text()
    script.write_text("def init():\n    raise ValueError('torn')\n\n\ndef run(data):\n    pass\n")
    try:
        failed = project.run("up", check=False)
    finally:
        script.write_text(text)
    assert failed.returncode == 1
    assert "beta (image)" in failed.stderr.splitlines()[-1]
    assert "The last deployment" in _findings(project)["engine", None][-1]["message"]
    project.run("up")
