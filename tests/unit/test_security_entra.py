"""Access by Microsoft Entra's tokens, against an issuer on this machine."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from scoring.refused import RefusedError
from scoring.security import entra, guard
from scoring.security import issuer as issuer_module
from scoring.security.entra import EntraGuard, EntraSettings
from scoring.variables import Reader, SettingsError
from tests.unit.local_issuer import AUDIENCE, CLIENT, TENANT, Issuer
from tests.unit.security_harness import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHER = "ffffffff-0000-0000-0000-000000000000"


@pytest.fixture(autouse=True)
def _asked_as_often_as_wanted(monkeypatch):
    monkeypatch.setattr(issuer_module, "_LEAST_SECONDS", 0.0)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    local = Issuer()
    yield local
    local.close()


def guard_of(issuer: Issuer, **variables: str) -> EntraGuard:
    ours = {
        "SLIPWAY_AUTH": "entra",
        "SLIPWAY_ENTRA_TENANT": TENANT,
        "SLIPWAY_ENTRA_AUDIENCE": f"api://{AUDIENCE}, {AUDIENCE}",
        "SLIPWAY_ENTRA_AUTHORITY": issuer.authority,
    }
    found = guard(Reader(ours | variables))
    assert isinstance(found, EntraGuard)
    return found


async def ask(guard: EntraGuard, token: str | bytes) -> RefusedError | None:
    """What becomes of a request with a token; None when it passes."""
    value = token.encode() if isinstance(token, str) else token
    try:
        later = guard.check([(b"authorization", b"Bearer " + value)])
        if later is not None:
            await later
    except RefusedError as error:
        refused = error
    else:
        return None
    assert dict(refused.headers)[b"retry-after" if refused.status == 503 else b"www-authenticate"]
    return refused


def asked(guard: EntraGuard, *tokens: str | bytes) -> list[str]:
    """What becomes of requests, one after the other: "passes", or status and message."""

    async def ask_all() -> list[str]:
        found = [await ask(guard, token) for token in tokens]
        return ["passes" if refused is None else f"{refused.status} {refused}" for refused in found]

    return asyncio.run(ask_all())


def refusal(guard: EntraGuard, token: str | bytes) -> str:
    return asked(guard, token)[0]


def test_good_tokens_of_both_versions_pass(issuer):
    v1 = issuer.token(iss=issuer.v1, aud=f"api://{AUDIENCE}", azp=None, appid=CLIENT, ver="1.0")
    assert asked(guard_of(issuer), issuer.token(), v1) == ["passes", "passes"]


def test_a_token_that_was_verified_passes_at_once_and_until_it_expires(issuer, monkeypatch):
    found, token = guard_of(issuer), issuer.token()
    assert refusal(found, token) == "passes"
    issuer.close()
    assert found.check([(b"authorization", b"Bearer " + token.encode())]) is None

    later = time.time() + 3600 + 61

    class Later(datetime):
        """PyJWT's clock."""

        @classmethod
        def now(cls, tz=None):
            return datetime.fromtimestamp(later, tz)

    monkeypatch.setattr(entra.time, "time", lambda: later)
    monkeypatch.setattr(jwt.api_jwt, "datetime", Later)
    assert "it has expired" in refusal(found, token)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"aud": "someone-else"}, "another audience"),
        ({"aud": None}, "lacks a claim"),
        ({"aud": [OTHER]}, "another audience"),
        ({"iss": f"https://sts.windows.net/{OTHER}/"}, "its issuer is not this service's tenant"),
        ({"iss": None}, "does not name its issuer"),
        ({"exp": int(time.time()) - 120}, "it has expired"),
        ({"exp": None}, "lacks a claim"),
        ({"exp": "tomorrow"}, "401"),
        ({"nbf": int(time.time()) + 100_000}, "its time has not begun"),
        ({"iat": int(time.time()) + 100_000}, "its time has not begun"),
        ({"azp": None}, "not an access token"),
        ({"azp": 5}, "not an access token"),
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(issuer, changes, message):
    found = refusal(guard_of(issuer), issuer.token(**changes))
    assert found.startswith("401 ")
    assert message in found


