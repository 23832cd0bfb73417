"""What must not be open in a guarded service."""

import httpx

from tests.unit.scoring_harness import PATIENCE_SECONDS, environment, run, serving, until
from tests.unit.security_harness import PRIMARY, SCRIPT, bearer, issue, ready

RAW = """
    from azureml.contrib.services.aml_request import rawhttp

    def init():
        pass

    @rawhttp
    def run(request):
        return "run was called"
    """


def test_a_script_that_answers_options_itself_is_not_called_without_a_key(tmp_path):
    with serving(tmp_path / "app", RAW, SLIPWAY_PRIMARY_KEY=PRIMARY) as server:
        ready(server)
        assert server.client.options("/score").status_code == 401
        assert "run was called" in server.client.options("/score", headers=bearer(PRIMARY)).text


def test_health_is_told_over_tls(tmp_path):
    folder = tmp_path / "tls"
    issue(folder, "first")
    files = {"SLIPWAY_TLS_CERT": str(folder / "tls.crt"), "SLIPWAY_TLS_KEY": str(folder / "tls.key")}
    with serving(tmp_path / "app", SCRIPT, **files) as server:
        url = f"https://127.0.0.1:{server.port}/ready"
        client = httpx.Client(verify=False, timeout=PATIENCE_SECONDS)  # noqa: S501 - its own certificate
        until(lambda: client.get(url).status_code == 200, "the service is ready")
        client.close()
        health = run("health", environment(tmp_path / "app", SERVER_PORT=str(server.port), **files))
        assert health.returncode == 0, health.stdout + health.stderr
