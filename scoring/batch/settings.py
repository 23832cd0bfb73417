"""What a batch job is asked to do: SLIPWAY_JOB_* variables, and the options of the command line over them."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scoring.variables import Reader

FILES, ROWS, REQUESTS, AUTO = "files", "rows", "requests", "auto"
CSV, JSONL, PARQUET = "csv", "jsonl", "parquet"
APPEND_ROW, SUMMARY_ONLY = "append_row", "summary_only"
_PREFIX = "SLIPWAY_JOB_"
_MEBIBYTE = 1024 * 1024
_DEFAULT_FILES, _DEFAULT_ROWS = 10, 4096
# What a URL may hold that must stay out of logs: credentials before the host, signatures behind the path. As in
# manifest/problems.py, which images are without.
_SECRET_URL = re.compile(r"://[^/]*:[^/]*@|[?&](?:(?:sig|se|sv|AWSAccessKeyId|Signature)=|X-Amz-)", re.IGNORECASE)
_FLAGS = {"multiline"}
_OPTIONS = {
    "input": "a file, a folder, a glob or a URL of one; several with line ends between; @FILE names a file of them",
    "output": "a folder or a URL: abfs://container/path, azfiles://share@account/path, s3://bucket/path",
    "call": "how run() is called: auto, files, rows, requests",
    "input-format": "auto, csv, jsonl, parquet, files",
    "format": "of the output: parquet, csv, jsonl",
    "output-action": "append_row, summary_only",
    "body": 'of requests: JSON with "$rows", "$values" or "$row" where the rows belong',
    "columns": "the input's columns that run() gets, with commas between; all without it",
    "keep": "the input's columns to write beside the results; * for all",
    "types": 'of CSV columns: {"age": "int64", "name": "string"}',
    "multiline": "CSV values may hold line ends; such files are not split",
    "mini-batch-size": "files or rows for each call of run()",
    "error-threshold": "how many files or rows may fail; -1 for any number",
    "max-retries": "further tries for what failed",
    "timeout": "seconds for each call of run()",
    "processes": "how many processes work",
    "prefetch": "how many blocks each process reads ahead",
    "block-bytes": "how much is read at once",
    "part-bytes": "how much input one output file is made of",
    "task": "which slice of the job, from 0; JOB_COMPLETION_INDEX without it",
    "of": "into how many slices the job is split",
    "progress-seconds": "between two reports of the progress",
}


@dataclass(frozen=True)
class JobSettings:
    """A batch job.

    Attributes:
        input: Files, folders, globs or URLs of them, one a line.
        output: A folder or a URL.
        call: `files`, `rows`, `requests`, or `auto` where the script's run() decides.
        input_format: `auto` by each file's name, or one for all.
        format: Of the output.
        is_appended: Whether results are written; else only counted.
        body: A request's body for `requests`; None where the sample decides.
        columns: What run() gets of the input's; empty for all.
        keep: What is written beside the results.
        types: Arrow types of CSV columns, by name.
        multiline: Whether CSV values may hold line ends.
        size: Files or rows for a call; 0 for the default of what is called.
        error_threshold: How many items may fail; -1 for any number.
        max_retries: Further tries for what failed.
        timeout: Seconds for a call.
        processes: How many work at once.
        prefetch: Blocks that each reads ahead.
        block_bytes: How large a block is.
        part_bytes: How much input goes into one output file.
        task: Which slice this is.
        of: Of how many.
        progress_seconds: Between two reports.
        arguments: What the script finds in sys.argv.
        names: What who asked for the job calls the files and folders that this task has elsewhere.
    """

    input: str
    output: str
    call: str
    input_format: str
    format: str
    is_appended: bool
    body: Any
    columns: tuple[str, ...]
    keep: tuple[str, ...]
    types: dict[str, str]
    multiline: bool
    size: int
    error_threshold: int
    max_retries: int
    timeout: int
    processes: int
    prefetch: int
    block_bytes: int
    part_bytes: int
    task: int
    of: int
    progress_seconds: int
    arguments: tuple[str, ...] = ()
    names: dict[str, str] = field(default_factory=dict)

    def told(self, text: str) -> str:
        """Return a path, or a text with some, as who asked for the job knows them, and as UTF-8 whatever they hold."""
        if self.names:
            places = "|".join(map(re.escape, self.names))
            text = re.sub(rf"(?:{places})(?=$|[/\s'\":,;])", lambda found: self.names[found[0]], text)
        return os.fsencode(text).decode("utf-8", "replace")

    @property
    def wanted(self) -> tuple[str, ...]:
        """The input's columns that are named."""
        return self.columns if self.keep == ("*",) else (*self.columns, *self.keep)

    def batch_size(self, call: str) -> int:
        """Return how many files or rows a call gets."""
        return self.size or (_DEFAULT_FILES if call == FILES else _DEFAULT_ROWS)

    @classmethod
    def from_reader(cls, reader: Reader, arguments: Sequence[str] = ()) -> JobSettings:
        """Read the settings.

        Args:
            reader: The variables, options among them; takes what is wrong with them.
            arguments: What is for the script.
        """
        of = reader.integer(f"{_PREFIX}OF", 1, least=1)
        # Kubernetes numbers the pods of an Indexed Job by this variable.
        name = "JOB_COMPLETION_INDEX" if not reader.text(f"{_PREFIX}TASK") else f"{_PREFIX}TASK"
        return cls(
            input=_place(reader, "INPUT"),
            output=_place(reader, "OUTPUT"),
            call=_one_of(reader, "CALL", AUTO, FILES, ROWS, REQUESTS),
            input_format=_one_of(reader, "INPUT_FORMAT", AUTO, CSV, JSONL, PARQUET, FILES),
            format=_one_of(reader, "FORMAT", PARQUET, CSV, JSONL),
            is_appended=_one_of(reader, "OUTPUT_ACTION", APPEND_ROW, SUMMARY_ONLY) == APPEND_ROW,
            body=_json(reader, "BODY"),
            columns=_names(reader, "COLUMNS"),
            keep=_names(reader, "KEEP"),
            types=_types(reader),
            multiline=reader.flag(f"{_PREFIX}MULTILINE"),
            size=reader.integer(f"{_PREFIX}MINI_BATCH_SIZE", 0, least=1),
            error_threshold=_threshold(reader),
            max_retries=reader.integer(f"{_PREFIX}MAX_RETRIES", 3, least=0, most=100),
            timeout=reader.integer(f"{_PREFIX}TIMEOUT", 30, least=1),
            processes=reader.integer(f"{_PREFIX}PROCESSES", 1, least=1, most=256),
            prefetch=reader.integer(f"{_PREFIX}PREFETCH", 2, least=1, most=64),
            block_bytes=reader.integer(f"{_PREFIX}BLOCK_BYTES", 4 * _MEBIBYTE, least=1024),
            part_bytes=reader.integer(f"{_PREFIX}PART_BYTES", 32 * _MEBIBYTE, least=1024),
            task=reader.integer(name, 0, least=0, most=of - 1),
            of=of,
            progress_seconds=reader.integer(f"{_PREFIX}PROGRESS_SECONDS", 10, least=1),
            arguments=tuple(arguments),
            names=_json(reader, "NAMES") or {},
        )

    def plan_settings(self) -> dict[str, Any]:
        """Return those that decide on the names of output files, and on what is in them."""
        names = ("input", "call", "input_format", "format", "is_appended", "body", "columns", "keep", "types", "size")
        return {name: _plain(getattr(self, name)) for name in (*names, "multiline", "part_bytes", "block_bytes")}


