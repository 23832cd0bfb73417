"""Work on a registry that many do at once, or that is killed: in forks."""

import os
import random
import signal
import sys
import threading
import time

import registry
import registry.fetch
from registry.source import Reading, RemoteFile
from tests.unit.forks import FORKS, PATIENCE

_TRACED = ("registry/store.py", "registry/versions.py", "registry/fetch.py", "storage/folder.py")


class Slow:
    """A source that hands out a file in small pieces."""

    single = True
    data = random.Random(1).randbytes(200_000)

    def files(self):
        return [RemoteFile("model.bin", "", len(self.data))]

    def read(self, file, offset):
        pieces = (self.data[start : start + 10_000] for start in range(offset, len(self.data), 10_000))
        return Reading(offset, len(self.data), pieces)


def register(where, version, folder):
    where.register(version, folder)


def compete(location, root, version, folder, start, results):
    where = registry.open_registry(location, root)
    start.wait()
    try:
        where.register(version, folder)
        results.put((folder, None))
    except registry.VersionTakenError as error:
        results.put((folder, str(error)))


def fetch(url, checksum, root):
    registry.fetch.open_source = lambda _: Slow()
    registry.fetch.bytes_of(url, checksum, root)


def killed(work, *arguments, after=None, line=None):
    """Do the work in a process that is killed after some seconds, or at its n-th line in the registry's code.

    Returns whether it was killed before it came to its end.
    """
    begun, tell = FORKS.Pipe(duplex=False)
    child = FORKS.Process(target=_do, args=(tell, line, work, arguments))
    child.start()
    tell.close()
    assert begun.poll(PATIENCE)
    if after is not None:
        time.sleep(after)
        child.kill()
    child.join(PATIENCE)
    assert child.exitcode in {0, -signal.SIGKILL}
    return child.exitcode != 0


def _do(tell, line, work, arguments):
    tell.send_bytes(b"begun")
    if line is not None:
        _kill_at(line)
    try:
        work(*arguments)
    finally:
        sys.settrace(None)


def _kill_at(number):
    seen = 0

    def trace(frame, event, _):
        nonlocal seen
        if not frame.f_code.co_filename.endswith(_TRACED):
            return None
        if event == "line":
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    threading.settrace(trace)
    sys.settrace(trace)
