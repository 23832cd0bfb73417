"""Pools as Azure Resource Manager's stand-in has them: what the data plane needs of one, and who may do what."""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from standins.azure_batch.errors import BatchError
from standins.azure_native.kinds.kind import made_up

if TYPE_CHECKING:
    from collections.abc import Iterable

    from standins.azure_native.store import Record, Store

ACCOUNTS, POOLS = "batch:BatchAccount", "batch:Pool"
_ACR_PULL = ("7f951dda-4ed3-4680-a7ca-43fe172d538d", "8311e382-0749-4cb8-b61a-304f252e45ec")
_BLOB_DATA = ("2a2b9908-6ea1-4ae2-8e65-a410df84e7d1", "ba92f5b4-2d11-453d-a403-e96b0029c9fe")
# Job Submitter, Data Contributor, Account Contributor.
_JOBS = (
    "48e5e92e-a480-4e71-aa9c-2778f4c13781",
    "6aaa78f1-f7de-44ca-8722-c64a23943cae",
    "29fe4964-1e60-436b-bd3a-77fd4c178b3c",
)
_ALL = ("b24988ac-6180-42a0-ab88-20f7382dd24c", "8e3af657-a8ff-443c-a75c-2fe8c4bcb635")
_TOKEN_SECONDS = 3600


@dataclass(frozen=True)
class Pool:
    """A pool.

    Attributes:
        record: As the store has it.
        has_spot: Whether its account's nodes may be Spot ones.
    """

    record: Record
    has_spot: bool

    @property
    def account(self) -> str:
        """The account's name."""
        return self.record.id.split("/")[-3]

    @property
    def id(self) -> str:
        """Its id on the data plane: its name."""
        return self.record.name

    @property
    def key(self) -> str:
        """What it is as a parent of nodes."""
        return f"{self.account}/{self.id.lower()}"

    @property
    def body(self) -> dict[str, Any]:
        """What was asked for."""
        return self.record.body

    @property
    def slots(self) -> int:
        """How many tasks a node runs at once."""
        return int(self.body.get("taskSlotsPerNode") or 1)

    @property
    def machine(self) -> dict[str, Any]:
        """What its nodes are made of."""
        found: dict[str, Any] = (self.body.get("deploymentConfiguration") or {}).get("virtualMachineConfiguration", {})
        return found

    @property
    def containers(self) -> dict[str, Any]:
        """What its nodes know of containers."""
        return self.machine.get("containerConfiguration") or {}

    @property
    def identities(self) -> list[str]:
        """The ids of its identities."""
        return list((self.body.get("identity") or {}).get("userAssignedIdentities") or [])


def pools_of(store: Store) -> list[Pool]:
    """Return the pools that are not being deleted."""
    accounts = {one.name: one for one in store.all(ACCOUNTS)}
    found = []
    for record in store.all(POOLS):
        account = accounts.get(record.id.split("/")[-3])
        if account is not None and record.state != "Deleting":
            found.append(Pool(record, account.body.get("poolAllocationMode") == "UserSubscription"))
    return found


def account_of(store: Store, name: str) -> Record | None:
    """Return an account by its name."""
    return next((one for one in store.all(ACCOUNTS) if one.name == name.lower()), None)


def may(store: Store, identity: str, roles: Iterable[str], scope: str, *, within: bool = False) -> bool:
    """Tell whether an identity has one of some roles.

    Args:
        store: What there is.
        identity: The identity's id.
        roles: Which.
        scope: On what; a role above it counts too.
        within: Whether one on a part of it counts.
    """
    principal, allowed, on = made_up("principal", identity), {*roles, *_ALL}, scope.lower()
    for one in store.all("authorization:RoleAssignment"):
        where = str(one.body["scope"]).rstrip("/").lower()
        role = str(one.body["roleDefinitionId"]).rpartition("/")[2].lower()
        reaches = f"{on}/".startswith(f"{where}/") or (within and where.startswith(f"{on}/"))
        if role in allowed and str(one.body["principalId"]).lower() == principal and reaches:
            return True
    return False


