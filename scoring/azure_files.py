"""Azure Files for fsspec, by the service's REST interface: for that an identity is enough, and nothing is mounted."""

from __future__ import annotations

import contextlib
import errno
import logging
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem  # type: ignore[import-untyped] # it has none

from scoring.azure_account import FORM, share_service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from azure.storage.fileshare import ShareDirectoryClient, ShareFileClient

_URL = re.compile(r"azfiles://[a-z0-9](?:-?[a-z0-9]){2,62}(?:@(?P<account>[A-Za-z0-9.:-]+))?(?:/.*)?")
# Shorter than the library's, which waits 15 seconds before its second try.
_RETRIES = {"retry_total": 3, "initial_backoff": 0.5, "increment_base": 1, "random_jitter_range": 0.25}
_MISSING_FOLDER, _TAKEN = "ParentNotFound", "ResourceAlreadyExists"
_NO_NAMES = {"InvalidResourceName", "InvalidFileOrDirectoryPathName"}
_REFUSED = {401, 403}
_ROLES = "an identity needs Storage File Data Privileged Contributor on the share, or Reader to read"
# It warns of what its errors say too, and with a traceback that the answer to a HEAD has no body.
logging.getLogger("azure.storage.fileshare").setLevel(logging.ERROR)


def open_share(url: str, **options: Any) -> tuple[AzureFiles, str]:
    """Return the file system of a URL, and the URL's path in it; credentials are those of the environment.

    Args:
        url: azfiles://SHARE@ACCOUNT/PATH; without an account, AZURE_STORAGE_ACCOUNT_NAME or the connection string
            says it.
        options: For the service's client.

    Raises:
        ValueError: It is none, or the environment has credentials of another account.
    """
    found = _URL.fullmatch(url)
    if found is None or {".", ".."} & set(url.split("/")):
        raise ValueError(f"it has to be {FORM}")
    files = AzureFiles(found["account"], **options)
    return files, files._strip_protocol(url)  # noqa: SLF001 - the way fsspec's own tools do it


