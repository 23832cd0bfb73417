"""Whether the ports that models want on this machine are free, or theirs already."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from cli.diagnosis.finding import Finding
from cli.placements.placement import LOCAL_DOCKER
from manifest import LocalDockerTarget

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.diagnosis.context import Context

_PROC = Path("/proc")
_LISTENING = "0A"


def check(context: Context) -> Iterator[Finding]:
    """Look who has each model's port."""
    environment = context.environment
    if LOCAL_DOCKER not in environment.targets:
        yield Finding("ok", f"No ports are needed: {LOCAL_DOCKER} is not live in {context.stack}.")
        return
    publishers = context.docker.publishers()
    own = {one.name for one in context.containers}
    for model in context.manifest.models:
        for target in model.targets:
            if isinstance(target, LocalDockerTarget):
                port = target.port_for(model.name) + environment.local_docker.port_offset
                holder = publishers.get(port)
                if holder in own:
                    yield Finding("ok", f"{port} is held by {holder}.", model=model.name)
                else:
                    yield _free(port, holder, model.name)


def _free(port: int, holder: str | None, model: str) -> Finding:
    with socket.socket() as probe:
        # As the engine binds: a connection that is only being closed is in nobody's way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                reason = error.strerror or str(error)
                return Finding("problem", f"{port} cannot be used: {reason}.", "Give another `port`.", model)
        else:
            if holder is None:
                return Finding("ok", f"{port} is free.", model=model)
    who = f"the container {holder}" if holder else _listener(port) or "another program"
    mend = "Stop it, or give the model another `port` in models.yaml, or the stack a slipway:localDocker.portOffset."
    return Finding("problem", f"{port} is taken by {who}.", mend, model)


def _listener(port: int) -> str | None:
    """The process that listens at a port, where Linux shows it to us."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = (_PROC / "net" / table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        # https://www.kernel.org/doc/Documentation/networking/proc_net_tcp.txt
        rows = [line.split() for line in lines]
        inodes |= {row[9] for row in rows if row[3] == _LISTENING and int(row[1].rpartition(":")[2], 16) == port}
    for process in _PROC.glob("[0-9]*"):
        try:
            if any(
                str(one.readlink()) == f"socket:[{inode}]" for one in (process / "fd").iterdir() for inode in inodes
            ):
                return f"process {process.name} ({(process / 'comm').read_text(encoding='utf-8').strip()})"
        except OSError:
            continue
    return None
