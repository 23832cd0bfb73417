"""Identities in container groups of the stand-in for Azure: who is given a token, and what a token opens."""

import contextlib
import json
import os
import ssl
import threading
import time

import pytest

from provider.resource import Call
from standins.azure_metadata import blobs, endpoint
from standins.azure_metadata.tokens import LIFE_SECONDS, Tokens
from standins.azure_native import metadata
from standins.azure_native.kinds.kind import made_up
from standins.azure_native.store import Record, Store, save

GROUP = "/subscriptions/s/resourceGroups/rg"
PULL, COLLECT, STRANGER = (
    f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}"
    for name in ("pull", "collect", "stranger")
)
ACCOUNT = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/kept"
CONTAINER = f"{ACCOUNT}/blobServices/default/containers/collected"
HOST = "kept.blob.core.windows.net"
STORAGE = "https://storage.azure.com"
READER, CONTRIBUTOR, OWNER_OF_ALL = (
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
)
PATH = "/metadata/identity/oauth2/token?api-version=2018-02-01"
HEADERS = {"metadata": "true"}


def group(*identities):
    return Record(
        f"{GROUP}/providers/Microsoft.ContainerInstance/containerGroups/iris",
        "containerinstance:ContainerGroup",
        {"identity": {"type": "UserAssigned", "userAssignedIdentities": list(identities)}},
        {},
    )


def asked(query, *identities):
    return endpoint.identity_for(group(*identities), "GET", HEADERS, PATH + query)


def test_a_group_is_given_tokens_of_the_identity_that_it_names():
    resource = f"&resource={STORAGE}"
    for named in (
        f"&client_id={made_up('client', COLLECT)}",
        f"&object_id={made_up('principal', COLLECT)}",
        f"&mi_res_id={COLLECT}",
    ):
        assert asked(resource + named, PULL, COLLECT) == (COLLECT, STORAGE)
    assert asked(resource, COLLECT) == (COLLECT, STORAGE)


@pytest.mark.parametrize(
    ("query", "identities", "message"),
    [
        (f"&resource={STORAGE}&client_id={made_up('client', STRANGER)}", [PULL, COLLECT], "Identity not found"),
        (f"&resource={STORAGE}", [PULL, COLLECT], "Multiple user assigned identities exist"),
        (f"&resource={STORAGE}", [], "Identity not found"),
        ("", [COLLECT], "'resource' is missing"),
        (f"&resource={STORAGE}&client_id=a&mi_res_id=b", [COLLECT], "exclude each other"),
    ],
)
def test_no_group_is_given_a_token_of_another_identity_or_of_any(query, identities, message):
    with pytest.raises(endpoint.RefusalError, match=message) as refused:
        asked(query, *identities)
    assert refused.value.status == 400


@pytest.mark.parametrize("headers", [{}, {"metadata": "false"}, {"metadata": "true", "x-forwarded-for": "1.2.3.4"}])
def test_a_request_that_a_model_was_tricked_into_is_given_none(headers):
    with pytest.raises(endpoint.RefusalError, match="metadata header"):
        endpoint.identity_for(group(COLLECT), "GET", headers, f"{PATH}&resource={STORAGE}")


def test_who_is_in_no_group_is_given_none():
    with pytest.raises(endpoint.RefusalError, match="Identity not found"):
        endpoint.identity_for(None, "GET", HEADERS, f"{PATH}&resource={STORAGE}")


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "azure")
    with made.transaction() as db:
        save(db, Record(ACCOUNT, "storage:StorageAccount", {"allowSharedKeyAccess": False}, {}))
    return made


@pytest.fixture
def tokens(store):
    return Tokens(store.folder / "metadata")


def grant(store, role, scope, identity=COLLECT):
    body = {
        "scope": scope,
        "principalId": made_up("principal", identity),
        "roleDefinitionId": f"/subscriptions/s/providers/Microsoft.Authorization/roleDefinitions/{role}",
    }
    name = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{made_up(role, scope, identity)}"
    with store.transaction() as db:
        save(db, Record(name, "authorization:RoleAssignment", body, {}))


def bearer(tokens, audience=STORAGE, identity=COLLECT, **given):
    return f"Bearer {tokens.issue(identity, audience, **given)['access_token']}"


def answered(store, tokens, header, method="PUT", path="/collected/a.jsonl", host=HOST):
    """What a request is answered: the status of its refusal, else 200, and the reason."""
    try:
        blobs.authorized(store, tokens, method, host, path, header)
    except blobs.RefusalError as refusal:
        return refusal.status, refusal.code
    return 200, ""


