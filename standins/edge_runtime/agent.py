"""The agent: brings a device's modules to what its deployment says, keeps them there, and tells how they are."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provider.resource import ProviderError
from standins.edge_runtime import certificates
from standins.edge_runtime.broker import Broker
from standins.edge_runtime.containers import GATEWAY, SPEC, fingerprint
from standins.edge_runtime.errors import EdgeError
from standins.edge_runtime.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from standins.edge_runtime.containers import Containers
    from standins.edge_runtime.hub import Hub

_POLICIES = {"always", "on-failure", "on-unhealthy", "never"}
_STATUSES = {"running", "stopped"}
# The real agent begins with 10 seconds, and goes to 5 minutes.
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.5, 60.0
_STEADY_SECONDS = 60.0
_OK, _MISTAKE, _NOT_FOUND = 200, 400, 404
_log = logging.getLogger("edge-agent")


@dataclass
class _Module:
    """A module that is there.

    Attributes:
        described: As the deployment has it.
        broker: Its broker.
        workload: Its way to be known.
        restarts: How often it was started again.
        ended: When it was last seen to have ended; 0 while it runs.
        started: When it was last started.
        problem: Why it cannot run.
    """

    described: dict[str, Any]
    broker: Broker
    workload: Workload
    restarts: int = 0
    quick_ends: int = 0
    ended: float = 0.0
    started: float = field(default_factory=time.monotonic)
    problem: str = ""


class Agent:
    """The agent of one device."""

    def __init__(self, device: str, folder: Path, hub: Hub, containers: Containers, hub_name: str) -> None:
        """Begin without modules.

        Args:
            device: The device's name.
            folder: The device's.
            hub: Takes modules in.
            containers: Where they run.
            hub_name: The host name of the IoT hub, for modules.
        """
        self._device = device
        self._folder = folder
        self._hub = hub
        self._containers = containers
        self._hub_name = hub_name
        self._modules: dict[str, _Module] = {}
        # The way to a socket may have a hundred characters only.
        self._sockets = Path(tempfile.mkdtemp(prefix="slipway-edge-"))
        self._sockets.chmod(0o755)

    def apply(self, properties: Mapping[str, Any]) -> None:
        """Bring the modules to `$edgeAgent`'s desired properties.

        Raises:
            EdgeError: The deployment is not valid; or some modules could not be brought up, the others are.
        """
        modules = check(properties)
        credentials = ((properties.get("runtime") or {}).get("settings") or {}).get("registryCredentials") or {}
        for name in self._modules.keys() - modules.keys():
            self._remove(name)
        # All can be sent to before the first one starts.
        self._containers.network()
        for name in modules:
            self._admit(name, modules[name])
        problems = []
        for name, module in self._modules.items():
            module.described = modules[name]
        for name in sorted(self._modules, key=self._order):
            module = self._modules[name]
            try:
                self._bring(name, module, credentials)
                module.problem = ""
            except (EdgeError, ProviderError) as error:
                module.problem = str(error)
                problems.append(f"{name}: {error}")
        if problems:
            raise EdgeError("; ".join(problems))

    def _order(self, name: str) -> tuple[int, str]:
        return self._modules[name].described.get("startupOrder", 2**32), name

    def _admit(self, name: str, described: dict[str, Any]) -> None:
        if name in self._modules:
            return
        address = self._containers.network(name)
        broker = Broker(self._folder, self._device, name, address, [GATEWAY])
        broker.start()
        self._hub.attach(name, broker)
        workload = Workload(self._sockets / name, name, self._folder / certificates.CA)
        self._modules[name] = _Module(described, broker, workload)

    def _bring(self, name: str, module: _Module, credentials: Mapping[str, dict[str, str]]) -> None:
        containers, described = self._containers, module.described
        found = containers.engine.inspect_container(containers.name(name))
        if found is not None and found["Config"]["Labels"].get(SPEC) != fingerprint(described):
            # Pulled before the old one goes: a module is away for as short as can be.
            containers.pull(described, credentials)
            containers.remove(name)
            found = None
        if found is None:
            containers.pull(described, credentials)
            _log.info("module %s: %s", name, described["settings"]["image"])
            made = containers.create(
                name,
                described,
                hub=self._hub_name,
                address=module.broker.address,
                sockets=str(self._sockets / name),
            )
            module.restarts = module.quick_ends = 0
            found = {"Id": made, "State": {"Running": False}}
        is_wanted = described.get("status", "running") == "running"
        if is_wanted and not found["State"]["Running"]:
            containers.start(found["Id"])
            module.started, module.ended = time.monotonic(), 0.0
        elif not is_wanted and found["State"]["Running"]:
            containers.stop(found["Id"])

    def keep(self) -> None:
        """Start again what has ended or is not healthy, as its policy says; brokers too."""
        found = self._containers.found()
        now = time.monotonic()
        for name, module in self._modules.items():
            if module.broker.process is None:
                _log.warning("the broker of module %s is started again", name)
                module.broker.start()
            container = found.get(name)
            if container is None or module.described.get("status", "running") != "running":
                continue
            state = container["State"]
            policy = module.described.get("restartPolicy", "always")
            if not state["Running"]:
                if policy == "never" or (policy in {"on-failure", "on-unhealthy"} and state["ExitCode"] == 0):
                    continue
                if not module.ended:
                    module.ended = now
                    lived = now - module.started
                    module.quick_ends = module.quick_ends + 1 if lived < _STEADY_SECONDS else 0
                if now - module.ended >= self._wait(module):
                    self._start_again(name, module, container["Id"])
            elif (state.get("Health") or {}).get("Status") == "unhealthy" and policy in {"always", "on-unhealthy"}:
                self._containers.stop(container["Id"])
                self._start_again(name, module, container["Id"])

    @staticmethod
    def _wait(module: _Module) -> float:
        if module.quick_ends == 0:
            return 0.0
        return float(min(_FIRST_WAIT_SECONDS * 2 ** (module.quick_ends - 1), _LONGEST_WAIT_SECONDS))

    def _start_again(self, name: str, module: _Module, container: str) -> None:
        _log.warning("module %s is started again", name)
        self._containers.start(container)
        module.restarts += 1
        module.started, module.ended = time.monotonic(), 0.0

    def call(self, method: str, payload: Any) -> tuple[int, Any]:
        """Answer a direct method of the agent: ping, or the logs of modules, as text.

        Args:
            method: Its name.
            payload: Of GetModuleLogs: `items`, each with an `id` and perhaps `filter.tail`.
        """
        if method == "ping":
            return _OK, None
        if method != "GetModuleLogs":
            return _NOT_FOUND, {"message": f"the stand-in's agent has no method {method}; it has ping, GetModuleLogs"}
        try:
            wanted = [(str(item["id"]), (item.get("filter") or {}).get("tail")) for item in payload["items"]]
        except (KeyError, TypeError, AttributeError):
            return _MISTAKE, {"message": "GetModuleLogs takes items, each with an id"}
        if unknown := [name for name, _ in wanted if name not in self._modules]:
            return _MISTAKE, {"message": f"the device has no module {', '.join(unknown)}"}
        return _OK, [{"id": name, "payload": self._containers.logs(name, tail)} for name, tail in wanted]

    def report(self) -> dict[str, Any]:
        """Tell how the modules are, as `$edgeAgent` reports it."""
        found = self._containers.found()
        return {name: _told(module, found.get(name)) for name, module in self._modules.items()}

    @property
    def modules(self) -> tuple[str, ...]:
        """The names of the modules."""
        return tuple(self._modules)

    def broker(self, module: str) -> Broker:
        """Return the broker of a module."""
        return self._modules[module].broker

    def stop(self, *, remove: bool) -> None:
        """Stop everything.

        Args:
            remove: Whether containers and networks go too.
        """
        # Who sends goes before who gets it.
        for name in sorted(self._modules, key=self._order, reverse=True) if remove else ():
            self._containers.remove(name)
        for name in tuple(self._modules):
            if remove:
                self._remove(name)
            else:
                self._hub.detach(name)
                self._modules.pop(name).broker.stop()
        if remove:
            self._containers.remove_network()
        shutil.rmtree(self._sockets, ignore_errors=True)

    def _remove(self, name: str) -> None:
        module = self._modules.pop(name)
        self._containers.remove(name)
        self._hub.detach(name)
        module.workload.close()
        module.broker.stop()
        self._containers.remove_network(name)


def check(properties: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Refuse a deployment that the real agent would refuse.

    Returns:
        Its modules.

    Raises:
        EdgeError: It is not valid; the message says where.
    """
    version = str(properties.get("schemaVersion", ""))
    if version not in {"1.0", "1.1"}:
        raise EdgeError(f"$edgeAgent's schemaVersion is {version!r}; allowed are 1.0 and 1.1")
    if (properties.get("runtime") or {}).get("type") != "docker":
        raise EdgeError("$edgeAgent's runtime.type has to be docker")
    modules = properties.get("modules") or {}
    for name, module in modules.items():
        where = f"module {name}"
        if module.get("type") != "docker" or not (module.get("settings") or {}).get("image"):
            raise EdgeError(f"{where}: type has to be docker, and settings.image has to be there")
        if module.get("status", "running") not in _STATUSES:
            raise EdgeError(f"{where}: status is {module['status']!r}; allowed are running, stopped")
        if module.get("restartPolicy", "always") not in _POLICIES:
            raise EdgeError(
                f"{where}: restartPolicy is {module['restartPolicy']!r}; allowed are {', '.join(sorted(_POLICIES))}"
            )
    return dict(modules)


def _told(module: _Module, container: dict[str, Any] | None) -> dict[str, Any]:
    described = module.described
    about = {
        "type": "docker",
        "version": described.get("version", ""),
        "status": described.get("status", "running"),
        "restartPolicy": described.get("restartPolicy", "always"),
        "settings": {"image": described["settings"]["image"]},
        "restartCount": module.restarts,
    }
    if container is None:
        return {**about, "runtimeStatus": "failed", "exitCode": 0, "statusDescription": module.problem or "not created"}
    state = container["State"]
    status, text = "running", f"running since {state['StartedAt']}"
    if not state["Running"]:
        is_over = state["ExitCode"] == 0
        status = "stopped" if is_over else "failed"
        if module.ended and module.quick_ends:
            status = "backoff"
        text = f"ended with code {state['ExitCode']}"
    elif (state.get("Health") or {}).get("Status") == "unhealthy":
        status, text = "unhealthy", "its health check fails"
    return {
        **about,
        "runtimeStatus": status,
        "exitCode": state["ExitCode"],
        "statusDescription": module.problem or text,
        "lastStartTimeUtc": state["StartedAt"],
    }
