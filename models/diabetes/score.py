"""Tells how far diabetes will have progressed in a year, by ten measures of a patient."""

import json
import os
from pathlib import Path

import numpy as np
import onnxruntime

# The order in which the model was trained with them.
MEASURES = ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")


def init() -> None:
    """Load the model, once for each process."""
    global session
    options = onnxruntime.SessionOptions()
    # A model as small as this is faster without threads of its own.
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(Path(os.environ["AZUREML_MODEL_DIR"]) / "model.onnx", options)


def run(data: str) -> dict[str, object]:
    """Answer {"patients": [{"age": 59, "sex": 2, ...}, ...]}."""
    patients = json.loads(data)["patients"]
    if missing := [name for name in MEASURES if not all(name in patient for patient in patients)]:
        raise ValueError(f"each patient needs all of {', '.join(MEASURES)}; missing: {', '.join(missing)}")
    values = np.array([[patient[name] for name in MEASURES] for patient in patients], dtype=np.float32)
    (progression,) = session.run(None, {"measures": values.reshape(-1, len(MEASURES))})
    return {"progression": progression[:, 0]}
