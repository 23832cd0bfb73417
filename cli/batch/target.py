"""A model's batch target in a stack: the engine that runs its jobs, and what a new job of it is."""

# What brings fsspec or an SDK along is imported where it is used.
# ruff: noqa: PLC0415
from __future__ import annotations

import datetime as dt
import os
import re
import secrets
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.errors import CliError, Exit
from cli.placements.choose import absent, no_such
from cli.placements.placement import BATCH, LOCAL
from cli.stack.project import short_name
from jobs.cloud_places import INPUTS, OUTPUTS, cloud_place
from jobs.engine import Job, JobError
from manifest.problems import SECRET_URL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cli.stack.pulumi import Pulumi
    from jobs.engine import Engine, JobState

_JOB_ID = re.compile(r"[a-z](?=[a-z0-9-]{0,52}$)(?:-?[a-z0-9])*")


class BatchTarget:
    """One model's batch target, as the stack has it.

    Attributes:
        model: The model's name.
        target: What the stack exports of the target.
        engine: What runs its jobs.
        is_local: Whether that is this machine.
    """

    def __init__(self, pulumi: Pulumi, model: str, found: dict[str, Any], *, local: bool) -> None:
        """Use a target; `open_targets` finds it.

        Args:
            pulumi: The stack.
            model: The model's name.
            found: What the stack exports of the model.
            local: Whether its jobs run on this machine wherever the target is.
        """
        self.model = model
        self.target = found["targets"][BATCH]
        self._version = str(found.get("version", ""))
        self._image = str(self.target.get("image") or found.get("image"))
        self._root = pulumi.project.root
        self._private = pulumi.project.private
        self.is_local = local or self.target["engine"] == LOCAL
        self.engine = _engine(pulumi, self.target, local=self.is_local)
        if account := self.target.get("storageAccount"):
            # For what fsspec reads here.
            os.environ.setdefault("AZURE_STORAGE_ACCOUNT_NAME", account)

    def new_job(
        self, id_: str | None, inputs: Sequence[str], output: str | None, tasks: int | None, arguments: Sequence[str]
    ) -> Job:
        """Return a job to submit.

        Args:
            id_: Its name; None for one that follows from the time.
            inputs: Files, folders, globs, URLs; none for what the target says.
            output: Where it is to write, below its name; None for what the target says.
            tasks: How many share the work; None for what the target says, or what follows from the input's size.
            arguments: What the script finds in sys.argv; none for what the target says.

        Raises:
            CliError: Something of it cannot be.
            JobError: The input cannot be listed.
        """
        id_ = id_ or f"{self.model}-{dt.datetime.now(dt.UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        if not _JOB_ID.fullmatch(id_):
            raise CliError(
                f'The job\'s name must be at most 53 small letters, digits and single hyphens, not "{id_}".',
                code=Exit.USAGE,
            )
        if any(not one.strip() for one in (*inputs, *([] if output is None else [output]))):
            raise CliError(
                "An input or output is empty.", hint="Give a file, a folder, a glob or a URL of one.", code=Exit.USAGE
            )
        given = [line for one in inputs for line in _lines(one)]
        read = [self._asked(line, INPUTS) for line in given]
        if not read and self.target.get("input"):
            read = [_place(str(self.target["input"]), self._root)]
        if not read:
            raise CliError(
                f"What is {self.model} to score?",
                hint=f"slipway batch run {self.model} --input FILES, or `input` of its batch target in models.yaml.",
                code=Exit.USAGE,
            )
        to = self._asked(output, OUTPUTS) if output else self._output()
        settings = {str(name): str(value) for name, value in (self.target.get("settings") or {}).items()}
        job = Job(
            id=id_,
            model=self.model,
            version=self._version,
            image=self._image,
            input="\n".join(read),
            output=f"{to.rstrip('/')}/{id_}",
            tasks=1,
            settings=settings,
            arguments=tuple(arguments) or tuple(self.target.get("arguments") or ()),
            # What reaches storage elsewhere is of no use here.
            environment=dict(self.target.get("environment") or {}) if self._is_at_home else {},
        )
        return replace(job, tasks=tasks or self._tasks(job.input))

    @property
    def _is_at_home(self) -> bool:
        """Whether jobs run where the target is."""
        return not self.is_local or self.target["engine"] == LOCAL

    def _asked(self, given: str, container: str) -> str:
        """Return a place that who starts the job names: on this machine, or on Azure in a container of the stack's."""
        placed = _place(given, Path.cwd())
        if self.is_local or self.target["engine"] != "azure":
            return placed
        try:
            return cloud_place(given, container).url
        except ValueError as error:
            raise CliError(
                f"{error}.",
                hint=f"Give a whole URL, a path in the stack's container `{container}`, or --local to run it here.",
                code=Exit.USAGE,
            ) from None

    def _output(self) -> str:
        given = self.target.get("output")
        # A storage of the stack's own is not written to from here unless it is said.
        if not given or not self._is_at_home:
            return str(self._private / "batch" / self.model)
        return _place(str(given), self._root)

    def _tasks(self, given: str) -> int:
        if self.target.get("tasks"):
            return int(self.target["tasks"])
        if self.is_local:
            # One machine: processes of a task share it as well.
            return 1
        from jobs.splitting import tasks_for

        return tasks_for(given, self.target)

    def chosen(self, id_: str | None) -> JobState:
        """Return a job by its name; the latest one without.

        Raises:
            CliError: There is none.
            JobError: The engine does not tell.
        """
        if id_ is None:
            latest = next(iter(self.engine.jobs(self.model)), None)
            if latest is None:
                raise CliError(f"{self.model} has no jobs.", hint=f"`slipway batch run {self.model}` starts one.")
            id_ = latest.job.id
        found = self.engine.job(id_)
        if found is None or found.job.model != self.model:
            names = [one.job.id for one in self.engine.jobs(self.model)]
            raise no_such(f"job of {self.model}", id_, names)
        return found


