"""Leads a port of this machine to a model that only its cluster reaches, as long as a command asks it."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cli.placements.cluster import MODEL, Cluster
from cli.placements.pods import is_ready
from clusters import connected

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cli.placements.placement import Placement
    from cli.stack.pulumi import Pulumi

_INSIDE = ".svc.cluster.local"
_PORT = 8080
_CHUNK = 65536


def is_inside(placement: Placement) -> bool:
    """Return whether only pods of its cluster reach a model."""
    return (placement.endpoint or "").endswith(_INSIDE)


@contextlib.contextmanager
def reached(pulumi: Pulumi, placements: Sequence[Placement]) -> Iterator[list[Placement]]:
    """Lead to each model that only its cluster reaches by a port of this machine.

    Args:
        pulumi: The stack.
        placements: The models.

    Yields:
        The placements, with endpoints that can be asked from here, as far as a pod serves.

    Raises:
        CliError: The cluster does not answer.
    """
    if not any(map(is_inside, placements)):
        yield list(placements)
        return
    cluster = Cluster.of(pulumi, placements)
    serving = {pod.metadata.labels.get(MODEL): pod for pod in cluster.pods() if is_ready(pod)}
    with contextlib.ExitStack() as stack:
        found = []
        for one in placements:
            if not is_inside(one) or one.model not in serving:
                found.append(one)
                continue
            port = stack.enter_context(_listening(cluster.api, serving[one.model]))
            found.append(replace(one, endpoint=f"http://127.0.0.1:{port}"))
        yield found


@contextlib.contextmanager
def _listening(api: Any, pod: Any) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_accept, args=(listener, api, pod), daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def _accept(listener: socket.socket, api: Any, pod: Any) -> None:
    while True:
        try:
            caller, _ = listener.accept()
        except OSError:
            return
        try:
            model = connected(api, pod.metadata.namespace, pod.metadata.name, _PORT)
        except Exception:  # noqa: BLE001 - the client raises whatever its transport does; the caller sees a closed connection
            caller.close()
            continue
        for source, sink in ((caller, model), (model, caller)):
            threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
