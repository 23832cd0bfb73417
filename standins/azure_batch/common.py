"""What Batch's operations have in common: requests, answers, and what is looked up for them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from standins.azure_batch.errors import BatchError, missing
from standins.azure_batch.listing import page, selected
from standins.azure_batch.pools import pools_of

if TYPE_CHECKING:
    from standins.azure_batch.nodes import Nodes
    from standins.azure_batch.pools import Pool
    from standins.azure_batch.runs import Runs
    from standins.azure_batch.state import Document, State
    from standins.azure_native.store import Store

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
ENDING = ("terminating", "deleting")


@dataclass
class Request:
    """A request, as far as operations need it.

    Attributes:
        account: The account's name.
        parts: What stood in the path, by name.
        query: The query.
        body: The body, a JSON value.
        url: The account's address, for what is told where it is.
        path: Behind that.
    """

    account: str
    parts: dict[str, str]
    query: dict[str, str]
    body: Any
    url: str
    path: str


@dataclass
class Answer:
    """What is answered: a status, and a JSON value, a document or nothing."""

    status: int
    body: Any = None
    document: Document | None = None
    headers: dict[str, str] = field(default_factory=dict)


class Base:
    """Operations over what there is. Those that change something are called with the lock held."""

    def __init__(self, store: Store, state: State, runs: Runs, nodes: Nodes) -> None:
        """Use what there is."""
        self.store = store
        self.state = state
        self.runs = runs
        self.nodes = nodes

    def job_of(self, request: Request) -> Document:
        """Return the job that the path names."""
        job = self.state.get("job", request.account, request.parts["job"])
        if job is None:
            raise missing("Job", request.parts["job"])
        return job

    def pools_in(self, account: str) -> list[Pool]:
        """Return an account's pools."""
        return [one for one in pools_of(self.store) if one.account == account]

    def need_pool(self, account: str, pool: str | None, status: int = 409) -> Pool:
        """A job may name a pool that is not there yet; this stand-in refuses what is never meant."""
        if pool is None:
            raise BatchError(400, "InvalidRequestBody", "poolInfo needs poolId: the stand-in makes no pools for jobs.")
        found = next((one for one in self.pools_in(account) if one.id.lower() == pool.lower()), None)
        if found is None:
            raise BatchError(status, "PoolNotFound", "The specified pool does not exist.", PoolId=pool)
        return found

    def one(self, request: Request, document: Document) -> Answer:
        """Show one of them."""
        shown = {**document.shown, "url": request.url + request.path}
        return Answer(200, selected(shown, request.query), document)

    def listed(self, request: Request, documents: list[Document]) -> Answer:
        """Show many of them."""
        url = request.url + request.path
        shown = [{**one.shown, "url": f"{url}/{one.id}"} for one in documents]
        return Answer(200, page(shown, request.query, url))


def need_id(id_: str) -> None:
    """Refuse what cannot be an id."""
    if not _ID.fullmatch(id_):
        raise BatchError(
            400,
            "InvalidPropertyValue",
            "The value provided for one of the properties in the request body is invalid.",
            PropertyName="id",
            PropertyValue=id_,
            Reason="ids have 1 to 64 letters, digits, hyphens and underscores",
        )


def need_active(job: Document) -> None:
    """Refuse a job that is over."""
    if job.state in {"completed", *ENDING}:
        raise over(job)


def over(job: Document) -> BatchError:
    """Return the refusal of a job that is over."""
    codes = {"terminating": "JobBeingTerminated", "deleting": "JobBeingDeleted"}
    code = codes.get(job.state, "JobCompleted")
    return BatchError(409, code, f"The specified job is in the state {job.state}.")
