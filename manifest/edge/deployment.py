"""What a deployment of IoT Edge says, as the hub takes it: the base of a stack, and the layer of one model over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from manifest.edge.limits import MOST_TWIN_BYTES, chunked, merged, size, wrong_twin
from manifest.fields import mebibytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from manifest.targets.iot_edge import EdgeModule, EdgeRoute, IotEdgeTarget

Content = dict[str, dict[str, Any]]

# The edge agent takes no higher one.
SCHEMA_VERSION = "1.1"
STORE = "/var/lib/slipway/edge"
_MODEL_MEMORY = "512Mi"
# By which a model's module tells what it runs.
_IMAGE = "SLIPWAY_EDGE_IMAGE"
_MEBIBYTE = 1024 * 1024
_GPU = [{"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}]
_SYSTEM = "mcr.microsoft.com/azureiotedge"
_LOGS = {"LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}}


def base(*, version: str, registries: Mapping[str, Mapping[str, str]], keep_seconds: int) -> Content:
    """Return what every device of a stack has: the runtime, and who may pull images.

    Args:
        version: Of the runtime, as 1.5.
        registries: Address, user and password by a name.
        keep_seconds: How long the edge hub keeps messages while the hub is away.
    """
    hub_options = {
        "HostConfig": {
            "PortBindings": {
                port: [{"HostPort": port.partition("/")[0]}] for port in ("443/tcp", "5671/tcp", "8883/tcp")
            },
            **_LOGS,
        }
    }
    return {
        "$edgeAgent": {
            "properties.desired": {
                "schemaVersion": SCHEMA_VERSION,
                "runtime": {
                    "type": "docker",
                    "settings": {"minDockerVersion": "v1.25", "registryCredentials": registries},
                },
                "systemModules": {
                    "edgeAgent": {
                        "type": "docker",
                        "imagePullPolicy": "on-create",
                        "settings": {"image": f"{_SYSTEM}-agent:{version}", **chunked({"HostConfig": _LOGS})},
                    },
                    "edgeHub": {
                        "type": "docker",
                        "status": "running",
                        "restartPolicy": "always",
                        "startupOrder": 0,
                        "imagePullPolicy": "on-create",
                        "settings": {"image": f"{_SYSTEM}-hub:{version}", **chunked(hub_options)},
                    },
                },
                "modules": {},
            }
        },
        "$edgeHub": {
            "properties.desired": {
                "schemaVersion": SCHEMA_VERSION,
                "routes": {},
                "storeAndForwardConfiguration": {"timeToLiveSecs": keep_seconds},
            }
        },
    }


def layer(model: str, target: IotEdgeTarget, images: Mapping[str, str], variables: Mapping[str, str]) -> Content:
    """Return what one model brings to its devices: its module, the others of its pipeline, and their routes.

    Args:
        model: The model's name, which is its module's.
        target: What its manifest entry asks for.
        images: The images of models, by name: this one, and those that the pipeline names.
        variables: The environment of models' modules, beside what the target says.

    Raises:
        ValueError: It is larger than the hub takes; the text says what.
    """
    agent: dict[str, Any] = {
        f"properties.desired.modules.{model}": _module(
            target,
            images[model],
            env={**variables, _IMAGE: images[model], **target.env},
            options=_model_options(model, target.memory, target.create_options, gpu=target.gpu),
        )
    }
    content: Content = {"$edgeAgent": agent, "$edgeHub": {}}
    content[model] = {"properties.desired": target.settings.desired()}
    for one in target.modules:
        agent[f"properties.desired.modules.{one.module}"] = _module(
            one,
            images[one.model] if one.model else str(one.image),
            env={**variables, _IMAGE: images[one.model], **one.env} if one.model else one.env,
            options=_options(one),
        )
        twin = (one.settings.desired() if one.settings else {}) if one.model else one.twin
        if twin is not None:
            content[one.module] = {"properties.desired": dict(twin)}
    for name, route in target.routes_of(model).items():
        content["$edgeHub"][f"properties.desired.routes.{model}-{name}"] = _route(route)
    for module, properties in content.items():
        if (bytes_ := size(properties)) > MOST_TWIN_BYTES:
            what = f"the deployment's part for {module} is {bytes_:,} bytes"
            raise ValueError(f"{what}; a twin takes {MOST_TWIN_BYTES:,}: name fewer modules, or say less of them")
        for key, value in properties.items():
            way = key.split(".")[2:]
            for message in wrong_twin(value, ".".join(way), len(way) + 1):
                raise ValueError(f"the deployment's part for {module} cannot be: {message}")
    return content


def _module(
    asked: IotEdgeTarget | EdgeModule, image: str, *, env: Mapping[str, str], options: Mapping[str, Any]
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": "docker",
        "version": "1.0",
        "status": "running",
        "restartPolicy": asked.restart,
        "imagePullPolicy": "on-create",
        "settings": {"image": image, **chunked(options)},
    }
    if asked.start_order is not None:
        found["startupOrder"] = asked.start_order
    if env:
        found["env"] = {name: {"value": value} for name, value in sorted(env.items())}
    return found


def _options(module: EdgeModule) -> dict[str, Any]:
    if module.model:
        return _model_options(module.model, module.memory or _MODEL_MEMORY, module.create_options, gpu=module.gpu)
    host: dict[str, Any] = dict(_LOGS)
    if module.memory:
        host["Memory"] = mebibytes(module.memory) * _MEBIBYTE
    if module.gpu:
        host["DeviceRequests"] = _GPU
    return merged({"HostConfig": host}, module.create_options)


def _model_options(model: str, memory: str, over: Mapping[str, Any], *, gpu: bool) -> dict[str, Any]:
    """Without rights, on a read-only root, with a volume for what waits for the hub."""
    host: dict[str, Any] = {
        "Binds": [f"slipway-{model}:{STORE}"],
        "CapDrop": ["ALL"],
        "Memory": mebibytes(memory) * _MEBIBYTE,
        "ReadonlyRootfs": True,
        "SecurityOpt": ["no-new-privileges"],
        "Tmpfs": {"/tmp": "rw,noexec,nosuid,size=64m"},  # noqa: S108 - the container's own
        **_LOGS,
        **({"DeviceRequests": _GPU} if gpu else {}),
    }
    return merged({"Cmd": ["edge"], "HostConfig": host}, over)


def _route(route: EdgeRoute) -> dict[str, Any]:
    found: dict[str, Any] = {"route": route.route}
    if route.priority is not None:
        found["priority"] = route.priority
    if route.time_to_live_secs is not None:
        found["timeToLiveSecs"] = route.time_to_live_secs
    return found


def all_of(conditions: Iterable[str]) -> str:
    """Return the condition that takes each device that one of some conditions takes."""
    different = sorted(set(conditions))
    return different[0] if len(different) == 1 else " OR ".join(f"({one})" for one in different)
