"""MLServer with its runtime for scikit-learn, in one process; plain, and with its adaptive batching."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from bench.serving.server import LOCKS, Place, Server, Start

_BATCHING = {"max_batch_size": 64, "max_batch_time": 0.002}


def _start(batching: dict[str, Any], place: Place) -> Start:
    ports = {"http_port": place.port, "grpc_port": place.port + 1, "metrics_port": place.port + 2}
    place.write("settings.json", json.dumps({"host": "127.0.0.1", "debug": False, "parallel_workers": 0, **ports}))
    model = {
        "name": "bench",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(place.model)},
        **batching,
    }
    place.write("model-settings.json", json.dumps(model))
    return Start([place.bin / "mlserver", "start", place.folder])


def _body(rows: list[list[float]]) -> bytes:
    """The Open Inference Protocol, version 2."""
    tensor = {"name": "rows", "shape": [len(rows), len(rows[0])], "datatype": "FP64", "data": rows}
    return json.dumps({"inputs": [tensor]}).encode()


SERVERS = [
    Server(
        name,
        "mlserver",
        (LOCKS / "mlserver.lock",),
        partial(_start, batching),
        batches=bool(batching),
        package="mlserver",
        path="/v2/models/bench/infer",
        body=_body,
        answer=lambda answer: list(answer["outputs"][0]["data"]),
    )
    for name, batching in (("MLServer", {}), ("MLServer, batches", _BATCHING))
]
