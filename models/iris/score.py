"""Tells which iris a flower is, by its four measures in centimetres."""

import json
import os
from pathlib import Path

import joblib
import numpy as np

MEASURES = 4


def init() -> None:
    """Load the model, once for each process."""
    global model
    model = joblib.load(Path(os.environ["AZUREML_MODEL_DIR"]) / "model.joblib")


def run(data: str) -> dict[str, object]:
    """Answer {"data": [[sepal length, sepal width, petal length, petal width], ...]}."""
    flowers = np.asarray(json.loads(data)["data"], dtype=float)
    if flowers.ndim != 2 or flowers.shape[1] != MEASURES:  # noqa: PLR2004 - rows and columns
        raise ValueError(f"'data' has to be a list of flowers with {MEASURES} measures each")
    probabilities = model.predict_proba(flowers)
    best = probabilities.argmax(axis=1)
    return {
        "predictions": [
            {"species": model.classes_[index], "probability": row[index]}
            for index, row in zip(best, probabilities, strict=True)
        ]
    }