class AzureFiles(AbstractFileSystem):  # type: ignore[misc] # fsspec has no types
    """The shares of an account; paths begin with the share. What is written is whole under its name, or not there."""

    protocol = "azfiles"
    cachable = False

    def __init__(self, account: str | None = None, **options: Any) -> None:
        """Use an account; what is given and raised is as `share_service` has it."""
        super().__init__(use_listings_cache=False)
        # Without the last two the service cuts dots from the ends of names.
        given = {**_RETRIES, **options, "allow_trailing_dot": True, "allow_source_trailing_dot": True}
        self._service = share_service(account, given)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        authority, slash, inner = path.removeprefix("azfiles://").partition("/")
        return (authority.partition("@")[0] + slash + inner).rstrip("/")

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """Return what is in a folder, or a file itself.

        Raises:
            FileNotFoundError: There is neither.
        """
        path = self._strip_protocol(path)
        with _told(path):
            try:
                found = [_entry(f"{path}/{one.name}", one) for one in self._folder(path).list_directories_and_files()]
            except (ResourceNotFoundError, ResourceExistsError):
                found = [self.info(path)]
        return found if detail else [one["name"] for one in found]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return what a file or folder is.

        Raises:
            FileNotFoundError: There is neither.
        """
        path = self._strip_protocol(path)
        with _told(path):
            if "/" in path:
                # Of a folder the service says that there is no file, or that its type is another.
                with contextlib.suppress(ResourceNotFoundError, ResourceExistsError):
                    return _entry(path, self._file(path).get_file_properties())
            self._folder(path).get_directory_properties()
        return {"name": path, "size": 0, "type": "directory"}

    def exists(self, path: str, **_: Any) -> bool:
        """Return whether there is a file or folder; a service that does not tell is an error."""
        try:
            self.info(path)
        except OSError as error:
            # What has a name that no file can have is not there.
            if error.errno not in {errno.ENOENT, errno.EPERM}:
                raise
            return False
        return True

    def walk(self, path: str, maxdepth: int | None = None, topdown: bool = True, **given: Any) -> Any:
        """Walk as fsspec does, but leave out no folder because it may not be listed."""
        return super().walk(path, maxdepth, topdown, **{**given, "on_error": _unless_missing})

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """Return a file's content, or a range of it."""
        if start is not None or end is not None:
            part: bytes = super().cat_file(path, start, end)
            return part
        with _told(path):
            return self._file(path).download_file(decompress=False).readall()

    def get_file(self, rpath: str, lpath: str, **_: Any) -> None:
        """Copy a file to this machine."""
        with _told(rpath):
            content = self._file(rpath).download_file(decompress=False)
            with Path(lpath).open("wb") as target:
                content.readinto(target)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        """Write a file beside its place, then rename it: a single step of the service, which knows who was first.

        Args:
            path: Its place; folders above it are made.
            value: Its content.
            mode: `create` for a file that must not be there yet.

        Raises:
            FileExistsError: It is there, and was to be created.
        """
        path = self._strip_protocol(path)
        folder, inner = path.rpartition("/")[0], path.partition("/")[2]
        partial = self._file(f"{folder}/.{uuid.uuid4().hex}.partial")
        with _told(path):
            try:
                try:
                    partial.upload_file(value)
                except HttpResponseError as error:
                    if _code(error) != _MISSING_FOLDER:
                        raise
                    self._make(folder)
                    partial.upload_file(value)
                # Tried once: after a lost answer the same again would not find what it has renamed.
                partial.rename_file(inner, overwrite=mode != "create", retry_total=0)
            except BaseException:
                with contextlib.suppress(Exception):
                    partial.delete_file(retry_total=0)
                raise

    def rm_file(self, path: str) -> None:
        """Remove a file.

        Raises:
            FileNotFoundError: It is not there.
        """
        with _told(path):
            self._file(path).delete_file()

    def _open(self, path: str, mode: str = "rb", **given: Any) -> _File:
        if mode != "rb":
            raise NotImplementedError(f"files are written by pipe_file, not opened as {mode}")
        return _File(self, path, mode, **given)

    def _range(self, path: str, start: int, end: int, etag: str) -> bytes:
        with _told(path):
            found = self._file(path).download_file(start, end - start, decompress=False)
            if found.properties.etag != etag:
                raise OSError(errno.ESTALE, "was replaced while it was read", path)
            return found.readall()

    def _make(self, folder: str) -> None:
        share, *names = folder.split("/")
        for depth in range(1, len(names) + 1):
            with contextlib.suppress(ResourceExistsError):
                self._folder("/".join([share, *names[:depth]])).create_directory()

    def _file(self, path: str) -> ShareFileClient:
        share, _, inner = self._strip_protocol(path).partition("/")
        return self._service.get_share_client(share).get_file_client(inner)

    def _folder(self, path: str) -> ShareDirectoryClient:
        share, _, inner = path.partition("/")
        return self._service.get_share_client(share).get_directory_client(inner)


class _File(AbstractBufferedFile):  # type: ignore[misc] # as above
    def _fetch_range(self, start: int, end: int) -> bytes:
        content: bytes = self.fs._range(self.path, start, end, self.details["etag"])  # noqa: SLF001 - its own file
        return content


def _entry(path: str, found: Any) -> dict[str, Any]:
    if found.is_directory:
        return {"name": path, "size": 0, "type": "directory"}
    return {"name": path, "size": found.size, "type": "file", "etag": found.etag}


def _unless_missing(error: OSError) -> None:
    # A folder may go while others are listed.
    if not isinstance(error, FileNotFoundError):
        raise error


def _code(error: HttpResponseError) -> str:
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code))


@contextlib.contextmanager
def _told(path: str) -> Iterator[None]:
    """Tell by errors of files what the service says; what may pass stays as the library has it."""
    try:
        yield
    except HttpResponseError as error:
        code = _code(error)
        said = f"{str(error.message).partition(chr(10))[0]} ({code})"
        if isinstance(error, ResourceNotFoundError):
            raise FileNotFoundError(errno.ENOENT, said, path) from error
        if code == _TAKEN:
            raise FileExistsError(errno.EEXIST, said, path) from error
        if error.status_code in _REFUSED:
            raise PermissionError(errno.EACCES, f"{said}: {_ROLES}", path) from error
        if code in _NO_NAMES:
            raise PermissionError(errno.EPERM, said, path) from error
        raise
