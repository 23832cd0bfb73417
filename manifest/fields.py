"""The kinds of value that keys of the manifest and of the stack's configuration hold.

A kind knows its rule twice, as a function with messages for people and as a pattern for the JSON Schema; the tests
hold the two together.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Strict, field_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError, core_schema

from manifest.problems import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

_MI = 1024


class Checked(BaseModel):
    """A mapping: frozen, keys in camelCase, unknown keys and other types refused."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False, alias_generator=to_camel)

    @field_validator("*", mode="before")
    @classmethod
    def _not_empty(cls, value: Any) -> Any:
        """Refuse `key:` without a value, which people leave by mistake, instead of taking the default."""
        if value is None:
            raise refusal("has no value; give one or remove the key")
        return value


def refusal(message: str) -> PydanticCustomError:
    """Return an error whose message goes to the user as it is."""
    return PydanticCustomError("refused", "{message}", {"message": message})


@dataclass(frozen=True, slots=True)
class Rule:
    """Holds a text to a rule.

    Attributes:
        pattern: The rule as a regular expression, for editors.
        wrong: Returns what is wrong with a text, or None.
        tidy: Returns the one form of texts that mean the same.
    """

    pattern: str
    wrong: Callable[[str], str | None]
    tidy: Callable[[str], str] = str

    def _apply(self, value: Any, as_text: Callable[[Any], str]) -> str:
        if isinstance(value, int | float):
            # Quotes alone would not make it right: the next message would be this one.
            text = str(value).lower()
            if message := self.wrong(text):
                raise refusal(message.replace(f'not "{text}"', f"not {text}"))
        value = as_text(value)
        if message := self.wrong(value):
            raise refusal(message)
        return self.tidy(value)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Let pydantic check the rule after the type, except for a number, which is told what the rule allows."""
        return core_schema.no_info_wrap_validator_function(self._apply, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Let editors check it too."""
        return {**handler(schema), "pattern": self.pattern}


def matching(pattern: str, allowed: str, hint: Callable[[str], str] = lambda _: "") -> Rule:
    """Return the rule that a text matches a pattern.

    Args:
        pattern: A regular expression without anchors.
        allowed: What is allowed, to follow "must be".
        hint: Returns what to add to the message, for a text that does not match.
    """
    compiled = re.compile(pattern)

    def wrong(value: str) -> str | None:
        return None if compiled.fullmatch(value) else f"must be {allowed}, not {shown(value)}{hint(value)}"

    return Rule(f"^(?:{pattern})$", wrong)


def five_fields(wrong: Callable[[str], str | None]) -> Rule:
    """Return the rule that a text has cron's five fields.

    Args:
        wrong: Returns what is wrong with a text, or None.
    """
    return Rule(r"^\s*\S+(?:\s+\S+){4}\s*$", wrong, lambda value: " ".join(value.split()))


@dataclass(frozen=True, slots=True)
class ShortForm:
    """Takes a value's short form for the value.

    Attributes:
        to_long: Returns the value of a short form, and anything else as it is.
        short: The JSON Schema of the short form, for editors.
    """

    to_long: Callable[[Any], Any]
    short: JsonSchemaValue = field(hash=False)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Let pydantic take the short form before the type."""
        return core_schema.no_info_before_validator_function(self.to_long, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Let editors take both."""
        return {"anyOf": [handler(schema), self.short]}


