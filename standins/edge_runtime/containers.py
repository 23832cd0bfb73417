"""Modules as containers of the Docker engine: networks, descriptions, images."""

from __future__ import annotations

import hashlib
import json
import random
from typing import TYPE_CHECKING, Any

from standins.docker.engine import NOT_FOUND, EngineError
from standins.edge_runtime import workload
from standins.edge_runtime.errors import EdgeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from standins.docker.engine import Engine

DEVICE, MODULE, SPEC = "io.slipway.edge.device", "io.slipway.edge.module", "io.slipway.edge.spec"
GATEWAY = "edge-gateway"
"""The host name of the device's hub, in its modules."""
_ADDRESSES = 32
_CONFLICTS = ("overlaps", "conflicts")
_WORKLOAD_FOLDER = "/var/run/iotedge"
_STOP_SECONDS = 10
_LOG = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}


class Containers:
    """The containers and networks of one device.

    Every module has a network with the host at its other end, where its broker listens, and one with all the others.
    """

    def __init__(self, engine: Engine, device: str) -> None:
        """Name a device on an engine."""
        self.engine = engine
        self._device = device
        self._prefix = f"edge-{device}"

    def name(self, module: str) -> str:
        """Return the name of a module's container."""
        return f"{self._prefix}-{module}"

    def found(self) -> dict[str, dict[str, Any]]:
        """Look at the device's containers, by their modules."""
        with self.engine.doing("list containers") as api:
            listed = api.containers(all=True, filters={"label": [f"{DEVICE}={self._device}"]})
        looked = {one["Labels"][MODULE]: self.engine.inspect_container(one["Id"]) for one in listed}
        return {name: one for name, one in looked.items() if one is not None}

    def network(self, module: str | None = None) -> str:
        """Have a module's network, or the one of all.

        Returns:
            The address of the host in it.

        Raises:
            EdgeError: There is no room for a further network.
        """
        name = self.name(module) if module else self._prefix
        for _ in range(_ADDRESSES):
            found = self._network(name)
            if found:
                return found
            # Small ones: the engine's own choice would be used up by thirty.
            base = f"10.{random.randrange(192, 256)}.{random.randrange(256)}"  # noqa: S311 - no secret
            start = 16 * random.randrange(16)  # noqa: S311 - as above
            pool = {"Config": [{"Subnet": f"{base}.{start}/28", "Gateway": f"{base}.{start + 1}"}]}
            try:
                with self.engine.doing(f"make the network {name}") as api:
                    api.create_network(name, driver="bridge", ipam=pool, labels=self._labels(), check_duplicate=True)
            except EngineError as error:
                if not any(word in str(error) for word in _CONFLICTS):
                    raise
        raise EdgeError(f"the Docker engine has no room for the network {name}; `docker network prune` makes some")

    def _network(self, name: str) -> str | None:
        try:
            with self.engine.doing(f"look at the network {name}") as api:
                configured = api.inspect_network(name)["IPAM"]["Config"][0]
        except EngineError as error:
            if error.status == NOT_FOUND:
                return None
            raise
        gateway = configured.get("Gateway")
        return str(gateway).partition("/")[0] if gateway else None

    def pull(self, module: dict[str, Any], credentials: Mapping[str, dict[str, str]]) -> None:
        """Have a module's image, as its policy says.

        Args:
            module: As the deployment has it.
            credentials: The registries', as the deployment has them.
        """
        image = module["settings"]["image"]
        if self.engine.inspect_image(image) is not None or module.get("imagePullPolicy") == "never":
            return
        registry = image.partition("/")[0]
        own = next((one for one in credentials.values() if one.get("address") == registry), None)
        auth = {"username": own["username"], "password": own["password"]} if own else None
        repository, at, digest = image.partition("@")
        with self.engine.doing(f"pull {image}") as api:
            for line in api.pull(repository, tag=digest if at else None, auth_config=auth, stream=True, decode=True):
                if "error" in line:
                    raise EdgeError(f"cannot pull {image}: {line['error']}")

    def create(self, module: str, described: dict[str, Any], *, hub: str, address: str, sockets: str) -> str:
        """Make a module's container, and put it into its networks.

        Args:
            module: Its name.
            described: As the deployment has it.
            hub: The IoT hub's host name.
            address: Where its broker listens.
            sockets: The folder with its workload socket.

        Returns:
            The container's id.

        Raises:
            EdgeError: Its createOptions are not what Docker takes.
        """
        body = self.body(module, described, hub=hub, address=address, sockets=sockets)
        for bind in body["HostConfig"]["Binds"]:
            if not _is_path(bind):
                with self.engine.doing("make a volume") as api:
                    api.create_volume(bind.partition(":")[0], labels=self._labels())
        with self.engine.doing(f"make the container of module {module}") as api:
            made = str(api.create_container_from_config(body, self.name(module))["Id"])
            api.connect_container_to_network(made, self._prefix, aliases=[module])
        return made

    def body(self, module: str, described: dict[str, Any], *, hub: str, address: str, sockets: str) -> dict[str, Any]:
        """Describe a module's container for Docker: its createOptions, and what every module gets."""
        options = create_options(module, described["settings"])
        host = options.get("HostConfig") or {}
        if host.get("NetworkMode", "default") not in {"default", "bridge"}:
            raise EdgeError(f"module {module}: the stand-in gives each module networks of its own, not NetworkMode")
        own = {name: str(value.get("value", "")) for name, value in (described.get("env") or {}).items()}
        env = {
            **own,
            "IOTEDGE_APIVERSION": workload.API_VERSION,
            "IOTEDGE_AUTHSCHEME": "sasToken",
            "IOTEDGE_DEVICEID": self._device,
            "IOTEDGE_GATEWAYHOSTNAME": GATEWAY,
            "IOTEDGE_IOTHUBHOSTNAME": hub,
            "IOTEDGE_MODULEGENERATIONID": workload.GENERATION,
            "IOTEDGE_MODULEID": module,
            "IOTEDGE_WORKLOADURI": f"unix://{_WORKLOAD_FOLDER}/{workload.SOCKET}",
        }
        return {
            **options,
            "Image": described["settings"]["image"],
            "Env": [*(options.get("Env") or []), *(f"{name}={value}" for name, value in env.items())],
            "Labels": {
                **(options.get("Labels") or {}),
                **self._labels(),
                MODULE: module,
                SPEC: fingerprint(described),
            },
            "HostConfig": {
                "LogConfig": _LOG,
                **host,
                "NetworkMode": self.name(module),
                "Binds": [*map(self._bind, host.get("Binds") or []), f"{sockets}:{_WORKLOAD_FOLDER}"],
                "ExtraHosts": [*(host.get("ExtraHosts") or []), f"{GATEWAY}:{address}"],
                # The agent starts it again, as the deployment says.
                "RestartPolicy": {"Name": "no"},
            },
        }

    def _bind(self, bind: str) -> str:
        """Give each device volumes of its own: on real ones they are apart."""
        return bind if _is_path(bind) else f"{self._prefix}-{bind}"

    def logs(self, module: str, tail: int | None) -> str:
        """Read what a module wrote.

        Args:
            module: Its name.
            tail: Only so many lines of the end.
        """
        with self.engine.doing(f"read the logs of module {module}") as api:
            written: bytes = api.logs(self.name(module), stdout=True, stderr=True, tail="all" if tail is None else tail)
        return written.decode("utf-8", "replace")

    def start(self, container: str) -> None:
        """Start a container."""
        with self.engine.doing("start a module") as api:
            api.start(container)

    def stop(self, container: str) -> None:
        """Stop a container, by SIGTERM first."""
        with self.engine.doing("stop a module") as api:
            api.stop(container, timeout=_STOP_SECONDS)

    def remove(self, module: str) -> None:
        """Remove a module's container, when it has ended; its volumes with names stay."""
        container = self.engine.inspect_container(self.name(module))
        if container is not None:
            self.stop(container["Id"])
            with self.engine.doing(f"remove module {module}") as api:
                api.remove_container(container["Id"], force=True, v=True)

    def remove_network(self, module: str | None = None) -> None:
        """Remove a module's network, or the one of all."""
        name = self.name(module) if module else self._prefix
        try:
            with self.engine.doing(f"remove the network {name}") as api:
                api.remove_network(name)
        except EngineError as error:
            if error.status != NOT_FOUND:
                raise

    def remove_volumes(self) -> None:
        """Remove all volumes of the device."""
        with self.engine.doing("remove the device's volumes") as api:
            for one in api.volumes(filters={"label": [f"{DEVICE}={self._device}"]})["Volumes"] or []:
                api.remove_volume(one["Name"], force=True)

    def _labels(self) -> dict[str, str]:
        return {DEVICE: self._device}


def _is_path(bind: str) -> bool:
    return bind.startswith(("/", ".", "~"))


def create_options(module: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Put together a module's createOptions, which come in pieces of 512 characters.

    Raises:
        EdgeError: They are no JSON object.
    """
    names = ["createOptions", *(f"createOptions{number:02}" for number in range(1, 8))]
    text = "".join(str(settings.get(name) or "") for name in names)
    try:
        options = json.loads(text or "{}")
    except ValueError as error:
        raise EdgeError(f"module {module}: its createOptions are no JSON: {error}") from error
    if not isinstance(options, dict):
        raise EdgeError(f"module {module}: its createOptions are no JSON object")
    return options


def fingerprint(described: Mapping[str, Any]) -> str:
    """Tell one description of a container from another."""
    parts = {name: described.get(name) for name in ("settings", "env", "type")}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
