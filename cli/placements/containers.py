"""What runs on this machine's Docker engine: the containers with Slipway's labels."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import docker
import requests

from cli.errors import CliError
from cli.logs.events import dated
from cli.stack.project import short_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_LABEL = "io.slipway."
# Of what runs a task of a batch job, as jobs/local_engine.py makes it: project and stack.
BATCH_LABEL = "io.slipway.batch"
_SECONDS = 20


@dataclass(frozen=True)
class Running:
    """A container that a stack made, running or not.

    Attributes:
        id: Its id.
        name: Its name.
        stack: The stack that made it.
        model: The model that it serves.
        version: The model's version.
        state: As Docker names it: running, exited, restarting, ...
        endpoint: Where it answers, if it publishes a port.
        created: When it was made, in whole seconds of the Unix epoch, by the engine's clock.
    """

    id: str
    name: str
    stack: str
    model: str
    version: str
    state: str
    endpoint: str | None
    created: int


class Engine:
    """The Docker engine, as far as the command deals with it by itself."""

    def __init__(self, env: Mapping[str, str], *, seconds: int = _SECONDS) -> None:
        """Connect.

        Args:
            env: The environment that says where the engine is.
            seconds: How long it may take to answer.

        Raises:
            CliError: No engine answers.
        """
        where = env.get("DOCKER_HOST") or "its usual socket"
        hint = "Start Docker, or run `make setup`, which finds or starts one."
        with _told(f"No Docker engine answers at {where}", hint=hint):
            self._client = docker.from_env(timeout=seconds, environment=dict(env))
            self._client.ping()

    def containers(self, project: str, stack: str | None = None) -> list[Running]:
        """Return the containers of a project, by name.

        Args:
            project: The project's name.
            stack: Only those of this stack, however it is written.

        Raises:
            CliError: The engine does not answer.
        """
        labels = [f"{_LABEL}project={project}", *([f"{_LABEL}stack={short_name(stack)}"] if stack else [])]
        with _told("The Docker engine does not list its containers"):
            # The low-level call: the other one asks for each container by itself.
            found = self._client.api.containers(all=True, filters={"label": labels})
        return sorted((_running(one) for one in found), key=lambda one: one.name)

    def version(self) -> str:
        """Return the engine's version.

        Raises:
            CliError: The engine does not answer.
        """
        return str(self._asked(self._client.api.version).get("Version"))

    def root_folder(self) -> str:
        """Return the folder that the engine keeps images in, on its own machine.

        Raises:
            CliError: The engine does not answer.
        """
        return str(self._asked(self._client.api.info).get("DockerRootDir"))

    def publishers(self) -> dict[int, str]:
        """Return which container has each port of this machine, whoever made it.

        Raises:
            CliError: The engine does not answer.
        """
        found = self._asked(self._client.api.containers)
        return {
            int(port["PublicPort"]): str((one.get("Names") or [one["Id"]])[0]).lstrip("/")
            for one in found
            for port in one.get("Ports") or []
            if port.get("PublicPort")
        }

    def inspect(self, name: str) -> dict[str, Any] | None:
        """Return all that the engine knows of a container; None where there is none of that name.

        Args:
            name: Its name or id.

        Raises:
            CliError: The engine does not answer.
        """
        with _told(f"The Docker engine tells nothing of {name}"), contextlib.suppress(docker.errors.NotFound):
            found: dict[str, Any] = self._client.api.inspect_container(name)
            return found
        return None

    def log(
        self, name: str, *, tail: int | None = None, since: float | None = None, follow: bool = False
    ) -> Iterator[tuple[str, str]]:
        """Read what a container printed.

        Args:
            name: Its name or id.
            tail: How many of its last lines; by default all.
            since: Only lines from then on, in seconds of the Unix epoch, by the engine's clock.
            follow: Whether to wait for more until the container ends.

        Yields:
            For each line when it was printed, as the engine wrote it, and the line.

        Raises:
            CliError: The engine does not answer, or there is no such container.
        """
        rest = b""
        with _told(f"The Docker engine does not hand out the log of {name}", absent=f"There is no container {name}."):
            chunks = self._client.api.logs(
                name, stream=True, follow=follow, timestamps=True, tail="all" if tail is None else tail, since=since
            )
            for chunk in chunks:
                *lines, rest = (rest + chunk).split(b"\n")
                yield from map(dated, lines)
        if rest:
            yield dated(rest)

    def start(self, name: str, *, host: Mapping[str, Any], **settings: Any) -> None:
        """Start a container in the place of one of the same name.

        Args:
            name: Its name.
            host: As docker's `create_host_config` takes it.
            settings: As docker's `create_container` takes them.

        Raises:
            CliError: The engine refuses.
        """
        api = self._client.api
        self.remove_by_name(name)
        try:
            with _told(f"The container {name} cannot be started"):
                api.create_container(name=name, host_config=api.create_host_config(**host), **settings)
                api.start(name)
        except CliError:
            self.remove_by_name(name)
            raise

    def wait(self, name: str) -> int:
        """Wait until a container has ended, and return its exit code; 0 where it is gone already."""
        try:
            return int(self._client.api.wait(name, timeout=_SECONDS)["StatusCode"])
        except (docker.errors.DockerException, requests.RequestException):
            return 0

    def endpoints(self, name: str) -> dict[int, str]:
        """Return where each port of a container answers on this machine.

        Raises:
            CliError: The engine does not answer.
        """
        ports = ((self.inspect(name) or {}).get("NetworkSettings") or {}).get("Ports") or {}
        return {
            int(port.partition("/")[0]): f"http://127.0.0.1:{bound[0]['HostPort']}"
            for port, bound in ports.items()
            if bound
        }

    def labelled(self, label: str, value: str) -> list[str]:
        """Return the names of containers with a label, running or not.

        Raises:
            CliError: The engine does not answer.
        """
        filters = {"label": [f"{label}={value}"]}
        return [
            _running(one).name for one in self._asked(lambda: self._client.api.containers(all=True, filters=filters))
        ]

    def busy_with_jobs(self, owner: str) -> set[str]:
        """Return the models of which batch jobs run on this machine.

        Args:
            owner: Project and stack, as PROJECT/STACK.

        Raises:
            CliError: The engine does not answer.
        """
        filters = {"label": [f"{BATCH_LABEL}={owner}"]}
        found = self._asked(lambda: self._client.api.containers(filters=filters))
        return {str((one.get("Labels") or {}).get(f"{BATCH_LABEL}.model")) for one in found}

    def remove_by_name(self, name: str) -> None:
        """Remove a container, running or not; nothing is said where there is none."""
        with contextlib.suppress(docker.errors.DockerException, requests.RequestException):
            self._client.api.remove_container(name, force=True, v=True)

    def remove(self, container: Running) -> None:
        """Remove a container, running or not.

        Raises:
            CliError: The engine refuses.
        """
        told = _told(f"The container {container.name} cannot be removed")
        with told, contextlib.suppress(docker.errors.NotFound):
            self._client.api.remove_container(container.id, force=True, v=True)

    def remove_images(self, repository: str) -> int:
        """Remove the images of a repository, and of those below it, that no container uses.

        Args:
            repository: As it is in front of images' names: `localhost:5050/slipway`.

        Returns:
            How many were removed.

        Raises:
            CliError: The engine does not answer.
        """
        removed = 0
        with _told("The Docker engine does not remove images"):
            # Of two names for one image that is used, the engine would remove the first.
            used = {container["ImageID"] for container in self._client.api.containers(all=True)}
            for image in self._client.api.images():
                if image["Id"] in used:
                    continue
                names = [*(image.get("RepoTags") or []), *(image.get("RepoDigests") or [])]
                ours = [name for name in names if name.startswith(f"{repository}/")]
                removed += bool(ours) and self._untag(ours)
        return removed

    @staticmethod
    def _asked(question: Callable[[], Any]) -> Any:
        with _told("The Docker engine does not answer"):
            return question()

    def _untag(self, names: list[str]) -> bool:
        for name in names:
            try:
                self._client.api.remove_image(name)
            except docker.errors.NotFound:
                # It went with another of its names.
                continue
            except docker.errors.APIError as error:
                if error.is_client_error():
                    # A container uses it by now.
                    return False
                raise
        return True


@contextlib.contextmanager
def _told(what: str, *, hint: str | None = None, absent: str | None = None) -> Iterator[None]:
    """Tell in words why the engine does not do what it is asked; `absent` where it has no such thing."""
    try:
        yield
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        told = f"{what}: {_reason(error)}."
        raise CliError((isinstance(error, docker.errors.NotFound) and absent) or told, hint=hint) from None


def _running(found: dict[str, object]) -> Running:
    labels = found.get("Labels")
    labels = labels if isinstance(labels, dict) else {}
    names = found.get("Names")
    ports = found.get("Ports")
    published = [port["PublicPort"] for port in ports if port.get("PublicPort")] if isinstance(ports, list) else []
    return Running(
        id=str(found["Id"]),
        name=str(names[0]).lstrip("/") if isinstance(names, list) and names else str(found["Id"])[:12],
        stack=str(labels.get(f"{_LABEL}stack", "")),
        model=str(labels.get(f"{_LABEL}model", "")),
        version=str(labels.get(f"{_LABEL}version", "")),
        state=str(found.get("State", "")),
        endpoint=f"http://127.0.0.1:{published[0]}" if published else None,
        created=int(str(found["Created"])),
    )


def _reason(error: BaseException) -> str:
    if isinstance(error, docker.errors.APIError):
        return str(error.explanation or error).rstrip(".")
    # What requests says is a chain of Python objects; its last cause is what happened.
    cause: BaseException = error
    while cause.__context__ is not None or cause.__cause__ is not None:
        cause = cause.__cause__ or cause.__context__ or cause
    return (getattr(cause, "strerror", None) or str(cause)).rstrip(".")
