"""A stack's state: which of its resources count, and what is read of its secrets."""

import json

import pytest

from cli.stack.state import plain_secret, resources

NEW = {"type": "a:b:C", "id": "new"}
OLD = {"type": "a:b:C", "id": "old", "delete": True}
OTHER = {"type": "a:b:D", "id": "other"}
STATE = {"deployment": {"resources": [OLD, NEW, OTHER]}}


def test_what_is_still_to_be_deleted_is_left_out_unless_it_is_asked_for():
    assert resources(STATE) == [NEW, OTHER]
    assert resources(STATE, with_replaced=True) == [OLD, NEW, OTHER]


def test_resources_are_found_by_their_types():
    assert resources(STATE, "a:b:C") == [NEW]
    assert resources(STATE, "a:b:C", "a:b:D") == [NEW, OTHER]
    assert resources(STATE, "a:b:C", with_replaced=True) == [OLD, NEW]
    assert resources(STATE, "a:b") == []


@pytest.mark.parametrize("state", [None, {}, {"deployment": None}, {"deployment": {"resources": None}}])
def test_a_state_without_resources_has_none(state):
    assert resources(state) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"plaintext": json.dumps("canary")}, "canary"),
        ("not secret", "not secret"),
        # Not decrypted, or no text.
        ({"ciphertext": "v1:abc"}, None),
        ({"plaintext": "{"}, None),
        ({"plaintext": "1"}, None),
        (None, None),
        (1, None),
    ],
)
def test_a_secret_is_read_where_it_was_decrypted(value, text):
    assert plain_secret(value) == text
