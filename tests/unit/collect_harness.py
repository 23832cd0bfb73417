"""Settings, sinks and requests for the tests of collection."""

import json
import time
from contextlib import contextmanager

from scoring import collect
from scoring.answers import Answer
from scoring.collect.settings import CollectSettings
from scoring.request import Request
from scoring.variables import Reader

KEY = "a key of the tests, long enough"
PATIENCE = 120.0


def settings_of(to, **given):
    """Return the settings of SLIPWAY_COLLECT; raises SettingsError."""
    variables = {"SERVICE_NAME": "iris", "SERVICE_VERSION": "1", "SLIPWAY_COLLECT_HASH_KEY": KEY}
    reader = Reader({**variables, "SLIPWAY_COLLECT": json.dumps({"to": str(to), **given})})
    settings = CollectSettings.from_reader(reader)
    reader.finish()
    return settings


@contextmanager
def collecting(to, **given):
    """Collect while the block runs, too short for a compaction."""
    sink = collect.start(settings_of(to, **given))
    try:
        yield sink
    finally:
        sink.close(0)


def record(sink, body=b'{"a": 1}', answer=b"[1]", request_id="id", status=200, **request):
    headers = [(b"content-type", b"application/json")]
    made = Request("POST", "/score", body=body, id=request_id, **{"headers": headers, **request})
    sink.record(made, Answer(answer, status=status))


def until(condition):
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def data_of(row):
    """Return a row without what Slipway adds."""
    return {name: value for name, value in row.items() if not name.startswith("_")}
