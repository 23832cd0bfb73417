"""Rows of JSON Lines, and what is wrong with some of them."""

from __future__ import annotations

import json
import re

import orjson

from scoring.batch.items import Bad, Objects

# Integers beyond 64 bits, which orjson would make floats of.
_LONG_DIGITS = 20
_LONG = re.compile(rb"(?<![\d.])\d{%d,}(?![\d.eE])" % _LONG_DIGITS)
_TO_ZEROS = bytes.maketrans(b"123456789", b"000000000")


def objects(block: bytes, file: str, first: int, *, objects_only: bool) -> tuple[Objects, list[Bad], int]:
    """Return the rows of a block, those that are none, and how many both are.

    Args:
        block: Whole lines.
        file: Where they are from.
        first: The place of the first row in the part.
        objects_only: Whether a row has to be an object.
    """
    values, rows, bad = [], [], []
    place = first - 1
    # Faster than to look for such integers in each line.
    has_long = b"0" * _LONG_DIGITS in block.translate(_TO_ZEROS)
    for line in block.split(b"\n"):
        if not line.strip():
            continue
        place += 1
        try:
            value = orjson.loads(line)
            if has_long and _LONG.search(line):
                value = json.loads(line)
        except ValueError as error:
            bad.append(Bad(file, place, f"the line is no JSON: {error}", line.decode("utf-8", "replace")))
            continue
        if objects_only and not isinstance(value, dict):
            bad.append(Bad(file, place, "the line is no JSON object", value))
            continue
        values.append(value)
        rows.append(place)
    return Objects(values, file, rows), bad, place + 1 - first
