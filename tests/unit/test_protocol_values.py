"""Values on the wire: what is written is what is read, and secrets stay marked and hidden."""

import pytest
from google.protobuf import struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from provider.values import (
    UNKNOWN,
    Secret,
    UnsupportedValueError,
    decode,
    encode,
    has_secret,
    has_unknown,
    mark_secrets,
    plain,
    redact,
    secret_texts,
)

SIGNATURE = "4dabf18193072939515e22adb298388d"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | TEXT
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.just(UNKNOWN)
)


def _nested(scalars):
    return st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
    )


PLAIN = st.dictionaries(TEXT, _nested(SCALARS), max_size=4)
MARKED = st.dictionaries(TEXT, _nested(SCALARS | st.builds(Secret, _nested(SCALARS))), max_size=4)


@given(MARKED)
def test_what_is_written_is_read_back(values):
    assert decode(encode(values)) == values


@given(MARKED)
def test_what_went_over_the_wire_as_bytes_is_read_back(values):
    assert decode(struct_pb2.Struct.FromString(encode(values).SerializeToString())) == values


@given(MARKED)
def test_plain_values_have_no_marker_left(values):
    assert not has_secret(plain(values))
    assert has_unknown(plain(values)) == has_unknown(values)


@given(MARKED)
def test_marks_taken_off_and_put_back_are_the_same(values):
    # A secret in a secret is one.
    assert plain(mark_secrets(plain(values), values)) == plain(values)
    assert has_secret(mark_secrets(plain(values), values)) == has_secret(values)


@given(PLAIN, PLAIN)
def test_what_takes_the_place_of_a_secret_is_secret(values, others):
    like = {name: Secret(value) for name, value in values.items()}
    marked = mark_secrets({name: others.get(name) for name in values}, like)
    assert all(isinstance(value, Secret) for value in marked.values())


def test_whole_numbers_come_back_as_integers():
    values = decode(encode({"a": 3, "b": 3.5}))
    assert isinstance(values["a"], int)
    assert values["b"] == 3.5


@pytest.mark.parametrize("kind", ["1c4a061d-8072-4f0a-a4cb-0ff528b18fe7", "dd056dcd-154b-4c76-9bd3-c8f88648b5ff"])
def test_every_kind_of_unknown_is_unknown(kind):
    struct = struct_pb2.Struct()
    struct.update({"a": [kind]})
    assert decode(struct) == {"a": [UNKNOWN]}


def test_an_output_value_is_read_as_what_it_holds():
    output = {SIGNATURE: "d0e6a833031e9bbcd3f4e8bde6ca49a4"}
    struct = struct_pb2.Struct()
    struct.update({"a": {**output, "value": "x", "secret": True}, "b": output, "c": {**output, "value": 1}})
    assert decode(struct) == {"a": Secret("x"), "b": UNKNOWN, "c": 1}


def test_an_asset_is_refused():
    struct = struct_pb2.Struct()
    struct.update({"file": {SIGNATURE: "c44067f5952c0a294b673a41bacd8c17", "path": "x"}})
    with pytest.raises(UnsupportedValueError, match="assets"):
        decode(struct)


def test_a_value_that_the_wire_has_no_form_for_is_refused():
    with pytest.raises(TypeError, match="set cannot be sent"):
        encode({"a": {1, 2}})


def test_a_secret_does_not_show_itself():
    assert "hunter2" not in repr({"a": Secret("hunter2")})


def test_a_changed_list_is_secret_as_a_whole():
    like = {"envs": ["A=1", Secret("PASSWORD=x")]}
    assert mark_secrets({"envs": ["PASSWORD=x", "A=1"]}, like) == {"envs": Secret(["PASSWORD=x", "A=1"])}


def test_secrets_are_hidden_in_texts_with_and_without_their_names():
    secrets = secret_texts({"envs": [Secret("PASSWORD=correct horse")], "plain": "visible"})
    text = redact("visible: PASSWORD=correct horse, or only correct horse", secrets)
    assert text == "visible: [secret], or only [secret]"


def test_a_longer_secret_is_hidden_before_a_shorter_one_in_it():
    assert redact("swordfish", {"sword", "swordfish"}) == "[secret]"


def test_texts_too_short_to_hide_are_left():
    assert secret_texts({"a": Secret("on"), "b": Secret("DEBUG=1")}) == {"DEBUG=1"}
