"""A second image registry of a test: the program that the toolchain runs, with a folder and a port of its own."""

import os
import shutil
import subprocess
import time
from contextlib import contextmanager

import httpx
import pytest

from tests.system.checkout import free_port
from toolchain.cache import cache_home
from toolchain.registry import configuration

_PATIENCE = 120


def _program():
    found = sorted(cache_home(os.environ).glob("tools/registry-*/registry"))
    return str(found[-1]) if found else shutil.which("docker-registry")


@contextmanager
def second_registry(folder):
    """Run a registry; yields its address, as image names begin."""
    program = _program()
    if program is None:
        pytest.skip("the registry runs as a container here: there is no program to run a second one with")
    folder.mkdir(parents=True)
    port = free_port()
    settings = folder / "registry.yml"
    settings.write_text(configuration(folder / "data", port))
    process = subprocess.Popen(
        [program, "serve", str(settings)],
        env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/v2/", trust_env=False).raise_for_status()
                break
            except httpx.TransportError:
                assert time.monotonic() < deadline, "the second registry does not answer"
                time.sleep(0.05)
        yield f"localhost:{port}"
    finally:
        process.terminate()
        process.wait()
