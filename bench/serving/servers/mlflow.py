"""MLflow's own scoring server, with one worker."""

from __future__ import annotations

import json
import shutil
import subprocess

from bench.serving.environments import UnavailableError, clean_environ
from bench.serving.server import LOCKS, Place, Server, Start

_SAVE = """import sys

import joblib
import mlflow.sklearn

mlflow.sklearn.save_model(
    joblib.load(sys.argv[1]), sys.argv[2], serialization_format="cloudpickle", pip_requirements=["scikit-learn"]
)
"""


def _start(place: Place) -> Start:
    saved = place.folder / "saved"
    env = {**clean_environ(), "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    if not saved.exists():
        program = place.write("save.py", _SAVE)
        unfinished = place.folder / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        arguments = [place.bin / "python", program, place.model, unfinished]
        done = subprocess.run(
            arguments, cwd=place.folder, env=env, capture_output=True, text=True, check=False, timeout=120
        )
        if done.returncode:
            raise UnavailableError(f"the model could not be saved: {done.stderr.strip()[-500:]}")
        unfinished.rename(saved)
    options = ["--env-manager", "local", "--workers", "1", "--host", "127.0.0.1", "--port", str(place.port)]
    return Start([place.bin / "mlflow", "models", "serve", "-m", saved, *options], {"MLFLOW_DISABLE_TELEMETRY": "true"})


def _body(rows: list[list[float]]) -> bytes:
    return json.dumps({"inputs": rows}).encode()


SERVERS = [
    Server(
        "MLflow",
        "mlflow",
        (LOCKS / "mlflow.lock",),
        _start,
        package="mlflow",
        path="/invocations",
        body=_body,
    )
]
