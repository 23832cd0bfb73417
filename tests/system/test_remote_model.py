"""A model that comes from elsewhere, in an image and in a container: fetched when an image is built, never before."""

import json
import shutil

import pytest

from tests.unit.registry_harness import sha, tls_server

pytestmark = [pytest.mark.engine, pytest.mark.system]

WEIGHTS = json.dumps([10, 20]).encode()
SCORE = '''"""Adds what its model says."""
import json
import os
from pathlib import Path


def init():
    global weights
    weights = json.loads((Path(os.environ["AZUREML_MODEL_DIR"]) / "weights.json").read_text())


def run(data):
    return {{"answer": {answer!r}, "sum": sum(json.loads(data)) + sum(weights)}}
'''


@pytest.fixture
def web(tmp_path, project):
    with tls_server(tmp_path) as server:
        project.env |= {"SSL_CERT_FILE": str(server.authority), "NETRC": str(tmp_path / "none")}
        server.files["/m/weights.json"] = WEIGHTS
        yield server


@pytest.fixture
def remote(project, web):
    """A model whose weights are on a web server; deployed."""
    project.model("remote")
    (project.folder / "models/remote/weights.json").unlink()
    project.script("remote").write_text(SCORE.format(answer="first"))
    project._entries["remote"]["source"] = {"url": f"{web.url}/m/weights.json", "sha256": sha(WEIGHTS)}
    project.write_manifest()
    project.run("preview")
    assert web.requests == []
    project.run("up")
    return project


def test_a_model_from_a_web_server_is_fetched_for_its_image_and_answers(remote, web):
    assert remote.answer("remote") == {"answer": "first", "sum": 33}
    assert len(web.requests) == 1
    assert remote.operations("preview") == {}


def test_an_unchanged_image_fetches_nothing_even_where_nothing_is_kept(remote, web):
    shutil.rmtree(remote.folder / ".slipway/models")
    shutil.rmtree(remote.folder / ".slipway/registry")
    assert remote.operations("up", "--yes", "--skip-preview") == {}
    assert len(web.requests) == 1


def test_an_edited_script_is_built_with_the_registered_bytes_when_the_source_is_gone(remote, web):
    shutil.rmtree(remote.folder / ".slipway/models")
    web.files.clear()
    remote.script("remote").write_text(SCORE.format(answer="second"))
    remote.run("up")
    assert remote.answer("remote") == {"answer": "second", "sum": 33}
    assert len(web.requests) == 1


def test_another_checkout_without_the_registry_fetches_what_it_builds(remote, web):
    shutil.rmtree(remote.folder / ".slipway/models")
    shutil.rmtree(remote.folder / ".slipway/registry")
    remote.script("remote").write_text(SCORE.format(answer="second"))
    remote.run("up")
    assert remote.answer("remote") == {"answer": "second", "sum": 33}
    assert len(web.requests) == 2


def test_a_source_that_is_gone_leaves_what_runs_and_says_why(remote, web):
    shutil.rmtree(remote.folder / ".slipway/models")
    shutil.rmtree(remote.folder / ".slipway/registry")
    web.files.clear()
    remote.script("remote").write_text(SCORE.format(answer="second"))
    done = remote.run("up", check=False)
    assert done.returncode
    assert "/m/weights.json answers 404" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert remote.answer("remote") == {"answer": "first", "sum": 33}
