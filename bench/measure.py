"""What the benchmarks share: a project of their own, a clock, memory of a process tree, and a table."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).parent.parent
_PROJECT = (
    "__main__.py",
    "Pulumi.yaml",
    "Pulumi.dev.yaml",
    "components",
    "manifest",
    "policies",
    "provider",
    "registry",
    "releases",
    "scoring",
    "storage",
)


def project(folder: Path, models_yaml: str) -> dict[str, str]:
    """Copy the project into `folder` with another manifest; return the environment to run Pulumi there."""
    toolchain = json.loads((ROOT / ".slipway/toolchain.json").read_text())
    for name in _PROJECT:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    (folder / "models.yaml").write_text(models_yaml)
    state = folder / ".slipway/state"
    state.mkdir(parents=True)
    # Users keep compiled modules; some build machines are told not to.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {
        **inherited,
        **toolchain["env"],
        "PATH": os.pathsep.join([*toolchain["path"], os.environ["PATH"]]),
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": "bench",
    }


def run(arguments: Sequence[str], folder: Path, env: Mapping[str, str]) -> str:
    """Run a command to its end and return what it printed; a failure shows it."""
    done = subprocess.run(arguments, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def timed(action: Callable[[], Any]) -> float:
    """Return the seconds that an action takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


class TreeMemory:
    """The highest sum of the proportional set sizes of this process's descendants while the block runs, in MiB."""

    peak = 0.0

    def __enter__(self) -> Self:
        """Start sampling."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop sampling."""
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(0.1):
            self.peak = max(self.peak, sum(pss(pid) for pid in descendants(os.getpid())))


def descendants(root: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, queue = [], [root]
    while queue:
        children = parents.get(queue.pop(), [])
        found += children
        queue += children
    return found


def pss(pid: int) -> float:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in rollup.splitlines() if line.startswith("Pss:")), 0.0)


def table(rows: Mapping[str, Sequence[float]], against: str) -> str:
    """Render medians with their ratio to one row."""
    base = statistics.median(rows[against])
    lines = ["| | median s | min | max | ratio |", "|---|---|---|---|---|"]
    for name, values in rows.items():
        median = statistics.median(values)
        lines.append(f"| {name} | {median:.2f} | {min(values):.2f} | {max(values):.2f} | {median / base:.2f} |")
    return "\n".join(lines)
