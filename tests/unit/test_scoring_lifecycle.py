"""The start of the runtime: named states, clear failures, and the health command."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from tests.unit.scoring_harness import GATED, ROOT, environment, run, serving, until, write

TRIVIAL = """
    def init():
        pass

    def run(data):
        return data
    """


def health(port: int, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return run("health", {**variables, "SERVER_PORT": str(port)})


def test_a_starting_service_is_live_and_not_ready(tmp_path):
    gates = tmp_path / "gates"
    gates.mkdir()
    with serving(tmp_path, GATED, GATES=str(gates)) as server:
        until((gates / "init.entered").exists, "init() was entered")

        assert server.status()["state"] == "starting"
        assert server.client.get("/live").status_code == 200
        assert server.client.get("/ready").status_code == 503
        assert (server.client.get("/").status_code, server.client.get("/").text) == (503, "starting")
        refused = server.score()
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert health(server.port, environment(tmp_path)).returncode == 1

        (gates / "init").touch()
        server.wait_for("ready")
        assert health(server.port, environment(tmp_path)).returncode == 0


def test_health_goes_on_asking_while_the_service_starts(tmp_path):
    command = [sys.executable, "-I", "-S", str(ROOT / "scoring" / "health.py")]
    answers = [b'503 Service Unavailable\r\n\r\n{"state":"starting"}', b'200 OK\r\n\r\n{"state":"ready"}']
    with socket.create_server(("127.0.0.1", 0)) as listener:
        variables = environment(tmp_path, SERVER_PORT=str(listener.getsockname()[1]))
        with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as asking:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 " + answer)
            said, _ = asking.communicate()
    assert (asking.returncode, said) == (0, '{"state":"ready"}\n')


def test_status_names_the_model(tmp_path):
    with serving(tmp_path, TRIVIAL, SERVICE_NAME="iris", SERVICE_VERSION="3") as server:
        assert server.wait_for("ready").status() == {
            "state": "ready",
            "model": {"name": "iris", "version": "3"},
            "error": None,
            "workers": ["ready"],
            "reload": {"enabled": False, "generation": 1, "attempts": 1, "error": None},
        }


BROKEN = """
    def init():
        helper()

    def helper():
        raise RuntimeError("the model is damaged")

    def run(data):
        pass
    """


def test_a_failed_init_is_a_named_state_and_then_exit_code_3(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights.bin").touch()
    with serving(tmp_path, BROKEN, AZUREML_MODEL_DIR=str(model)) as server:
        server.wait_for("failed")
        status = server.status()
        assert status["error"] == "RuntimeError: the model is damaged (score.py, line 6)"
        assert server.client.get("/ready").status_code == 503
        assert server.score().json()["message"].startswith("The model failed to start.")
        assert server.exit_code() == 3
        assert "line 3, in init" in server.log
        assert "scoring/" not in server.log.replace(str(tmp_path), "")
        assert "weights.bin" in server.log


def test_the_status_has_the_traceback_in_development_only(tmp_path):
    with serving(tmp_path, BROKEN, SLIPWAY_DEVELOPMENT="1") as server:
        server.wait_for("failed")
        assert server.status()["error"].startswith("Traceback (most recent call last):")
        assert "in helper" in server.status()["error"]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("def init(): pass", "run() is missing; a scoring script defines init() and run(data)"),
        ("def run(data): pass", "init() is missing"),
        ("init = 1\ndef run(data): pass", "init() is not a function"),
        ("def init(): pass\ndef run(): pass", "run() has no parameter for the request"),
        ("def init(): pass\ndef run(request_headers): pass", "run() has no parameter for the request"),
        ("def init(): pass\ndef run(*data): pass", "run() has '*data'; not allowed are"),
        ("def init(): pass\ndef run(data, /): pass", "not allowed are positional-only parameters"),
        ("def init(): pass\ndef run(a, b, c=1): pass", "a default is missing for b"),
        ("def init(: pass", "SyntaxError: invalid syntax"),
        ("raise SystemExit(9)", "SystemExit: 9"),
        ("import not_there_at_all", "add it to the model's requirements"),
        ("import skimage", "it is in the package scikit-image: add that to the model's requirements"),
        ("import inference_schema.nothing", "this runtime has inference_schema.schema_decorators"),
        ("import azureml.contrib.nothing", "this runtime has azureml.contrib.services.aml_request"),
        (
            "import azureml_inference_server_http.server",
            "this runtime has azureml_inference_server_http.api.aml_request",
        ),
        ("from azureml.core import Model", "the model's files are in AZUREML_MODEL_DIR"),
    ],
)
def test_a_script_that_cannot_be_used_is_told_in_one_line(tmp_path, script, message):
    write(tmp_path, "score.py", script)
    done = run("check", environment(tmp_path))

    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("check failed: ")
    assert message in last


def test_a_missing_script_is_told_with_its_path(tmp_path):
    done = run("check", environment(tmp_path))

    assert done.returncode == 1
    assert done.stderr == (
        f"check failed: there is no entry script {tmp_path}/score.py: "
        f"set AZUREML_ENTRY_SCRIPT to its path below {tmp_path}\n"
    )


@pytest.mark.parametrize("command", ["", "train", "serve now"])
def test_an_unknown_command_names_the_allowed_ones(tmp_path, command):
    done = run(command, environment(tmp_path))

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert all(name in done.stderr for name in ("serve", "check", "health"))


def test_all_settings_that_cannot_be_used_are_named_at_once(tmp_path):
    done = run(
        "serve",
        environment(
            tmp_path, SERVER_PORT="80a", SLIPWAY_THREADS="0", SCORING_TIMEOUT_MS="-1", SLIPWAY_DEVELOPMENT="on"
        ),
    )

    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    for name in ("SERVER_PORT is '80a'", "SLIPWAY_THREADS is '0'", "SCORING_TIMEOUT_MS", "SLIPWAY_DEVELOPMENT"):
        assert name in done.stderr


def test_an_occupied_port_is_told_in_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        port = occupied.getsockname()[1]
        done = run("serve", environment(tmp_path, SERVER_PORT=str(port)))

    assert done.returncode == 3
    where = f"127.0.0.1:{port} (SLIPWAY_HOST, SERVER_PORT)"
    assert done.stderr == f"python -m scoring serve: cannot listen on {where}: Address already in use\n"


def test_health_runs_by_its_path_without_site_or_path(tmp_path):
    command = [sys.executable, "-I", "-S", str(ROOT / "scoring" / "health.py")]
    with serving(tmp_path, TRIVIAL) as server:
        server.wait_for("ready")
        variables = environment(tmp_path, SERVER_PORT=str(server.port))
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, '{"state":"ready"}\n')

    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith(f"no answer on port {server.port}:")


def test_health_imports_neither_the_server_nor_the_serializers(tmp_path):
    code = "import sys; from scoring.__main__ import main; main(['health']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(tmp_path), capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "scoring.health" in loaded
    assert loaded.isdisjoint({"uvicorn", "uvloop", "orjson", "fastjsonschema", "asyncio", "json", "http", "logging"})


def test_a_service_without_a_parser_of_http_says_so_and_does_not_start(tmp_path):
    """Images for linux/arm/v7 have none; there only `edge` works."""
    write(tmp_path, "score.py", TRIVIAL)
    write(tmp_path, "httptools.py", "raise ModuleNotFoundError('no httptools', name='httptools')")
    found = run("serve", environment(tmp_path, PYTHONPATH=f"{tmp_path}:{ROOT}"))
    assert found.returncode == 3
    assert found.stderr.startswith("python -m scoring serve: this image cannot listen: it has no httptools")
    assert "run it as `edge`" in found.stderr
    assert "Traceback" not in found.stderr
