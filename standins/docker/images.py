"""RemoteImage: an image pulled to the engine; and finding, or pulling, the image of a container."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from provider.resource import ProviderError, State
from standins.docker.engine import CONFLICT, NOT_FOUND, EngineError
from standins.docker.resource import DockerResource
from standins.docker.rules import not_empty

if TYPE_CHECKING:
    from provider.resource import Call
    from standins.docker.engine import Engine

_STATUS_SECONDS = 0.5
_MEGABYTE = 1_000_000
_RULES = {"name": not_empty}

# Several containers of one image wait for one pull.
_pulling: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


def find_image(engine: Engine, call: Call, name: str, *, platform: str = "", fresh: bool = False) -> dict[str, Any]:
    """Find an image on the engine, or pull it.

    Args:
        engine: Where.
        call: To report progress.
        name: A name with tag or digest, or an id.
        platform: Such as "linux/arm64"; the engine's own when empty.
        fresh: Pull even if the engine has an image of this name.

    Returns:
        What the engine says about it.

    Raises:
        ProviderError: It is neither there nor to be had, or the user has interrupted.
    """
    with _pulling[name]:
        found = None if fresh else engine.inspect_image(name)
        if found is None and name.startswith("sha256:"):
            raise ProviderError(
                f"the engine has no image {name}, and what is named by its id cannot be pulled; if it comes from a "
                "RemoteImage, `pulumi up --refresh` pulls that again"
            )
        if found is None:
            _pull(engine, call, name, platform)
            found = engine.inspect_image(name)
    if found is None:
        raise ProviderError(f"image {name} was pulled, but the engine does not have it: is its platform right?")
    return found


def _pull(engine: Engine, call: Call, name: str, platform: str) -> None:
    layers: dict[str, tuple[int, int]] = {}
    shown = time.monotonic()
    with engine.doing(f"pull image {name}") as api:
        for event in api.pull(name, stream=True, decode=True, platform=platform or None):
            if "error" in event:
                raise ProviderError(f"cannot pull image {name}: {event['error']}")
            if call.cancelled.is_set():
                raise ProviderError(f"the pull of image {name} was interrupted")
            progress = event.get("progressDetail") or {}
            if event.get("status") == "Downloading" and "total" in progress:
                layers[event.get("id", "")] = (progress["current"], progress["total"])
            if layers and time.monotonic() - shown >= _STATUS_SECONDS:
                shown = time.monotonic()
                done, total = (sum(column) / _MEGABYTE for column in zip(*layers.values(), strict=True))
                call.status(f"pulling {name}: {done:.0f} of {total:.0f} MB")


class RemoteImage(DockerResource):
    """An image on the engine, by name."""

    args = "RemoteImageArgs"
    named = False
    refused = frozenset({"build"})
    rules = _RULES
    computed = frozenset({"imageId", "repoDigest"})

    def replaces(self, name: str, new: dict[str, Any]) -> bool:
        """Everything but what only a deletion reads makes another image."""
        del new
        return name not in {"keepLocally", "forceRemove"}

    def create(self, call: Call, inputs: dict[str, Any]) -> State:
        """Pull it, unless the engine has it and nothing triggers a pull."""
        found = find_image(
            self.engine,
            call,
            inputs["name"],
            platform=inputs.get("platform", ""),
            fresh=bool(inputs.get("pullTriggers")),
        )
        return State(found["Id"] + inputs["name"], inputs, self._outputs(inputs, found))

    def read(self, call: Call, state: State) -> State | None:
        """Look for the name: it may stand for another image by now."""
        del call
        name = state.inputs.get("name") or state.outputs.get("name") or state.id
        found = self.engine.inspect_image(name)
        if found is None:
            return None
        inputs = state.inputs or {"name": name, "__defaults": []}
        return State(state.id, inputs, self._outputs(inputs, found))

    def update(self, call: Call, old: State, new: dict[str, Any]) -> dict[str, Any]:
        """Nothing on the engine depends on what can change."""
        del old
        return self._outputs(new, find_image(self.engine, call, new["name"], platform=new.get("platform", "")))

    def delete(self, call: Call, state: State) -> None:
        """Take the name away, and the image if it was the last name."""
        del call
        if state.outputs.get("keepLocally"):
            return
        name = state.outputs["name"]
        try:
            with self.engine.doing(f"remove image {name}") as api:
                api.remove_image(name, force=bool(state.outputs.get("forceRemove")))
        except EngineError as error:
            if error.status == CONFLICT:
                advice = "remove what uses it, or set keepLocally to leave the image where it is"
                raise ProviderError(f"{error}; {advice}") from error
            if error.status != NOT_FOUND:
                raise

    def _outputs(self, inputs: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
        repository = inputs["name"].partition("@")[0]
        if ":" in repository.rpartition("/")[2]:
            repository = repository.rpartition(":")[0]
        digests = found.get("RepoDigests") or []
        own = [digest for digest in digests if digest.partition("@")[0] == repository]
        return self.outputs(inputs, {"imageId": found["Id"], "repoDigest": (own or digests or [""])[0]})
