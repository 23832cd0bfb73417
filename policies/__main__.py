"""Hands the rules to Pulumi: `python -m policies ENGINE_ADDRESS`, in the environment of policies/requirements.lock."""

from __future__ import annotations

from functools import partial
from operator import getitem
from threading import Lock
from typing import TYPE_CHECKING, Any

from pulumi_policy import (
    EnforcementLevel,
    PolicyConfigSchema,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from policies.rules import RULES, JointRule, Resource, Rule
from policies.rules.rule import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


def _value(read: Callable[[], Any]) -> Any:
    """A value of the SDK's proxies as a plain one; they raise where a preview cannot know it."""
    try:
        found = read()
    except UnknownValueError:
        return UNKNOWN
    if isinstance(found, str | bytes) or not hasattr(found, "__len__"):
        return found
    if hasattr(found, "keys"):
        return {name: _value(partial(getitem, found, name)) for name in found}
    return [_value(partial(getitem, found, number)) for number in range(len(found))]


def _joint(rule: JointRule) -> Callable[[Resource, Mapping[str, Any]], Iterator[str]]:
    """A rule about resources together as one about each: the engine asks for several at once."""
    lock, seen = Lock(), dict[str, Resource]()

    def check(resource: Resource, _options: Mapping[str, Any]) -> Iterator[str]:
        with lock:
            seen.pop(resource.urn, None)
            found = list(rule.check(resource, list(seen.values())))
            seen[resource.urn] = resource
        yield from found

    return check


def _policy(rule: Rule | JointRule) -> ResourceValidationPolicy:
    check = rule.check if isinstance(rule, Rule) else _joint(rule)

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        resource = Resource(args.resource_type, args.name, _value(lambda: args.props), args.urn)
        for wrong in check(resource, args.get_config() or {}):
            report(f"{resource}: {wrong}")

    options = rule.options if isinstance(rule, Rule) else {}
    schema = PolicyConfigSchema(properties=dict(options)) if options else None
    return ResourceValidationPolicy(name=rule.name, description=rule.says, validate=validate, config_schema=schema)


if __name__ == "__main__":
    PolicyPack("slipway", [_policy(rule) for rule in RULES], enforcement_level=EnforcementLevel.MANDATORY)
