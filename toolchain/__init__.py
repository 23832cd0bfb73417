"""Puts what Slipway needs on a bare machine: `python3 -m toolchain`. Standard library only, Python 3.9 and later."""
