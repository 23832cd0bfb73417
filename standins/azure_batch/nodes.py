"""Nodes: how many a pool has, as its formula says; that they have its image; and that they may be taken away."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

from standins.azure_batch.formula import FormulaError, evaluate
from standins.azure_batch.runs import StartError
from standins.azure_batch.state import Document, now

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

    from standins.azure_batch.pools import Pool
    from standins.azure_batch.runs import Runs
    from standins.azure_batch.state import State

# Azure evaluates every five minutes at the most, and needs minutes for a machine.
_EVALUATION_SECONDS = 1.0
_BACK_SECONDS = 2.0
_KEPT_SECONDS = 60.0
READY = ("idle", "running")
_KINDS = {"Dedicated": True, "LowPriority": False}


class Nodes:
    """The nodes of all pools."""

    def __init__(self, state: State, runs: Runs, threads: ThreadPoolExecutor) -> None:
        """Use what there is."""
        self._state = state
        self._runs = runs
        self._threads = threads
        self._samples: dict[str, list[tuple[float, dict[str, int]]]] = {}
        self._evaluated: dict[str, float] = {}
        self._fetching: dict[str, Future[None]] = {}

    def of(self, pool: Pool) -> list[Document]:
        """Return a pool's nodes."""
        return self._state.all("node", pool.key)

    def adjust(self, pool: Pool, active: int, running: int, busy: set[str]) -> None:
        """Have as many nodes as the pool is to have; the lock is held.

        Args:
            pool: Which.
            active: How many tasks wait.
            running: How many run.
            busy: The nodes that tasks run on.
        """
        counts = {"ActiveTasks": active, "RunningTasks": running, "PendingTasks": active + running}
        moment = time.time()
        if moment - self._evaluated.get(pool.key, 0) >= _EVALUATION_SECONDS:
            self._evaluated[pool.key] = moment
            samples = self._samples.setdefault(pool.key, [])
            samples.append((moment, counts))
            del samples[: max(0, len(samples) - int(_KEPT_SECONDS))]
            self._resize(pool, *self._targets(pool, moment), busy)
        for node in self.of(pool):
            self._go_on(pool, node, moment)

    def _targets(self, pool: Pool, moment: float) -> tuple[int, int]:
        about = self._about(pool)
        scale = pool.body.get("scaleSettings") or {}
        if fixed := scale.get("fixedScale"):
            wanted = int(fixed.get("targetDedicatedNodes") or 0), int(fixed.get("targetLowPriorityNodes") or 0)
        else:
            try:
                found = evaluate(scale["autoScale"]["formula"], self._samples[pool.key], moment)
                about.own["formula"] = None
                wanted = int(found.get("$TargetDedicatedNodes", 0)), int(found.get("$TargetLowPriorityNodes", 0))
            except FormulaError as error:
                about.own["formula"] = str(error)
                # As it was, which is how Azure leaves a pool whose formula fails.
                wanted = about.own.get("wanted", (0, 0))
        about.own["resize"] = None
        if wanted[1] and not pool.has_spot:
            about.own["resize"] = "low-priority nodes need an account with the pool allocation mode UserSubscription"
            wanted = wanted[0], 0
        about.own["wanted"] = wanted
        self._state.save(about)
        return wanted

    def _about(self, pool: Pool) -> Document:
        return self._state.get("pool", pool.account, pool.id) or Document("pool", pool.account, {"id": pool.id})

    def about(self, pool: Pool) -> dict[str, Any]:
        """Return how many nodes a pool has and is to have, and what keeps it from having them."""
        nodes = self.of(pool)
        own = self._about(pool).own
        wanted = own.get("wanted", (0, 0))
        have = [sum(node.shown["isDedicated"] == is_own for node in nodes) for is_own in _KINDS.values()]
        settled = have == list(wanted) and all(node.state in (*READY, "unusable") for node in nodes)
        return {
            "have": have,
            "wanted": list(wanted),
            "allocationState": "steady" if settled else "resizing",
            "errors": [one for one in (own.get("resize"), own.get("formula")) if one],
        }

    def _resize(self, pool: Pool, dedicated: int, spot: int, busy: set[str]) -> None:
        for is_own, wanted in ((True, dedicated), (False, spot)):
            have = [node for node in self.of(pool) if node.shown["isDedicated"] == is_own]
            for _ in range(wanted - len(have)):
                self._add(pool, is_dedicated=is_own)
            # None goes while a task runs on it: taskcompletion.
            free = [node for node in reversed(have) if node.id not in busy]
            for node in free[: max(0, len(have) - wanted)]:
                self._state.remove(node)

    def _add(self, pool: Pool, *, is_dedicated: bool) -> None:
        name = f"tvmps_{uuid.uuid4().hex[:16]}_{'d' if is_dedicated else 'p'}"
        node = Document("node", pool.key, {"id": name, "isDedicated": is_dedicated, "vmSize": pool.body["vmSize"]})
        node.shown |= {"allocationTime": now(), "totalTasksRun": 0, "totalTasksSucceeded": 0}
        node.turn("creating")
        self._state.save(node)

    def _go_on(self, pool: Pool, node: Document, moment: float) -> None:
        """Start a node, which pulls the pool's images; bring one back that was taken away."""
        if node.state == "preempted" and moment - node.own["taken"] >= _BACK_SECONDS:
            # Its disk is another one by now.
            node.turn("creating")
        elif node.state == "creating":
            node.turn("starting")
            node.shown["lastBootTime"] = now()
        elif node.state == "starting":
            self._started(pool, node)
        else:
            return
        self._state.save(node)

    def _started(self, pool: Pool, node: Document) -> None:
        images = pool.containers.get("containerImageNames") or []
        for image in images:
            if (key := f"{pool.key}|{image}") not in self._fetching:
                self._fetching[key] = self._threads.submit(self._runs.fetch, pool, image)
        asked = {key: self._fetching[key] for image in images if (key := f"{pool.key}|{image}")}
        if not all(one.done() for one in asked.values()):
            return
        errors = [one.exception() for one in asked.values()]
        if failed := [error for error in errors if error]:
            node.shown["errors"] = [
                {"code": getattr(error, "code", "Unknown"), "message": str(error)} for error in failed
            ]
            node.turn("unusable")
            for key, one in asked.items():
                if isinstance(one.exception(), StartError):
                    # The next node tries anew.
                    del self._fetching[key]
            return
        node.turn("idle")

    def preempt(self, node: Document) -> None:
        """Take a node away; the lock is held."""
        node.own["taken"] = time.time()
        node.turn("preempted")
        self._state.save(node)
