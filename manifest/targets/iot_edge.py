"""The target `iot-edge`: a module on devices of an IoT hub, with the other modules and the routes of its pipeline."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Le, Len
from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from manifest.edge.limits import MOST_MODULES, MOST_TWIN_BYTES, size, wrong_create_options, wrong_twin
from manifest.edge.query import QueryError, parse
from manifest.edge.routes import RouteError, parse_route
from manifest.fields import AsTuple, Checked, Memory, ModelName, Rule, Text, Variable, matching, mebibytes, refusal
from manifest.images import ImageName, Platform
from manifest.problems import shown
from manifest.serving import Size, in_bytes
from manifest.targets.base import Target

# What a model's module gives, which routes name; it takes any input.
OUTPUTS = frozenset({"scores", "alerts", "errors"})

DeviceId = Annotated[
    str,
    matching(
        "[A-Za-z0-9][A-Za-z0-9._:-]{0,127}",
        "a device's id: at most 128 letters, digits, dots, colons, underscores and hyphens, beginning with a letter or "
        "digit",
    ),
]
ModuleName = Annotated[
    str,
    matching(
        "[A-Za-z0-9][A-Za-z0-9_-]{0,62}",
        "at most 63 letters, digits, underscores and hyphens, beginning with a letter or digit: it is a module's id, a "
        "property of a twin and a container's name",
    ),
]
Endpoint = Annotated[str, matching("[A-Za-z0-9_-]{1,64}", "an endpoint's name: letters, digits, underscores, hyphens")]
RouteName = Annotated[
    str, matching("[A-Za-z0-9_-]{1,64}", "a route's name: at most 64 letters, digits, underscores and hyphens")
]
EdgeVariable = Annotated[
    str, matching("[A-Za-z_][A-Za-z0-9_]{0,127}", "a variable's name: letters, digits and underscores")
]


def _wrong_condition(value: str) -> str | None:
    try:
        condition = parse(value)
    except QueryError as error:
        return f"is no condition for devices: {error}; write it as in tags.site = 'ulm' AND tags.line > 3"
    known = ("deviceId", "tags", "properties")
    if odd := sorted(str(path[0]) for path in condition.paths if path[0] not in known):
        return f"looks at {shown(odd[0])}; a device has deviceId, tags and properties.reported"
    if not condition.paths:
        return "looks at nothing of the device; \"deviceId <> ''\" takes all of them"
    return None


def _wrong_route(value: str) -> str | None:
    try:
        parse_route(value)
    except RouteError as error:
        return str(error)
    return None


TargetCondition = Annotated[str, Rule(r"\S", _wrong_condition, str.strip)]
_ROUTE = Rule(
    r"^\s*[Ff][Rr][Oo][Mm]\s+/\S*\s[\s\S]*[Ii][Nn][Tt][Oo]\s",
    _wrong_route,
    lambda text: " ".join(text.strip().splitlines()),
)
RouteText = Annotated[str, _ROUTE]
RestartPolicy = Literal["always", "on-failure", "on-unhealthy", "never"]
StartOrder = Annotated[int, Ge(0), Le(2**32 - 1)]
Env = Annotated[Mapping[EdgeVariable, Text], Len(max_length=100)]


@dataclass(frozen=True, slots=True)
class _Json:
    """A mapping of JSON values, held to rules of its own."""

    wrong: Any

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        def checked(value: Mapping[str, Any]) -> Mapping[str, Any]:
            for message in self.wrong(value):
                raise refusal(message)
            return value

        return core_schema.no_info_after_validator_function(checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(schema)


def _wrong_properties(value: Mapping[str, Any]) -> Iterator[str]:
    yield from wrong_twin(dict(value))
    if size(value) > MOST_TWIN_BYTES:
        yield f"is {size(value):,} bytes of JSON; a twin takes {MOST_TWIN_BYTES:,}"


def _wrong_options(value: Mapping[str, Any]) -> Iterator[str]:
    yield from wrong_create_options(value)
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        yield "has what JSON cannot hold, such as a date without quotes"


Twin = Annotated[Mapping[str, Any], _Json(_wrong_properties)]
CreateOptions = Annotated[Mapping[str, Any], _Json(_wrong_options)]


class EdgeRoute(Checked):
    """One route of the edge hub."""

    route: RouteText = Field(description="FROM a source, perhaps WHERE a condition holds, INTO a sink.")
    priority: Annotated[int, Ge(0), Le(9)] | None = Field(
        default=None, description="0 goes first. Default: behind all that have one."
    )
    time_to_live_secs: Annotated[int, Ge(1), Le(4_294_967_295)] | None = Field(
        default=None, description="How long its messages are kept while the hub is away. Default: the edge hub's."
    )


@dataclass(frozen=True, slots=True)
class _OrText:
    """Takes a route's text for a mapping with nothing else."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(
            lambda value: {"route": value} if isinstance(value, str) else value, handler(source)
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        text = _ROUTE.pattern
        return {"anyOf": [handler(schema), {"type": "string", "pattern": text}]}