def open_targets(pulumi: Pulumi, name: str | None, *, local: bool) -> list[BatchTarget]:
    """Return the batch targets of a stack.

    Args:
        pulumi: The stack.
        name: The model; None for all that have one.
        local: Whether jobs run on this machine wherever the targets are.

    Raises:
        CliError: There is no such target.
    """
    models = (pulumi.outputs() or {}).get("models") or {}
    with_batch = {model: found for model, found in models.items() if BATCH in (found.get("targets") or {})}
    if name and name in models and name not in with_batch:
        raise CliError(
            f"{name} has no batch target in the stack {pulumi.stack}.",
            hint="It needs `- batch` among its targets in models.yaml, `batch` among slipway:targets of "
            f"{pulumi.config.file.name}, and `slipway up`.",
            code=Exit.USAGE,
        )
    if not with_batch:
        raise CliError(f"The stack {pulumi.stack} has no batch target.", hint="`slipway up` deploys models.yaml.")
    if name and name not in with_batch:
        raise absent(pulumi, name, with_batch)
    chosen = [name] if name else sorted(with_batch)
    return [BatchTarget(pulumi, one, with_batch[one], local=local) for one in chosen]


@contextmanager
def told() -> Iterator[None]:
    """Tell what jobs raise as the command's errors."""
    try:
        yield
    except JobError as error:
        raise CliError(str(error), hint=error.hint, code=Exit.USAGE if error.is_usage else Exit.FAILED) from None


def _engine(pulumi: Pulumi, target: dict[str, Any], *, local: bool) -> Engine:
    # Each brings an SDK along that only some stacks use.
    owner = f"{pulumi.project.name}/{short_name(pulumi.stack)}"
    if local:
        from jobs.local_engine import LocalEngine

        return LocalEngine(owner, target, pulumi.env)
    if target["engine"] == "kubernetes":
        from cli.placements.cluster import client_of
        from jobs.kubernetes_engine import KubernetesEngine

        return KubernetesEngine(owner, target, client_of(pulumi))
    if target["engine"] == "azure":
        from jobs.azure_engine import AzureEngine

        return AzureEngine(owner, target, pulumi.env)
    raise CliError(f"This version has no engine for batch jobs on {target['engine']}.", code=Exit.USAGE)


def _lines(given: str) -> list[str]:
    """What an option names; `@FILE` names a file with a list."""
    if not given.startswith("@") or "://" in given:
        return [given]
    try:
        text = Path(given[1:]).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise CliError(f"The list {given[1:]} cannot be read: {error}", code=Exit.USAGE) from None
    found = [line.strip() for line in text.splitlines() if line.strip()]
    if not found:
        raise CliError(f"The list {given[1:]} names no input.", code=Exit.USAGE)
    return found


def _place(given: str, base: Path) -> str:
    if SECRET_URL.search(given):
        # Not shown: it is what must not be seen.
        raise CliError(
            "An input or output has a credential in its URL.",
            hint="Give it by the storage's own variables (AZURE_STORAGE_CONNECTION_STRING, AWS_ACCESS_KEY_ID, ...).",
            code=Exit.USAGE,
        )
    # Not resolved: a glob's dots are the user's, and links are followed where the files are read.
    return given if "://" in given else os.path.normpath(base / given)
