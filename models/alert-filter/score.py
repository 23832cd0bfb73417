"""Lets one alert of a machine through for each spell of anomalies, so that nobody is called twice for the same."""

import json
import os
from pathlib import Path


def init() -> None:
    """Load for how long it is quiet; nothing has been let through yet."""
    global quiet, last
    quiet = json.loads((Path(os.environ["AZUREML_MODEL_DIR"]) / "quiet.json").read_text(encoding="utf-8"))["readings"]
    last = None


def run(data: str) -> dict[str, object]:
    """Answer an anomaly by score 1 where it is let through, else by 0."""
    global last
    anomaly = json.loads(data)
    number = int(anomaly["reading"].get("n", 0))
    is_new = last is None or not 0 <= number - last <= quiet
    last = number
    return {"score": 1 if is_new else 0, "anomaly": anomaly}
