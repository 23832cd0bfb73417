"""The last checkout that stops takes the services down: who uses them is never lost and never stale."""

import shutil

import pytest

from toolchain.cache import Cache
from toolchain.users import Users


@pytest.fixture
def users(tmp_path):
    return Users(Cache(tmp_path / "cache"))


@pytest.fixture
def checkouts(tmp_path):
    found = [tmp_path / "first", tmp_path / "second"]
    for folder in found:
        folder.mkdir()
    return found


def test_nobody_uses_a_new_cache(users):
    assert users.all() == []


def test_each_checkout_counts_once(users, checkouts):
    for checkout in [*checkouts, *checkouts]:
        users.add(checkout)
    assert users.all() == checkouts


def test_a_checkout_that_stopped_is_no_user_and_may_stop_again(users, checkouts):
    for checkout in checkouts:
        users.add(checkout)
    users.remove(checkouts[0])
    users.remove(checkouts[0])
    assert users.all() == checkouts[1:]


def test_a_deleted_checkout_is_forgotten(users, checkouts):
    for checkout in checkouts:
        users.add(checkout)
    shutil.rmtree(checkouts[1])
    assert users.all() == checkouts[:1]


def test_one_checkout_reached_by_two_paths_is_one_user(users, checkouts, tmp_path):
    (tmp_path / "link").symlink_to(checkouts[0])
    users.add(checkouts[0])
    users.add(tmp_path / "link")
    assert users.all() == checkouts[:1]
