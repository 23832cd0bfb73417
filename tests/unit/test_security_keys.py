"""Access by keys: who passes, how keys are replaced while serving, and that a mistake never opens a service."""

from __future__ import annotations

import asyncio
import gc
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.refused import RefusedError
from scoring.security import guard, guarded
from scoring.security.keys import KeyGuard
from scoring.variables import Reader, SettingsError
from tests.unit.security_harness import eventually

PRIMARY, SECONDARY, LATER = ("p" * 40, "s" * 40, "l" * 40)


def with_key(key: str | bytes) -> list[tuple[bytes, bytes]]:
    """The headers of a request with a key."""
    value = key.encode() if isinstance(key, str) else key
    return [(b"host", b"localhost"), (b"authorization", b"Bearer " + value)]


def passes(guard: KeyGuard, key: str | bytes) -> bool:
    try:
        guard.check(with_key(key))
    except RefusedError as error:
        refused = error
    else:
        return True
    assert refused.status == 401
    assert dict(refused.headers)[b"www-authenticate"].startswith(b"Bearer")
    return False


@pytest.fixture
def folder(tmp_path):
    """Keys as a secret's mount has them, with the end of line that editors add."""
    (tmp_path / "primary").write_text(f"{PRIMARY}\n")
    (tmp_path / "secondary").write_text(f"  {SECONDARY}\r\n")
    return tmp_path


def guard_of(folder) -> KeyGuard:
    found = guard(Reader({"SLIPWAY_KEYS_DIR": str(folder)}))
    assert isinstance(found, KeyGuard)
    return found


def problem_of(**variables: str) -> str:
    with pytest.raises(SettingsError) as caught:
        guard(Reader(variables))
    return str(caught.value)


def test_either_key_passes_and_no_other(folder):
    keys = guard_of(folder)
    assert passes(keys, PRIMARY)
    assert passes(keys, SECONDARY)
    assert not passes(keys, LATER)
    assert not passes(keys, PRIMARY[:-1])
    assert not passes(keys, PRIMARY + "x")


@given(st.binary(max_size=2000))
def test_nothing_but_a_key_passes(key):
    keys = KeyGuard({})
    assert not passes(keys, key)


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ([], "is missing"),
        ([(b"authorization", b"Basic dXNlcjpwYXNz")], "is not a Bearer one"),
        ([(b"authorization", b"Bearer")], "is not a Bearer one"),
        ([(b"authorization", b"")], "is not a Bearer one"),
        ([(b"authorization", b"Bearer "), (b"x", b"")], "not one of this service's"),
        (with_key(PRIMARY) + with_key(PRIMARY), "more than one Authorization header"),
    ],
)
def test_a_request_without_one_bearer_key_is_refused_with_what_to_send(folder, headers, message):
    with pytest.raises(RefusedError, match=message) as caught:
        guard_of(folder).check(headers)
    assert caught.value.status == 401
    assert dict(caught.value.headers)[b"www-authenticate"].startswith(b"Bearer")


def test_the_scheme_is_taken_in_any_case(folder):
    guard_of(folder).check([(b"authorization", b"bEARER " + PRIMARY.encode())])


def test_one_key_is_enough(folder):
    (folder / "secondary").unlink()
    keys = guard_of(folder)
    assert passes(keys, PRIMARY)
    assert not passes(keys, "")


def test_a_replaced_key_is_in_force_and_the_old_one_is_not(folder):
    keys = guard_of(folder)
    (folder / "primary").write_text(LATER)
    keys.reload()
    assert (passes(keys, LATER), passes(keys, SECONDARY), passes(keys, PRIMARY)) == (True, True, False)


def test_a_key_that_comes_later_is_taken(folder):
    (folder / "secondary").unlink()
    keys = guard_of(folder)
    (folder / "secondary").write_text(LATER)
    keys.reload()
    assert passes(keys, LATER)


@pytest.mark.parametrize("content", [None, "", " \n", "short", "with a space in it, and as long as a key has to be"])
def test_a_file_without_a_key_during_rotation_keeps_the_last_good_one(folder, content):
    keys = guard_of(folder)
    if content is None:
        (folder / "primary").unlink()
    else:
        (folder / "primary").write_text(content)
    (folder / "secondary").write_text(LATER)
    keys.reload()
    assert (passes(keys, PRIMARY), passes(keys, LATER), passes(keys, SECONDARY)) == (True, True, False)


def test_a_folder_that_is_gone_for_a_moment_changes_nothing(folder):
    keys = guard_of(folder)
    folder.rename(folder.with_name("gone"))
    keys.reload()
    assert passes(keys, PRIMARY)
    folder.with_name("gone").rename(folder)


