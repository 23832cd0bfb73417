"""Models by reference from an Azure Machine Learning workspace: where a version's files are, and what to say if not.

The workspace is asked over Azure's management API (https://learn.microsoft.com/rest/api/azureml/model-versions/get)
for the version, which names a datastore and a path; the datastore names an account and a container. The blobs are
read as the user: keys that a datastore holds are not asked for.
"""

from __future__ import annotations

import difflib
import re
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from registry.arm import AbsentError, Arm
from registry.azureml_address import WorkspaceModel, in_datastore
from registry.errors import RegistryError
from registry.objects import ObjectSource
from registry.source import Reading, RemoteFile, checked_names, file_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry.source import Source

_NEAREST = 5
_PUBLIC = "core.windows.net"
_BLOBS = f".blob.{_PUBLIC}"
_CONTAINERS = {"AzureBlob": "containerName", "AzureDataLakeGen2": "filesystem"}


def azureml_source(url: str) -> Source:
    """Return where the files of a workspace's version are.

    Args:
        url: As `azureml://subscriptions/…/workspaces/…/models/NAME/versions/VERSION`.

    Raises:
        RegistryError: It is not there, is archived, may not be read, or its files are where they cannot be read.
    """
    model = WorkspaceModel.of(url)
    with _named(url):
        arm = Arm()
        address = _address(arm, model)
        account, container, path = _place(arm, model, address)
        return _Files(url, f"abfs://{container}@{account}{_BLOBS}/{path}")


@contextmanager
def _named(url: str) -> Iterator[None]:
    """Say of which model something is told."""
    try:
        yield
    except RegistryError as error:
        raise RegistryError(f"{url}: {error}") from None


def _reader(model: WorkspaceModel) -> str:
    return f"the role Reader, or AzureML Data Scientist, on {model.workspace_path}"


def _address(arm: Arm, model: WorkspaceModel) -> str:
    """Ask where a version's files are."""
    top = f"{model.workspace_path}/models/{quote(model.name)}"
    try:
        version = arm.get(f"{top}/versions/{quote(model.version)}", _reader(model))["properties"]
    except AbsentError as error:
        raise _absent(arm, model, error) from None
    container = arm.get(top, _reader(model))["properties"]
    for archived, what, option in (
        (version, f"version {model.version} of {model.name}", f" --version {model.version}"),
        (container, model.name, ""),
    ):
        if archived.get("isArchived"):
            raise RegistryError(
                f"{what} is archived: take another one, or have it back with `az ml model restore --name {model.name}"
                f"{option} --workspace-name {model.workspace} --resource-group {model.group}`"
            )
    address = version.get("modelUri")
    if not isinstance(address, str) or not address:
        raise RegistryError("the workspace does not say where its files are")
    return address


def _absent(arm: Arm, model: WorkspaceModel, error: AbsentError) -> RegistryError:
    """Say what is missing: the workspace, the model or the version; and what there is."""
    top = f"{model.workspace_path}/models"
    try:
        container = arm.get(f"{top}/{quote(model.name)}", _reader(model))["properties"]
    except AbsentError:
        try:
            names = [str(one["name"]) for one in arm.all(top, _reader(model))]
        except AbsentError:
            return RegistryError(f"there is no workspace {model.workspace} in {model.group}: {error}")
        near = difflib.get_close_matches(model.name, names, _NEAREST) or sorted(names)[:_NEAREST]
        there = f"it has {', '.join(near)}{' and others' if len(names) > len(near) else ''}" if near else "it has none"
        return RegistryError(f"there is no model {model.name} in the workspace {model.workspace}: {there}")
    latest = container.get("latestVersion")
    said = f"its latest is {latest}" if latest else "it has none"
    return RegistryError(f"{model.name} has no version {model.version} in the workspace {model.workspace}: {said}")


def _place(arm: Arm, model: WorkspaceModel, address: str) -> tuple[str, str, str]:
    """Return the account, the container and the path of a version's files."""
    if address.startswith("https://"):
        parts = urlsplit(address)
        container, _, path = unquote(parts.path).strip("/").partition("/")
        host = parts.hostname or ""
        if not host.endswith(_BLOBS) or not path:
            raise RegistryError(f"its files are at {address.partition('?')[0]}, which is no blob of Azure's")
        return _checked(host.removesuffix(_BLOBS), container, path)
    found = in_datastore(address, model.workspace_path)
    if not found:
        raise RegistryError(
            f"its files are at {address}, which is not in a datastore: register them as a file or folder"
        )
    resource, path = found
    datastore = resource.rpartition("/")[2]
    try:
        properties = arm.get(resource, _reader(model))["properties"]
    except AbsentError as error:
        raise RegistryError(f"its files are in the datastore {datastore}, which is gone ({error})") from None
    return _checked(*_store(datastore, properties), path)


def _store(datastore: str, properties: dict[str, Any]) -> tuple[str, str]:
    kind = str(properties.get("datastoreType"))
    if kind not in _CONTAINERS:
        allowed = " and ".join(_CONTAINERS)
        raise RegistryError(f"its files are in the datastore {datastore}, of type {kind}; {allowed} can be read")
    endpoint = properties.get("endpoint") or _PUBLIC
    if endpoint != _PUBLIC:
        raise RegistryError(f"its files are in the datastore {datastore} at {endpoint}; only {_PUBLIC} can be read")
    return str(properties.get("accountName")), str(properties.get(_CONTAINERS[kind]))


def _checked(account: str, container: str, path: str) -> tuple[str, str, str]:
    """Refuse what would lead to another place than it says: these become an address."""
    if not re.fullmatch("[a-z0-9]{3,24}", account) or not re.fullmatch(r"[a-z0-9$](?:-?[a-z0-9]){1,62}", container):
        raise RegistryError(f"its files are in the container {container!r} of {account!r}, which cannot be")
    if re.search(r"[?#]", path) or {".", "..", ""} & set(path.split("/")):
        raise RegistryError(f"its files are at {path!r}, which cannot be read")
    return account, container, path


class _Files(ObjectSource):
    """A version's file, or its folder: the workspace does not say which.

    As in Azure, a folder is in the model's directory under its own name: scripts look for it there.
    """

    def __init__(self, url: str, location: str) -> None:
        super().__init__(location)
        self.single = False
        self._model = url

    def files(self) -> list[RemoteFile]:
        with _named(self._model):
            with self._told():
                is_file = self._system.info(self._path)["type"] != "directory"
            if is_file:
                return checked_names(self._url, [self._only()])
            top = file_name(self._url)
            return [replace(one, name=f"{top}/{one.name}") for one in super().files()]

    def read(self, file: RemoteFile, offset: int) -> Reading:
        return Reading(offset, file.size, self._named_chunks(file, offset))

    def _named_chunks(self, file: RemoteFile, offset: int) -> Iterator[bytes]:
        with _named(self._model):
            yield from self._chunks(file, offset)
