"""Tells how unusual a machine's reading is: its distance from the usual ones, in standard deviations (Mahalanobis).

Without any package: a device has little memory, and three numbers need no more.
"""

import json
import math
import os
from pathlib import Path


def init() -> None:
    """Load the model, once for each process."""
    global model
    model = json.loads((Path(os.environ["AZUREML_MODEL_DIR"]) / "model.json").read_text(encoding="utf-8"))


def run(data: str) -> dict[str, object]:
    """Answer {"temperature": ..., "vibration": ..., "current": ...} by a score; 0 is as usual, 3 and more is rare."""
    reading = json.loads(data)
    try:
        apart = [float(reading[name]) - mean for name, mean in zip(model["names"], model["mean"], strict=True)]
    except (KeyError, TypeError) as error:
        raise ValueError(f"a reading has {', '.join(model['names'])}; this one has no {error}") from None
    rows = (sum(weight * one for weight, one in zip(row, apart, strict=True)) for row in model["precision"])
    distance = math.sqrt(max(0.0, sum(one * row for one, row in zip(apart, rows, strict=True))))
    return {"score": round(distance, 3), "reading": reading}
