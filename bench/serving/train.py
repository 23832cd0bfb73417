"""Trains the benchmark's models and writes them with the requests' rows; run by a server's own Python.

python train.py FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import joblib
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

ROWS = 100


def main(folder: Path) -> None:
    """Write `NAME/model.joblib`, `NAME/expected.json` and `rows.json`."""
    data = load_breast_cancer()
    rows = data.data[:ROWS]
    (folder / "rows.json").write_text(json.dumps(rows.tolist()))
    models = {
        "logistic": LogisticRegression(max_iter=10_000),
        "forest": RandomForestClassifier(100, random_state=0),
    }
    for name, model in models.items():
        (folder / name).mkdir()
        model.fit(data.data, data.target)
        joblib.dump(model, folder / name / "model.joblib")
        (folder / name / "expected.json").write_text(json.dumps(model.predict(rows).tolist()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
