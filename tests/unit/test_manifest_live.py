"""What of a manifest is live in a stack."""

from pathlib import Path

from manifest import load_manifest
from manifest.live import live_models

ROOT = Path(__file__).parents[2]


def test_a_model_that_a_live_targets_pipeline_names_runs_as_well():
    manifest = load_manifest(ROOT / "models.yaml", ROOT)
    assert {one.name for one in live_models(manifest, ["iot-edge"])} == {"anomaly", "alert-filter", "sensor"}
    assert {one.name for one in live_models(manifest, ["local-docker"])} == {"iris", "diabetes", "digits"}
    assert live_models(manifest, []) == []
