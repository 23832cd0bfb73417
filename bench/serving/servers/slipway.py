"""Slipway's runtime: with a script for Azure ML as it is, with the body parsed by the runtime, and with batches."""

from __future__ import annotations

from functools import partial

from bench.serving.server import LOCKS, ROOT, Place, Server, Start

_INIT = """
import os
from pathlib import Path

import joblib
import numpy as np


def init():
    global model
    model = joblib.load(Path(os.environ["AZUREML_MODEL_DIR"]) / "model.joblib")
"""
AZURE = f"""import json
{_INIT}

def run(data):
    return {{"predictions": model.predict(np.asarray(json.loads(data)["data"])).tolist()}}
"""
_DECODED = f"""{_INIT}
from slipway import decoded


@decoded
def run(data):
    return {{"predictions": model.predict(np.asarray(data["data"])).tolist()}}
"""
_BATCHED = f"""{_INIT}
from slipway import batched, decoded


@batched(max_size=64)
@decoded
def run(data):
    found = model.predict(np.asarray([row for one in data for row in one["data"]])).tolist()
    answers, start = [], 0
    for one in data:
        end = start + len(one["data"])
        answers.append({{"predictions": found[start:end]}})
        start = end
    return answers
"""


def _start(script: str, place: Place) -> Start:
    place.write("score.py", script)
    env = {
        "AML_APP_ROOT": str(place.folder),
        "AZUREML_ENTRY_SCRIPT": "score.py",
        "AZUREML_MODEL_DIR": str(place.model.parent),
        "SERVER_PORT": str(place.port),
        "SERVICE_NAME": "bench",
        "SERVICE_VERSION": "1",
        "SLIPWAY_HOST": "127.0.0.1",
        # The folder that holds a copy of scoring/, as the image has one.
        "PYTHONPATH": str(place.folder.parent / "runtime"),
    }
    return Start([place.bin / "python", "-m", "scoring", "serve"], env)


_LOCKS = (ROOT / "scoring/requirements.lock", LOCKS / "model.lock")
_SCRIPTS = {
    "Slipway": (_DECODED, False),
    "Slipway, batches": (_BATCHED, True),
    "Slipway, Azure ML's script": (AZURE, False),
}
SERVERS = [
    Server(name, "slipway", _LOCKS, partial(_start, script), kind="ours", batches=batches)
    for name, (script, batches) in _SCRIPTS.items()
]
