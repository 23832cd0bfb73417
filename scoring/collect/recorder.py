"""Where requests and the script's tables are recorded: never waiting; what does not fit is dropped and counted."""

from __future__ import annotations

import pickle
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zlib import crc32

from scoring.collect.settings import REQUEST, RESPONSE

if TYPE_CHECKING:
    from scoring.answers import Answer
    from scoring.collect.settings import CollectSettings
    from scoring.collect.writer import Writer
    from scoring.request import Request

_DRAWS = 1 << 32  # crc32 has so many values.
_OVERHEAD = 512  # What an item takes beside its bodies, roughly, in bytes.
_CLIENT_ERROR = 400
_TRACE_PARTS, _TRACE_ID_LENGTH = 4, 32

QUEUE_FULL, TOO_LARGE, UNREADABLE, UNNAMED, CLOSED, NOT_WRITTEN = (
    "queue full",
    "too large",
    "unreadable",
    "unnamed",
    "closed",
    "not written",
)


@dataclass(frozen=True)
class Counts:
    """What was collected so far in this process.

    Attributes:
        rows: Rows that are in the storage, by collection.
        dropped: Requests, responses and tables that were sampled but are not, by reason.
    """

    rows: dict[str, int]
    dropped: dict[str, int]

    @property
    def collected(self) -> int:
        """How many rows are in the storage."""
        return sum(self.rows.values())

    @property
    def dropped_in_all(self) -> int:
        """How many requests, responses and tables were dropped."""
        return sum(self.dropped.values())


class Body:
    """One side of a call, or a table of the script, on its way to the writer.

    Attributes:
        collection: Where it belongs.
        time: When it was recorded, in seconds since the epoch.
        request_id: x-request-id.
        correlation: What joins it with others.
        content: The body; of a table its pickle, which no later change by the script reaches.
        content_type: What the body says it is; None for a table.
        query: The query of a request.
        status: The status of the call's answer; 0 for a table.
    """

    __slots__ = ("collection", "content", "content_type", "correlation", "query", "request_id", "status", "time")

    def __init__(
        self,
        collection: str,
        request_id: str,
        correlation: str,
        content: bytes,
        content_type: str | None,
        query: bytes = b"",
        status: int = 0,
    ) -> None:
        """Keep the parts."""
        self.collection = collection
        self.time = time.time()
        self.request_id = request_id
        self.correlation = correlation
        self.content = content
        self.content_type = content_type
        self.query = query
        self.status = status

    @property
    def size(self) -> int:
        """How many bytes it takes."""
        return len(self.content) + len(self.query) + _OVERHEAD


class Sink:
    """Records in one process; a thread of its own reads, cleans and writes."""

    def __init__(self, settings: CollectSettings, writer: Writer) -> None:
        """Start the writer."""
        self._settings = settings
        self._requests_below = int(settings.sample(REQUEST) * _DRAWS)
        self._responses_below = int(settings.sample(RESPONSE) * _DRAWS)
        self._any_below = max(self._requests_below, self._responses_below)
        self._lock = threading.Lock()
        self._items: deque[Body] = deque()
        self._bytes = 0
        self._dropped: Counter[str] = Counter()
        self._is_closed = False
        self._writer = writer
        writer.start(self)

    # On the event loop, or on a script's thread

    def record(self, request: Request, answer: Answer) -> None:
        """Record a call that was answered; both its sides or neither, where both are kept at one rate.

        Args:
            request: The request, its body decoded.
            answer: The answer to it; failures' bodies are not collected, the requests that led to them are.
        """
        draw = crc32(request.id.encode("utf-8", "replace"))
        if draw >= self._any_below:
            return
        correlation = _correlation(request)
        if draw < self._requests_below:
            content_type = request.header(b"content-type").decode("latin-1")
            self._put(Body(REQUEST, request.id, correlation, request.body, content_type, request.query, answer.status))
        if draw < self._responses_below and answer.status < _CLIENT_ERROR:
            self._put(Body(RESPONSE, request.id, correlation, answer.body, _type_of(answer), status=answer.status))

    def put_frame(self, collection: str, frame: Any, *, request_id: str = "", correlation: str = "") -> bool:
        """Record a table of the script, as it is now.

        Args:
            collection: The collector's name.
            frame: A data frame.
            request_id: The request that it belongs to; the same draw as for `record`.
            correlation: What joins it with tables of other collectors.

        Returns:
            Whether it will be written: False where it is not in the sample, or was dropped.
        """
        drawn_by = request_id or correlation
        draw = crc32(drawn_by.encode("utf-8", "replace") if drawn_by else str(time.time_ns()).encode())
        if draw >= int(self._settings.sample(collection) * _DRAWS):
            return False
        try:
            content = pickle.dumps(frame, protocol=pickle.HIGHEST_PROTOCOL)
        except Exception:  # noqa: BLE001 - whatever the objects in the table raise
            self.drop(UNREADABLE)
            return False
        return self._put(Body(collection, request_id, correlation or request_id, content, None))

    def _put(self, item: Body) -> bool:
        reason = ""
        with self._lock:
            if len(item.content) > self._settings.largest:
                reason = TOO_LARGE
            elif self._is_closed:
                reason = CLOSED
            elif len(self._items) >= self._settings.queue or self._bytes + item.size > self._settings.memory:
                reason = QUEUE_FULL
            if reason:
                self._dropped[reason] += 1
                return False
            self._items.append(item)
            self._bytes += item.size
            is_filling = len(self._items) * 2 == self._settings.queue or self._bytes * 2 > self._settings.memory
        if is_filling:
            self._writer.wake()
        return True

    # On the writer's thread

    def take(self) -> Body | None:
        """Return the oldest item, which counts as waiting until `done` is called for it."""
        with self._lock:
            return self._items.popleft() if self._items else None

    def done(self, item: Body) -> None:
        """Make room for others."""
        with self._lock:
            self._bytes -= item.size

    def drop(self, reason: str, count: int = 1) -> None:
        """Count what is not written."""
        with self._lock:
            self._dropped[reason] += count

    # On any thread

    @property
    def last_error(self) -> str:
        """Why the storage did not take the last part, empty while it takes them."""
        return self._writer.last_error

    @property
    def waiting(self) -> int:
        """How many requests, responses and tables wait to be read."""
        return len(self._items)

    @property
    def waiting_bytes(self) -> int:
        """How many bytes of recorded bodies wait to be read."""
        return self._bytes

    def counts(self) -> Counts:
        """Return what was collected so far."""
        with self._lock:
            return Counts(dict(self._writer.rows), dict(self._dropped))

    @property
    def is_closed(self) -> bool:
        """Whether it takes nothing more."""
        return self._is_closed

    def close(self, deadline: float) -> bool:
        """Take nothing more, and write what waits.

        Args:
            deadline: How many seconds that may take; what is not written then is counted as dropped.

        Returns:
            Whether everything was written.
        """
        with self._lock:
            self._is_closed = True
        return self._writer.finish(deadline)


def _type_of(answer: Answer) -> str:
    if answer.content_type is not None:
        return answer.content_type.decode("latin-1")
    return next((value.decode("latin-1") for name, value in answer.headers if name == b"content-type"), "")


def _correlation(request: Request) -> str:
    """The id of the trace, else the client's own id, else the request's."""
    parts = request.header(b"traceparent").split(b"-")
    if len(parts) >= _TRACE_PARTS and len(parts[1]) == _TRACE_ID_LENGTH:
        return parts[1].decode("latin-1")
    return request.header(b"x-ms-client-request-id").decode("latin-1") or request.id
