"""Trains models/iris: logistic regression on Fisher's iris data, which scikit-learn ships."""

import sys
from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def train(folder: Path) -> None:
    """Write the model.

    Args:
        folder: Where to: `model.joblib`.
    """
    data = load_iris()
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(data.data, data.target_names[data.target])
    joblib.dump(model, folder / "model.joblib", compress=3)


if __name__ == "__main__":
    train(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parents[1] / "iris")
