"""What the runtime arranges before a script is loaded: log, module search path, folder, numeric threads."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from scoring.telemetry import log

if TYPE_CHECKING:
    from scoring.settings import Settings

# Numeric libraries start a thread for each core that they see, whatever the container's share of them is.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
_COMPAT = Path(__file__).parent / "compat"
_CGROUP = Path("/sys/fs/cgroup")


def prepare(settings: Settings) -> None:
    """Give the script the surroundings that Azure ML gives it.

    Args:
        settings: Where the code is, and how many threads call it.
    """
    limit = str(max(1, available_cpus() // (settings.threads * settings.workers)))
    for name in _THREAD_VARIABLES:
        os.environ.setdefault(name, limit)
    # Before what is installed, as when Python runs a script: a helper called utils.py is the script's own.
    folders = [settings.script.parent, settings.root, settings.source_folder]
    # Then what scripts for Azure ML import, ahead of packages that would bring a server of their own.
    folders.append(_COMPAT)
    sys.path[:0] = [folder for folder in dict.fromkeys(map(str, filter(None, folders))) if folder not in sys.path]
    if settings.root.is_dir():
        # In reload mode the code is the mounted one, for scripts too that ask where it is.
        os.environ["AML_APP_ROOT"] = str(settings.root)
        os.chdir(settings.root)


def available_cpus(cgroup: Path = _CGROUP) -> int:
    """Return how many cores this process may use: by its affinity, and by its container's quota.

    Args:
        cgroup: Where the control groups are mounted.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for read in (_quota_v2, _quota_v1):
        try:
            quota, period = read(cgroup)
        except (OSError, ValueError):
            continue
        # A share of 1.5 cores keeps two threads busy; a negative quota means none.
        return max(1, min(cores, -(-quota // period))) if quota > 0 and period > 0 else cores
    return cores


def allow_files(connections: int) -> None:
    """Have this process and its children open as many files as their connections need, as far as the system lets them.

    Args:
        connections: How many there may be.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The script has files of its own.
    wanted = 2 * connections + 1024
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def private_memory(process: int) -> int:
    """Return how many bytes of memory a process shares with no other; 0 where the system does not tell.

    Args:
        process: Its id.
    """
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


def shorten_end() -> None:
    """Have this process's end leave out the last search for unreachable objects.

    With numeric libraries that search takes a quarter of a second, of each stop and so of each update. Files that only
    such an object holds would be closed by it, so all are written here.
    """
    objects = gc.get_objects()
    # By their types: isinstance() asks the object too, and is slow for hundreds of thousands of them.
    kinds = {kind for kind in set(map(type, objects)) if issubclass(kind, io.IOBase)}
    for one in objects:
        if type(one) in kinds:
            with contextlib.suppress(Exception):
                one.flush()
    gc.freeze()


def exit_at_once(code: int) -> NoReturn:
    """End the process, with its output written, whatever its threads do."""
    log.finish()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _quota_v2(cgroup: Path) -> tuple[int, int]:
    quota, period = (cgroup / "cpu.max").read_text(encoding="ascii").split()
    return (0 if quota == "max" else int(quota)), int(period)


def _quota_v1(cgroup: Path) -> tuple[int, int]:
    folder = cgroup / "cpu"
    quota = (folder / "cpu.cfs_quota_us").read_text(encoding="ascii")
    return int(quota), int((folder / "cpu.cfs_period_us").read_text(encoding="ascii"))
