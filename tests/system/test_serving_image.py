"""What the manifest says of serving and collecting, in a container of the image that is built from it."""

import io
import json
import posixpath
import tarfile
from concurrent.futures import ThreadPoolExecutor

import docker
import httpx
import pytest

from components.dockerfile import RUNTIME_ROOT
from components.service_variables import COLLECTED
from manifest import content
from scoring.collect.read import read
from tests.system.checkout import ROOT, Project

pytestmark = [pytest.mark.engine, pytest.mark.system]
KEY = "a canary of the tests, encrypted"
MAIL = "someone@example.org"
# It can be loaded only where the extras are; protobuf's version is another one than theirs.
SCRIPT = '''"""Answers with the size of the batch that a request was in."""
import logging
import os
import threading
import json


def init():
    import adlfs, azure.monitor.opentelemetry.exporter, fsspec, google.protobuf, opentelemetry.sdk.trace, pyarrow
    assert google.protobuf.__version__ == "6.33.6", google.protobuf.__version__
    print("printed by init")
    logging.getLogger("mine").warning("logged by init")


def run(data):
    assert isinstance(data, list)
    return [{"batch": len(data), "process": os.getpid()} for _ in data]
'''


def write(project, **collect):
    project.model(
        "alpha",
        requirements="requirements.txt",
        serving={"workers": 2, "maxBody": "1Ki", "batching": {"maxSize": 4, "maxWaitMs": 1000}},
        collect={"hash": ["email"], **collect},
        telemetry=True,
    )
    (project.folder / "models/alpha/requirements.txt").write_text("protobuf==6.33.6\n")
    (project.folder / "models/alpha/sample.json").write_text('{"data": [{"a": 1, "email": "x"}]}')
    project.script("alpha").write_text(SCRIPT)


def configure(project, to):
    """Write where to collect; what is encrypted is kept."""
    project.pulumi("config", "set", "--path", "slipway:collect.to", to)
    project.pulumi("config", "set", "--path", "slipway:collect.seconds", "1")
    project.pulumi("config", "set", "--secret", "slipway:collectHashKey", KEY)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A deployed model with workers, batches and collection."""
    if not (ROOT / ".slipway/toolchain.json").exists():
        pytest.fail("the toolchain is not set up: run `make setup`")
    made = Project(tmp_path_factory.mktemp("serving") / "checkout")
    try:
        write(made)
        made.pulumi("stack", "init")
        configure(made, "volume")
        made.run("up")
        yield made
    finally:
        made.close()
        for volume in made.docker.volumes.list(filters={"name": made.stack}):
            volume.remove()


def ask(project, body=None):
    body = body or json.dumps({"data": [{"a": 1, "email": MAIL}]})
    return httpx.post(f"http://127.0.0.1:{project.ports['alpha']}/score", content=body, timeout=60)


def copied(project, path, folder):
    """A folder of the container, copied out of it as `docker cp` does."""
    chunks, _ = project.containers()["alpha"].get_archive(path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        archive.extractall(folder, filter="data")
    return folder / posixpath.basename(path)


def rows(project, folder, collection="request"):
    return list(read(str(copied(project, COLLECTED, folder)), "alpha", "1", collection))


def test_the_image_has_the_whole_runtime_compiled_and_nothing_else(project, tmp_path):
    folder = copied(project, f"{RUNTIME_ROOT}/scoring", tmp_path)
    expected = set(content.runtime_files(project.folder / "scoring"))
    found = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    assert {path.as_posix() for path in found if path.suffix != ".pyc"} == expected
    assert {"page/index.html", "page/app.js", "page/style.css", "page/icon.svg", "server/app.py"} <= expected
    compiled = {
        (path.parent.parent / path.name.partition(".")[0]).as_posix() for path in found if path.suffix == ".pyc"
    }
    assert compiled == {name.removesuffix(".py") for name in expected if name.endswith(".py")}


def test_both_workers_answer_and_requests_share_calls(project):
    with ThreadPoolExecutor(16) as pool:
        answers = [answer.json() for answer in pool.map(lambda _: ask(project), range(48))]
    assert max(answer["batch"] for answer in answers) > 1
    assert len({answer["process"] for answer in answers}) == 2


def test_a_larger_request_than_the_manifest_allows_is_refused(project):
    assert ask(project, "x" * 1025).status_code == 413


def test_what_was_asked_and_answered_is_in_the_volume_with_its_columns_hashed(project, tmp_path):
    asked = ask(project).headers["x-ms-request-id"]

    def found(collection):
        return [row for row in rows(project, tmp_path, collection) if row["_request_id"] == asked]

    project.wait_for(lambda: found("request") and found("response"))
    [row] = found("request")
    assert row["a"] == 1
    assert row["email"] != MAIL
    assert found("response")[0]["batch"] >= 1


def test_the_key_is_plain_neither_in_the_state_nor_in_the_configuration(project):
    state = json.loads(project.pulumi("stack", "export").stdout)
    [container] = [one for one in state["deployment"]["resources"] if one["type"].endswith(":Container")]
    assert container["outputs"]["envs"]
    assert KEY not in json.dumps(state)
    assert KEY not in (project.folder / f"Pulumi.{project.stack}.yaml").read_text()
    assert not [path for path in project.state.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    # It is the container's all the same.
    assert f"SLIPWAY_COLLECT_HASH_KEY={KEY}" in project.containers()["alpha"].attrs["Config"]["Env"]


def test_the_check_in_a_build_tells_in_plain_text_what_it_met(project):
    script = project.script("alpha")
    kept = script.read_text()
    script.write_text(kept.replace("def run(data):", "    raise ValueError('weights are torn')\n\n\ndef run(data):"))
    try:
        failed = project.run("up", check=False)
    finally:
        script.write_text(kept)
    lines = [line.strip() for line in (failed.stdout + failed.stderr).splitlines()]
    assert failed.returncode == 1
    for text in ("printed by init", "logged by init", "ValueError: weights are torn", "check failed: "):
        assert any(text in line for line in lines), text
    assert not any('"logger"' in line for line in lines)


def test_another_destination_moves_the_same_image_and_a_folder_gets_the_rows(project, tmp_path):
    folder = tmp_path / "kept"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    configure(project, str(folder))
    changed = project.operations("up", "--yes", "--skip-preview")
    kinds = {kind for kind, _ in changed}
    assert {"Container", "Volume"} <= kinds
    assert not kinds & {"Image", "RemoteImage"}
    assert ask(project).status_code == 200
    project.wait_for(lambda: list(read(str(folder), "alpha", "1", "request")))


def test_what_was_collected_outlives_the_stack(project):
    volume = f"{project.stack}-{project.stack}-alpha-collected"
    project.run("down")
    try:
        project.docker.volumes.get(volume)
    except docker.errors.NotFound:
        pytest.fail(f"the volume {volume} is gone")
