"""Trains models/anomaly: the mean and the inverse covariance of what models/sensor reads while all is well."""

import importlib.util
import json
import os
import sys
from pathlib import Path

import numpy as np

NAMES = ["temperature", "vibration", "current"]
READINGS = 4000
MODELS = Path(__file__).parents[1]


def train(folder: Path) -> None:
    """Write the model.

    Args:
        folder: Where to: `model.json`.
    """
    spec = importlib.util.spec_from_file_location("sensor_score", MODELS / "sensor" / "code" / "score.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(MODELS / "sensor" / "code" / "score.py")
    sensor = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sensor)
    os.environ["AZUREML_MODEL_DIR"] = str(MODELS / "sensor")
    sensor.init()
    usual = [number for number in range(READINGS) if not sensor.is_anomaly(number)]
    readings = np.array([[sensor.reading(number)[name] for name in NAMES] for number in usual])
    precision = np.linalg.inv(np.cov(readings, rowvar=False))
    model = {
        "names": NAMES,
        "mean": [round(value, 6) for value in readings.mean(axis=0)],
        "precision": [[round(value, 6) for value in row] for row in precision],
    }
    (folder / "model.json").write_text(json.dumps(model, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    train(Path(sys.argv[1]) if sys.argv[1:] else MODELS / "anomaly")
