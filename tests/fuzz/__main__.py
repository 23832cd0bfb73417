"""`python -m tests.fuzz TARGET`: fuzz one part until it breaks or the time is over.

    python -m tests.fuzz bodies --seconds 600 --corpus /tmp/corpus

What breaks it is written to a file crash-… in the current folder; `--input FILE` runs one such file again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import atheris

# What scripts import, as in an image.
sys.path.insert(0, str(Path(__file__).parents[2] / "scoring" / "compat"))
with atheris.instrument_imports(include=["scoring", "jwt", "inference_schema"]):
    from tests.fuzz.bodies import Bodies
    from tests.fuzz.connections import Connections
    from tests.fuzz.tokens import Tokens

TARGETS = {"bodies": Bodies, "connections": Connections, "tokens": Tokens}


def main() -> None:
    """Fuzz; ends the process with 0, or another code after a failure."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz what takes a request apart.")
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60, help="how long (default 60)")
    parser.add_argument("--runs", type=int, default=-1, help="how many inputs at most")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers; 0 for a new one each time")
    parser.add_argument("--corpus", type=Path, help="folder to begin from, and to keep interesting inputs in")
    parser.add_argument("--input", type=Path, help="run this one input only")
    given = parser.parse_args()
    target = TARGETS[given.target]()
    if given.input:
        target(given.input.read_bytes())
        return
    with tempfile.TemporaryDirectory() as temporary:
        corpus = given.corpus or Path(temporary)
        corpus.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(target.seeds()):
            (corpus / f"seed-{number:03}").write_bytes(seed)
        limits = [f"-max_total_time={given.seconds}", f"-runs={given.runs}", f"-seed={given.seed}"]
        # A hang of some seconds is a failure as well, and so is a body that takes a gigabyte of memory.
        options = [*limits, "-timeout=20", "-rss_limit_mb=2048", "-max_len=8192", str(corpus)]
        atheris.Setup([sys.argv[0], *options], target)
        atheris.Fuzz()


main()
