"""Following what the tasks of a large job print: a bounded number at once, each when it has begun."""

import threading

from cli.batch import logs as batch_logs
from jobs.engine import Job, JobState, State, TaskState

MANY = 200


class Following:
    """An engine whose tasks print a line, and end when they are let go."""

    def __init__(self, *states):
        self.job_ = Job("one", "iris", "1", "r/iris@sha256:1", "in", "out", len(states))
        self.states = list(states)
        self.go = threading.Event()
        self.lock, self.at_once, self.most = threading.Lock(), 0, 0

    @property
    def seen(self):
        tasks = tuple(TaskState(number, state) for number, state in enumerate(self.states))
        return JobState(self.job_, State.RUNNING, "2026-01-01T00:00:00Z", tasks=tasks)

    def job(self, _id):
        # What waited has begun when it is looked at again.
        self.states = [State.RUNNING] * len(self.states)
        return self.seen

    def logs(self, _id, task, *, follow):
        assert follow
        with self.lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        yield task, str(self.states[task])
        self.go.wait()
        with self.lock:
            self.at_once -= 1


def test_many_tasks_are_followed_some_at_a_time():
    engine = Following(*[State.RUNNING] * MANY)
    found = batch_logs.lines(engine, engine.seen, None, follow=True)
    printed = [next(found) for _ in range(batch_logs.MOST_AT_ONCE)]
    engine.go.set()
    printed += found
    assert sorted(task for task, _ in printed) == list(range(MANY))
    assert engine.most == batch_logs.MOST_AT_ONCE


def test_a_task_that_waits_is_followed_when_it_has_begun(monkeypatch):
    monkeypatch.setattr(batch_logs, "_LOOK_SECONDS", 0.01)
    engine = Following(State.WAITING, State.RUNNING)
    engine.go.set()
    assert list(batch_logs.lines(engine, engine.seen, None, follow=True)) == [(1, "running"), (0, "running")]
