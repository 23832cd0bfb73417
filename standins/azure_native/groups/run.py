"""Making and removing the containers of a group."""

from __future__ import annotations

import base64
import hashlib
import io
import sqlite3
import tarfile
import time
from typing import TYPE_CHECKING, Any

from provider.resource import ProviderError
from standins.azure_native.groups import pause
from standins.azure_native.groups.bodies import CONTAINER, GROUP, STORE, container_body, network_body
from standins.docker.engine import CONFLICT, NOT_FOUND, EngineError

if TYPE_CHECKING:
    from provider.resource import Call
    from standins.azure_native.metadata import Surroundings
    from standins.azure_native.store import Store
    from standins.docker.engine import Engine

_ADDRESSES = 64
_INIT_SECONDS = 600
_POLL_SECONDS = 0.1
_REMOVALS = 50
# Azure gives them longer; what is written for it ends at once when nothing is under way.
_STOP_SECONDS = 5
NETWORK = "."
"""The label of the container that holds the network: no container of a group can have this name."""


class Group:
    """A container group on the engine."""

    def __init__(self, engine: Engine, store: Store, resource: str) -> None:
        """Name a group.

        Args:
            engine: Where it runs.
            store: Whose it is.
            resource: Its id.
        """
        self.engine = engine
        self.store = store
        self.resource = resource
        digest = hashlib.sha256(f"{store.mark}|{resource.lower()}".encode()).hexdigest()
        self._digest = digest
        self.prefix = f"aci-{resource.rpartition('/')[2]}-{digest[:8]}"

    def labels(self, container: str) -> dict[str, str]:
        """Mark one of its containers."""
        return {STORE: self.store.mark, GROUP: self.resource.lower(), CONTAINER: container}

    def found(self) -> dict[str, dict[str, Any]]:
        """Look at its containers, by their names in the group."""
        with self.engine.doing("list containers") as api:
            listed = api.containers(all=True, filters={"label": [f"{k}={v}" for k, v in self._mine().items()]})
        looked = {one["Labels"][CONTAINER]: self.engine.inspect_container(one["Id"]) for one in listed}
        return {name: one for name, one in looked.items() if one is not None}

    def _mine(self) -> dict[str, str]:
        return {STORE: self.store.mark, GROUP: self.resource.lower()}

    def run(self, call: Call, inputs: dict[str, Any], around: Surroundings | None) -> str:
        """Make all of it, whatever there is of it already.

        Args:
            call: To report progress.
            inputs: The group's; its images are on the engine.
            around: What its containers find beside the net; None: nothing.

        Returns:
            The address of its ports; empty when it has none.
        """
        self.remove()
        pause.ensure(self.engine)
        address = self._network(inputs, around)
        volumes = self._volumes(inputs)
        for container in inputs.get("initContainers") or []:
            call.status(f"running {container['name']}")
            self._start(container, volumes, "Never", around)
            self._finish(call, container["name"])
        for container in inputs["containers"]:
            call.status(f"starting {container['name']}")
            self._start(container, volumes, inputs.get("restartPolicy", "Always"), around)
        return address

    def _network(self, inputs: dict[str, Any], around: Surroundings | None) -> str:
        public = bool((inputs.get("ipAddress") or {}).get("ports"))
        for attempt in range(_ADDRESSES):
            address = self._address(attempt) if public else ""
            hosts = around.hosts if around else []
            body = network_body(pause.IMAGE, self.labels(NETWORK), inputs, address, hosts)
            with self.engine.doing(f"make the network of {self.prefix}") as api:
                made = api.create_container_from_config(body, self.prefix)["Id"]
            try:
                with self.engine.doing(f"start the network of {self.prefix}") as api:
                    api.start(made)
            except EngineError as error:
                with self.engine.doing("clean up") as api:
                    api.remove_container(made, force=True, v=True)
                taken = "already" in str(error) and ("in use" in str(error) or "allocated" in str(error))
                if not taken:
                    raise
                continue
            if around:
                with self.engine.doing(f"look at the network of {self.prefix}") as api:
                    around.reach(api.inspect_container(made)["State"]["Pid"])
            return address
        raise ProviderError(f"no loopback address is free for {self.prefix}: too many container groups run here")

    def _address(self, attempt: int) -> str:
        """Keep the address that it has, else take the next free one."""
        with self.store.transaction() as db:
            key = self.resource.lower()
            kept = db.execute("SELECT address FROM addresses WHERE key = ?", (key,)).fetchone()
            if kept and attempt == 0:
                return str(kept[0])
            db.execute("DELETE FROM addresses WHERE key = ?", (key,))
            for number in range(attempt, attempt + _ADDRESSES):
                one = hashlib.sha256(f"{self._digest}|{number}".encode()).digest()
                address = f"127.{64 + one[0] % 128}.{one[1]}.{1 + one[2] % 254}"
                try:
                    db.execute("INSERT INTO addresses VALUES (?, ?)", (address, key))
                except sqlite3.IntegrityError:
                    continue
                return address
        raise ProviderError("no loopback address is free")

    def _volumes(self, inputs: dict[str, Any]) -> dict[str, str]:
        made = {}
        for volume in inputs.get("volumes") or []:
            name = f"{self.prefix}-{volume['name']}"
            with self.engine.doing(f"make the volume {volume['name']}") as api:
                api.create_volume(name, labels=self._mine())
            if volume.get("secret"):
                self._fill(name, {file: base64.b64decode(text) for file, text in volume["secret"].items()})
            made[volume["name"]] = name
        return made

    def _fill(self, volume: str, files: dict[str, bytes]) -> None:
        """Write files into a volume, through a container that never runs."""
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size, member.mode, member.mtime = len(content), 0o444, int(time.time())
                archive.addfile(member, io.BytesIO(content))
        body = {
            "Image": pause.IMAGE,
            "Labels": self.labels(NETWORK + "secrets"),
            "HostConfig": {"Binds": [f"{volume}:/secrets"], "NetworkMode": "none"},
        }
        with self.engine.doing("write a volume's files") as api:
            made = api.create_container_from_config(body, f"{volume}-writer")["Id"]
            try:
                api.put_archive(made, "/secrets", data.getvalue())
            finally:
                api.remove_container(made, force=True)

    def _start(
        self, container: dict[str, Any], volumes: dict[str, str], restart: str, around: Surroundings | None
    ) -> None:
        name = container["name"]
        with self.engine.doing(f"start container {name}") as api:
            body = container_body(
                container,
                self.labels(name),
                network=self.prefix,
                volumes=volumes,
                restart=restart,
                cpus=int(api.info()["NCPU"]),
            )
            made = api.create_container_from_config(body, f"{self.prefix}-{name}")["Id"]
            if around:
                around.trust(self.engine, made)
            api.start(made)

    def _finish(self, call: Call, name: str) -> None:
        until = time.monotonic() + _INIT_SECONDS
        while True:
            found = self.engine.inspect_container(f"{self.prefix}-{name}")
            if found is None:
                raise ProviderError(f"init container {name} has gone")
            if found["State"]["Status"] == "exited":
                break
            if time.monotonic() > until or call.cancelled.wait(_POLL_SECONDS):
                raise ProviderError(f"init container {name} did not end in time, or the update was interrupted")
        if code := found["State"]["ExitCode"]:
            raise ProviderError(f"init container {name} failed with exit code {code}: {self.logs(name)[-2000:]}")

    def logs(self, container: str, tail: int | None = None, *, timestamps: bool = False) -> str:
        """Read what a container wrote, as Azure keeps it: since its last start at the least."""
        with self.engine.doing(f"read the logs of {container}") as api:
            written: bytes = api.logs(
                f"{self.prefix}-{container}",
                stdout=True,
                stderr=True,
                timestamps=timestamps,
                tail="all" if tail is None else tail,
            )
        return written.decode("utf-8", "replace")

    def stop(self) -> None:
        """Have its containers end what they do, as Azure does before it deletes them."""
        for name, one in self.found().items():
            if name != NETWORK and one["State"]["Running"]:
                self._retried(lambda api, made=one["Id"]: api.stop(made, timeout=_STOP_SECONDS))

    def remove(self) -> None:
        """Remove its containers and volumes; they may be gone already."""
        with self.engine.doing("list containers") as api:
            label = [f"{name}={value}" for name, value in self._mine().items()]
            listed = api.containers(all=True, filters={"label": label})
        # The one with the network last: the others live in it.
        for one in sorted(listed, key=lambda one: one["Labels"][CONTAINER] == NETWORK):
            self._retried(lambda api, made=one["Id"]: api.remove_container(made, force=True, v=True))
        with self.engine.doing("list volumes") as api:
            names = [one["Name"] for one in api.volumes(filters={"label": label})["Volumes"] or []]
        for name in names:
            self._retried(lambda api, made=name: api.remove_volume(made, force=True))

    def _retried(self, remove: Any) -> None:
        for attempt in range(_REMOVALS):
            try:
                with self.engine.doing(f"remove a part of {self.prefix}") as api:
                    remove(api)
            except EngineError as error:
                if error.status == NOT_FOUND:
                    return
                if error.status != CONFLICT or attempt == _REMOVALS - 1:
                    raise
                time.sleep(_POLL_SECONDS)
            else:
                return