def with_options(arguments: Sequence[str], variables: Mapping[str, str]) -> tuple[dict[str, str], list[str], list[str]]:
    """Return the variables with the command line's options among them, the script's arguments, and what is wrong.

    Args:
        arguments: Options, then those of the script behind `--`.
        variables: The environment's.
    """
    options, of_script = list(arguments), []
    if "--" in options:
        at = options.index("--")
        options, of_script = options[:at], options[at + 1 :]
    found, problems, unknown = dict(variables), [], []
    while options:
        given = options.pop(0)
        name, equals, value = given.removeprefix("--").partition("=")
        if not given.startswith("--") or name not in _OPTIONS:
            unknown.append(given)
            continue
        if not equals:
            if name in _FLAGS:
                value = "true"
            elif options and not options[0].startswith("--"):
                value = options.pop(0)
            else:
                problems.append(f"option {given} needs a value: {_OPTIONS[name]}")
                continue
        found[_PREFIX + name.upper().replace("-", "_")] = value
    if unknown:
        allowed = ", ".join(f"--{known}" for known in _OPTIONS)
        problems.append(f"unknown: {', '.join(unknown)}; allowed are {allowed}, and -- before what is for the script")
    return found, of_script, problems


def usage() -> str:
    """Return what `--help` prints."""
    lines = [f"  --{name:<18} {what}" for name, what in _OPTIONS.items()]
    head = "usage: python -m scoring batch --input … --output … [options] [-- arguments of the script]"
    return "\n".join([head, f"Each option is also a variable, such as {_PREFIX}INPUT.", *lines])


def _place(reader: Reader, name: str) -> str:
    text = reader.text(_PREFIX + name)
    if not text:
        reader.problems.append(f"{_PREFIX}{name} (--{name.lower()}) is missing: {_OPTIONS[name.lower()]}")
    if _SECRET_URL.search(text):
        # Not shown: it is what must not be seen.
        reader.problems.append(
            f"{_PREFIX}{name} has a credential in its URL; give it by the storage's own variables "
            "(AZURE_STORAGE_CONNECTION_STRING, AWS_ACCESS_KEY_ID …) or an identity"
        )
    return text


def _one_of(reader: Reader, name: str, default: str, *others: str) -> str:
    value = reader.text(_PREFIX + name, default).lower()
    allowed = (default, *others)
    if value not in allowed:
        reader.problems.append(
            f"environment variable {_PREFIX}{name} is {value!r}; allowed are {', '.join(dict.fromkeys(allowed))}"
        )
        return default
    return value


def _names(reader: Reader, name: str) -> tuple[str, ...]:
    parts = [part.strip() for part in reader.text(_PREFIX + name).split(",")]
    names = tuple(part for part in parts if part)
    if twice := sorted({part for part in names if names.count(part) > 1}):
        reader.problems.append(f"environment variable {_PREFIX}{name} names {', '.join(twice)} more than once")
    return names


def _json(reader: Reader, name: str) -> Any:
    text = reader.text(_PREFIX + name)
    try:
        return json.loads(text) if text else None
    except ValueError as error:
        reader.problems.append(f"environment variable {_PREFIX}{name} is not JSON: {error}")
        return None


def _types(reader: Reader) -> dict[str, str]:
    value = _json(reader, "TYPES")
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(kind, str) for kind in value.values()):
        reader.problems.append(f"environment variable {_PREFIX}TYPES has to be {_OPTIONS['types'].removeprefix('of ')}")
        return {}
    return value


def _threshold(reader: Reader) -> int:
    return (
        -1
        if reader.text(f"{_PREFIX}ERROR_THRESHOLD") == "-1"
        else reader.integer(f"{_PREFIX}ERROR_THRESHOLD", -1, least=0)
    )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
