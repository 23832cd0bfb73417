"""The command on a stack with a model on Container Instances, on the real engine and the stand-in for Azure."""

import json
import subprocess
import sys
import uuid
from pathlib import Path

import httpx
import pytest

from standins.azure_native.store import Store
from tests.engine.aci_harness import REGISTRY, SERVICE, Models
from tests.engine.aci_harness import models as models  # noqa: PLC0414 - a fixture
from tests.engine.aci_harness import store as store  # noqa: PLC0414 - as above
from tests.engine.conftest import ROOT, _base

pytestmark = pytest.mark.engine


@pytest.fixture(scope="session")
def versions(engine):
    """A service that tells its state, in the local registry."""
    repository = f"engine-test-{uuid.uuid4().hex[:8]}"
    answer = json.dumps({"state": "ready", "label": "setosa"})
    maker = engine.containers.create(_base(engine), ["true"])
    command = json.dumps(["python3", "-c", SERVICE.replace('b"VERSION"', f"b'{answer}'")])
    maker.commit(f"{REGISTRY}/{repository}", "one", changes=f"ENTRYPOINT []\nCMD {command}")
    maker.remove()
    digest = None
    for line in engine.images.push(f"{REGISTRY}/{repository}", "one", stream=True, decode=True):
        assert "error" not in line, line
        digest = line.get("aux", {}).get("Digest", digest)
    return repository, {"one": digest}


def _slipway(models: Models, *arguments, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments, "--stack", models.name],
        cwd=models.folder,
        env={**models.env, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done


def test_status_score_logs_and_keys_of_a_model_that_wants_a_key(models):
    models.models()
    models.up()
    (models.folder / "models.yaml").write_text("models: []\n")
    (models.folder / f"Pulumi.{models.name}.yaml").write_text(
        "config:\n  slipway:targets: [aci]\n  slipway:azure: {location: westeurope}\n"
    )
    (models.folder / ".slipway").mkdir(exist_ok=True)
    (models.folder / ".slipway/toolchain.json").write_text(json.dumps({"path": [], "env": {}}))
    (models.folder / "request.json").write_text("{}")
    endpoint, keys = models.deployed()
    [told] = json.loads(_slipway(models, "status", "--json").stdout)["models"]
    assert (told["state"], told["endpoint"]) == ("ready", endpoint)
    answer = json.loads(_slipway(models, "score", "iris", "--data", "request.json").stdout)
    assert answer["label"] == "setosa"
    logged = _slipway(models, "logs", "iris").stdout
    assert "POST /score" in logged
    [line, *_] = map(json.loads, _slipway(models, "logs", "--json").stdout.splitlines())
    assert line["time"].startswith("20")
    assert not any(key in logged for key in keys.values())
    [shown] = json.loads(_slipway(models, "keys", "iris", "--json").stdout)["keys"]
    assert {name: shown[name] for name in ("primary", "secondary")} == keys
    _each_request_shows_once_while_the_log_is_followed(models, endpoint)
    _a_group_that_is_gone_is_told(models)


def _each_request_shows_once_while_the_log_is_followed(models, endpoint):
    command = [sys.executable, "-m", "cli.main", "logs", "iris", "-f", "-n", "1", "--stack", models.name]
    env = {**models.env, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=models.folder, env=env, stdout=subprocess.PIPE, text=True) as following:
        try:
            # The last of what there is already.
            seen = [following.stdout.readline()]
            for number in range(3):
                httpx.get(f"{endpoint}/asked-{number}", trust_env=False)
                while f"/asked-{number}" not in seen[-1]:
                    seen.append(following.stdout.readline())
        finally:
            following.kill()
    assert [sum(f"/asked-{number}" in line for line in seen) for number in range(3)] == [1, 1, 1]


def _a_group_that_is_gone_is_told(models):
    [group] = Store(Path(models.env["SLIPWAY_AZURE_STORE"])).all("containerinstance:ContainerGroup")

    def diagnosed(code):
        found = json.loads(_slipway(models, "diagnose", "--json", code=code).stdout)["findings"]
        return [(one["status"], one["message"]) for one in found if one["check"] == "groups"]

    assert diagnosed(0) == [("ok", f"{group.name} is running.")]
    tool = [sys.executable, "-m", "standins.azure_native.tool", "delete", group.id]
    subprocess.run(tool, env={**models.env, "PYTHONPATH": str(ROOT)}, cwd=ROOT, check=True, timeout=120)
    assert diagnosed(1) == [("problem", f"The container group {group.name} is gone: somebody removed it.")]
    assert "is not there (ResourceNotFound" in _slipway(models, "logs", "iris", code=1).stderr
    [told] = json.loads(_slipway(models, "status", "--json").stdout)["models"]
    assert told["state"] == "missing"