class EdgeSettings(Checked):
    """What can be changed while a model's module runs: its twin's desired properties."""

    threshold: float | None = Field(default=None, description="A score at or over it is an alert.")
    batch_size: Annotated[int, Ge(1), Le(1024)] | None = Field(
        default=None, description="How many messages are scored in one call, at most."
    )
    batch_wait_ms: Annotated[int, Ge(0), Le(60_000)] | None = Field(
        default=None, description="How long the first of them waits for others, in milliseconds."
    )
    sampling: Annotated[float, Ge(0), Le(1)] | None = Field(
        default=None, description="The share of scores that is sent on; alerts always are."
    )
    log_level: Literal["debug", "info", "warning", "error"] | None = Field(default=None, description="What is logged.")
    store_max: Size | None = Field(default=None, description="How much is kept on disk while the hub is away.")
    store_max_age_hours: Annotated[int, Ge(1), Le(8760)] | None = Field(
        default=None, description="How long that is kept."
    )

    def desired(self) -> dict[str, Any]:
        """Return what was given, as the module's desired properties."""
        found: dict[str, Any] = {
            "threshold": self.threshold,
            "batchSize": self.batch_size,
            "batchWaitMs": self.batch_wait_ms,
            "sampling": self.sampling,
            "logLevel": self.log_level,
            "storeMaxBytes": in_bytes(self.store_max) if self.store_max else None,
            "storeMaxAgeSeconds": self.store_max_age_hours * 3600 if self.store_max_age_hours else None,
        }
        return {name: value for name, value in found.items() if value is not None}


class EdgeModule(Checked):
    """Another module of the pipeline: another model of this manifest, or any image."""

    model: ModelName | None = Field(default=None, description="A model of this manifest; its name is the module's too.")
    name: ModuleName | None = Field(default=None, description="The module's name, for an image.")
    image: ImageName | None = Field(default=None, description="The image, best by its digest.")
    env: Env = Field(default_factory=dict, description="Environment variables. Not for secrets: a twin is not one.")
    settings: EdgeSettings | None = Field(default=None, description="Of a model: what can be changed while it runs.")
    twin: Twin | None = Field(default=None, description="Of an image: its twin's desired properties.")
    memory: Memory | None = Field(default=None, description="Its memory. Default: 512Mi for a model, else no limit.")
    gpu: bool = Field(default=False, description="Give it the device's graphics processors (NVIDIA).")
    create_options: CreateOptions = Field(
        default_factory=dict, description="Docker's create options: bindings, privileges, mounts and the like."
    )
    start_order: StartOrder | None = Field(default=None, description="Lower ones are started first. Default: last.")
    restart: RestartPolicy = Field(default="always", description="When the edge agent starts it again.")
    inputs: Annotated[tuple[Endpoint, ...], AsTuple] | None = Field(
        default=None, description="Its inputs, to hold routes to. Default: any."
    )
    outputs: Annotated[tuple[Endpoint, ...], AsTuple] | None = Field(
        default=None,
        description="Its outputs, to hold routes to. Default: of a model, what its module gives; else any.",
    )

    @model_validator(mode="after")
    def _model_or_image(self) -> "EdgeModule":
        if self.model is not None:
            given = [key for key in ("name", "image", "twin") if key in self.model_fields_set]
            if given:
                raise refusal(f"names a model, which has its own {', '.join(given)}: remove that, or `model`")
        elif self.name is None or self.image is None:
            raise refusal("needs `model`, a model of this manifest, or `name` and `image`")
        elif self.settings is not None:
            raise refusal("has `settings`, which only a model takes: an image has `twin`")
        return self

    @property
    def module(self) -> str:
        """Its name on the device."""
        return self.model or self.name or ""


