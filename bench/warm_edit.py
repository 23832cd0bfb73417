"""From an edit of score.py to the new answer: `pulumi up` against plain `docker build` and `docker run`.

Three ways do the same work: build one layer on the same environment, answer the sample in the build, replace the
container, wait for the new answer. Docker does it twice: the old container is killed, or stopped in order, as Slipway
does it. A fourth, an `up` of a program that declares nothing, says what the engine alone takes, whatever it deploys.
Rounds alternate, because machines are noisy.

    .venv/bin/python bench/warm_edit.py [--rounds 7]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path

import httpx
from measure import ROOT, project, run, table, timed

_PORT, _PLAIN_PORT = 18890, 18891
_MANIFEST = f"""models:
  - name: iris
    version: 1
    path: models/iris
    scoring: {{requirements: requirements.txt, sample: sample.json, schema: schema.json}}
    targets: [local-docker: {{port: {_PORT}}}]
"""
_DOCKERFILE = """FROM {environment}
COPY scoring /opt/slipway/scoring
COPY model.joblib /var/azureml-app/azureml-models/iris/1/
COPY sample.json schema.json /opt/slipway/contract/
ENV PYTHONPATH=/opt/slipway AML_APP_ROOT=/var/azureml-app AZUREML_ENTRY_SCRIPT=score.py SERVER_PORT=8080
ENV AZUREML_MODEL_DIR=/var/azureml-app/azureml-models/iris/1 PYTHONUNBUFFERED=1 SERVICE_NAME=iris SERVICE_VERSION=1
ENV SLIPWAY_SAMPLE=/opt/slipway/contract/sample.json SLIPWAY_SCHEMA=/opt/slipway/contract/schema.json
WORKDIR /var/azureml-app
COPY score.py .
USER 65532:65532
RUN ["/opt/venv/bin/python", "-m", "scoring", "check"]
ENTRYPOINT ["/opt/venv/bin/python", "-m", "scoring"]
CMD ["serve"]
"""


_EMPTY = """name: empty
runtime: {name: python, options: {virtualenv: .venv}}
"""


def _edit(script: Path, marker: str) -> None:
    """Change the script. The container before it is gone when the next one starts: any answer is the new one's."""
    original = (ROOT / "models/iris/score.py").read_text()
    script.write_text(f"{original}\n\nMARKER = {marker!r}\n")


def _answers(port: int, sample: bytes, deadline: float = 120) -> None:
    """Wait until the service on a port is ready and answers."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        try:
            if httpx.post(f"http://127.0.0.1:{port}/score", content=sample, timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.02)
    raise SystemExit(f"no answer on port {port} after {deadline} s")


def _docker() -> list[str]:
    """A client whose `build` uses BuildKit."""
    for client in ("docker", "/usr/bin/docker"):
        if shutil.which(client):
            probe = subprocess.run(
                [client, "build", "-q", "-"],
                input=b"FROM scratch\nLABEL a=b\n",
                env={**os.environ, "DOCKER_BUILDKIT": "1"},
                capture_output=True,
                check=False,
            )
            if probe.returncode == 0:
                return [client]
    raise SystemExit("no docker client here builds with BuildKit")


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=7)
    rounds = arguments.parse_args().rounds
    docker = _docker()
    sample = (ROOT / "models/iris/sample.json").read_bytes()
    with tempfile.TemporaryDirectory() as temporary:
        slipway, plain, empty = (Path(temporary, name) for name in ("slipway", "plain", "empty"))
        slipway.mkdir()
        empty.mkdir()
        env = project(slipway, _MANIFEST)
        shutil.copytree(ROOT / "models/iris", slipway / "models/iris")
        run(["pulumi", "stack", "init", "bench"], slipway, env)
        (slipway / "Pulumi.bench.yaml").write_text("config:\n  slipway:targets: [local-docker]\n")
        (empty / "Pulumi.yaml").write_text(_EMPTY)
        (empty / "__main__.py").write_text("import pulumi\n")
        (empty / ".venv").symlink_to(ROOT / ".venv")
        run(["pulumi", "stack", "init", "bench"], empty, env)
        env_docker = {**env, "DOCKER_BUILDKIT": "1"}
        up = ["pulumi", "up", "--yes", "--skip-preview", "--stack", "bench"]
        try:
            run(up, slipway, env)
            state = json.loads(run(["pulumi", "stack", "export", "--stack", "bench"], slipway, env))
            environment = next(
                one["outputs"]["ref"]
                for one in state["deployment"]["resources"]
                if one["type"] == "docker-build:index:Image" and "::environment-" in one["urn"]
            )
            shutil.copytree(ROOT / "models/iris", plain)
            shutil.copytree(ROOT / "scoring", plain / "scoring", ignore=shutil.ignore_patterns("__pycache__"))
            (plain / "Dockerfile").write_text(_DOCKERFILE.format(environment=environment))

            def by_pulumi() -> None:
                run(up, slipway, env)
                _answers(_PORT, sample)

            def by_docker(*, in_order: bool) -> None:
                run([*docker, "build", "-q", "-t", "slipway-bench-plain", "."], plain, env_docker)
                if in_order:
                    run([*docker, "stop", "slipway-bench-plain"], plain, env)
                subprocess.run([*docker, "rm", "-f", "slipway-bench-plain"], capture_output=True, check=False)
                publish = f"127.0.0.1:{_PLAIN_PORT}:8080"
                name = "slipway-bench-plain"
                run(
                    [
                        *docker,
                        "run",
                        "-d",
                        "--name",
                        name,
                        "-p",
                        publish,
                        "--read-only",
                        "--tmpfs",
                        "/tmp",  # noqa: S108 - the container's
                        name,
                    ],
                    plain,
                    env,
                )
                _answers(_PLAIN_PORT, sample)

            ways = {
                "docker build + docker run": partial(by_docker, in_order=False),
                "the same, the old one stopped in order": partial(by_docker, in_order=True),
                "pulumi up": by_pulumi,
                "pulumi up of an empty program": lambda: run(up, empty, env),
            }
            by_docker(in_order=False)
            rows: dict[str, list[float]] = {name: [] for name in ways}
            for number in range(rounds):
                for name, action in ways.items():
                    for folder in (slipway / "models/iris", plain):
                        _edit(folder / "score.py", f"edit {number}: {name}")
                    rows[name].append(timed(action))
            print(table(rows, "docker build + docker run"))
        finally:
            run(["pulumi", "destroy", "--yes", "--skip-preview", "--stack", "bench"], slipway, env)
            subprocess.run([*docker, "rm", "-f", "slipway-bench-plain"], capture_output=True, check=False)
            subprocess.run([*docker, "rmi", "-f", "slipway-bench-plain"], capture_output=True, check=False)


if __name__ == "__main__":
    main()
