"""azureml-inference-server-http, with the script that Slipway is asked to run unchanged."""

from __future__ import annotations

from bench.serving.server import LOCKS, Place, Server, Start
from bench.serving.servers.slipway import AZURE


def _start(place: Place) -> Start:
    script = place.write("score.py", AZURE)
    options = ["--entry_script", str(script), "--model_dir", str(place.model.parent), "--port", str(place.port)]
    env = {"WORKER_COUNT": "1", "AML_APP_ROOT": str(place.folder)}
    return Start([place.bin / "azmlinfsrv", *options], env)


SERVERS = [
    Server(
        "azureml-inference-server-http",
        "azureml",
        (LOCKS / "azureml.lock",),
        _start,
        package="azureml-inference-server-http",
    )
]
