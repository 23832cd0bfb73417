"""The sample project under the policy pack, by the command as people run it."""

import json
import shutil

import pytest

from tests.system.checkout import ROOT

pytestmark = [pytest.mark.engine, pytest.mark.system]

TARGETS = ["local-docker", "aci", "iot-edge"]


@pytest.fixture
def samples(project):
    """The sample models in a checkout of the test's own, with a configuration to be written."""
    shutil.copytree(ROOT / "models", project.folder / "models", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "models.yaml", project.folder / "models.yaml")

    def configure(**policies):
        azure = {"location": "westeurope", "protect": False, "iotHub": {"devices": {"line-4": {}}}}
        config = {"slipway:targets": TARGETS, "slipway:azure": azure, "slipway:policies": policies}
        (project.folder / f"Pulumi.{project.stack}.yaml").write_text(json.dumps({"config": config}))

    return configure


def test_the_sample_project_passes_on_all_of_its_targets(project, samples):
    samples(regions=["westeurope"], sizes=["Standard_D2s_v5"])
    done = project.run("preview")
    assert "✅ slipway@" in done.stdout
    assert "slipway:policies was not looked at" not in done.stdout
    made = (
        "docker:index:Container iris",
        "containerinstance:ContainerGroup iris",
        "slipway:index:EdgeDeployment anomaly",
    )
    assert [one for one in made if f"{one} create" not in done.stdout] == []


def test_plain_pulumi_is_told_that_nobody_looked_at_the_policies(project, samples):
    samples()
    project.pulumi("stack", "init", check=False)
    done = project.pulumi("preview")
    assert "slipway:policies was not looked at" in done.stdout
    assert "Policies:" not in done.stdout


def test_a_violation_ends_up_with_its_message_and_nothing_made(project, samples):
    samples(regions=["northeurope"])
    done = project.run("up", check=False)
    assert done.returncode == 1
    assert (
        "azure-native:containerinstance:ContainerGroup iris: it is in westeurope. Allowed: northeurope." in done.stdout
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert project.containers() == {}