@pytest.mark.parametrize("audience", [STORAGE, f"{STORAGE}/", f"https://{HOST}", f"https://{HOST}/"])
@pytest.mark.parametrize("scope", [CONTAINER, ACCOUNT, GROUP])
def test_who_may_write_the_containers_data_there_or_above_may(store, tokens, audience, scope):
    grant(store, CONTRIBUTOR, scope)
    assert answered(store, tokens, bearer(tokens, audience)) == (200, "")


MISMATCH = (403, "AuthorizationPermissionMismatch")


@pytest.mark.parametrize(
    ("role", "scope", "identity"),
    [
        (READER, CONTAINER, COLLECT),
        (OWNER_OF_ALL, GROUP, COLLECT),
        (CONTRIBUTOR, CONTAINER, PULL),
        (CONTRIBUTOR, f"{ACCOUNT}/blobServices/default/containers/collect", COLLECT),
        (CONTRIBUTOR, f"{ACCOUNT}/blobServices/default/containers/other", COLLECT),
    ],
    ids=["reader", "owner of the resource, not of its data", "another identity", "a name's beginning", "elsewhere"],
)
def test_whose_role_does_not_allow_it_may_not(store, tokens, role, scope, identity):
    assert answered(store, tokens, bearer(tokens)) == MISMATCH
    grant(store, role, scope, identity)
    assert answered(store, tokens, bearer(tokens)) == MISMATCH


def test_a_reader_reads_and_one_containers_role_lists_no_containers(store, tokens):
    grant(store, READER, CONTAINER)
    assert answered(store, tokens, bearer(tokens), "GET") == (200, "")
    assert answered(store, tokens, bearer(tokens), "DELETE") == MISMATCH
    assert answered(store, tokens, bearer(tokens), "GET", "/?comp=list") == MISMATCH


def test_tokens_of_another_audience_time_or_maker_are_refused(store, tokens, tmp_path):
    grant(store, CONTRIBUTOR, CONTAINER)
    wrong = [
        bearer(tokens, "https://vault.azure.net"),
        bearer(tokens, "https://other.blob.core.windows.net"),
        bearer(tokens, now=time.time() - LIFE_SECONDS - 60),
        bearer(tokens, now=time.time() + 600),
        bearer(Tokens(tmp_path / "elsewhere")),
        "Bearer nonsense",
    ]
    assert {answered(store, tokens, one) for one in wrong} == {(401, "InvalidAuthenticationInfo")}
    assert answered(store, tokens, "") == (401, "NoAuthenticationInformation")


def test_keys_do_not_open_an_account_that_forbids_them(store, tokens):
    refused = (403, "KeyBasedAuthenticationNotPermitted")
    assert answered(store, tokens, "SharedKey kept:abc") == refused
    assert answered(store, tokens, "", path="/collected/a?sv=2019-02-02&sig=abc") == refused
    assert answered(store, tokens, "", host="none.blob.core.windows.net") == (400, "InvalidUri")
    assert answered(store, tokens, "", host="kept.example.com") == (400, "InvalidUri")


def test_the_authority_is_where_openssl_looks_for_it(store, tmp_path):
    authority, server = metadata.certificates(store)
    trusted = tmp_path / "certs"
    trusted.mkdir()
    (trusted / metadata.AUTHORITY_FILE).write_bytes(authority.read_bytes())
    serving, asking = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    serving.load_cert_chain(server)
    asking.load_verify_locations(capath=str(trusted))
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [asking.wrap_bio(back, there, server_hostname=HOST), serving.wrap_bio(there, back, server_side=True)]
    for one in (*ends, *ends):
        with contextlib.suppress(ssl.SSLWantReadError):
            one.do_handshake()
    assert dict(name for [name] in ends[0].getpeercert()["issuer"]) == {"commonName": metadata.AUTHORITY}


def test_without_root_a_group_is_told_that_it_gets_no_tokens_and_runs_all_the_same(store, monkeypatch):
    said = []
    call = Call("urn:pulumi:t::t::t::t", threading.Event(), lambda severity, text, _: said.append((severity, text)))
    engine = None  # Nothing may be asked of it.
    assert metadata.surroundings(call, store, engine) is None
    assert said == []
    served = store.folder / "azurite" / "served.json"
    served.parent.mkdir()
    served.write_text(json.dumps({"host": "127.0.0.1", "ports": {"blob": 1}, "accounts": ["kept"]}))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert metadata.surroundings(call, store, engine) is None
    [(severity, text)] = said
    assert severity == "warning"
    assert "takes root" in text