class IotEdgeTarget(Target):
    """A module on devices of the stack's IoT hub."""

    kind: ClassVar[Literal["iot-edge"]] = "iot-edge"

    device: DeviceId | None = Field(default=None, description="The one device that it is for.")
    target_condition: TargetCondition | None = Field(
        default=None, description="Or: which devices it is for, as in tags.site = 'ulm'."
    )
    priority: Annotated[int, Ge(1), Le(1000)] = Field(
        default=10, description="Of two deployments with the same module, a device takes the one with the higher."
    )
    platform: Platform = Field(default="linux/amd64", description="What the devices are.")
    memory: Memory = Field(default="512Mi", description="Memory of the model's module.")
    gpu: bool = Field(default=False, description="Give it the device's graphics processors (NVIDIA).")
    start_order: StartOrder | None = Field(default=None, description="Lower ones are started first. Default: last.")
    restart: RestartPolicy = Field(default="always", description="When the edge agent starts it again.")
    env: Annotated[Mapping[Variable, Text], Len(max_length=100)] = Field(
        default_factory=dict, description="Environment variables on the device. Not for secrets."
    )
    settings: EdgeSettings = Field(default=EdgeSettings(), description="What can be changed while it runs.")
    score: Annotated[str, matching(r"[A-Za-z0-9_.-]{1,64}", "a name in the model's answer")] | None = Field(
        default=None, description="The number of an answer that `threshold` is compared with. Default: `score`."
    )
    create_options: CreateOptions = Field(
        default_factory=dict, description="Docker's create options: bindings, privileges, mounts and the like."
    )
    modules: Annotated[tuple[EdgeModule, ...], AsTuple, Len(max_length=MOST_MODULES - 1)] = Field(
        default=(), description="What else is in the pipeline."
    )
    also_there: Annotated[tuple[ModuleName, ...], AsTuple] = Field(
        default=(), description="Modules that other deployments bring to the devices, for routes to name."
    )
    routes: Annotated[Mapping[RouteName, Annotated[EdgeRoute, _OrText()]], Len(max_length=50)] | None = Field(
        default=None, description="Which messages go where. Default: all that the model's module gives goes to the hub."
    )
    allow_loops: bool = Field(default=False, description="Routes may lead back to where messages come from.")

    @field_validator("modules", mode="after")
    @classmethod
    def _no_module_twice(cls, value: tuple[EdgeModule, ...]) -> tuple[EdgeModule, ...]:
        names = [one.module for one in value]
        for name in names:
            if names.count(name) > 1:
                raise refusal(f"has the module {shown(name)} twice")
        return value

    @model_validator(mode="after")
    def _one_way_to_devices(self) -> "IotEdgeTarget":
        if (self.device is None) == (self.target_condition is None):
            raise refusal("needs `device: ID`, or `targetCondition: \"tags.NAME = 'VALUE'\"` for many; one of them")
        return self

    @property
    def condition(self) -> str:
        """Which devices it is for, as the hub's condition."""
        return self.target_condition or f"deviceId = '{self.device}'"

    @property
    def models(self) -> tuple[str, ...]:
        """The names of other models in its pipeline."""
        return tuple(one.model for one in self.modules if one.model)

    @property
    def memory_mib(self) -> int:
        """The memory of the model's module in MiB."""
        return mebibytes(self.memory)

    def routes_of(self, model: str) -> dict[str, EdgeRoute]:
        """Return the routes by name; without any, those that send to the hub what the model's module gives."""
        if self.routes is not None:
            return dict(self.routes)
        return {"upstream": EdgeRoute(route=f"FROM /messages/modules/{model}/outputs/* INTO $upstream")}
