"""`python -m scoring.collect TO MODEL`: compacts the closed hours of what was collected of a model."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

_NICEST = 19
_ARGUMENTS = 2


def main(arguments: list[str]) -> int:
    """Compact, and return the exit status."""
    if len(arguments) != _ARGUMENTS:
        sys.stderr.write("usage: python -m scoring.collect TO MODEL\n")
        return 2
    # Whatever is scarce, the server has it first.
    with contextlib.suppress(OSError):
        os.nice(_NICEST)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    from scoring.collect.compact import compact  # noqa: PLC0415 - after being nice: the import is most of the work
    from scoring.storage import open_store  # noqa: PLC0415

    try:
        compact(open_store(arguments[0]), arguments[1], time.time())
    except Exception as error:  # noqa: BLE001 - one line for the server's log
        sys.stderr.write(f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
