"""How many pods a model has on Kubernetes: a number, by the load, or none until something wakes it up."""

from typing import Annotated, Any, Self

from annotated_types import Ge, Le, Len
from pydantic import Field, ValidationInfo, field_validator, model_validator

from manifest.fields import AsTuple, Checked, ShortForm, refusal
from manifest.targets.triggers import MOST_REPLICAS, Trigger


class Replicas(Checked):
    """How many pods there are: as many as `min`, or between both, by the load and by triggers."""

    min: Annotated[int, Ge(0), Le(MOST_REPLICAS)] = Field(
        default=2, description="At least so many. 0 lets it sleep, and needs `triggers`."
    )
    max: Annotated[int, Ge(1), Le(MOST_REPLICAS)] | None = Field(
        default=None, description="At most so many; with it, they follow the load. Default: always `min`."
    )
    cpu: Annotated[int, Ge(1), Le(100)] = Field(
        default=70, description="The load that is aimed at, in percent of the processors that a pod asks for."
    )
    triggers: Annotated[tuple[Trigger, ...], AsTuple, Len(max_length=20)] = Field(
        default=(), description="What wakes it up and adds pods beside the load; needs KEDA on the cluster."
    )
    idle_seconds: Annotated[int, Ge(0), Le(86_400)] = Field(
        default=300, description="With `min: 0`, how long after its last trigger it goes to sleep."
    )

    @field_validator("max", mode="after")
    @classmethod
    def _not_below_min(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and value < info.data.get("min", 1):
            raise refusal(f"must be at least `min`, {info.data['min']}, not {value}")
        return value

    @model_validator(mode="after")
    def _wakes_up(self) -> Self:
        if self.sleeps and not self.triggers:
            raise refusal(
                "has min: 0 and no `triggers`: nothing would wake the model up. Give one, as in triggers: [{cron: "
                '{start: "0 7 * * 1-5", end: "0 19 * * 1-5"}}], on a cluster with KEDA, or min: 1'
            )
        if self.triggers and not self.autoscaled:
            raise refusal(f"has `triggers` and no room for them; give a `max` above `min`, {self.min}")
        if "idle_seconds" in self.model_fields_set and not self.sleeps:
            raise refusal("has idleSeconds, which belongs to min: 0; remove it")
        for trigger in self.triggers:
            if trigger.cron and self.max and trigger.cron.replicas > self.max:
                raise refusal(f"has a cron with replicas: {trigger.cron.replicas}, above `max`, {self.max}")
        return self

    @property
    def autoscaled(self) -> bool:
        """Whether their number changes by itself."""
        return self.max is not None and self.max > self.min

    @property
    def sleeps(self) -> bool:
        """Whether there may be none."""
        return self.min == 0


def _long_form(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    if not 1 <= value <= MOST_REPLICAS:
        asleep = "; one that sleeps has {min: 0, max: …, triggers: […]}" if value == 0 else ""
        raise refusal(
            f"must be from 1 to {MOST_REPLICAS}, not {value}; a service that is not wanted is removed{asleep}"
        )
    return {"min": value}


# `3` for `{min: 3}`: always so many.
OR_NUMBER = ShortForm(_long_form, {"type": "integer", "minimum": 1, "maximum": MOST_REPLICAS})
