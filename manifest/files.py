"""Whether the files that a model names are there, where they may be, of the right kind, and sound."""

from __future__ import annotations

import errno
import json
import os
import posixpath
import stat
from typing import TYPE_CHECKING, Any, NoReturn

from manifest import content, requirements
from manifest.problems import ManifestError, closest, shown, unknown
from manifest.text_file import read_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from manifest.document import Document
    from manifest.model import Model
    from manifest.problems import Loc, Problem

_SCHEMA_KEYS = ("input", "output")
# A sample may hold an image.
_LARGEST_JSON = 64 * 1024 * 1024


class _FileError(ValueError):
    """The text says what is wrong with a file, to follow the key that names it."""


def check_files(document: Document, loc: Loc, model: Model, unsound: set[str], root: Path) -> Iterator[Problem]:
    """Check a model's files.

    Args:
        document: The manifest, for places.
        loc: The model's location in it.
        model: The model.
        unsound: Keys of its `scoring` that were refused already.
        root: The project's folder.
    """
    try:
        _check_path(model, root)
    except _FileError as error:
        yield document.problem((*loc, "path"), str(error))
        return
    scoring = model.scoring
    named = {
        "code": scoring.code,
        "script": None if "code" in unsound else model.script_path,
        "sample": scoring.sample,
        "schema": scoring.schema_file,
        "requirements": scoring.requirements,
        "conda": scoring.conda,
    }
    broken = False
    for key, name in named.items():
        if name is None or key in unsound:
            continue
        if key == "script" and broken:
            continue  # Its folder is at fault, which was said.
        try:
            _check_named(model, key, name, root)
        except _FileError as error:
            broken = broken or key == "code"
            yield document.problem((*loc, "scoring", key), str(error))
        except ManifestError as error:
            yield from error.problems
    if not unsound and not broken:
        for message in _content_complaints(model, root):
            yield document.problem((*loc, "path"), message)


# The repository's history, the state and its passphrase, the environment.
_PRIVATE = frozenset({".git", ".slipway", ".venv"})


def _check_path(model: Model, root: Path) -> None:
    if model.path == ".":
        raise _FileError("must be a folder of its own, or a file; the repository's own folder holds more than a model")
    status = _status(root, root, model.path)
    real = (root / model.path).resolve().relative_to(root.resolve())
    if private := _PRIVATE & {*real.parts, *model.path.split("/")}:
        raise _FileError(f"lies in {min(private)}, which holds what must not go into an image")
    if not stat.S_ISDIR(status.st_mode):
        _require_file(root / model.path, model.path, status)
        if model.source:
            raise _FileError("must be the folder of the scoring files where `source` gives the model, and is a file")
        if "/" not in model.path:
            # The folder beside it is what a build reads and what `reload` mounts: here, the state and its passphrase.
            raise _FileError(f"put {shown(model.path)} and its scoring files into a folder of their own")


def _check_named(model: Model, key: str, name: str, root: Path) -> None:
    """Check a file or folder that `scoring` names."""
    folder = root / model.folder
    relative = posixpath.normpath(posixpath.join(model.folder, name))
    # What does not go into the image by itself may be shared by models.
    bounds = root if key in {"requirements", "conda"} else folder
    if relative.startswith("../") or relative == "..":
        raise _FileError(f"leads out of the repository: {shown(name)}")
    status = _status(root, bounds, relative)
    path = root / relative
    if key == "code":
        if name == ".":
            raise _FileError(
                "must be a folder of its own, below the model's; the model's own folder holds the model too"
            )
        if not stat.S_ISDIR(status.st_mode):
            raise _FileError(f"must be a folder, and {relative} is a file; name a single file by `script`")
        return
    if model.model_path == name:
        raise _FileError(f"{relative} is the model itself, by `path`")
    _require_file(path, relative, status)
    if key == "sample":
        _load_json(path, relative)
    elif key == "schema":
        _check_schema(_load_json(path, relative), relative)
    elif key in {"requirements", "conda"}:
        requirements.read(root, relative, conda=key == "conda")


