"""A device in the terminal, live: its modules, and what reaches the cloud."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from standins.edge_runtime.device import Device

_LINES = 12
_PAUSE_SECONDS = 0.25
_STYLES = {"running": "green", "failed": "red", "unhealthy": "red", "backoff": "yellow", "stopped": "yellow"}


class Show:
    """What is shown."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lines: deque[Text] = deque(maxlen=_LINES)

    def take(self, message: dict[str, Any]) -> None:
        """Take a message that has reached the cloud."""
        body = base64.b64decode(message["body"])
        try:
            text = json.dumps(json.loads(body))
        except ValueError:
            text = repr(body)
        is_alert = message["properties"].get("alert") == "true"
        line = f"{time.strftime('%H:%M:%S')} {message['module']}/{message['output']} {text}"
        with self._lock:
            self._counts[message["module"], message["output"]] += 1
            self._lines.append(Text(line, "bold red" if is_alert else "dim", no_wrap=True, overflow="ellipsis"))

    def run(self, device: Device, ends: threading.Event, seconds: float | None) -> None:
        """Show a device until it is told to end, or for so long."""
        until = None if seconds is None else time.monotonic() + seconds
        console = Console()
        with Live(console=console, auto_refresh=False, transient=False) as live:
            while not ends.is_set() and (until is None or time.monotonic() < until):
                live.update(self._picture(device), refresh=True)
                ends.wait(_PAUSE_SECONDS)

    def _picture(self, device: Device) -> Group:
        table = Table(title=f"device {device.hub.device}", title_justify="left", expand=False)
        for column in ("MODULE", "STATE", "RESTARTS", "MODEL", "WAITING", "DROPPED", "UPSTREAM"):
            table.add_column(column, no_wrap=True)
        with self._lock:
            counts, lines = dict(self._counts), list(self._lines)
        for name, state in sorted(device.states.items()):
            reported = device.hub.twins.get(name)["reported"]
            model, store = reported.get("model") or {}, reported.get("store") or {}
            status = state["runtimeStatus"]
            sent = ", ".join(
                f"{output} {count}" for (module, output), count in sorted(counts.items()) if module == name
            )
            table.add_row(
                name,
                Text(status, style=_STYLES.get(status, "")),
                str(state["restartCount"]),
                f"{model.get('name', '')} {model.get('version', '')}".strip(),
                str(store.get("messages", "")),
                str(store.get("dropped", "")),
                sent,
            )
        problem = [Text(device.problem, style="red")] if device.problem else []
        starting = [] if device.states else [Text("the modules are being placed …", style="dim")]
        return Group(table, *problem, *starting, *lines, Text("Ctrl-C ends it.", style="dim"))
