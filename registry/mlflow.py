"""Models by reference from an MLflow registry: `mlflow:models:/NAME/VERSION`, at MLFLOW_TRACKING_URI.

MLflow itself is not needed: its REST API (https://mlflow.org/docs/latest/rest-api.html) or its sqlite file says where
the version's files are; they are read from there, or through the server where it passes them on (`mlflow-artifacts:`).
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

import httpx

from registry.errors import RegistryError
from registry.https import Reader
from registry.objects import ObjectSource
from registry.source import CutError, Reading, RemoteFile, Source, checked_names
from registry.store import CHUNK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TIMEOUT = httpx.Timeout(60, connect=30)
_SQLITE = "sqlite:///"
_DEEPEST = 64


def mlflow_source(url: str) -> Source:
    """Return where the files of a registered version are.

    Args:
        url: As `mlflow:models:/NAME/VERSION`.

    Raises:
        RegistryError: It is not registered there, or its files are where they cannot be read.
    """
    name, _, version = url.removeprefix("mlflow:models:/").partition("/")
    tracking = os.environ.get("MLFLOW_TRACKING_URI", "")
    if tracking.startswith(_SQLITE):
        location, server = _by_file(url, Path(tracking.removeprefix(_SQLITE)), name, version), None
    elif tracking.startswith(("http://", "https://")):
        server = _Server(tracking)
        location = server.location(url, name, version)
    else:
        raise RegistryError(
            f"{url}: set MLFLOW_TRACKING_URI to the registry's http(s) address or to sqlite:///FILE"
            + (f"; {tracking.partition(':')[0]}: is neither" if tracking else "")
        )
    return _at(url, location, server)


def _at(url: str, location: str, server: _Server | None) -> Source:
    scheme, _, rest = location.partition(":")
    if scheme in {"s3", "az", "abfs", "abfss"}:
        return ObjectSource(location.rstrip("/") + "/")
    if scheme == "wasbs":
        # wasbs://CONTAINER@ACCOUNT.blob.core.windows.net/PATH, of older servers.
        return ObjectSource(f"abfs:{rest.rstrip('/')}/")
    if scheme == "mlflow-artifacts":
        if server is None:
            raise RegistryError(f"{url}: its files are behind a server; set MLFLOW_TRACKING_URI to its http(s) address")
        return _Artifacts(url, server, unquote(urlsplit(location).path).strip("/"))
    if scheme == "file" or location.startswith("/"):
        path = Path(unquote(urlsplit(location).path))
        if path.is_dir():
            return _Folder(url, path)
        raise RegistryError(f"{url}: its files are at {path} of the server's machine, which is not there on this one")
    raise RegistryError(f"{url}: its files are at {location}, and {scheme}: cannot be read")


def _by_file(url: str, file: Path, name: str, version: str) -> str:
    """Ask a tracking store's own sqlite file."""
    if not file.is_file():
        raise RegistryError(f"{url}: MLFLOW_TRACKING_URI names {file}, which does not exist")
    try:
        connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)
        try:
            # Newer ones say where the files are; `source` may be a reference of their own.
            known = {column[1] for column in connection.execute("PRAGMA table_info(model_versions)")}
            columns = ", ".join(one for one in ("storage_location", "source") if one in known)
            if not columns:
                raise RegistryError(f"{url}: {file} is no tracking store of MLflow's")
            row = connection.execute(
                f"SELECT {columns} FROM model_versions WHERE name = ? AND version = ?",  # noqa: S608 - names from above
                (name, int(version)),
            ).fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise RegistryError(f"{url}: {file} cannot be read: {error}") from None
    found = next((str(one) for one in row or () if one), None)
    if found is None:
        raise RegistryError(f"{url}: there is no such version in {file}")
    return found


class _Server:
    """An MLflow server's REST API."""

    def __init__(self, address: str) -> None:
        token = os.environ.get("MLFLOW_TRACKING_TOKEN")
        user = os.environ.get("MLFLOW_TRACKING_USERNAME")
        self.client = httpx.Client(
            base_url=address.rstrip("/"),
            timeout=_TIMEOUT,
            headers={"Authorization": f"Bearer {token}"} if token else None,
            auth=(user, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")) if user and not token else None,
        )

    def location(self, url: str, name: str, version: str) -> str:
        answer = self.ask(url, "mlflow/model-versions/get-download-uri", {"name": name, "version": version})
        found = answer.get("artifact_uri")
        if not isinstance(found, str) or not found:
            raise RegistryError(f"{url}: the MLflow server does not say where its files are")
        return found

    def ask(self, url: str, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        try:
            response = self.client.get(f"/api/2.0/{path}", params=query)
        except httpx.TransportError as error:
            raise CutError(f"the MLflow server {self.client.base_url.host} does not answer: {error}") from None
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if response.is_success and isinstance(answer, dict):
            return answer
        said = answer.get("message") if isinstance(answer, dict) else None
        raise RegistryError(f"{url}: the MLflow server answers {response.status_code}: {said or 'nothing readable'}")


class _Artifacts:
    """A folder that an MLflow server passes on from its own storage."""

    single = False

    def __init__(self, url: str, server: _Server, top: str) -> None:
        self._url = url
        self._server = server
        self._top = top
        self._reader = Reader(server.client)

    def files(self) -> list[RemoteFile]:
        return checked_names(self._url, list(self._walk("", 0)))

    def _walk(self, folder: str, depth: int) -> Iterator[RemoteFile]:
        if depth > _DEEPEST:
            raise RegistryError(f"{self._url}: its folders are nested more than {_DEEPEST} levels deep")
        path = "/".join(part for part in (self._top, folder) if part)
        for one in self._server.ask(self._url, "mlflow-artifacts/artifacts", {"path": path}).get("files", ()):
            name = "/".join(part for part in (folder, one["path"].rpartition("/")[2]) if part)
            if one.get("is_dir"):
                yield from self._walk(name, depth + 1)
            else:
                address = f"/api/2.0/mlflow-artifacts/artifacts/{quote(f'{self._top}/{name}')}"
                yield RemoteFile(
                    name, str(self._server.client.base_url.join(address.lstrip("/"))), one.get("file_size")
                )

    def read(self, file: RemoteFile, offset: int) -> Reading:
        return self._reader.read(file.address, offset)


class _Folder:
    """A folder of this machine, where a local MLflow keeps its files."""

    single = False

    def __init__(self, url: str, top: Path) -> None:
        self._url = url
        self._top = top

    def files(self) -> list[RemoteFile]:
        found = [
            RemoteFile(path.relative_to(self._top).as_posix(), str(path), path.stat().st_size)
            for path in self._top.rglob("*")
            if path.is_file()
        ]
        return checked_names(self._url, found)

    def read(self, file: RemoteFile, offset: int) -> Reading:
        return Reading(offset, file.size, _from_file(Path(file.address), offset))


def _from_file(path: Path, offset: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        while chunk := file.read(CHUNK):
            yield chunk