def test_clocks_may_differ_a_little(issuer):
    now = int(time.time())
    slow, fast = issuer.token(exp=now - 20), issuer.token(nbf=now + 20, iat=now + 20)
    assert asked(guard_of(issuer), slow, fast) == ["passes", "passes"]


def _segment(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_algorithms_other_than_rs256_are_refused(issuer):
    found = guard_of(issuer)
    key_id = next(iter(issuer.signing))
    private = issuer.signing[key_id]
    body = _segment(issuer.claims())
    unsigned = [f"{_segment({'alg': alg, 'kid': key_id})}.{body}." for alg in ("none", "None", "NONE")]
    # The public key taken for the secret of an HMAC: what a verifier does that believes the token's header.
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    confused = f"{_segment({'alg': 'HS256', 'kid': key_id})}.{body}"
    mac = hmac.new(public, confused.encode(), hashlib.sha256).digest()
    confused += "." + base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
    lying = f"{_segment({'alg': 'RS256', 'kid': key_id})}.{body}.{confused.rpartition('.')[2]}"
    others = [jwt.encode(issuer.claims(), private, alg, {"kid": key_id}) for alg in ("RS384", "RS512", "PS256")]
    others.append(jwt.encode(issuer.claims(), ec.generate_private_key(ec.SECP256R1()), "ES256", {"kid": key_id}))
    results = asked(found, issuer.token(), *unsigned, confused, lying, *others)
    assert results[0] == "passes"
    assert {result[:4] for result in results[1:]} == {"401 "}


def test_a_key_that_a_token_brings_along_is_not_used(issuer):
    own = rsa.generate_private_key(65537, 2048)
    brought = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(own.public_key()))
    key_id = next(iter(issuer.signing))
    headers = {"kid": key_id, "jwk": brought, "jku": "http://127.0.0.1:9/keys", "x5u": "http://127.0.0.1:9/keys"}
    token = jwt.encode(issuer.claims(), own, "RS256", headers)
    assert "its signature is wrong" in refusal(guard_of(issuer), token)


def test_a_changed_token_is_refused_also_after_the_good_one_passed(issuer):
    found, token = guard_of(issuer), issuer.token()
    header, _, signature = token.split(".")
    forged = f"{header}.{_segment(issuer.claims(roles=['admin']))}.{signature}"
    assert asked(found, token, forged)[1] == "401 The token is not valid: its signature is wrong."


def test_only_allowed_applications_pass_when_they_are_named(issuer):
    found = guard_of(issuer, SLIPWAY_ENTRA_CLIENTS=f"{OTHER},{CLIENT.upper()}")
    results = asked(found, issuer.token(), issuer.token(azp="stranger"))
    assert results[0] == "passes"
    assert results[1].startswith("403 ")


def test_one_of_the_roles_is_needed_when_they_are_named(issuer):
    found = guard_of(issuer, SLIPWAY_ENTRA_ROLES="Score.All,Score.Some")
    tokens = [issuer.token(roles=roles) for roles in (["Score.Some"], ["Other"], None, "Score.All", [["Score.All"], 3])]
    assert [result[:4] for result in asked(found, *tokens)] == ["pass", "403 ", "403 ", "403 ", "403 "]


def test_a_new_key_of_the_issuer_is_fetched_when_a_token_names_it(issuer):
    found = guard_of(issuer)
    before = issuer.token()

    async def rotate() -> None:
        assert await ask(found, before) is None
        issuer.add_key("second")
        assert await ask(found, issuer.token()) is None
        assert await ask(found, before) is None
        del issuer.signing["first"]
        issuer.add_key("third")
        assert await ask(found, issuer.token()) is None
        # What was verified with a key that the issuer took back is not good any more.
        refused = await ask(found, before)
        assert refused is not None
        assert refused.status == 401

    asyncio.run(rotate())


