"""Access to a running service: by keys, by Entra's tokens, and over TLS."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.unit.local_issuer import AUDIENCE, TENANT, Issuer
from tests.unit.scoring_harness import PATIENCE_SECONDS, Server, environment, run, serving, until
from tests.unit.security_harness import LATER, PRIMARY, SCRIPT, bearer, issue, ready

if TYPE_CHECKING:
    from collections.abc import Iterator

GUARDED = ("/score", "/status", "/metrics", "/swagger.json", "/docs", "/nothing")


@pytest.fixture
def guarded(tmp_path) -> Iterator[Server]:
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "primary").write_text(f"{PRIMARY}\n")
    with serving(tmp_path / "app", SCRIPT, SLIPWAY_KEYS_DIR=str(keys), WORKER_COUNT="2") as server:
        yield ready(server)


def test_all_but_the_probes_needs_a_key(guarded):
    for path in ("/", "/live", "/ready"):
        assert guarded.client.get(path).status_code == 200
    for path in GUARDED:
        answer = guarded.client.get(path)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "Authorization: Bearer KEY" in answer.json()["message"]
        assert guarded.client.get(path, headers=bearer(LATER)).status_code == 401
        assert guarded.client.get(path, headers=bearer(PRIMARY)).status_code != 401


def test_a_key_is_replaced_in_every_worker_without_a_restart(guarded, tmp_path):
    (tmp_path / "keys" / "primary").write_text(LATER)
    url = f"http://127.0.0.1:{guarded.port}/status"

    def answers() -> set[int]:
        # Each on a connection of its own, so that both workers are asked.
        return {httpx.get(url, headers=bearer(LATER), timeout=PATIENCE_SECONDS).status_code for _ in range(10)}

    until(lambda: answers() == {200}, "the new key passes")
    assert {httpx.get(url, headers=bearer(PRIMARY), timeout=PATIENCE_SECONDS).status_code for _ in range(10)} == {401}


def test_no_key_is_in_an_answer_or_in_the_log(tmp_path):
    with serving(tmp_path / "app", SCRIPT, SLIPWAY_PRIMARY_KEY=PRIMARY, SLIPWAY_DEVELOPMENT="1") as server:
        ready(server)
        script_sees = server.client.post("/score", headers=bearer(PRIMARY))
        assert script_sees.status_code == 200
        status = server.client.get("/status", headers=bearer(PRIMARY))
        wrong = server.client.get("/status", headers=bearer(LATER))
        for text in (script_sees.text, status.text, wrong.text, server.log):
            assert PRIMARY not in text
            assert LATER not in text


def test_a_mistake_in_the_keys_ends_the_start_with_one_line(tmp_path):
    app = tmp_path / "app"
    app.mkdir()
    done = run("serve", environment(app, SLIPWAY_PRIMARY_KEY="too-short-secret"))
    assert done.returncode == 3
    assert "SLIPWAY_PRIMARY_KEY has a key of too few characters" in done.stderr
    assert "too-short-secret" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_tokens_of_entra_pass_also_the_first_ones_that_wait_for_the_keys(tmp_path):
    issuer = Issuer()
    variables = {
        "SLIPWAY_ENTRA_TENANT": TENANT,
        "SLIPWAY_ENTRA_AUDIENCE": AUDIENCE,
        "SLIPWAY_ENTRA_AUTHORITY": issuer.authority,
    }
    try:
        with serving(tmp_path / "app", SCRIPT, **variables) as server:
            ready(server)
            assert server.client.post("/score", headers=bearer(issuer.token())).status_code == 200
            assert server.client.post("/score", headers=bearer(issuer.token(aud="other"))).status_code == 401
            assert server.client.get("/status").status_code == 401
    finally:
        issuer.close()


def test_the_service_speaks_tls_and_takes_over_a_new_certificate(tmp_path):
    folder = tmp_path / "tls"
    issue(folder, "first")
    files = {"SLIPWAY_TLS_CERT": str(folder / "tls.crt"), "SLIPWAY_TLS_KEY": str(folder / "tls.key")}
    with serving(tmp_path / "app", SCRIPT, SLIPWAY_PRIMARY_KEY=PRIMARY, **files) as server:
        url = f"https://127.0.0.1:{server.port}"
        trusting = ssl.create_default_context(cafile=folder / "tls.crt")
        until(
            lambda: httpx.get(f"{url}/ready", verify=trusting, timeout=PATIENCE_SECONDS).status_code == 200,
            "the service is ready",
        )
        with httpx.Client(base_url=url, verify=trusting, headers=bearer(PRIMARY), timeout=PATIENCE_SECONDS) as client:
            assert client.post("/score", content=b"x").status_code == 200
            assert client.post("/score", content=b"x" * 3_000_000).status_code == 200
        issue(folder, "second")
        newer = ssl.create_default_context(cafile=folder / "tls.crt")

        def is_served() -> bool:
            try:
                return httpx.get(f"{url}/ready", verify=newer, timeout=PATIENCE_SECONDS).status_code == 200
            except httpx.ConnectError:
                return False

        until(is_served, "the new certificate is served")
