"""Images made and pushed without an engine: one layer from a folder, the same bytes for the same content."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import tarfile
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from toolchain.report import ToolchainError
from toolchain.tools import sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
EPOCH = "1970-01-01T00:00:00Z"
TIMEOUT = 120.0
ANSWER_SECONDS = 3.0  # A registry on this machine; whatever is silent for longer is none.
HTTP_OK = 200
HTTP_CREATED = 201
HTTP_ACCEPTED = 202


class _Digesting:
    """A stream that hashes what passes through it."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Pass data on."""
        self.digest.update(data)
        return self._stream.write(data)


def write_image(rootfs: Path, folder: Path, *, settings: dict[str, Any], platform: dict[str, str], newest: int) -> None:
    """Write an image of one layer: `layer`, `config.json` and `manifest.json` in `folder`.

    Args:
        rootfs: The image's file system.
        folder: An empty folder.
        settings: The image's settings, such as Env and Cmd.
        platform: Its `os` and `architecture`, and `variant` where that has several.
        newest: No file is dated later than this, in seconds since 1970, so that the hour of making is no content.
    """
    layer = folder / "layer"
    with layer.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
        digesting = _Digesting(packed)
        with tarfile.open(fileobj=digesting, mode="w|", format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]  # mode "w|" only ever calls write().
            _add_tree(archive, rootfs, newest)
    config = {
        **platform,
        "created": EPOCH,
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digesting.digest.hexdigest()}"]},
        "history": [{"created": EPOCH, "created_by": "slipway: made from the distribution's packages"}],
    }
    (folder / "config.json").write_text(json.dumps(config, sort_keys=True), encoding="utf-8")
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _descriptor(folder / "config.json", CONFIG_TYPE),
        "layers": [_descriptor(layer, LAYER_TYPE)],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, sort_keys=True), encoding="utf-8")


def _descriptor(path: Path, kind: str) -> dict[str, Any]:
    return {"mediaType": kind, "digest": f"sha256:{sha256(path)}", "size": path.stat().st_size}


def _add_tree(archive: tarfile.TarFile, rootfs: Path, newest: int) -> None:
    for path in sorted(rootfs.rglob("*")):
        entry = archive.gettarinfo(str(path), path.relative_to(rootfs).as_posix())
        if entry is None or entry.isdev():  # The container's runtime makes its own devices; sockets have no entry.
            continue
        entry.mtime = min(int(entry.mtime), newest)
        entry.uname = entry.gname = ""
        if entry.isreg():
            with path.open("rb") as stream:
                archive.addfile(entry, stream)
        else:
            archive.addfile(entry)


def image_digest(folder: Path) -> str:
    """Return the digest of an image that `write_image` wrote."""
    return f"sha256:{sha256(folder / 'manifest.json')}"


def index_of(folders: Sequence[Path]) -> bytes:
    """Return the index of images that `write_image` wrote for several platforms."""
    listed = []
    for folder in folders:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        platform = {key: config[key] for key in ("architecture", "os", "variant") if key in config}
        listed.append({**_descriptor(folder / "manifest.json", MANIFEST_TYPE), "platform": platform})
    index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": listed}
    return json.dumps(index, sort_keys=True).encode()


