"""Models in Azure Blob storage and S3, by fsspec: one object, or all below a prefix that ends in /.

Credentials are those that the stores' own packages find: AWS_* and ~/.aws; AZURE_STORAGE_* and what `az login` left.
"""

from __future__ import annotations

from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from registry.errors import RegistryError
from registry.source import CutError, Reading, RemoteFile, checked_names, file_name, is_folder
from storage import StorageError, file_system

if TYPE_CHECKING:
    from collections.abc import Iterator

_PART = 16 * 1024 * 1024


class ObjectSource:
    """An object, or all objects below a prefix."""

    def __init__(self, url: str) -> None:
        """Open it.

        Raises:
            RegistryError: A package or a credential is missing.
        """
        self._url = url
        self.single = not is_folder(url)
        with self._told():
            self._system, self._path = file_system(url)

    def files(self) -> list[RemoteFile]:
        """Return the objects."""
        with self._told():
            if self.single:
                return [self._only()]
            top = self._path.rstrip("/") + "/"
            found: dict[str, Any] = self._system.find(top, detail=True)
        files = [
            RemoteFile(path.removeprefix(top), path, info["size"])
            for path, info in found.items()
            # Stores have empty objects that stand for folders.
            if path.startswith(top) and not path.endswith("/") and info.get("type") != "directory"
        ]
        return checked_names(self._url, files)

    def _only(self) -> RemoteFile:
        info = self._system.info(self._path)
        if info.get("type") == "directory":
            raise RegistryError(f"{self._url} is a folder: write it with a / at the end")
        return RemoteFile(file_name(self._url), self._path, info["size"])

    def read(self, file: RemoteFile, offset: int) -> Reading:
        """Begin to read an object."""
        return Reading(offset, file.size, self._chunks(file, offset))

    def _chunks(self, file: RemoteFile, offset: int) -> Iterator[bytes]:
        size = file.size or 0
        for start in range(offset, size, _PART):
            with self._told():
                chunk: bytes = self._system.cat_file(file.address, start=start, end=min(start + _PART, size))
            yield chunk

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say in one line what a cloud's package says in many; each has errors of its own."""
        try:
            yield
        except RegistryError:
            raise
        except StorageError as error:
            raise RegistryError(str(error)) from None
        except FileNotFoundError:
            raise RegistryError(f"there is nothing at {self._url}") from None
        except Exception as error:  # noqa: BLE001 - see above; what it is, is told
            said = (str(error).splitlines() or [""])[0] or type(error).__name__
            kind = type(error).__name__
            if getattr(error, "status_code", None) == HTTPStatus.FORBIDDEN:
                raise RegistryError(
                    f"{self._url} may not be read by who is logged in: it takes the role Storage Blob Data Reader on "
                    f"its container, and a network that the account lets in ({said})"
                ) from None
            if isinstance(error, PermissionError) or "redential" in said or kind == "ClientAuthenticationError":
                raise RegistryError(f"{self._url} cannot be read with the credentials that are set: {said}") from None
            if isinstance(error, ValueError | TypeError):
                raise RegistryError(f"{self._url} cannot be read: {said}") from None
            raise CutError(said) from None
