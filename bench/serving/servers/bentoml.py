"""BentoML with one worker; plain, and with its adaptive batching."""

from __future__ import annotations

from functools import partial

from bench.serving.server import LOCKS, Place, Server, Start

_PROGRAM = """import os

import bentoml
import joblib
import numpy as np


@bentoml.service(workers=1)
class Bench:
    def __init__(self) -> None:
        self.model = joblib.load(os.environ["BENCH_MODEL"])

    @bentoml.api(route="/score"{options})
    def score(self, data: np.ndarray) -> np.ndarray:
        return self.model.predict(data)
"""
_BATCHING = ", batchable=True, max_batch_size=6400, max_latency_ms=1000"


def _start(options: str, place: Place) -> Start:
    place.write("service.py", _PROGRAM.format(options=options))
    env = {
        "BENCH_MODEL": str(place.model),
        "BENTOML_HOME": str(place.folder / "home"),
        "BENTOML_CONFIG_OPTIONS": "api_server.logging.access.enabled=false",
    }
    address = ["--host", "127.0.0.1", "--port", str(place.port)]
    return Start([place.bin / "bentoml", "serve", "service:Bench", *address], env)


SERVERS = [
    Server(
        name,
        "bentoml",
        (LOCKS / "bentoml.lock",),
        partial(_start, options),
        batches=bool(options),
        package="bentoml",
        answer=list,
    )
    for name, options in (("BentoML", ""), ("BentoML, batches", _BATCHING))
]
