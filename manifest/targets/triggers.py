"""What KEDA wakes a model by: a schedule, a number that Prometheus knows, a queue, or another of its scalers."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from annotated_types import Ge, Le, Len
from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from manifest.cron import wrong_cron
from manifest.fields import OBJECT_NAME, Checked, Rule, Text, five_fields, matching, refusal
from manifest.problems import SECRET_URL, closest, shown

MOST_REPLICAS = 1000
# The load has a key of its own, and wakes nobody: what sleeps has none.
_LOAD = ("cpu", "memory")


def _wrong_time(value: str) -> str | None:
    wrong = wrong_cron(value, "in `timezone`")
    if wrong is None and re.search(r"(?<![/\d])7", value.split()[4]):
        return f"has 7 for the day of the week in {shown(value)}; KEDA's weeks are from 0, Sunday, to 6"
    return wrong


def _wrong_zone(value: str) -> str | None:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones  # noqa: PLC0415 - few manifests need it

    wrong = f'must be a time zone\'s name as in "Europe/Berlin", not {shown(value)}'
    if not re.fullmatch(_ZONE, value):
        return wrong
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        known = available_timezones()
        near = closest(value, known)
        # A machine without the list cannot tell.
        return f"{wrong}{f'; did you mean {shown(near)}?' if near else ''}" if known else None
    return None


def _no_credential(value: str) -> str:
    # Not shown: it holds one.
    if SECRET_URL.search(value):
        raise refusal("must not hold a credential; a TriggerAuthentication that `authentication` names is for that")
    return value


_ZONE = r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}"
Time = Annotated[str, five_fields(_wrong_time)]
Zone = Annotated[str, Rule(f"^{_ZONE}$", _wrong_zone)]
ServerUrl = Annotated[
    str, matching(r"https?://[^\s/@?#]+(?:/[^\s@?#]*)?", "an http or https address without a password or a query")
]
Query = Annotated[str, matching(r"[^\x00-\x1f\x7f]{1,4096}", "a query of one line")]
EntityName = Annotated[
    str,
    matching(
        r"[A-Za-z0-9_](?=[A-Za-z0-9._/-]{0,259}$)(?:[A-Za-z0-9._/-]*[A-Za-z0-9_])?",
        "a name of Service Bus: letters, digits, dots, hyphens, underscores and slashes",
    ),
]
BusName = Annotated[
    str, matching("[A-Za-z][A-Za-z0-9-]{4,48}[A-Za-z0-9]", "a Service Bus namespace's name, without its domain")
]
AccountName = Annotated[str, matching("[a-z0-9]{3,24}", "a storage account's name: 3 to 24 lower-case letters, digits")]
QueueName = Annotated[
    str, matching("[a-z0-9](?=[a-z0-9-]{2,62}$)(?:-?[a-z0-9])+", "a storage queue's name: lower-case letters, digits")
]
ScalerType = Annotated[str, matching("[a-z][a-z0-9-]{1,62}", "the type of one of KEDA's scalers, as in kafka")]
SettingName = Annotated[str, matching("[A-Za-z][A-Za-z0-9]{0,62}", "the name of a setting of that scaler")]
Setting = Annotated[Text, AfterValidator(_no_credential)]
AuthenticationName = Annotated[str, matching(OBJECT_NAME, "a TriggerAuthentication's name")]
_Messages = Annotated[int, Ge(1), Le(1_000_000)]
# The autoscaler counts in thousandths.
_Amount = Annotated[float, Ge(0.001), Le(1e12)]


class CronTrigger(Checked):
    """So many pods from one time to another."""

    start: Time = Field(description='When it wakes up, as cron says it: "0 7 * * 1-5" is 07:00 from Monday to Friday.')
    end: Time = Field(description="Until when, likewise.")
    timezone: Zone = Field(default="UTC", description="Where it is so late, as in Europe/Berlin.")
    replicas: Annotated[int, Ge(1), Le(MOST_REPLICAS)] = Field(
        default=1, description="How many pods there are in between."
    )

    @field_validator("end", mode="after")
    @classmethod
    def _later(cls, value: str, info: ValidationInfo) -> str:
        if value == info.data.get("start"):
            raise refusal("is the same as `start`; say when it ends")
        return value


class PrometheusTrigger(Checked):
    """A number that Prometheus knows, of something that is there while the model sleeps."""

    query: Query = Field(description="PromQL with one number as its answer.")
    threshold: _Amount = Field(description="How much of it each pod is for.")
    activation: Annotated[float, Ge(0), Le(1e12)] = Field(default=0, description="Above this it wakes up.")
    server: ServerUrl | None = Field(default=None, description="Prometheus' address. Default: the environment's.")


class ServiceBusTrigger(Checked):
    """Messages that wait in a queue or a subscription of Azure Service Bus."""

    namespace: BusName = Field(description="The Service Bus namespace's name.")
    queue: EntityName | None = Field(default=None, description="The queue; or `topic` and `subscription`.")
    topic: EntityName | None = Field(default=None, description="The topic.")
    subscription: EntityName | None = Field(default=None, description="Its subscription.")
    messages: _Messages = Field(default=5, description="How many waiting messages each pod is for.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.queue) == bool(self.topic) or bool(self.topic) != bool(self.subscription):
            raise refusal("must have either `queue`, or `topic` and `subscription`")
        return self


class StorageQueueTrigger(Checked):
    """Messages that wait in a queue of an Azure storage account."""

    account: AccountName = Field(description="The storage account's name.")
    queue: QueueName = Field(description="The queue.")
    messages: _Messages = Field(default=5, description="How many waiting messages each pod is for.")


class OtherTrigger(Checked):
    """Any other of KEDA's scalers, whose settings KEDA alone checks."""

    type: ScalerType = Field(description="Its type, as KEDA's documentation has it.")
    metadata: Annotated[Mapping[SettingName, Setting], Len(max_length=50)] = Field(description="Its settings.")
    authentication: AuthenticationName | None = Field(
        default=None, description="The TriggerAuthentication, of yours, in the model's namespace."
    )

    @field_validator("type", mode="after")
    @classmethod
    def _wakes(cls, value: str) -> str:
        if value in _LOAD:
            raise refusal(f"{shown(value)} is a load, and what sleeps has none: the load is `cpu`, beside `max`")
        return value


class Trigger(Checked):
    """One of what a model is woken up by."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    cron: CronTrigger | None = Field(default=None, description="So many pods at given times.")
    prometheus: PrometheusTrigger | None = Field(default=None, description="A number that Prometheus knows.")
    service_bus: ServiceBusTrigger | None = Field(
        default=None, description="Messages that wait in Azure Service Bus; by workload identity."
    )
    storage_queue: StorageQueueTrigger | None = Field(
        default=None, description="Messages that wait in a queue of Azure storage; by workload identity."
    )
    other: OtherTrigger | None = Field(default=None, description="Any other of KEDA's scalers.")

    @model_validator(mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        if isinstance(value, dict) and "http" in value:
            raise refusal(
                "requests do not wake a model up: that takes KEDA's HTTP add-on, a beta whose interceptor all requests "
                "would pass; what stands before the model tells Prometheus of them, see docs/kubernetes.md"
            )
        if isinstance(value, dict) and len(value) != 1:
            raise refusal("must be a mapping with one key, the trigger's kind; begin a list entry (-) for each trigger")
        return value

    @property
    def needs_identity(self) -> bool:
        """Whether KEDA asks Azure, as an identity."""
        return bool(self.service_bus or self.storage_queue)
