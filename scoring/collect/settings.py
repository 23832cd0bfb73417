"""What is collected and where it goes: SLIPWAY_COLLECT, and Azure ML's variables for its data collector."""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scoring.variables import Reader

NAME = "SLIPWAY_COLLECT"
KEY_NAME = "SLIPWAY_COLLECT_HASH_KEY"
REQUEST, RESPONSE = "request", "response"  # As Azure ML names the collections that no script writes.
BLOB = ("abfs", "abfss", "az")

_MEBIBYTE = 1024 * 1024
_SHORTEST_KEY = 16
_DEFAULTS: dict[str, Any] = {
    "to": "",
    "inputs": True,
    "outputs": True,
    "sample": 1.0,
    "drop": [],
    "hash": [],
    "rows": 10_000,
    "seconds": 30,
    "largest": _MEBIBYTE,
    "memory": 64 * _MEBIBYTE,
}
_LEAST = {"rows": 1, "seconds": 1, "largest": 1, "memory": _MEBIBYTE}
_USER_WITH_PASSWORD = re.compile(r"//[^/@]*:[^/]*@")


@dataclass(frozen=True)
class CollectSettings:
    """What to collect; with an empty `to` nothing is.

    Attributes:
        to: An absolute folder, or a URL of blob storage without a secret.
        samples: Share of each named collection that is kept, 0 to 1; `request` and `response` are always named.
        frames: Share of the collections that are not named in `samples`: those of the script's own collectors.
        drop: Columns that are left out, in lower case.
        hash: Columns whose values are replaced by their keyed hash, in lower case.
        key: The key of those hashes.
        rows: A part is closed at so many rows.
        seconds: A part is closed at this age: so much is lost at most when the process is killed.
        largest: A longer body or frame is not collected, in bytes.
        memory: How much may wait to be written, in bytes.
        queue: How many requests and frames may wait to be read.
        model: The model's name.
        version: The model's version.
    """

    to: str = ""
    samples: Mapping[str, float] = field(default_factory=dict)
    frames: float = 1.0
    drop: frozenset[str] = frozenset()
    hash: frozenset[str] = frozenset()
    key: bytes = field(default=b"", repr=False)
    rows: int = _DEFAULTS["rows"]
    seconds: float = _DEFAULTS["seconds"]
    largest: int = _DEFAULTS["largest"]
    memory: int = _DEFAULTS["memory"]
    queue: int = 1500
    model: str = "model"
    version: str = "0"

    def sample(self, collection: str) -> float:
        """Return the share of a collection that is kept, 0 to 1."""
        return self.samples.get(collection.lower(), self.frames)

    @classmethod
    def from_reader(cls, reader: Reader) -> CollectSettings:
        """Read the settings; what cannot be used is told to the reader."""
        text = reader.text(NAME)
        if not text:
            return cls()
        given = _given(text, reader.problems)
        frames, samples = _samples(given, reader)
        settings = cls(
            to=_target(given["to"], reader.problems),
            samples=samples,
            frames=frames,
            drop=frozenset(name.strip().casefold() for name in given["drop"]),
            hash=frozenset(name.strip().casefold() for name in given["hash"]),
            key=_key(reader) if given["hash"] else b"",
            rows=given["rows"],
            seconds=given["seconds"],
            largest=given["largest"],
            memory=given["memory"],
            queue=reader.integer("AZUREML_MDC_QUEUE_CAPACITY", 1500, least=1),
            model=reader.text("SERVICE_NAME", "model"),
            version=reader.text("SERVICE_VERSION", "0"),
        )
        both = sorted(settings.drop & settings.hash)
        if both:
            reader.problems.append(f"{NAME} both drops and hashes {', '.join(both)}; name a column in one of them")
        return settings


