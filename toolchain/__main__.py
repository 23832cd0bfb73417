"""`python3 -m toolchain [setup|tests|kubernetes|edge|policies|env|stop|status]`: gets all that Slipway needs here."""

# This file and the package's __init__ are read by any Python 3, so that an old one can say that it is too old.
import sys

if sys.version_info < (3, 9):  # noqa: UP036 - whatever `python3` is on the machine runs this file.
    sys.exit("Slipway's set-up needs Python 3.9 or later; this is " + sys.version.split()[0] + ".")

from toolchain.main import main

sys.exit(main(sys.argv[1:]))