class Registry:
    """A registry on this machine, over plain HTTP."""

    def __init__(self, address: str) -> None:
        """Talk to the registry at `address`, such as localhost:5050."""
        self.address = address

    def _request(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        timeout: float = TIMEOUT,
    ) -> tuple[int, dict[str, str]]:
        # "localhost" may resolve to ::1 first, where no registry of ours listens.
        connection = http.client.HTTPConnection(self.address.replace("localhost", "127.0.0.1"), timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            answer.read()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}
        except http.client.HTTPException as error:
            raise OSError(f"no HTTP answer: {error!r}") from error
        finally:
            connection.close()

    def _ask(self, method: str, path: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str]]:
        """Send a request to a registry that must be there."""
        try:
            return self._request(method, path, headers=headers)
        except OSError as error:
            raise ToolchainError(
                f"The registry {self.address} did not answer {method} {path}: {error.strerror or error}.",
                to_do="run it again: the set-up starts a registry that stopped.",
            ) from error

    def answers(self) -> bool | None:
        """Tell whether a registry answers; None when nothing does at all."""
        try:
            status, headers = self._request("GET", "/v2/", timeout=ANSWER_SECONDS)
        except ConnectionRefusedError:
            return None
        except OSError:
            return False
        return status == HTTP_OK and "registry" in headers.get("docker-distribution-api-version", "")

    def digest(self, repository: str, tag: str) -> str | None:
        """Return the digest that a tag names, or None.

        Raises:
            ToolchainError: If the registry does not answer.
        """
        accepted = {"Accept": f"{MANIFEST_TYPE}, {INDEX_TYPE}"}
        status, headers = self._ask("HEAD", f"/v2/{repository}/manifests/{tag}", accepted)
        return headers.get("docker-content-digest") if status == HTTP_OK else None

    def delete(self, repository: str, tag: str) -> None:
        """Delete an image, if it is there."""
        digest = self.digest(repository, tag)
        if digest is not None:
            self._ask("DELETE", f"/v2/{repository}/manifests/{digest}")

    def push(self, folder: Path, repository: str, reference: str, progress: Callable[[str], None]) -> None:
        """Push an image that `write_image` wrote, under a tag or by its digest.

        Raises:
            ToolchainError: If the registry refuses it.
        """
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        blobs = [(folder / "config.json", manifest["config"])]
        blobs += [(folder / "layer", layer) for layer in manifest["layers"]]
        try:
            for path, descriptor in blobs:
                progress(f"pushing {repository} to {self.address}")
                self._push_blob(path, repository, descriptor["digest"])
        except OSError as error:
            raise ToolchainError(f"The registry {self.address} broke off a push: {error}.") from error
        self._put(repository, reference, (folder / "manifest.json").read_bytes(), MANIFEST_TYPE)

    def push_index(self, folders: Sequence[Path], repository: str, tag: str, progress: Callable[[str], None]) -> None:
        """Push images of several platforms that `write_image` wrote, and their index under a tag.

        Raises:
            ToolchainError: If the registry refuses it.
        """
        for folder in folders:
            self.push(folder, repository, image_digest(folder), progress)
        self._put(repository, tag, index_of(folders), INDEX_TYPE)

    def _put(self, repository: str, reference: str, content: bytes, kind: str) -> None:
        path = f"/v2/{repository}/manifests/{reference}"
        try:
            status, _ = self._request("PUT", path, content, {"Content-Type": kind})
        except OSError as error:
            raise ToolchainError(f"The registry {self.address} broke off a push: {error}.") from error
        if status != HTTP_CREATED:
            raise ToolchainError(f"The registry {self.address} refuses {repository}:{reference} (HTTP {status}).")

    def _push_blob(self, path: Path, repository: str, digest: str) -> None:
        if self._request("HEAD", f"/v2/{repository}/blobs/{digest}")[0] == HTTP_OK:
            return
        status, headers = self._request("POST", f"/v2/{repository}/blobs/uploads/")
        if status != HTTP_ACCEPTED:
            raise ToolchainError(f"The registry {self.address} refuses uploads (HTTP {status}).")
        target = urlsplit(headers["location"])
        query = f"{target.query}&digest={digest}" if target.query else f"digest={digest}"
        with path.open("rb") as stream:
            size = str(path.stat().st_size)
            headers = {"Content-Length": size, "Content-Type": "application/octet-stream"}
            status, _ = self._request("PUT", f"{target.path}?{query}", stream, headers)
        if status != HTTP_CREATED:
            raise ToolchainError(f"The registry {self.address} refuses {digest} (HTTP {status}).")
