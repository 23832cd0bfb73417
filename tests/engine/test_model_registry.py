"""Registered models on the real engine: our own plugin, loaded as Pulumi.yaml names it."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time

import pytest

from registry import Notes, open_registry
from tests.engine.conftest import ROOT, Stack, plugins
from tests.unit.registry_harness import sha, tls_server

pytestmark = pytest.mark.engine

MODEL = "RegisteredModel", "iris"
PROGRAM = """
pulumi.CustomResource("slipway:index:RegisteredModel", "iris",
    {"name": "iris", "version": version, "digest": digest, "registry": registry, **place, **notes})
"""
DATA = bytes(range(256)) * 10_000


@pytest.fixture
def models(engine_env, tmp_path):
    """A stack whose project names our plugin, and what registers a model in it."""
    stack = _Models(tmp_path / "program", engine_env)
    yield stack
    stack.destroy(check=False)


class _Models(Stack):
    def __init__(self, folder, env, **options):
        super().__init__(folder, env, **options)
        project = json.loads((folder / "Pulumi.yaml").read_text())
        project["plugins"] = {"providers": [{"name": "slipway", "path": str(ROOT / "provider/slipway")}]}
        (folder / "Pulumi.yaml").write_text(json.dumps(project))
        (folder / ".slipway").mkdir()

    def model(self, content=b"first", version="1", registry=".slipway/registry", **notes):
        """Ask for a model of one file."""
        path = self.folder / "models/iris"
        path.mkdir(parents=True, exist_ok=True)
        (path / "model.bin").write_bytes(content)
        place = {"path": "models/iris/model.bin"}
        digest = f"sha256:{sha(content)}"
        self.program(PROGRAM, version=version, digest=digest, registry=registry, place=place, notes=notes)

    def remote(self, url, content):
        """Ask for a model from elsewhere."""
        place = {"url": url, "sha256": sha(content)}
        values = {"version": "1", "digest": f"sha256:{sha(content)}", "registry": ".slipway/registry", "notes": {}}
        self.program(PROGRAM, place=place, **values)

    @property
    def registry(self):
        return open_registry(None, self.folder)


def test_a_preview_registers_nothing_an_up_does_and_a_second_one_has_nothing_to_do(models):
    models.model(framework="onnx", tags={"team": "flora"}, metrics={"accuracy": 0.97})
    assert models.preview().operations[MODEL] == {"create"}
    assert models.registry.models() == []
    models.up()
    found = models.registry.get("iris", "1")
    assert found.digest == f"sha256:{sha(b'first')}"
    assert found.notes == Notes(framework="onnx", tags={"team": "flora"}, metrics={"accuracy": 0.97})
    assert found.lineage.source == "models/iris/model.bin"
    outputs = models.resources()[MODEL]["outputs"]
    assert outputs["size"] == 5
    assert outputs["registeredBy"] == found.lineage.who
    assert models.preview().operations == {}
    assert models.up().operations == {}


def test_other_bytes_of_a_version_are_refused_in_the_preview_already(models):
    models.model()
    models.up()
    models.model(b"second")
    refused = models.preview(check=False)
    assert refused.code
    assert "iris 1 is registered with other bytes" in refused.output
    assert "the next free version, 2, or `version: auto`" in refused.output
    assert "Traceback" not in refused.output
    assert models.up(check=False).code
    assert models.registry.get("iris", "1").digest == f"sha256:{sha(b'first')}"
    models.model(b"second", version="2")
    assert "replace" in models.up().operations[MODEL]
    assert [one.version for one in models.registry.versions("iris")] == ["2", "1"]


def test_a_version_that_another_stack_registered_with_other_bytes_is_refused(models, engine_env, tmp_path):
    shared = str(tmp_path / "shared")
    models.model(registry=shared)
    models.up()
    other = _Models(tmp_path / "other", engine_env, project="another-project")
    other.model(b"second", registry=shared)
    assert "iris 1 is registered with other bytes" in other.preview(check=False).output
    other.model(registry=shared)
    other.up()
    assert other.preview().operations == {}
    other.destroy()
    assert open_registry(shared, tmp_path).get("iris", "1")


def test_a_lost_registry_does_not_free_a_version_and_comes_back_with_a_refresh(models):
    models.model()
    models.up()
    shutil.rmtree(models.folder / ".slipway/registry")
    models.model(b"second")
    assert "iris 1 is registered with other bytes" in models.preview(check=False).output
    models.model()
    models.refresh()
    assert models.up().operations[MODEL] == {"create"}
    assert models.registry.get("iris", "1")


def test_what_is_said_about_a_version_is_changed_in_place(models):
    models.model(tags={"stage": "candidate"}, description="old")
    models.up()
    before = models.registry.get("iris", "1")
    models.model(tags={"stage": "proven"})
    assert models.up().operations[MODEL] == {"update"}
    after = models.registry.get("iris", "1")
    assert after.notes == Notes(tags={"stage": "proven"})
    assert after.model_copy(update={"notes": before.notes}) == before
    assert models.up().operations == {}


def test_a_removed_model_stays_registered(models):
    models.model()
    models.up()
    models.program("")
    assert models.up().operations[MODEL] == {"delete"}
    assert models.registry.get("iris", "1")
    models.model(b"second")
    assert "iris 1 is registered with other bytes" in models.preview(check=False).output


def test_a_registered_version_can_be_imported(models):
    models.model(tags={"a": "b"})
    models.up()
    models.pulumi("state", "delete", "--yes", "--stack", models.name, models.resources()[MODEL]["urn"])
    models.program(
        PROGRAM.replace("**notes})", "**notes}, pulumi.ResourceOptions(import_='iris:1'))"),
        version="1",
        digest=f"sha256:{sha(b'first')}",
        registry=".slipway/registry",
        place={},
        notes={"tags": {"a": "b"}},
    )
    assert models.up().operations[MODEL] == {"import"}


def test_the_commit_that_a_version_was_registered_from_is_recorded(models):
    models.model()
    git = ["git", "-C", str(models.folder), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*git, "init", "-q"], check=True)
    (models.folder / ".git/info/exclude").write_text("*\n!models/**\n")
    subprocess.run([*git, "add", "--force", "models"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    models.up()
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    lineage = models.registry.get("iris", "1").lineage
    assert (lineage.commit, lineage.dirty) == (head, False)


def test_a_model_from_a_web_server_is_fetched_by_an_up_alone_and_once(models, tmp_path):
    with tls_server(tmp_path) as web:
        models.env |= {"SSL_CERT_FILE": str(web.authority), "NETRC": str(tmp_path / "none")}
        web.files["/churn/model.onnx"] = DATA
        web.cuts = [100_000]
        models.remote(f"{web.url}/churn/model.onnx", DATA)
        models.preview()
        assert web.requests == []
        models.up()
        assert [given for _, given, _ in web.requests] == [None, "bytes=100000-"]
        found = models.registry.get("iris", "1")
        assert b"".join(models.registry.fetch(found, found.files[0])) == DATA
        assert found.lineage.source == f"{web.url}/churn/model.onnx"
        models.up()
        assert len(web.requests) == 2


def test_bytes_that_are_not_what_the_manifest_says_are_never_registered(models, tmp_path):
    with tls_server(tmp_path) as web:
        models.env |= {"SSL_CERT_FILE": str(web.authority), "NETRC": str(tmp_path / "none")}
        web.files["/churn/model.onnx"] = b"tampered"
        models.remote(f"{web.url}/churn/model.onnx", DATA)
        output = models.up(check=False).output
        assert f"has other bytes than the manifest says: it has {sha(b'tampered')}" in output
        assert "Traceback" not in output
        assert models.registry.models() == []


def test_an_engine_that_is_killed_while_it_registers_leaves_nothing_half(models):
    models.model(os.urandom(60_000_000))
    command = models.command("up", "--stack", models.name, "--yes", "--skip-preview")
    engine = subprocess.Popen(
        command, cwd=models.folder, env=models.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 180
    while not (models.folder / ".slipway/registry").exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    engine.send_signal(signal.SIGKILL)
    engine.wait()
    # The plugin ends by itself when its engine has gone.
    while plugins(models.env, "provider.slipway"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    content = (models.folder / "models/iris/model.bin").read_bytes()
    if found := models.registry.get("iris", "1"):
        assert b"".join(models.registry.fetch(found, found.files[0])) == content
    models.pulumi("cancel", "--yes", "--stack", models.name, check=False)
    models.up()
    found = models.registry.get("iris", "1")
    assert hashlib.sha256(b"".join(models.registry.fetch(found, found.files[0]))).hexdigest() == sha(content)
