"""What is on record of images, beside the releases: by digest, so that stacks and models share it.

images/HEX.json                    the record; replaced when a scan or a signature is added
images/HEX.cdx.json                the SBOM; never changed
images/HEX.vulnerabilities.json    trivy's last report
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from releases.errors import ReleaseError
from releases.image_record import ImageRecord
from storage import FolderStore, ObjectStore, told
from storage.records import first_fault

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from storage import Store

_FOLDER = "images"
_SBOM = "cdx.json"
_REPORT = "vulnerabilities.json"


class ImageStore:
    """The records of all images whose releases are recorded in one place."""

    def __init__(self, location: str) -> None:
        """Open it; it is made by the first record.

        Args:
            location: Where the releases are: a folder, or an fsspec URL.

        Raises:
            ReleaseError: The URL's scheme needs a package that is not installed.
        """
        self.location = location
        with self._told("opened"):
            self._files: Store = ObjectStore(location) if "://" in location else FolderStore(Path(location))

    def record(self, digest: str) -> ImageRecord | None:
        """Return what is on record of an image, if anything is.

        Args:
            digest: The image's, as `sha256:...`.

        Raises:
            ReleaseError: It cannot be read.
        """
        with self._told("read"):
            content = self._files.read(key := _key(digest, "json"))
        if content is None:
            return None
        try:
            return ImageRecord.model_validate_json(content)
        except ValidationError as error:
            raise ReleaseError(
                f"{self.location}/{key} is not a record as Slipway writes them: {first_fault(error)}"
            ) from None

    def put(self, digest: str, record: ImageRecord) -> None:
        """Write what is known of an image.

        Raises:
            ReleaseError: It cannot be written.
        """
        content = record.model_dump_json(by_alias=True, indent=2, exclude_none=True).encode() + b"\n"
        with self._told("recorded"):
            self._files.replace(_key(digest, "json"), content)

    def add_sbom(self, digest: str, content: bytes) -> str:
        """Keep an image's SBOM, if none is there yet; return the digest of the one that is kept.

        Raises:
            ReleaseError: It cannot be written.
        """
        with self._told("recorded"):
            if not self._files.create(key := _key(digest, _SBOM), content):
                # Another machine was faster.
                content = self._files.read(key) or content
        return sha256(content)

    def sbom(self, digest: str, expected: str) -> bytes:
        """Return an image's SBOM.

        Args:
            digest: The image's.
            expected: The SBOM's own digest, as its record has it.

        Raises:
            ReleaseError: It cannot be read, is gone, or is not what was recorded.
        """
        with self._told("read"):
            content = self._files.read(key := _key(digest, _SBOM))
        if content is None:
            raise ReleaseError(f"{self.location}/{key} is gone.")
        if sha256(content) != expected:
            raise ReleaseError(f"{self.location}/{key} is not the SBOM that was recorded: its digest is another one.")
        return content

    def put_report(self, digest: str, content: bytes) -> str:
        """Keep trivy's latest report of an image; return its digest.

        Raises:
            ReleaseError: It cannot be written.
        """
        with self._told("recorded"):
            self._files.replace(_key(digest, _REPORT), content)
        return sha256(content)

    def _told(self, what: str) -> AbstractContextManager[None]:
        return told(f"Records of images at {self.location} cannot be {what}", self.location, ReleaseError)


def sha256(content: bytes) -> str:
    """Return a digest, as `sha256:...`."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _key(digest: str, kind: str) -> str:
    return f"{_FOLDER}/{digest.removeprefix('sha256:')}.{kind}"
