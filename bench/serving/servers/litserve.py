"""LitServe with one worker and one API server; plain, and with its batching."""

from __future__ import annotations

from functools import partial

from bench.serving.server import LOCKS, Place, Server, Start

_PROGRAM = """import os
import sys

import joblib
import litserve
import numpy as np


class Api(litserve.LitAPI):
    def setup(self, device):
        self.model = joblib.load(os.environ["BENCH_MODEL"])

    def decode_request(self, request):
        return np.asarray(request["data"])

    def batch(self, inputs):
        self.ends = np.cumsum([len(one) for one in inputs])[:-1]
        return np.concatenate(inputs)

    def unbatch(self, output):
        return np.split(output, self.ends)

    def predict(self, rows):
        return self.model.predict(rows)

    def encode_response(self, output):
        return {{"predictions": output.tolist()}}


if __name__ == "__main__":
    api = Api(api_path="/score"{options})
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
"""
_BATCHING = ", max_batch_size=64, batch_timeout=0.002"


def _start(options: str, place: Place) -> Start:
    program = place.write("server.py", _PROGRAM.format(options=options))
    return Start([place.bin / "python", program, str(place.port)], {"BENCH_MODEL": str(place.model)})


SERVERS = [
    Server(
        name,
        "litserve",
        (LOCKS / "litserve.lock",),
        partial(_start, options),
        batches=bool(options),
        package="litserve",
    )
    for name, options in (("LitServe", ""), ("LitServe, batches", _BATCHING))
]
