"""A scorer: a script's run() called for requests, without a server around it."""

from __future__ import annotations

from scoring.job import Job
from scoring.request import Request
from scoring.scorer import Scored, Scorer
from scoring.script import load_script
from tests.unit.scoring_harness import write

# How many of the requests that run() was given are still there.
COUNTING = """
    import weakref

    seen = []

    class Kept:
        pass

    def init():
        pass

    def run(data):
        return sum(one() is not None for one in seen)
    """


def test_what_run_was_called_with_is_given_back_although_its_requests_are_kept(tmp_path):
    path = write(tmp_path, "score.py", COUNTING)
    script = load_script(path, tmp_path)
    scorer = Scorer(script, max_body_bytes=1000)
    seen = script.run.__globals__["seen"]
    kept = script.run.__globals__["Kept"]
    weakref = script.run.__globals__["weakref"]

    def arguments(_request):
        one = kept()
        seen.append(weakref.ref(one))
        return {"data": one}

    scorer._arguments = arguments  # type: ignore[method-assign]  # JSON values cannot be counted by weak references
    jobs = [Job(Request("POST", "/score", body=b"1")) for _ in range(3)]
    for job in jobs:
        scorer.score(job)
    bodies = [job.outcome.answer.body for job in jobs if isinstance(job.outcome, Scored)]
    assert bodies == [b"1", b"1", b"1"]
