"""Tasks as containers on the Docker engine, with what they printed."""

from __future__ import annotations

import hashlib
import shlex
import shutil
import threading
from typing import TYPE_CHECKING, Any

from provider.resource import Call, ProviderError
from standins.azure_batch.pools import header_of, refused_image, storage_of
from standins.azure_native.groups.bodies import STORE
from standins.docker.engine import Engine
from standins.docker.images import find_image

if TYPE_CHECKING:
    from pathlib import Path

    from standins.azure_batch.pools import Pool
    from standins.azure_batch.state import Document
    from standins.azure_native.store import Store

POOL, TASK, RUN = "io.slipway.azure.batch.pool", "io.slipway.azure.batch.task", "io.slipway.azure.batch.run"
FILES = ("stdout.txt", "stderr.txt")
_LOG = {"Type": "json-file", "Config": {"max-size": "50m", "max-file": "1"}}
_UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_NOT_FOUND = 404


class StartError(Exception):
    """A task that cannot be started; the message says why."""

    def __init__(self, code: str, message: str) -> None:
        """Name it as Batch does."""
        super().__init__(message)
        self.code = code


class Runs:
    """The containers of a store's tasks."""

    def __init__(self, store: Store, folder: Path, url: str) -> None:
        """Connect to the engine.

        Args:
            store: Whose they are.
            folder: Where what they print is kept.
            url: Where containers find the data plane.
        """
        self._store = store
        self._mark = store.mark
        self._folder = folder / "files"
        self._url = url
        self._engine = Engine()

    def fetch(self, pool: Pool, image: str, registry: dict[str, Any] | None = None) -> None:
        """Have an image on the engine.

        Raises:
            StartError: It cannot be had.
        """
        if reason := refused_image(self._store, pool, image, registry):
            raise StartError("ContainerInvalidImage", f"{image} cannot be pulled: {reason}")
        try:
            find_image(self._engine, Call(pool.id, threading.Event(), lambda *_: None), image)
        except ProviderError as error:
            raise StartError("ContainerInvalidImage", str(error)) from None

    def start(self, pool: Pool, node: Document, job: Document, task: Document) -> None:
        """Run a task; one that runs already is left alone.

        Raises:
            StartError: It cannot be.
        """
        container = task.shown.get("containerSettings")
        if not container:
            raise StartError("ContainerInvalidSettings", "the stand-in runs tasks with containerSettings only")
        self.fetch(pool, container["imageName"], container.get("registry"))
        body = self._body(pool, node, job, task)
        name = f"batch-{_digest(self._mark, task.key)}-{task.own['run']}"
        try:
            with self._engine.doing(f"start task {task.id}") as api:
                made = api.create_container_from_config(body, name)["Id"]
                api.start(made)
        except ProviderError as error:
            raise StartError("ContainerInvalidSettings", str(error)) from None

    def _body(self, pool: Pool, node: Document, job: Document, task: Document) -> dict[str, Any]:
        container = task.shown["containerSettings"]
        folder = f"/mnt/batch/tasks/workitems/{job.id}/{task.id}/wd"
        variables = {
            "AZ_BATCH_ACCOUNT_NAME": pool.account,
            "AZ_BATCH_ACCOUNT_URL": f"{self._url}/{pool.account}/",
            "AZ_BATCH_JOB_ID": job.id,
            "AZ_BATCH_NODE_ID": node.id,
            "AZ_BATCH_NODE_IS_DEDICATED": str(node.shown["isDedicated"]).lower(),
            "AZ_BATCH_NODE_ROOT_DIR": "/mnt/batch/tasks",
            "AZ_BATCH_POOL_ID": pool.id,
            "AZ_BATCH_TASK_ID": task.id,
            "AZ_BATCH_TASK_WORKING_DIR": folder,
        }
        for one in [
            *(job.shown.get("commonEnvironmentSettings") or []),
            *(task.shown.get("environmentSettings") or []),
        ]:
            variables[one["name"]] = one.get("value") or ""
        variables |= storage_of(self._store, pool, variables)
        # What a machine has at an address of its own.
        variables |= {
            "IDENTITY_ENDPOINT": f"{self._url}/{pool.account}/standin/identity",
            "IDENTITY_HEADER": header_of(self._store, pool),
        }
        host = {"NetworkMode": "bridge", "LogConfig": _LOG, **_host_options(container.get("containerRunOptions") or "")}
        body: dict[str, Any] = {
            "Image": container["imageName"],
            "Cmd": shlex.split(task.shown["commandLine"]),
            "Env": [f"{name}={value}" for name, value in variables.items()],
            "Labels": {STORE: self._mark, POOL: pool.key, TASK: task.key, RUN: str(task.own["run"])},
            "HostConfig": host,
        }
        if container.get("workingDirectory") != "containerImageDefault":
            host["Tmpfs"] = {folder: "mode=1777"}
            body["WorkingDir"] = folder
        return body

    def look(self) -> dict[str, dict[str, Any]]:
        """Return the state of each container, as Docker tells it, by its task and run."""
        found = {}
        with self._engine.doing("list tasks") as api:
            listed = api.containers(all=True, filters={"label": [f"{STORE}={self._mark}", TASK]})
        for one in listed:
            key = f"{one['Labels'][TASK]}#{one['Labels'][RUN]}"
            found[key] = {"Id": one["Id"], "State": one["State"]}
        return found

    def ended(self, container: str) -> dict[str, Any] | None:
        """Return what a container ended with; None where it is gone."""
        seen = self._engine.inspect_container(container)
        return seen["State"] if seen else None

    def keep(self, container: str, task: Document) -> None:
        """Keep what a container printed."""
        folder = self._folder / _digest(self._mark, task.key)
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (folder / name).write_bytes(self._printed(container, name))

    def _printed(self, container: str, name: str) -> bytes:
        try:
            with self._engine.doing("read what a task printed") as api:
                stdout = name == FILES[0]
                written: bytes = api.logs(container, stdout=stdout, stderr=not stdout)
        except ProviderError:
            return b""
        return written

    def read(self, task: Document, name: str) -> bytes | None:
        """Return what a task has printed so far; None where it has not begun, or its node is gone."""
        running = self.look().get(f"{task.key}#{task.own.get('run')}")
        if running and task.state == "running":
            return self._printed(running["Id"], name)
        file = self._folder / _digest(self._mark, task.key) / name
        return file.read_bytes() if file.is_file() else None

    def forget(self, task: Document) -> None:
        """Remove what is left of a task."""
        shutil.rmtree(self._folder / _digest(self._mark, task.key), ignore_errors=True)

    def remove(self, container: str) -> None:
        """Remove a container, whether it runs or not; it may be gone already."""
        try:
            with self._engine.doing("remove a task") as api:
                api.remove_container(container, force=True, v=True)
        except ProviderError as error:
            if getattr(error, "status", 0) not in {_NOT_FOUND, 409}:
                raise


def _digest(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:20]


def _host_options(options: str) -> dict[str, Any]:
    """Docker's body, from options of `docker run`.

    Raises:
        StartError: It is one that this stand-in does not know.
    """
    host: dict[str, Any] = {}
    words = shlex.split(options)
    while words:
        name, equals, value = words.pop(0).partition("=")
        if name in {"--read-only", "--init"}:
            host["ReadonlyRootfs" if name == "--read-only" else "Init"] = True
            continue
        if not equals:
            value = words.pop(0) if words else ""
        match name:
            case "--cap-drop":
                host.setdefault("CapDrop", []).append(value)
            case "--security-opt":
                host.setdefault("SecurityOpt", []).append(value)
            case "--cpus":
                host["NanoCpus"] = int(float(value) * 1e9)
            case "--memory" | "-m":
                host["Memory"] = int(value.rstrip("bkmg")) * _UNITS[value.lstrip("0123456789")]
            case "--tmpfs":
                path, _, rest = value.partition(":")
                host.setdefault("Tmpfs", {})[path] = rest
            case _:
                raise StartError("ContainerInvalidSettings", f"the stand-in does not know the run option {name}")
    return host
