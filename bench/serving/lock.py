"""Renews the locks of the servers' requirements; needs uv.

.venv/bin/python -m bench.serving.lock [--uv "python -m uv"] [NAME ...]
"""

from __future__ import annotations

import argparse
import shlex
import subprocess

from bench.serving.server import LOCKS

_COMPILE = "pip compile --quiet --universal --upgrade --generate-hashes --no-annotate --python-version 3.11"


def main() -> None:
    """Write `neighbours/NAME.lock` from `neighbours/NAME.in`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uv", default="uv", help="the command (%(default)s)")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    for name in options.names or sorted(path.stem for path in LOCKS.glob("*.in")):
        told = ["--custom-compile-command", "python -m bench.serving.lock"]
        command = [*shlex.split(options.uv), *_COMPILE.split(), *told, "-o", f"{name}.lock", f"{name}.in"]
        subprocess.run(command, cwd=LOCKS, check=True)


if __name__ == "__main__":
    main()
