"""Trains models/digits: a small neural network on the handwritten digits that scikit-learn ships, exported to ONNX."""

import sys
from pathlib import Path

from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def train(folder: Path) -> None:
    """Write the model.

    Args:
        folder: Where to: `model.onnx`.
    """
    data = load_digits()
    model = make_pipeline(StandardScaler(), MLPClassifier(hidden_layer_sizes=(64,), max_iter=300, random_state=0))
    model.fit(data.data.astype("float32"), data.target)
    # Probabilities as an array, instead of a dictionary for each image.
    exported = to_onnx(
        model,
        initial_types=[("pixels", FloatTensorType([None, data.data.shape[1]]))],
        options={"zipmap": False},
    )
    (folder / "model.onnx").write_bytes(exported.SerializeToString(deterministic=True))


if __name__ == "__main__":
    train(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parents[1] / "digits")
