"""The runtime's settings: Azure ML's environment variables, and a few of Slipway's own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scoring.batching import Batching
from scoring.variables import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping

_MEBIBYTE = 1024 * 1024
_BODIES_WAITING = 4


@dataclass(frozen=True)
class Settings:
    """What the environment asks for.

    Attributes:
        root: Folder of the code: AML_APP_ROOT, or the mounted source in reload mode.
        script: The entry script.
        source_folder: AZUREML_SOURCE_DIRECTORY, a second folder to import from.
        model_dir: AZUREML_MODEL_DIR; None when unset.
        name: The model's name, for /status.
        version: The model's version, for /status.
        sample: A request that the model must be able to answer.
        schema: JSON Schemas of request and answer.
        check_out: Where `check` writes the sample's answer.
        check_seconds: How long `check` may take.
        host: Address to listen on.
        port: Port to listen on.
        workers: How many processes answer.
        preload: Whether init() is called once, before the workers are forked; None where the sample shall prove that
            a fork answers.
        worker_timeout: Seconds after which a worker whose event loop does not turn is replaced.
        worker_memory: Bytes of memory of its own at which a worker is replaced; None for no limit.
        threads: How many calls of run() may be under way at once, in each worker.
        connections: How many peers each worker talks to at once; further ones are told to come later.
        queue: How many calls may wait, in each worker; further ones are refused.
        batching: How many requests run() takes at once, where the script itself does not say.
        max_body_bytes: Larger request bodies are refused.
        max_waiting_bytes: How much the bodies of all requests that wait may be together, in each worker.
        timeout_seconds: How long a call may take, waiting included.
        drain_seconds: How long accepted requests have to finish after SIGTERM.
        development: Whether /status may show tracebacks.
        reload: Whether edits in `root` are taken over while serving.
    """

    root: Path
    script: Path
    source_folder: Path | None
    model_dir: Path | None
    name: str
    version: str
    sample: Path | None
    schema: Path | None
    check_out: Path | None
    check_seconds: int
    host: str
    port: int
    workers: int
    preload: bool | None
    worker_timeout: int
    worker_memory: int | None
    threads: int
    connections: int
    queue: int
    batching: Batching | None
    max_body_bytes: int
    max_waiting_bytes: int
    timeout_seconds: float
    drain_seconds: float
    development: bool
    reload: bool

    @classmethod
    def from_environment(cls, variables: Mapping[str, str] = os.environ) -> Settings:
        """Read the settings.

        Args:
            variables: The process's environment variables.

        Raises:
            SettingsError: A variable has a value that cannot be used.
        """
        reader = Reader(variables)
        settings = cls.from_reader(reader)
        reader.finish()
        return settings

    @classmethod
    def from_reader(cls, reader: Reader) -> Settings:
        """Read the settings.

        Args:
            reader: The environment's variables; takes what is wrong with them.
        """
        app_root = Path(reader.text("AML_APP_ROOT", "/var/azureml-app"))
        reload = reader.text("SLIPWAY_RELOAD")
        root = Path(os.path.realpath(reload or app_root))
        max_body_bytes = reader.integer("SLIPWAY_MAX_BODY_BYTES", 100 * _MEBIBYTE, least=1)
        batch = reader.integer("SLIPWAY_BATCH_SIZE", 0, least=0, most=65536)
        wait = reader.integer("SLIPWAY_BATCH_WAIT_MS", 0, least=0, most=60_000)
        return cls(
            root=root,
            script=root / reader.text("AZUREML_ENTRY_SCRIPT", "main.py"),
            source_folder=reader.path("AZUREML_SOURCE_DIRECTORY", root),
            model_dir=reader.path("AZUREML_MODEL_DIR", app_root),
            name=reader.text("SERVICE_NAME"),
            version=reader.text("SERVICE_VERSION"),
            sample=reader.path("SLIPWAY_SAMPLE", root),
            schema=reader.path("SLIPWAY_SCHEMA", root),
            check_out=reader.path("SLIPWAY_CHECK_OUT", Path.cwd()),
            check_seconds=reader.integer("SLIPWAY_CHECK_SECONDS", 600, least=1),
            host=reader.text("SLIPWAY_HOST", "0.0.0.0"),  # noqa: S104 - a container's own network
            port=reader.integer("SERVER_PORT", 8080, least=0, most=65535),
            # An edit is taken over by the process that watches.
            workers=1 if reload else reader.integer("WORKER_COUNT", 1, least=1, most=64),
            preload=reader.flag("WORKER_PRELOAD") if reader.text("WORKER_PRELOAD") else None,
            worker_timeout=reader.integer("WORKER_TIMEOUT", 300, least=0),
            worker_memory=reader.integer("SLIPWAY_WORKER_MEMORY_BYTES", 0, least=0) or None,
            threads=reader.integer("SLIPWAY_THREADS", 1, least=1, most=256),
            connections=reader.integer("SLIPWAY_CONNECTIONS", 1024, least=1),
            queue=reader.integer("SLIPWAY_QUEUE", 512, least=0),
            batching=Batching(max_size=batch, max_wait_ms=wait) if batch else None,
            max_body_bytes=max_body_bytes,
            max_waiting_bytes=_BODIES_WAITING * max_body_bytes,
            timeout_seconds=reader.integer("SCORING_TIMEOUT_MS", 3_600_000, least=1) / 1000,
            drain_seconds=reader.integer("SLIPWAY_DRAIN_SECONDS", 20, least=0),
            development=reader.flag("SLIPWAY_DEVELOPMENT"),
            reload=bool(reload),
        )
