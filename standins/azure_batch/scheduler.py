"""What goes on by itself: nodes come and go, tasks are placed and end, jobs and schedules go on."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from standins.azure_batch import outcome
from standins.azure_batch.durations import parsed
from standins.azure_batch.nodes import READY, Nodes
from standins.azure_batch.pools import pools_of
from standins.azure_batch.runs import StartError

if TYPE_CHECKING:
    from standins.azure_batch.pools import Pool
    from standins.azure_batch.runs import Runs
    from standins.azure_batch.state import Document, State
    from standins.azure_native.store import Store

_TICK_SECONDS = 0.25
_STARTS_AT_ONCE = 4
_ON_NODES = ("preparing", "running")
_log = logging.getLogger(__name__)


class Scheduler:
    """One thread that looks at everything, again and again, and a few that start containers."""

    def __init__(self, store: Store, state: State, runs: Runs) -> None:
        """Take over what there is: what was about to start when this process ended starts again."""
        self._store = store
        self._state = state
        self._runs = runs
        self._threads = ThreadPoolExecutor(_STARTS_AT_ONCE)
        self.nodes = Nodes(state, runs, self._threads)
        self._stopped = threading.Event()
        with state.held():
            for task in state.all("task"):
                if task.state == "preparing":
                    outcome.requeued(task)
                    state.save(task)

    def run(self) -> None:
        """Go on until `stop`."""
        while not self._stopped.wait(_TICK_SECONDS):
            try:
                self.tick()
            except Exception:  # noqa: BLE001 - one look that fails must not be the last
                # The engine may be busy, or be started again: the next look finds what there is by then.
                _log.exception("a look at the pools failed")

    def stop_soon(self) -> None:
        """Have `run` end, from a signal's handler too."""
        self._stopped.set()

    def stop(self) -> None:
        """End what was begun."""
        self._stopped.set()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def tick(self) -> None:
        """Look once."""
        pools = {pool.key: pool for pool in pools_of(self._store)}
        looked = time.time()
        containers = self._runs.look()
        with self._state.held():
            jobs = {job.key: job for job in self._state.all("job")}
            tasks = self._state.all("task")
            for task in tasks:
                self._watch(pools, jobs[task.parent], task, (looked, containers))
            self._drop_nodes(pools)
            for pool in pools.values():
                self._place(pool, jobs, tasks)
            for job in jobs.values():
                self._job(job, [task for task in tasks if task.parent == job.key])
            self._schedules(jobs)
        # What no task has any more: of an earlier run, or deleted.
        wanted = {f"{task.key}#{task.own['run']}" for task in tasks if task.state in _ON_NODES}
        for key in containers.keys() - wanted:
            self._runs.remove(containers[key]["Id"])

    def _watch(self, pools: dict[str, Pool], job: Document, task: Document, seen: tuple[float, dict[str, Any]]) -> None:
        """See what has become of a task that runs."""
        looked, containers = seen
        if task.state != "running" or task.own["began"] >= looked:
            return
        pool = pools.get(task.own["pool"])
        node = self._state.get("node", pool.key, task.shown["nodeInfo"]["nodeId"]) if pool else None
        container = containers.get(f"{task.key}#{task.own['run']}")
        if node is None or node.state not in READY or container is None:
            # The node is gone, or its container was removed by hand: what it wrote beside the output is gone with it.
            outcome.requeued(task)
        elif container["State"] in {"exited", "dead"}:
            self._runs.keep(container["Id"], task)
            ended = self._runs.ended(container["Id"]) or {"ExitCode": 1}
            outcome.ended(task, int(ended["ExitCode"]), is_out_of_memory=bool(ended.get("OOMKilled")))
            node.shown["totalTasksRun"] += 1
            node.shown["totalTasksSucceeded"] += ended["ExitCode"] == 0
            self._state.save(node)
            if task.id == (job.shown.get("jobManagerTask") or {}).get("id") and task.state == "completed":
                self._manager_ended(job)
        elif _is_over(task, job):
            self._runs.keep(container["Id"], task)
            outcome.cut_off(task, "TaskEnded", "The task exceeded its maxWallClockTime.")
        else:
            return
        self._state.save(task)

    def _manager_ended(self, job: Document) -> None:
        if job.shown["jobManagerTask"].get("killJobOnCompletion", True):
            job.own["reason"] = "JMComplete"
            job.turn("terminating")
            self._state.save(job)

    def _drop_nodes(self, pools: dict[str, Pool]) -> None:
        for node in self._state.all("node"):
            if node.parent not in pools:
                self._state.remove(node)

    def _place(self, pool: Pool, jobs: dict[str, Document], tasks: list[Document]) -> None:
        """Have nodes for what waits, and put it on those that have room."""
        here = [task for task in tasks if jobs[task.parent].shown["poolInfo"]["poolId"].lower() == pool.id.lower()]
        here = [task for task in here if jobs[task.parent].parent == pool.account]
        waiting = [task for task in here if task.state == "active" and jobs[task.parent].state == "active"]
        running = [task for task in tasks if task.state in _ON_NODES and task.own["pool"] == pool.key]
        used: dict[str, int] = {}
        for task in running:
            node = task.shown["nodeInfo"]["nodeId"]
            used[node] = used.get(node, 0) + int(task.shown.get("requiredSlots") or 1)
        self.nodes.adjust(pool, len(waiting), len(running), set(used))
        nodes = [node for node in self.nodes.of(pool) if node.state in READY]
        for task in waiting:
            need = int(task.shown.get("requiredSlots") or 1)
            # Spread: the node with the most room.
            free = [node for node in nodes if used.get(node.id, 0) + need <= pool.slots]
            if not free:
                break
            node = min(free, key=lambda one: used.get(one.id, 0))
            used[node.id] = used.get(node.id, 0) + need
            task.own |= {"run": int(task.own.get("run", 0)) + 1, "pool": pool.key}
            task.shown["nodeInfo"] = {"nodeId": node.id, "poolId": pool.id, "affinityId": f"TVM:{node.id}"}
            task.turn("preparing")
            self._state.save(task)
            self._threads.submit(self._start, pool, node, jobs[task.parent], task)
        for node in nodes:
            node.shown["runningTasksCount"] = used.get(node.id, 0)
            node.turn("running" if used.get(node.id) else "idle")
            self._state.save(node)

    def _start(self, pool: Pool, node: Document, job: Document, given: Document) -> None:
        """Start a task's container, outside the lock: it takes a second."""
        reason: StartError | None = None
        try:
            self._runs.start(pool, node, job, given)
        except StartError as error:
            reason = error
        except Exception as error:  # noqa: BLE001 - a thread's exceptions would go unseen
            _log.exception("a task did not start")
            reason = StartError("ContainerInvalidSettings", str(error))
        with self._state.held():
            task = self._state.get("task", given.parent, given.id)
            if task is None or task.own.get("run") != given.own["run"] or task.state != "preparing":
                # It was taken away meanwhile; the next look removes the container.
                return
            if reason:
                outcome.cut_off(task, reason.code, str(reason))
            else:
                outcome.started(task)
            self._state.save(task)

    def _job(self, job: Document, tasks: list[Document]) -> None:
        """Let a job go on that is being ended or disabled, or whose tasks are complete."""
        on_nodes = [task for task in tasks if task.state in _ON_NODES]
        if job.state in {"terminating", "deleting"}:
            for task in on_nodes:
                outcome.cut_off(task, "TaskEnded", "The job was terminated.")
                self._state.save(task)
            if job.state == "terminating":
                outcome.completed(job, job.own.get("reason") or "UserTerminate")
                self._state.save(job)
            else:
                self.delete(job, tasks)
        elif job.state == "disabling":
            how = job.own["disable"]
            for task in on_nodes if how != "wait" else []:
                if how == "requeue":
                    outcome.requeued(task)
                else:
                    outcome.cut_off(task, "TaskEnded", "The job was disabled.")
                self._state.save(task)
            if how != "wait" or not on_nodes:
                job.turn("disabled")
                self._state.save(job)
        elif job.state == "active":
            self._end_of(job, tasks)

    def _end_of(self, job: Document, tasks: list[Document]) -> None:
        limit = parsed((job.shown.get("constraints") or {}).get("maxWallClockTime"))
        begun = datetime.fromisoformat(job.shown["executionInfo"]["startTime"])
        if limit and datetime.now(UTC) - begun > limit:
            job.own["reason"] = "MaxWallClockTimeExpiry"
            job.turn("terminating")
        elif job.shown.get("onAllTasksComplete") == "terminatejob" and all(one.state == "completed" for one in tasks):
            outcome.completed(job, "AllTasksComplete")
        else:
            return
        self._state.save(job)

    def delete(self, job: Document, tasks: list[Document]) -> None:
        """Remove a job with all that is left of it."""
        for task in tasks:
            self._runs.forget(task)
            self._state.remove(task)
        self._state.remove(job)

    def _schedules(self, jobs: dict[str, Document]) -> None:
        """Begin the jobs that are due: never two of a schedule at once."""
        for schedule in self._state.all("schedule"):
            mine = [job for job in jobs.values() if job.own.get("schedule") == schedule.key]
            if schedule.state == "deleting":
                # One that is being deleted may be gone by now.
                for job in [one for one in mine if one.state != "deleting"]:
                    job.turn("deleting")
                    self._state.save(job)
                if not mine:
                    self._state.remove(schedule)
                continue
            due = datetime.fromisoformat(schedule.shown["executionInfo"]["nextRunTime"])
            if schedule.state != "active" or due > datetime.now(UTC) or any(job.state != "completed" for job in mine):
                continue
            self._begin(schedule, due)

    def _begin(self, schedule: Document, due: datetime) -> None:
        number = int(schedule.own.get("jobs", 0)) + 1
        specification = schedule.shown["jobSpecification"]
        job = outcome.new_job(schedule.parent, {"id": f"{schedule.id}:job-{number}", **specification})
        job.own["schedule"] = schedule.key
        self._state.save(job)
        if manager := specification.get("jobManagerTask"):
            self._state.save(outcome.new_task(job, outcome.as_task(manager)))
        schedule.own["jobs"] = number
        every = parsed(schedule.shown["schedule"].get("recurrenceInterval")) or timedelta(days=36500)
        information = schedule.shown["executionInfo"]
        missed = max(0, int((datetime.now(UTC) - due) / every))
        information["nextRunTime"] = (due + every * (missed + 1)).isoformat()
        information["recentJob"] = {"id": job.id}
        schedule.touch()
        self._state.save(schedule)


def _is_over(task: Document, job: Document) -> bool:
    limit = parsed((task.shown.get("constraints") or {}).get("maxWallClockTime"))
    limit = limit or parsed((job.shown.get("constraints") or {}).get("maxTaskWallClockTime"))
    return bool(limit) and time.time() - task.own["began"] > limit.total_seconds() if limit else False
