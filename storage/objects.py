"""Objects of a cloud store, by fsspec: each appears when its last byte is there."""

from __future__ import annotations

import contextlib
import os
import re
from typing import Any

from storage.store import StorageError

_AZURE = ("az", "abfs", "abfss")
# The stores whose packages are known to refuse a second `create`.
REMOTE = ("s3", *_AZURE)
_CONNECTION = "AZURE_STORAGE_CONNECTION_STRING"
_AZURE_KEYS = {"AZURE_STORAGE_ANON", _CONNECTION}
_ACCOUNT = re.compile(r"[a-z]+://[^/@]+@([^/.]+)\.")


def file_system(url: str) -> tuple[Any, str]:
    """Return fsspec's file system of a URL, and the path in it.

    Raises:
        StorageError: A package is missing, or the credentials are of another account.
    """
    scheme = url.partition("://")[0]
    options: dict[str, bool] = {}
    if scheme in REMOTE:
        options["use_listings_cache"] = False
    if scheme in _AZURE and not _AZURE_KEYS & os.environ.keys():
        # adlfs alone would not look for what `az login` left.
        options["anon"] = False
    if scheme in _AZURE:
        _refuse_another_account(url)
    try:
        # Loaded only where a URL is configured: it takes longer than reading a folder.
        from fsspec.core import url_to_fs  # type: ignore[import-untyped]  # noqa: PLC0415 - fsspec has no types

        found: tuple[Any, str] = url_to_fs(url, **options)
    except ImportError as error:
        if scheme not in REMOTE:
            raise StorageError(f"{url} needs a package that is missing: {error}") from None
        package = "s3fs" if scheme == "s3" else "adlfs"
        raise StorageError(f"{url} needs the package {package} ({error}): `uv pip install {package}`") from None
    return found


def _refuse_another_account(url: str) -> None:
    """Refuse a connection string of another account than the URL names: adlfs would use that one instead."""
    wanted = _ACCOUNT.match(url)
    given = re.search(r"(?:^|;)AccountName=([^;]*)", os.environ.get(_CONNECTION, ""))
    if wanted and given and given[1] != wanted[1]:
        raise StorageError(f"{url} is in the account {wanted[1]}, and {_CONNECTION} is of {given[1]}: unset it")


class ObjectStore:
    """Objects below a URL.

    Attributes:
        makes_folders: What is above a file is made where it is missing, a bucket too.
    """

    makes_folders = True

    def __init__(self, url: str) -> None:
        """Use what is below a URL.

        Raises:
            StorageError: A package is missing.
        """
        self._url = url
        self._system, root = file_system(url)
        self._root = root.rstrip("/")

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder."""
        # Another machine may just have written.
        self._system.invalidate_cache()
        try:
            found = self._system.ls(f"{self._root}/{folder}", detail=False)
        except FileNotFoundError:
            return []
        return sorted(name for one in found if (name := str(one).rstrip("/").rpartition("/")[2]) != folder)

    def read(self, key: str) -> bytes | None:
        """Return an object's content."""
        try:
            content: bytes = self._system.cat_file(f"{self._root}/{key}")
        except FileNotFoundError:
            return None
        return content

    def create(self, key: str, content: bytes) -> bool:
        """Write an object that is not there yet: the store itself refuses the second one."""
        try:
            self._write(key, content, mode="create")
        except FileExistsError:
            return False
        return True

    def replace(self, key: str, content: bytes) -> None:
        """Write an object."""
        self._write(key, content, mode="overwrite")

    def _write(self, key: str, content: bytes, mode: str) -> None:
        path = f"{self._root}/{key}"
        if self.makes_folders:
            with contextlib.suppress(NotImplementedError):
                self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
        self._system.pipe_file(path, content, mode=mode)
