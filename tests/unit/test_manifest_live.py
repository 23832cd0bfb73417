"""What of a manifest is live in a stack."""

from pathlib import Path

from manifest import load_manifest
from manifest.live import live_models

ROOT = Path(__file__).parents[2]


def test_a_model_that_a_live_targets_pipeline_names_runs_as_well():
    manifest = load_manifest(ROOT / "models.yaml", ROOT)
    on_devices = {one.name for one in live_models(manifest, ["iot-edge"])}
    here = {one.name for one in live_models(manifest, ["local-docker"])}
    # Whoever works in this checkout may have further models in it.
    assert {"anomaly", "alert-filter", "sensor"} <= on_devices
    assert {"iris", "diabetes", "digits"} <= here
    assert not {"anomaly", "alert-filter", "sensor"} & here
    assert live_models(manifest, []) == []
