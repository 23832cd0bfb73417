"""Tells which digit is on an image of handwriting."""

import base64
import io
import json
import os
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

# What the model was trained on: 8 by 8 pixels, from 0 (paper) to 16 (ink).
SIZE = (8, 8)
INK = 16
MAX_PIXELS = 4_000_000


def init() -> None:
    """Load the model, once for each process."""
    global session
    options = onnxruntime.SessionOptions()
    # A model as small as this is faster without threads of its own.
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(Path(os.environ["AZUREML_MODEL_DIR"]) / "model.onnx", options)


def run(data: str) -> dict[str, object]:
    """Answer {"image": "a PNG as base64"}: a digit that fills the image, dark on light or light on dark."""
    image = Image.open(io.BytesIO(base64.b64decode(json.loads(data)["image"], validate=True)), formats=["PNG"])
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"the image has {image.width}x{image.height} pixels; allowed are {MAX_PIXELS}")
    probabilities = session.run(None, {"pixels": pixels(image)})[1][0]
    return {"digit": int(probabilities.argmax()), "probability": float(probabilities.max())}


def pixels(image: Image.Image) -> np.ndarray:
    """Return an image of any size as the model's input."""
    grey = image.convert("L").resize(SIZE, Image.Resampling.BOX)
    # There is more paper than ink: where most of it is light, the ink is dark.
    if np.median(np.asarray(grey)) > 127:  # noqa: PLR2004 - half of white
        grey = ImageOps.invert(grey)
    return (np.asarray(grey, dtype=np.float32) * INK / 255).reshape(1, -1)