def test_tokens_of_unknown_keys_do_not_make_the_service_ask_again_and_again(issuer, monkeypatch):
    monkeypatch.setattr(issuer_module, "_LEAST_SECONDS", 3600.0)
    found = guard_of(issuer)
    issuer.add_key("hidden")
    hidden = issuer.token()
    del issuer.signing["hidden"]
    others = [jwt.encode(issuer.claims(), issuer.signing["first"], "RS256", {"kid": f"k{n}"}) for n in range(20)]
    results = asked(found, issuer.token(), hidden, *others)
    assert results[0] == "passes"
    assert {result[:4] for result in results[1:]} == {"401 "}
    assert len(issuer.asked) == 4


def test_requests_that_wait_for_the_keys_share_one_fetch(issuer):
    found = guard_of(issuer)
    token = issuer.token()

    async def together() -> list[RefusedError | None]:
        return list(await asyncio.gather(*(ask(found, token) for _ in range(50))))

    assert asyncio.run(together()) == [None] * 50
    assert len(issuer.asked) == 4


def test_a_caller_who_leaves_while_the_keys_are_fetched_takes_nothing_from_the_others(issuer):
    found = guard_of(issuer)
    token = issuer.token()

    async def one_leaves() -> RefusedError | None:
        leaving = asyncio.ensure_future(ask(found, token))
        staying = asyncio.ensure_future(ask(found, token))
        await asyncio.sleep(0)
        leaving.cancel()
        return await staying

    assert asyncio.run(one_leaves()) is None


def test_keys_that_are_known_outlast_an_outage_of_the_issuer(issuer, caplog):
    found = guard_of(issuer)

    async def outage() -> None:
        assert await ask(found, issuer.token()) is None
        issuer.close()
        assert await ask(found, issuer.token(azp="another")) is None
        issuer.add_key("unknown")
        refused = await ask(found, issuer.token())
        assert refused is not None
        assert refused.status == 401
        assert await ask(found, issuer.token("first", azp="a third")) is None

    asyncio.run(outage())
    assert "cannot be fetched from" in caplog.text


def test_keys_are_not_believed_in_for_ever(issuer, monkeypatch):
    found = guard_of(issuer)
    assert refusal(found, issuer.token()) == "passes"
    issuer.close()
    monkeypatch.setattr(issuer_module, "_VALID_SECONDS", -1.0)
    assert refusal(found, issuer.token(azp="another")).startswith("503 ")


def test_without_keys_a_request_is_told_to_come_again(issuer):
    token = issuer.token()
    issuer.close()
    found = guard_of(issuer)
    refused = asyncio.run(ask(found, token))
    assert refused is not None
    assert refused.status == 503
    assert (b"retry-after", b"10") in refused.headers
    assert token not in str(refused)


@pytest.mark.parametrize(
    "reply",
    [
        302,
        404,
        500,
        b"",
        b"<html>",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b"[]",
        b"{}",
        b'{"keys": 5}',
        b'{"keys": []}',
        b'{"keys": [1, {}, {"kid": "first"}, {"kty": "RSA", "kid": "first", "n": "!", "e": 5}]}',
        b'{"keys": "' + b"x" * (1 << 20) + b'"}',
    ],
)
def test_an_issuer_that_answers_nonsense_is_an_outage(issuer, reply, caplog):
    found = guard_of(issuer)
    good = issuer.token()
    issuer.replies |= dict.fromkeys(("/v1/keys", "/v2/keys"), reply)

    async def nonsense_and_sense() -> list[int | None]:
        first = await ask(found, good)
        issuer.replies.clear()
        second = await ask(found, good)
        return [each and each.status for each in (first, second)]

    assert asyncio.run(nonsense_and_sense()) == [503, None]
    assert "cannot be fetched from" in caplog.text