def _whole_number_as_text(value: Any) -> Any:
    """`1` for "1": what people write, and unlike `1.10` it has one reading."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _slug(value: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")[:32].strip("-")
    return f"; for example {shown(slug)}" if re.fullmatch(_NAME, slug) else ""


_NAME = r"[a-z](?=[a-z0-9-]{0,31}$)(?:-?[a-z0-9])*"
_NAME_ALLOWED = (
    "at most 32 lower-case letters, digits and single hyphens, beginning with a letter and ending with a letter or "
    "digit (it becomes part of names that Docker, Kubernetes and Azure must all accept)"
)
ModelName = Annotated[str, matching(_NAME, _NAME_ALLOWED, _slug)]

_VERSION = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,30}[A-Za-z0-9])?"
_VERSION_ALLOWED = (
    "at most 32 letters, digits, dots, underscores and hyphens, beginning and ending in a letter or digit "
    "(it becomes part of an image's tag)"
)
Version = Annotated[
    str, matching(_VERSION, _VERSION_ALLOWED), ShortForm(_whole_number_as_text, {"type": "integer", "minimum": 0})
]

# Of Kubernetes' objects.
OBJECT_NAME = r"[a-z0-9](?=[a-z0-9.-]{0,252}$)(?:[.-]?[a-z0-9])*"

HostName = Annotated[
    str,
    matching(
        r"(?=.{4,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+",
        'a host\'s name as in "iris.example.com"',
    ),
]

# A text on one line; whole numbers are taken as text.
Text = Annotated[
    str,
    matching(r"[^\x00-\x1f\x7f]{0,4096}", "a text of one line and at most 4096 characters"),
    ShortForm(_whole_number_as_text, {"type": "integer"}),
]
Description = Annotated[str, matching(r"[^\x00-\x09\x0b-\x1f\x7f]{0,1024}", "a text of at most 1024 characters")]

TagName = Annotated[
    str,
    matching(
        r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?",
        "at most 63 letters, digits, dots, underscores and hyphens, beginning and ending in a letter or digit",
    ),
]

# What the image sets itself; another value would break the service.
RESERVED_VARIABLES = frozenset(
    {
        "AML_APP_ROOT",
        "AZUREML_ENTRY_SCRIPT",
        "AZUREML_MODEL_DIR",
        "PATH",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONHOME",
        "PYTHONPATH",
        "PYTHONUNBUFFERED",
        "SERVER_PORT",
        "SERVICE_NAME",
        "SERVICE_VERSION",
    }
)
# Settings of the runtime that are the model's own matter.
SETTABLE_VARIABLES = ("SLIPWAY_CHECK_SECONDS", "SLIPWAY_MAX_BODY_BYTES", "SLIPWAY_THREADS")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def _wrong_variable(value: str) -> str | None:
    if not _VARIABLE.fullmatch(value):
        return f"an environment variable's name is letters, digits and underscores, not {shown(value)}"
    if value in RESERVED_VARIABLES or (value.startswith("SLIPWAY_") and value not in SETTABLE_VARIABLES):
        settable = ", ".join(SETTABLE_VARIABLES)
        return f"{value} is set by Slipway itself; choose another name ({settable} may be set)"
    return None


Variable = Annotated[
    str,
    Rule(
        rf"^(?!SLIPWAY_(?!(?:{'|'.join(name.removeprefix('SLIPWAY_') for name in SETTABLE_VARIABLES)})$)"
        rf"|(?:{'|'.join(sorted(RESERVED_VARIABLES))})$){_VARIABLE.pattern}$",
        _wrong_variable,
    ),
]

# Docker expands wildcards and variables in the names that it copies, and splits them at spaces.
_ODD = r"\x00-\x20\x7f*?\[\]\\$!'`<>|:;&#%{}^~" + '"'
_ODD_CHARACTER = re.compile(f"[{_ODD}]")
_PATH = rf"(?!/)[^{_ODD}]+"
_NOT_UP = r"(?!(?:.*/)?\.\.(?:/|$))"


def _wrong_path(value: str) -> str | None:
    if not value:
        return "must be a path, not an empty text"
    if "://" in value:
        return (
            f"must be a file or folder of the repository, not a URL such as {shown(value)}; the URL goes below "
            "`source`, and `path` is the folder with the scoring files"
        )
    if value.startswith(("/", "~")) or re.match(r"[A-Za-z]:", value):
        return f"must be relative and stay in the repository, not {shown(value)}"
    if "\\" in value:
        return f"must have / between folders, not a backslash: {shown(value)}"
    odd = _ODD_CHARACTER.search(value)
    if odd:
        what = "a space" if odd[0] == " " else shown(odd[0])
        return f"must not contain {what}: {shown(value)}; rename the file or folder"
    return None


def _wrong_inner_path(value: str) -> str | None:
    if ".." in value.split("/"):
        return f"must stay in its folder, without '..': {shown(value)}"
    return _wrong_path(value)


# A path that may lead upwards as long as it stays in the repository, which is checked where the folder is known.
LoosePath = Annotated[str, Rule(f"^{_PATH}$", _wrong_path, posixpath.normpath)]
InnerPath = Annotated[str, Rule(f"^{_NOT_UP}{_PATH}$", _wrong_inner_path, posixpath.normpath)]


def _wrong_script(value: str) -> str | None:
    if not re.search(r"[^/]\.py$", value):
        return f"must be a Python file (.py), not {shown(value)}"
    return _wrong_inner_path(value)


ScriptPath = Annotated[str, Rule(rf"^{_NOT_UP}(?!(?:.*/)?\.py$){_PATH}\.py$", _wrong_script, posixpath.normpath)]

# Narrower than what stores allow: the last part becomes a file's name in the image.
_KEY = r"(?!(?:.*/)?\.\.?(?:/|$))[A-Za-z0-9._~+=@,()-]+(?:/[A-Za-z0-9._~+=@,()-]+)*"
_BUCKET = r"[a-z0-9](?:[a-z0-9.-]{1,61}[a-z0-9])?"
_AZUREML_WORKSPACE = (
    r"subscriptions/[0-9a-fA-F-]{36}/resource[gG]roups/[A-Za-z0-9_.()-]{1,90}/workspaces/[A-Za-z0-9][A-Za-z0-9_-]{2,32}"
)
_AZUREML_NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,254}"
_AZUREML_VERSION = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_SOURCE = (
    rf"https://[A-Za-z0-9.-]+(?::[0-9]{{1,5}})?/{_KEY}|(?:s3|az)://{_BUCKET}/{_KEY}/?"
    rf"|abfss?://{_BUCKET}@[A-Za-z0-9.-]+/{_KEY}/?|mlflow:models:/[A-Za-z0-9._~+=@,()-]+/[1-9][0-9]{{0,9}}"
    rf"|azureml:(?://{_AZUREML_WORKSPACE}/models/{_AZUREML_NAME}/versions/|{_AZUREML_NAME}:){_AZUREML_VERSION}"
)


def _wrong_source(value: str) -> str | None:
    if re.fullmatch(_SOURCE, value):
        return None
    # Not shown where it may hold a key.
    if re.match(r"[a-z0-9+]+://[^/]*@", value) and not value.startswith("abfs"):
        return "must not hold a user or a password: it would be in the state; see docs/registry.md for credentials"
    if "?" in value or "#" in value:
        return "must not have a query or a fragment (?, #): keys are often there, and it would be in the state"
    if value.startswith("mlflow:"):
        return f"must be mlflow:models:/NAME/VERSION with a version's number, not {shown(value)}"
    if value.startswith("azureml:"):
        return (
            "must be azureml:NAME:VERSION or azureml://subscriptions/ID/resourceGroups/GROUP/workspaces/WORKSPACE/models/"
            f"NAME/versions/VERSION, of a workspace and with a version (no label such as @latest), not {shown(value)}"
        )
    return (
        "must be https://HOST/FILE, s3://BUCKET/PATH, az://CONTAINER/PATH, abfs://CONTAINER@HOST/PATH, "
        "mlflow:models:/NAME/VERSION or azureml:NAME:VERSION, with a / at the end of a folder, without spaces and "
        f"other odd characters, not {shown(value)}"
    )


SourceUrl = Annotated[str, Rule(f"^(?:{_SOURCE})$", _wrong_source)]


def _wrong_checksum(value: str) -> str | None:
    if re.fullmatch("[0-9a-f]{64}", value):
        return None
    if not value:
        return (
            "is missing: the checksum names the image before the model is fetched. `slipway models digest URL` fetches "
            "it once and prints the line to write here"
        )
    return f"must be a SHA-256 of 64 hexadecimal digits in lower case, not {shown(value)}"


Checksum = Annotated[str, Rule("^[0-9a-f]{64}$", _wrong_checksum)]

_MEMORY = r"(?:6[4-9]|[7-9][0-9]|[1-9][0-9]{2,6})Mi|[1-9][0-9]{0,3}Gi"


def _memory_hint(value: str) -> str:
    number = re.fullmatch(r"(\d{1,7}) ?([kmg])(i?b?)", value, re.IGNORECASE)
    if not number:
        return ""
    right = f"{number[1]}{number[2].upper()}i"
    return f"; did you mean {shown(right)}?" if re.fullmatch(_MEMORY, right) else ""


Memory = Annotated[str, matching(_MEMORY, 'an amount such as "512Mi" or "2Gi", at least "64Mi"', _memory_hint)]


def mebibytes(memory: str) -> int:
    """Return a checked amount of memory in MiB."""
    number = int(memory[:-2])
    return number if memory.endswith("Mi") else number * _MI


# Lists are tuples here, which strict checking would not take a list for.
AsTuple = Strict(strict=False)
