"""Trains models/diabetes: gradient boosting on the diabetes data that scikit-learn ships, exported to ONNX."""

import sys
from pathlib import Path

from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingRegressor


def train(folder: Path) -> None:
    """Write the model.

    Args:
        folder: Where to: `model.onnx`.
    """
    data = load_diabetes(scaled=False)
    model = GradientBoostingRegressor(n_estimators=80, max_depth=3, learning_rate=0.07, subsample=0.8, random_state=0)
    # In the precision that the exported model computes in.
    model.fit(data.data.astype("float32"), data.target)
    exported = to_onnx(model, initial_types=[("measures", FloatTensorType([None, data.data.shape[1]]))])
    (folder / "model.onnx").write_bytes(exported.SerializeToString(deterministic=True))


if __name__ == "__main__":
    train(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parents[1] / "diabetes")