def _given(text: str, problems: list[str]) -> dict[str, Any]:
    """Return the object's values, checked, with the default for each that is missing or cannot be used."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        # Not the text itself: who writes a secret in here should not find it in a log too.
        problems.append(f"environment variable {NAME} is not JSON: {error}")
        given = {"to": None}
    if not isinstance(given, dict):
        problems.append(f"environment variable {NAME} is a JSON {type(given).__name__}; allowed is an object")
        given = {"to": None}
    unknown = sorted(given.keys() - _DEFAULTS.keys())
    problems.extend(f"{NAME} has the key {name!r}; allowed are {', '.join(_DEFAULTS)}" for name in unknown)
    values = dict(_DEFAULTS)
    for name, default in _DEFAULTS.items():
        if name not in given or (name == "to" and given[name] is None and problems):
            continue
        wrong = _wrong(name, given[name], default)
        if wrong:
            problems.append(f"{NAME}: {name} {wrong}")
        else:
            values[name] = given[name]
    if "to" not in given:
        problems.append(f'{NAME} lacks "to", the folder or the blob storage to write to')
    return values


def _wrong(name: str, value: Any, default: Any) -> str:
    """Return what is wrong with a value, empty where nothing is."""
    shown = json.dumps(value)
    if name == "to":
        return "" if isinstance(value, str) and value else "has to be a text: a folder or a URL of blob storage"
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else f"is {shown}; allowed are true and false"
    if isinstance(default, list):
        names = isinstance(value, list) and all(isinstance(item, str) and item.strip() for item in value)
        return "" if names else f"is {shown}; allowed is a list of column names"
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if name == "sample":
        return "" if number and 0 <= value <= 1 else f"is {shown}; allowed is a number from 0 to 1"
    whole = number and (isinstance(value, int) or name == "seconds")
    least = _LEAST[name]
    return "" if whole and value >= least else f"is {shown}; allowed is a number of at least {least}"


def _target(to: str, problems: list[str]) -> str:
    """Return the folder's path or the storage's URL."""
    if not to:
        return ""
    protocol, separator, rest = to.partition("://")
    protocol = protocol.lower()
    if separator and ("?" in to or "#" in to or _USER_WITH_PASSWORD.search(to)):
        # Without the address: it would put the secret into a log.
        problems.append(
            f'{NAME}: "to" has a query, a fragment or a password in it; write the plain address, and give credentials '
            "by an identity or AZURE_STORAGE_CONNECTION_STRING"
        )
    elif not separator or protocol == "file":
        path = rest if separator else to
        if path.startswith("/"):
            return path
        problems.append(f'{NAME}: "to" is {to!r}; a folder has to be absolute: /folder or file:///folder')
    elif protocol not in BLOB:
        allowed = ", ".join(f"{name}://container/path" for name in BLOB)
        problems.append(f'{NAME}: "to" is {to!r}; allowed are an absolute folder, file:///folder, {allowed}')
    elif not rest.partition("/")[0]:
        problems.append(f'{NAME}: "to" is {to!r}; it lacks the container: {protocol}://container/path')
    else:
        missing = [name for name in ("fsspec", "adlfs") if importlib.util.find_spec(name) is None]
        if missing:
            problems.append(
                f'{NAME}: "to" is {to!r}, which needs {" and ".join(missing)}; an image has them when the model has '
                "`collect` in models.yaml, else add them to its requirements"
            )
        return f"{protocol}://{rest.rstrip('/')}"
    return ""


def _key(reader: Reader) -> bytes:
    """Return the key of hashes: a plain hash of an address or a number is undone by trying all of them."""
    text = reader.text(KEY_NAME)
    path = reader.text(f"{KEY_NAME}_FILE")
    if path and not text:
        try:
            text = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            reader.problems.append(f"environment variable {KEY_NAME}_FILE names {path}, which cannot be read: {error}")
            return b""
    if not text:
        reader.problems.append(
            f"{NAME} hashes columns, which needs a secret key: set {KEY_NAME} or {KEY_NAME}_FILE; without a key anyone "
            "could find the values by trying"
        )
    elif len(text) < _SHORTEST_KEY:
        reader.problems.append(f"the key in {KEY_NAME} is too short; allowed are {_SHORTEST_KEY} characters or more")
    return text.encode()


def _samples(given: Mapping[str, Any], reader: Reader) -> tuple[float, dict[str, float]]:
    """Return the share of unnamed collections, and of each named one."""
    sample = float(given["sample"])
    samples = {REQUEST: sample if given["inputs"] else 0.0, RESPONSE: sample if given["outputs"] else 0.0}
    path = reader.text("AZUREML_MDC_CONFIG_PATH")
    if path:
        # As in Azure ML: with that file, the collections that it does not enable are off.
        return 0.0, {**samples, **_from_file(Path(path), reader.problems)}
    if reader.text("AZUREML_MDC_ENABLED") and not reader.flag("AZUREML_MDC_ENABLED"):
        return 0.0, samples
    if reader.text("AZUREML_MDC_SAMPLE_RATE"):
        return reader.integer("AZUREML_MDC_SAMPLE_RATE", 100, least=0, most=100) / 100, samples
    return sample, samples


def _from_file(path: Path, problems: list[str]) -> dict[str, float]:
    where = f"the file {path} of AZUREML_MDC_CONFIG_PATH"
    try:
        collections = json.loads(path.read_text(encoding="utf-8")).get("collections", {})
        entries = {name.lower(): dict(entry) for name, entry in collections.items()}
    except OSError as error:
        problems.append(f"{where} cannot be read: {error.strerror or error}")
        return {}
    except (ValueError, TypeError, AttributeError):
        problems.append(f'{where} is not of the form {{"collections": {{"name": {{"enabled": true}}}}}}')
        return {}
    found = {}
    for name, entry in entries.items():
        rate = entry.get("sampleRatePercentage", 100)
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate <= 100:  # noqa: PLR2004
            problems.append(f"{where}: sampleRatePercentage of {name} is {rate!r}; allowed is a number from 0 to 100")
            continue
        found[name] = rate / 100 if entry.get("enabled") is True else 0.0
    return found