def refused_image(store: Store, pool: Pool, image: str, given: dict[str, Any] | None = None) -> str | None:
    """Return why a pool's nodes cannot have an image, or None.

    Args:
        store: What there is.
        pool: Whose nodes.
        image: Its name.
        given: A registry that the task brings, beside those of the pool.
    """
    server = image.partition("/")[0]
    there = [one for one in store.all("containerregistry:Registry") if one.computed.get("loginServer") == server]
    if not there or any(one.body.get("anonymousPullEnabled") for one in there):
        return None
    for one in [*([given] if given else []), *(pool.containers.get("containerRegistries") or [])]:
        identity = (one.get("identityReference") or {}).get("resourceId")
        if one.get("registryServer") != server or not identity:
            continue
        if identity.lower() not in [own.lower() for own in pool.identities]:
            return f"the identity {identity} is not one of the pool's"
        if any(may(store, identity, _ACR_PULL, registry.id) for registry in there):
            return None
        return f"the identity {identity} lacks the role AcrPull on {server}"
    return f"the pool has nothing that opens {server}"


def storage_of(store: Store, pool: Pool, variables: dict[str, str]) -> dict[str, str]:
    """Return what stands in for a managed identity's way to the storage that a task names: Azurite knows keys only.

    Args:
        store: What there is.
        pool: Whose identities count.
        variables: The task's own.
    """
    account = next(
        (one for one in store.all("storage:StorageAccount") if one.name == variables.get("AZURE_STORAGE_ACCOUNT_NAME")),
        None,
    )
    identity = identity_of(pool, variables.get("AZURE_CLIENT_ID", ""))
    if account is None or identity is None or not may(store, identity, _BLOB_DATA, account.id, within=True):
        return {}
    from standins.azure_native.azurite import connection_string  # noqa: PLC0415 - only here

    return {"AZURE_STORAGE_CONNECTION_STRING": connection_string(store, account.name)}


def identity_of(pool: Pool, client: str) -> str | None:
    """Return the identity of a pool that has a client id; the only one, where none is given."""
    if not client:
        return pool.identities[0] if len(pool.identities) == 1 else None
    return next((one for one in pool.identities if made_up("client", one) == client), None)


def header_of(store: Store, pool: Pool) -> str:
    """Return what a pool's tasks show to be given tokens."""
    return f"{pool.id}:{_signed(store, pool.key)}"


def token_for(store: Store, pools: list[Pool], header: str, client: str) -> dict[str, Any]:
    """Return a token for a task, as App Service's endpoint gives them, in the place of a machine's.

    Raises:
        BatchError: The header is no pool's, or the pool has no such identity.
    """
    name, _, signature = header.partition(":")
    pool = next((one for one in pools if one.id == name), None)
    if pool is None or not hmac.compare_digest(_signed(store, pool.key), signature):
        raise BatchError(401, "AuthenticationFailed", "The header is no pool's.")
    identity = identity_of(pool, client)
    if identity is None:
        raise BatchError(400, "InvalidIdentity", f"The pool has no identity with the client id {client!r}.")
    until = int(time.time()) + _TOKEN_SECONDS
    text = f"{identity}|{until}"
    return {
        "access_token": f"{text}|{_signed(store, text)}",
        "expires_on": str(until),
        "resource": "https://batch.core.windows.net/",
        "token_type": "Bearer",
    }


def authorize(store: Store, account: Record, header: str) -> None:
    """Let those pass who may work with an account's jobs: who is on this machine, and tasks whose identity may.

    Raises:
        BatchError: They may not.
    """
    scheme, _, token = header.partition(" ")
    if scheme != "Bearer" or not token:
        # The accounts here know tokens only, as `allowedAuthenticationModes` says.
        raise BatchError(
            403 if scheme == "SharedKey" else 401,
            "AuthenticationFailed",
            "Server failed to authenticate the request. Make sure the value of Authorization header is formed "
            "correctly including the signature.",
        )
    if token == "stand-in":  # noqa: S105 - not one
        return
    identity, _, rest = token.partition("|")
    until, _, signature = rest.partition("|")
    if not hmac.compare_digest(_signed(store, f"{identity}|{until}"), signature) or int(until or 0) < time.time():
        raise BatchError(401, "AuthenticationFailed", "The token is not valid.")
    if not may(store, identity, _JOBS, account.id):
        raise BatchError(
            403,
            "AuthorizationPermissionMismatch",
            "This request is not authorized to perform this operation using this permission.",
            Identity=identity,
        )


def _signed(store: Store, text: str) -> str:
    return hmac.new(store.mark.encode(), text.encode(), hashlib.sha256).hexdigest()[:32]