def _status(root: Path, bounds: Path, relative: str) -> os.stat_result:
    """The status of what a path leads to, which must be within bounds."""
    path = root / relative
    try:
        status = path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _FileError(f"{relative} is a link in a circle") from None
        if error.errno not in {errno.ENOENT, errno.ENOTDIR}:
            raise _FileError(f"{relative} cannot be read: {error.strerror}") from None
        _missing(root, relative)
    if not path.resolve().is_relative_to(bounds.resolve()):
        what = "the repository" if bounds == root else "the model's folder"
        raise _FileError(f"{relative} is a link that leads out of {what}; copy the file there")
    return status


def _missing(root: Path, relative: str) -> NoReturn:
    """Say what is not there, and what is there that has nearly its name."""
    parts = relative.split("/")
    while len(parts) > 1 and not (root / "/".join(parts[:-1])).is_dir():
        parts.pop()
    parent = root / "/".join(parts[:-1])
    if (root / "/".join(parts)).is_symlink():
        raise _FileError(f"no such file or folder: {relative}; it is a link to what does not exist")
    try:
        siblings = [entry.name for entry in os.scandir(parent) if not entry.name.startswith(".")]
    except OSError:
        siblings = []
    near = closest(parts[-1], siblings)
    raise _FileError(f"no such file or folder: {relative}" + (f"; did you mean {shown(near)}?" if near else ""))


def _require_file(path: Path, relative: str, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise _FileError(f"must be a file, and {relative} is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise _FileError(f"must be a file, and {relative} is a pipe, socket or device")
    if not os.access(path, os.R_OK):
        raise _FileError(f"{relative} cannot be read: permission denied")


def _load_json(path: Path, relative: str) -> Any:
    def refuse_constant(name: str) -> NoReturn:
        raise _FileError(f"{relative} is not valid JSON: {name} is not a JSON number")

    try:
        return json.loads(read_text(path, relative, _LARGEST_JSON), parse_constant=refuse_constant)
    except ManifestError as error:
        raise _FileError(f"{relative}: {error.problems[0].message}") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        message = "is empty" if not error.doc.strip() else f"is not valid JSON: {error.msg} ({place})"
        raise _FileError(f"{relative} {message}") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, _FileError):
            raise
        raise _FileError(f"{relative} is not usable JSON: a number too long, or nested too deeply") from None


def _check_schema(schema: Any, relative: str) -> None:
    """Check the outline; the image's build holds the sample and its answer against it."""
    if not isinstance(schema, dict):
        raise _FileError(f'{relative} must be a JSON object with the keys "input" and "output", not {shown(schema)}')
    for key, value in schema.items():
        if key not in _SCHEMA_KEYS:
            raise _FileError(
                f"{relative}: {unknown('key', key, _SCHEMA_KEYS)} Put the JSON Schema of the request below "
                '"input", that of the answer below "output".'
            )
        if not isinstance(value, dict):
            raise _FileError(f"{relative}: {shown(key)} must be a JSON Schema (an object), not {shown(value)}")


def _content_complaints(model: Model, root: Path) -> list[str]:
    """What is wrong with the files that go into the image unnamed."""
    folder = root / model.folder
    complaints: list[str] = []
    if (folder / ".dockerignore").exists():
        # BuildKit would leave out what it names, unseen by the hash that names the image.
        complaints.append(f"{model.folder}/.dockerignore would keep files out of the image unseen; remove it")
    if model.model_path == "." and not model.source:
        excluded = content.scoring_files(model)
        files, more = content.scan(folder, ".", excluded)
        complaints += more
        if not files and not complaints:
            beside = (
                f" besides {', '.join(sorted(excluded))}" if any((folder / one).exists() for one in excluded) else ""
            )
            complaints += [f"the folder {model.path} holds no file of the model{beside}; put the model's file there"]
    if model.scoring.code:
        files, more = content.scan(folder, model.scoring.code, ())
        complaints += more
    return complaints
