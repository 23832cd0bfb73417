"""Runs inside a debug container in the place of `python -m scoring serve`: the worker listens for a debugger.

The runtime's first process only keeps the worker, so it is the worker that debugpy goes into, right after the fork:
one process, one session. A worker that takes another's place listens again.

Environment: SLIPWAY_DEBUG_PORT, the port to listen on; SLIPWAY_DEBUG_WAIT=1, wait for the debugger before init().
"""

import os
import sys

# Behind all else: the folder of this file holds debugpy, which must not hide a module of the model.
sys.path.append(sys.path.pop(0))

# ruff: noqa: T100 - it is what this file is for
import debugpy

from scoring.__main__ import main

_MASTER = os.getpid()


def _listen() -> None:
    if os.getppid() != _MASTER:
        # A process that the script itself forked.
        return
    port = int(os.environ["SLIPWAY_DEBUG_PORT"])
    debugpy.configure(subProcess=False)
    # The container's network; its port is published on the loopback interface alone.
    debugpy.listen(("0.0.0.0", port))  # noqa: S104 - see above
    # Past the runtime's log, which gives lines another form: `slipway debug` looks for this one.
    os.write(1, b"slipway debug: listening on %d\n" % port)
    if os.environ.get("SLIPWAY_DEBUG_WAIT") == "1":
        debugpy.wait_for_client()


os.register_at_fork(after_in_child=_listen)

if __name__ == "__main__":
    sys.exit(main(["serve"]))
