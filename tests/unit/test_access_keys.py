"""AccessKeys: random, secret, and replaced one at a time."""

import threading

import pytest

from provider.resource import Call, State
from provider.slipway.access_keys import AccessKeys
from provider.values import UNKNOWN, Secret, plain

CALL = Call("urn:pulumi:s::p::slipway:index:AccessKeys::iris", threading.Event(), lambda *_: None)
KEYS = AccessKeys()


def _rotated(state, rotate):
    """What an update makes of a state, as the protocol hands it over: without secrets' marks."""
    inputs, failures = KEYS.check(CALL, state.inputs, {"rotate": rotate})
    assert not failures
    return State(state.id, inputs, plain(KEYS.update(CALL, state, inputs)))


def _made():
    inputs, failures = KEYS.check(CALL, None, {})
    assert not failures
    made = KEYS.create(CALL, inputs)
    assert all(isinstance(made.outputs[name], Secret) for name in ("primary", "secondary"))
    return State(made.id, made.inputs, plain(made.outputs))


def test_keys_are_long_random_and_differ():
    keys = [one.outputs[name] for one in (_made(), _made()) for name in ("primary", "secondary")]
    assert len(set(keys)) == 4
    assert all(len(one) == 64 and set(one) <= set("0123456789abcdef") for one in keys)


def test_each_step_replaces_one_key_the_secondary_first():
    first = _made()
    second = _rotated(first, 1)
    assert second.outputs["primary"] == first.outputs["primary"]
    assert second.outputs["secondary"] != first.outputs["secondary"]
    third = _rotated(second, 2)
    assert third.outputs["secondary"] == second.outputs["secondary"]
    assert third.outputs["primary"] != second.outputs["primary"]


def test_what_a_step_makes_is_secret_and_a_preview_knows_which_key_stays():
    state = _made()
    assert all(isinstance(KEYS.update(CALL, state, {"rotate": 1})[name], Secret) for name in ("primary", "secondary"))
    foreseen = KEYS.preview(CALL, {"rotate": 1}, state)
    assert foreseen["secondary"] is UNKNOWN
    assert foreseen["primary"] == Secret(state.outputs["primary"])
    assert KEYS.preview(CALL, {"rotate": 0}, None)["primary"] is UNKNOWN


def test_the_same_counter_changes_nothing():
    state = _made()
    assert KEYS.diff(CALL, state, KEYS.check(CALL, state.inputs, {"rotate": 0})[0]).changes == ()
    assert [one.path for one in KEYS.diff(CALL, state, {"rotate": 1}).changes] == ["rotate"]
    assert not KEYS.diff(CALL, state, {"rotate": 1}).replace


@pytest.mark.parametrize(("before", "given"), [(0, 2), (3, 2), (1, 0)])
def test_a_counter_that_would_replace_both_keys_or_goes_back_is_refused(before, given):
    _, (failure,) = KEYS.check(CALL, {"rotate": before}, {"rotate": given})
    assert failure.property == "rotate"
    assert f"set it to {before + 1}" in failure.reason


def test_a_refresh_keeps_them_secret():
    state = _made()
    read = KEYS.read(CALL, state)
    assert read.outputs["primary"] == Secret(state.outputs["primary"])
    assert KEYS.read(CALL, State(state.id, {}, {})) is None