def test_redirects_of_the_configuration_are_not_followed(issuer):
    issuer.replies[f"/{TENANT}/.well-known/openid-configuration"] = 302
    assert refusal(guard_of(issuer), issuer.token()).startswith("503 ")


@pytest.mark.parametrize("place", ["http://example.com/keys", "file:///etc/passwd", "ftp://127.0.0.1/keys", "//", 5])
def test_keys_are_not_fetched_from_where_they_could_be_forged(issuer, place):
    for tenant in (TENANT, f"{TENANT}/v2.0"):
        configuration = {"issuer": issuer.v2, "jwks_uri": place}
        issuer.replies[f"/{tenant}/.well-known/openid-configuration"] = configuration
    assert refusal(guard_of(issuer), issuer.token()).startswith("503 ")


def test_an_issuer_without_one_of_the_two_forms_is_enough(issuer):
    issuer.replies[f"/{TENANT}/.well-known/openid-configuration"] = 404
    results = asked(guard_of(issuer), issuer.token(), issuer.token(iss=issuer.v1))
    assert results[0] == "passes"
    assert "its issuer is not this service's tenant" in results[1]


def test_keys_of_another_tenant_or_use_or_strength_are_not_used(issuer):
    issuer.signing |= dict.fromkeys(("foreign", "encrypting", "other-alg"), issuer.signing["first"])
    issuer.signing["weak"] = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that it is refused is tested
    entries = {name: issuer.public(name) for name in issuer.signing}
    entries["foreign"]["issuer"] = f"{issuer.authority}/{OTHER}/v2.0"
    entries["encrypting"]["use"] = "enc"
    entries["other-alg"]["alg"] = "PS256"
    issuer.replies["/v2/keys"] = {"keys": list(entries.values())}
    found = guard_of(issuer)
    assert refusal(found, issuer.token("first")) == "passes"
    with pytest.warns(jwt.warnings.InsecureKeyLengthWarning):
        weak_token = issuer.token("weak")
    tokens = [issuer.token(name) for name in ("foreign", "encrypting", "other-alg")] + [weak_token]
    assert {result[:4] for result in asked(found, *tokens)} == {"401 "}


def test_keys_are_fetched_in_the_background_before_the_first_request(issuer):
    found = guard_of(issuer)

    async def live() -> None:
        found.start(asyncio.get_running_loop())
        await eventually(lambda: found.keys.are_usable, "there are keys")
        assert found.check([(b"authorization", b"Bearer " + issuer.token().encode())]) is None
        found.stop()

    asyncio.run(live())


def test_keys_are_kept_fresh_in_the_background(issuer, monkeypatch):
    monkeypatch.setattr(issuer_module, "_REFRESH_SECONDS", 0.01)
    monkeypatch.setattr(issuer_module, "_RETRY_SECONDS", 0.01)
    found = guard_of(issuer)

    async def live() -> None:
        issuer.replies["/v2/keys"] = 500
        found.start(asyncio.get_running_loop())
        await eventually(lambda: len(issuer.asked) >= 8, "the issuer was asked again after a failure")
        issuer.replies.clear()
        issuer.add_key("second")
        await eventually(lambda: found.keys.find(issuer.v2, "second"), "the new key is known")
        found.stop()

    asyncio.run(live())


def test_a_token_that_is_too_long_is_not_even_read(issuer):
    assert "longer than" in refusal(guard_of(issuer), issuer.token(groups=["x" * 20_000]))
    assert issuer.asked == []


@pytest.fixture(scope="module")
def ready() -> EntraGuard:
    """A guard that has its keys."""
    local = Issuer()
    found = guard_of(local)
    assert refusal(found, local.token()) == "passes"
    local.close()
    return found


NASTY = st.one_of(
    st.binary(max_size=200),
    st.lists(st.binary(max_size=60).map(base64.urlsafe_b64encode), min_size=1, max_size=5).map(b".".join),
    st.tuples(
        st.dictionaries(
            st.sampled_from(["alg", "kid", "b64", "crit", "typ", "zip"]), st.none() | st.text() | st.lists(st.text())
        ),
        st.dictionaries(st.sampled_from(["iss", "aud", "exp"]), st.none() | st.text() | st.integers() | st.floats()),
    ).map(lambda parts: f"{_segment(parts[0])}.{_segment(parts[1])}.c2ln".encode()),
)