def test_keys_that_kubernetes_swaps_by_a_link_are_followed(tmp_path):
    for name, keys in (("..1", (PRIMARY, SECONDARY)), ("..2", (LATER, PRIMARY))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "primary").write_text(keys[0])
        (tmp_path / name / "secondary").write_text(keys[1])
    (tmp_path / "..data").symlink_to("..1")
    for name in ("primary", "secondary"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    found = guard_of(tmp_path)
    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").replace(tmp_path / "..data")
    found.reload()
    assert (passes(found, LATER), passes(found, PRIMARY), passes(found, SECONDARY)) == (True, True, False)


def test_a_change_is_noticed_while_serving(folder):
    keys = guard_of(folder)

    async def live() -> None:
        keys.start(asyncio.get_running_loop())
        (folder / "primary").write_text(LATER)
        await eventually(lambda: passes(keys, LATER), "the new key passes")
        keys.stop()

    asyncio.run(live())


def test_a_bad_file_is_logged_once_and_no_key_ever(folder, caplog):
    caplog.set_level("DEBUG")
    keys = guard_of(folder)
    (folder / "primary").write_text("tooshort-secret")
    for _ in range(3):
        keys.reload()
    (folder / "primary").write_text(LATER)
    keys.reload()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert str(folder / "primary") in caplog.text
    for secret in (PRIMARY, SECONDARY, LATER, "tooshort-secret"):
        assert secret not in caplog.text


def test_the_guard_keeps_no_key_that_a_script_could_come_across(folder):
    keys = guard_of(folder)
    gc.collect()
    assert PRIMARY not in repr(vars(keys))
    assert PRIMARY.encode() not in repr(vars(keys)).encode()


def test_keys_come_from_variables_and_are_taken_out_of_the_environment(monkeypatch):
    monkeypatch.setenv("SLIPWAY_PRIMARY_KEY", f" {PRIMARY} ")
    monkeypatch.setenv("SLIPWAY_SECONDARY_KEY", SECONDARY)
    keys = guard(Reader(os.environ))
    assert isinstance(keys, KeyGuard)
    assert passes(keys, PRIMARY)
    assert passes(keys, SECONDARY)
    assert PRIMARY not in str(dict(os.environ))
    assert SECONDARY not in str(dict(os.environ))
    asyncio.run(_started_and_stopped(keys))


async def _started_and_stopped(keys: KeyGuard) -> None:
    keys.start(asyncio.get_running_loop())
    keys.stop()


def test_a_variable_whose_secret_was_not_found_is_an_error_and_not_an_open_service(monkeypatch):
    monkeypatch.setenv("SLIPWAY_PRIMARY_KEY", "")
    with pytest.raises(SettingsError, match="there is none"):
        guard(Reader(os.environ))


def test_without_any_variable_the_service_is_open():
    assert guard(Reader({})) is None
    assert guard(Reader({"SLIPWAY_AUTH": "none"})) is None


def test_keys_that_are_wanted_and_missing_are_a_start_error(tmp_path):
    assert "SLIPWAY_KEYS_DIR" in problem_of(SLIPWAY_AUTH="key")
    assert "has no key in its files" in problem_of(SLIPWAY_KEYS_DIR=str(tmp_path))
    assert "has no key in its files" in problem_of(SLIPWAY_KEYS_DIR=str(tmp_path / "missing"))
    assert "allowed are key, entra, none" in problem_of(SLIPWAY_AUTH="keys")


def test_a_key_that_is_too_short_or_unfit_is_a_start_error_that_does_not_show_it(folder):
    for content, problem in (
        ("tooshort-secret", "too few characters; allowed are 32 to 1024"),
        ("x" * 1025, "too many characters"),
        ("a key with spaces, and long enough to be one", "visible ASCII"),
        ("ein-schlüssel-mit-umlaut-der-lang-genug-ist", "visible ASCII"),
    ):
        (folder / "secondary").write_text(content)
        message = problem_of(SLIPWAY_KEYS_DIR=str(folder))
        assert problem in message
        assert str(folder / "secondary") in message
        assert content not in message
    assert "SLIPWAY_PRIMARY_KEY has a key of too few" in problem_of(SLIPWAY_PRIMARY_KEY="tooshort-secret")


def test_contradictions_are_start_errors(folder):
    assert "remove the one or the other" in problem_of(SLIPWAY_KEYS_DIR=str(folder), SLIPWAY_PRIMARY_KEY=PRIMARY)
    assert "remove the one or the other" in problem_of(SLIPWAY_KEYS_DIR=str(folder), SLIPWAY_AUTH="none")
    assert "remove the one or the other" in problem_of(SLIPWAY_AUTH="entra", SLIPWAY_PRIMARY_KEY=PRIMARY)
    assert "set SLIPWAY_AUTH" in problem_of(SLIPWAY_KEYS_DIR=str(folder), SLIPWAY_ENTRA_TENANT="contoso.com")


def test_a_relative_folder_is_that_of_the_start(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    keys = guard_of(folder.name)
    monkeypatch.chdir("/")
    (folder / "primary").write_text(LATER)
    keys.reload()
    assert passes(keys, LATER)


def test_all_but_the_probes_is_guarded():
    assert [path for path in ("/", "/live", "/ready") if guarded(path)] == []
    for path in (
        "/score",
        "/status",
        "/metrics",
        "/swagger.json",
        "/docs",
        "/docs/page.js",
        "/anything",
        "//",
        "/live/",
    ):
        assert guarded(path)
