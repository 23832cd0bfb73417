"""The bridge between a device's hub and the script: inputs go to it in batches, its answers go back as results."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from scoring import failure
from scoring.edge import messages
from scoring.edge.link import Link
from scoring.edge.methods import Methods
from scoring.edge.store import DamagedError, Rank, Store, StoreError
from scoring.edge.twin import Tuning, Twin, as_property
from scoring.interrupts import Interrupted
from scoring.lane import ShutdownError
from scoring.refused import RefusedError
from scoring.request import Request
from scoring.scorer import Failed, Scored
from scoring.service import ANSWERING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from io import TextIOWrapper

    from scoring.edge.settings import EdgeSettings
    from scoring.edge.store import Message
    from scoring.job import Job
    from scoring.scorer import Outcome, Scorer
    from scoring.service import Service
    from scoring.settings import Settings

_SERVER_ERROR = 500
_REFUSED_FIRST = 400
_UNAVAILABLE = 503
# A message that has ended the process so often is not tried again.
_ATTEMPTS = 3
_LOOK_SECONDS = 0.2
_EXPIRE_SECONDS = 30.0
# From one try to the next, while the disk takes nothing.
_DISK_SECONDS = 1.0
_SEND_SHARE = 0.5
_TWIN = "twin.json"
_log = logging.getLogger("slipway")
_Answer = TypeVar("_Answer")


class Bridge:
    """One module's traffic, in the process that has the model."""

    def __init__(
        self, edge: EdgeSettings, settings: Settings, service: Service, load: Callable[[], Scorer] | None
    ) -> None:
        """Prepare, in the worker's process.

        Args:
            edge: How the module is set up.
            settings: The service's settings.
            service: What answers.
            load: Loads the script anew, for the method `reload`.
        """
        self._edge = edge
        self._settings = settings
        self._service = service
        self._loop = asyncio.get_running_loop()
        self._twin = Twin(Tuning(log_level=logging.getLevelName(logging.getLogger().level).lower()))
        self._arrived = asyncio.Event()
        self._told_of_arrival = False
        self._stopping = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._lock: TextIOWrapper | None = None
        self._store: Store | None = None
        self._link: Link | None = None
        # Without the threshold there are no alerts: what it was before a restart holds until it is known anew.
        self._knows_twin = asyncio.Event()
        self._told: dict[str, Any] = {}
        self._settings_told: dict[str, Any] = {}
        self._last_failure = ""
        self._about = {"model": settings.name or settings.script.stem, "version": settings.version}
        self._methods = Methods(self, settings, service, load)

    @property
    def tuning(self) -> Tuning:
        """What the twin has set."""
        return self._twin.tuning

    async def run(self) -> None:
        """Work until `stop`; a disk that takes nothing for a while is waited for.

        Raises:
            StoreError: There can be no store, or it is damaged; the next start puts it aside.
        """
        await self._take_store()
        store, loop = self._store, self._loop
        if store is None:
            return
        self._link = Link(
            store,
            on_input=self._note_arrival,
            on_twin=lambda desired, whole: _calling(loop, self._take_desired, desired, whole),
            on_method=lambda name, payload, answer: _calling(loop, self._methods.call, name, payload, answer),
        )
        self._link.start()
        tasks = [loop.create_task(self._look_after(store)), loop.create_task(self._score_all(store))]
        try:
            # The first does not end by itself: without it nothing would be told any more.
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            for task in tasks:
                task.cancel()

    async def _score_all(self, store: Store) -> None:
        await self._knows_twin.wait()
        if await self._patiently(store.begin):
            await self._recover(store)
        while not self._stopping:
            self._arrived.clear()
            self._told_of_arrival = False
            waiting = await self._waiting(store)
            if waiting and self.tuning.batch_wait_ms and len(waiting) < self.tuning.batch_size:
                await asyncio.sleep(self.tuning.batch_wait_ms / 1000)
                waiting = await self._waiting(store)
            if waiting:
                await self._work_on(store, waiting)
            else:
                await self._arrived.wait()

    async def stop(self, seconds: float) -> None:
        """Finish what is in hand, and send what is done while the hub takes it; the rest stays stored.

        Args:
            seconds: How long it may take.
        """
        self._stopping = True
        self._arrived.set()
        self._knows_twin.set()
        until = self._loop.time() + seconds
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except asyncio.TimeoutError:  # noqa: UP041 - another class than TimeoutError before Python 3.11
            _log.warning("messages that are being scored stay stored")
        if self._link is not None:
            until = self._loop.time() + max(0.0, until - self._loop.time()) * _SEND_SHARE
            if self._service.error is not None:
                # Why the model could not be loaded: that may have taken less time than the connection.
                while not self._link.is_connected and self._loop.time() < until:  # noqa: ASYNC110 - another thread connects
                    await asyncio.sleep(_LOOK_SECONDS)
                self._link.report(self._report())
            await asyncio.to_thread(self._link.stop, max(0.0, until - self._loop.time()))
        if self._store is not None:
            self._store.close()

    def status(self) -> dict[str, Any]:
        """Return what /status tells of it."""
        found: dict[str, Any] = {"connected": False, "error": None, "sent": 0, "store": None}
        if self._link is not None:
            found |= {
                "connected": self._link.is_connected,
                "error": self._link.error or None,
                "sent": self._link.sent,
            }
        if self._store is not None:
            try:
                counts = self._store.counts()
            except StoreError as error:
                return found | {"error": str(error)}
            waiting = {rank.name.lower(): count for rank, count in counts.waiting.items()}
            found["store"] = {"waiting": waiting, "bytes": counts.bytes, "dropped": counts.dropped}
        return found

    async def score(self, request: Request) -> Outcome:
        """Have the script answer one request, in its turn."""
        told: asyncio.Future[Outcome] = self._loop.create_future()

        def tell(_job: Job, outcome: Outcome) -> None:
            if not told.done():
                told.set_result(outcome)

        try:
            self._service.submit(request, tell)
        except RefusedError as refused:
            return refused
        return await told

    async def _take_store(self) -> None:
        """Open the store, once the process before has let go of it."""
        folder = self._edge.store
        try:
            lock = (folder / "lock").open("a")
        except OSError as error:
            raise StoreError(f"there can be no store in {folder}: {error.strerror}") from error
        has_told = False
        while not self._stopping:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if not has_told:
                    _log.warning("waiting for the store %s, which another process has", folder)
                    has_told = True
                await asyncio.sleep(_LOOK_SECONDS)
        self._lock = lock
        if not self._stopping:
            self._remember_twin()
            tuning = self.tuning
            self._store = Store(
                folder / "messages.db",
                max_bytes=tuning.store_max_bytes,
                max_age_seconds=tuning.store_max_age_seconds,
            )

    def _remember_twin(self) -> None:
        try:
            desired = json.loads((self._edge.store / _TWIN).read_bytes())
        except (OSError, ValueError):
            return
        if isinstance(desired, dict):
            self._twin.replace(desired)
            logging.getLogger().setLevel(self.tuning.log_level.upper())
            self._knows_twin.set()

    def _keep_twin(self) -> None:
        path = self._edge.store / _TWIN
        unfinished = path.with_suffix(".unfinished")
        try:
            unfinished.write_bytes(json.dumps(self._twin.desired).encode())
            unfinished.replace(path)
        except OSError as error:
            _log.warning("the twin cannot be kept for the next start: %s", error)

    def _note_arrival(self) -> None:
        """On the MQTT library's thread: wake the loop once for all that comes until it looks."""
        if not self._told_of_arrival:
            self._told_of_arrival = True
            _calling(self._loop, self._arrived.set)

    async def _recover(self, store: Store) -> None:
        """After a process that did not come to its end: one by one what it may have had in hand, for one may be why."""
        for message in await self._waiting(store):
            # Not before: what ends the process while it loads is no message.
            if not await self._wait_until_loaded() or self._stopping:
                return
            if await self._patiently(partial(store.note_attempt, message.number)) > _ATTEMPTS:
                _log.error("message %s has ended the process %d times, and goes to errors", message.id, _ATTEMPTS)
                reason = f"scoring it has ended the process {_ATTEMPTS} times"
                failed = messages.failed(message, _SERVER_ERROR, reason, self._about)
                await self._patiently(partial(store.settle, [message.number], [failed]))
                self._wake_link()
            else:
                await self._work_on(store, [message])

    async def _work_on(self, store: Store, batch: Sequence[Message]) -> None:
        """Score messages, and put what came of them in their place."""
        if not await self._wait_until_loaded():
            return
        self._idle.clear()
        try:
            outcomes = await asyncio.gather(*(self.score(_request(one)) for one in batch))
            done: list[int] = []
            results: list[Message] = []
            for message, outcome in zip(batch, outcomes, strict=True):
                if _comes_again(outcome):
                    # What is behind it comes again with it, so that the order is kept.
                    break
                done.append(message.number)
                result = self._result(message, outcome)
                if result is not None:
                    results.append(result)
                self._methods.note(message, result)
            await self._patiently(partial(store.settle, done, results))
            if cut := sum(map(messages.is_cut, results)):
                await self._patiently(partial(store.count, "properties", cut))
        finally:
            self._idle.set()
        if results:
            self._wake_link()
        if len(done) < len(batch):
            await asyncio.sleep(_LOOK_SECONDS)

    async def _wait_until_loaded(self) -> bool:
        """Wait until the script is; tell whether it came to that before the end."""
        while self._service.own_state not in ANSWERING:
            if self._stopping:
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        return True

    async def _waiting(self, store: Store) -> list[Message]:
        return await self._patiently(partial(store.take, (Rank.INPUT,), self.tuning.batch_size))

    async def _patiently(self, ask: Callable[[], _Answer]) -> _Answer:
        """Ask the store, again and again while the disk is full or broken: it holds what was asked for until then."""
        has_told = False
        while True:
            try:
                return ask()
            except DamagedError:
                raise
            except StoreError as error:
                if self._stopping:
                    raise
                if not has_told:
                    _log.error("%s: waiting until it can", error)
                    has_told = True
                await asyncio.sleep(_DISK_SECONDS)

    def _wake_link(self) -> None:
        if self._link is not None:
            self._link.wake()

    def _result(self, message: Message, outcome: Outcome) -> Message | None:
        if isinstance(outcome, Scored):
            answer = outcome.answer
            if answer.status < _REFUSED_FIRST:
                return messages.scored(message, answer.body, self.tuning, self._edge.score, self._about)
            reason = answer.body.decode("utf-8", "replace")
            return messages.failed(message, answer.status, reason, self._about)
        if isinstance(outcome, RefusedError):
            return messages.failed(message, outcome.status, str(outcome), self._about)
        text = failure.one_line(outcome.error)
        # Once, where every message meets the same: each of them carries the reason.
        if text != self._last_failure:
            _log.error("message %s could not be scored: %s", message.id, text)
            self._last_failure = text
        return messages.failed(message, _SERVER_ERROR, text, self._about)

    def _take_desired(self, desired: dict[str, Any], whole: bool) -> None:
        report = self._twin.replace(desired) if whole else self._twin.patch(desired)
        self._keep_twin()
        self._knows_twin.set()
        tuning = self.tuning
        logging.getLogger().setLevel(tuning.log_level.upper())
        if self._store is not None:
            # They hold from the next message on, if the disk takes nothing just now.
            try:
                self._store.limit(max_bytes=tuning.store_max_bytes, max_age_seconds=tuning.store_max_age_seconds)
            except StoreError as error:
                _log.warning("%s", error)
        for name, value in report.items():
            if value is not None and value["ac"] != 200:  # noqa: PLR2004 - HTTP's word for "applied"
                _log.warning("twin property %s: %s", name, value["ad"])
        self._settings_told = report
        if self._link is not None:
            self._link.report({"settings": report, **(self._report() if whole else {})})

    def _report(self) -> dict[str, Any]:
        """What is reported beside the settings."""
        service, store = self._service.status(), self.status()["store"] or {}
        counts = {
            "messages": sum(store.get("waiting", {}).values()),
            "bytes": store.get("bytes", 0),
            "dropped": sum(store.get("dropped", {}).values()),
        }
        model = {"name": self._about["model"], "version": self._about["version"]}
        if self._edge.image:
            # The same version may be built anew: by this whoever looks knows which of them tells.
            model["image"] = self._edge.image
        error = service["error"] and as_property(service["error"])
        # Also while it ends for that reason.
        state = "failed" if self._service.error is not None else service["state"]
        return {"model": model, "state": state, "error": error, "store": counts}

    async def _look_after(self, store: Store) -> None:
        """Report a changed state at once, changed counts now and then; and drop what has become too old."""
        reported = expired = time.monotonic()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            if now - expired >= _EXPIRE_SECONDS:
                expired = now
                try:
                    store.expire()
                except DamagedError:
                    raise
                except StoreError as error:
                    _log.warning("%s", error)
            link = self._link
            if link is None or not link.is_connected:
                continue
            # One that answers is ready: busy comes and goes with each message.
            state = "ready" if self._service.own_state in ANSWERING else self._service.own_state
            is_news = state != self._told.get("state")
            if is_news or now - reported >= self._edge.report_seconds:
                reported = now
                report = self._report() | {"state": state}
                if link.owes_report:
                    link.owes_report = False
                    link.report({"settings": self._settings_told, **report})
                elif report != self._told:
                    link.report(report)
                self._told = report


def _request(message: Message) -> Request:
    kind = message.properties.get("$.ct") or "application/json"
    return Request(
        "POST", "/score", b"", [(b"content-type", kind.encode("latin-1", "replace"))], message.body, message.id
    )


def _comes_again(outcome: Outcome) -> bool:
    """Whether it was not the message's fault: nothing answers just now, or the process ends."""
    if isinstance(outcome, RefusedError):
        return outcome.status == _UNAVAILABLE
    return isinstance(outcome, Failed) and isinstance(outcome.error, (ShutdownError, Interrupted))


def _calling(loop: asyncio.AbstractEventLoop, function: Callable[..., Any], *arguments: Any) -> None:
    """Call something on the event loop, from another thread; not any more when the process ends."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(function, *arguments)