@given(NASTY)
def test_garbage_is_refused_and_nothing_else_happens(ready, garbage):
    assert refusal(ready, garbage).startswith("401 ")


def test_deeply_nested_tokens_are_refused(ready):
    deep = base64.urlsafe_b64encode(b"[" * 9000).decode()
    assert refusal(ready, f"{deep}.e30.c2ln").startswith("401 ")
    assert refusal(ready, f"{_segment({'alg': 'RS256', 'kid': 'first'})}.{deep}.c2ln"[:16_000]).startswith("401 ")


def test_the_memory_of_verified_tokens_is_bounded(issuer, monkeypatch):
    monkeypatch.setattr(entra, "_MOST_VERIFIED", 3)
    found = guard_of(issuer)
    tokens = [issuer.token(azp=f"client-{number}") for number in range(10)]
    assert asked(found, *tokens, *tokens) == ["passes"] * 20
    assert len(found._verified) == 3


def test_no_token_is_in_a_message_or_in_the_log(issuer, caplog):
    caplog.set_level("DEBUG")
    found = guard_of(issuer)
    tokens = [
        issuer.token(),
        issuer.token(aud="secret-audience"),
        issuer.token(azp=None),
        issuer.token() + "x",
        "a.b.c",
    ]
    shown = " ".join(asked(found, *tokens)) + caplog.text
    for token in tokens:
        assert token not in shown
    assert "secret-audience" not in shown
    assert tokens[0] not in repr(found)


def problem_of(**variables: str) -> str:
    with pytest.raises(SettingsError) as caught:
        guard(Reader({"SLIPWAY_AUTH": "entra", **variables}))
    return str(caught.value)


def test_what_is_missing_or_not_allowed_is_named_at_start():
    assert "SLIPWAY_ENTRA_TENANT is not set" in problem_of(SLIPWAY_ENTRA_AUDIENCE="x")
    assert "SLIPWAY_ENTRA_AUDIENCE is not set" in problem_of(SLIPWAY_ENTRA_TENANT=TENANT)
    for tenant in ("common", "Organizations", "a/b", "x?y", "..", "ä"):
        assert "one tenant's id or domain" in problem_of(SLIPWAY_ENTRA_TENANT=tenant, SLIPWAY_ENTRA_AUDIENCE="x")
    for authority in (
        "http://login.example.com",
        "login.example.com",
        "file:///x",
        "https://",
        "http://[",
        "ftp://localhost",
    ):
        assert "allowed is the https URL" in problem_of(
            SLIPWAY_ENTRA_TENANT=TENANT, SLIPWAY_ENTRA_AUDIENCE="x", SLIPWAY_ENTRA_AUTHORITY=authority
        )


def test_entra_settings_that_miss_the_tenant_never_make_an_open_service():
    with pytest.raises(SettingsError, match="SLIPWAY_ENTRA_TENANT is not set"):
        guard(Reader({"SLIPWAY_ENTRA_ROLES": "Score.All"}))


def test_the_missing_package_is_named_with_the_manifest_key(monkeypatch):
    monkeypatch.setitem(sys.modules, "jwt", None)
    problem = problem_of(SLIPWAY_ENTRA_TENANT=TENANT, SLIPWAY_ENTRA_AUDIENCE="x")
    assert "`auth: entra` needs the package pyjwt[crypto]" in problem


def test_the_public_cloud_is_the_default():
    settings = EntraSettings.from_reader(Reader({"SLIPWAY_ENTRA_TENANT": TENANT, "SLIPWAY_ENTRA_AUDIENCE": "x"}))
    assert settings.authority == "https://login.microsoftonline.com"
