"""Bodies as values, and the way back: compressed ones, NumPy arrays, Arrow tables, msgpack, JSON texts and queries."""

from __future__ import annotations

from scoring.codecs.accepting import encode
from scoring.codecs.content_encoding import decoded_body, encoded
from scoring.codecs.reading import as_json_text, is_binary, parse

__all__ = ["as_json_text", "decoded_body", "encode", "encoded", "is_binary", "parse"]
