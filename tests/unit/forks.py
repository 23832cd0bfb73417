"""Forks of a process without threads: from another one, a lock that a thread holds goes along and stays locked."""

import importlib
import multiprocessing
from functools import wraps

PATIENCE = 120
FORKS = multiprocessing.get_context("forkserver")
# Imported once, for all forks.
FORKS.set_forkserver_preload(["manifest", "tests.unit.registry_killing", "tests.unit.release_harness"])


def may_fork(test):
    """Run a test, one without fixtures, in a process that has no threads, so that it may fork itself."""

    @wraps(test)
    def run():
        process = FORKS.Process(target=_call, args=(test.__module__, test.__name__))
        process.start()
        process.join(PATIENCE)
        is_late = process.is_alive()
        process.kill()
        process.join()
        assert not is_late, "it did not end"
        assert process.exitcode == 0, "what failed is printed"

    return run


def _call(module, name):
    getattr(importlib.import_module(module), name).__wrapped__()
