"""`serve`: listen at once, load the model meanwhile, answer until SIGTERM, then finish what was accepted."""

from __future__ import annotations

import logging
import os
import socket
import sys
from dataclasses import replace

from scoring.config_file import merged
from scoring.edge.settings import EdgeSettings
from scoring.process import prepare, shorten_end
from scoring.script import watch_source
from scoring.server.features import Features
from scoring.server.master import START_FAILED, Master
from scoring.server.receiving import CAN_LISTEN
from scoring.server.worker import BACKLOG
from scoring.settings import Settings
from scoring.telemetry import log
from scoring.variables import Reader, SettingsError

_log = logging.getLogger("slipway")


def serve(*, is_module: bool = False) -> int:
    """Serve the model of this process's environment.

    Args:
        is_module: Whether it is a module of IoT Edge too, by messages through the device's hub.

    Returns:
        The exit code: 0 after SIGTERM, 3 when the service could not start.
    """
    try:
        os.environ.update(merged(os.environ))
        reader = Reader(os.environ)
        settings = Settings.from_reader(reader)
        if is_module:
            # The hub takes one connection for a module.
            settings = replace(settings, workers=1)
        features = Features.from_reader(reader, settings)
        if is_module:
            features = replace(features, edge=EdgeSettings.from_reader(reader))
        listener = _listen(settings.host, settings.port) if _can_listen(is_module=is_module) else None
        prepare(settings)
        log.set_up(reader)
        reader.finish()
    except (SettingsError, OSError) as error:
        print(f"python -m scoring {'edge' if is_module else 'serve'}: {error}", file=sys.__stderr__)
        return START_FAILED
    if settings.reload:
        watch_source(settings.root)
    model = f"{settings.name} {settings.version}".strip() or settings.script.name
    if listener is None:
        _log.info("starting: %s, without HTTP: this image has no httptools", model)
    else:
        host, port = listener.getsockname()[:2]
        _log.info("starting: %s on %s:%d", model, host, port)
    code = Master(settings, features, listener).run()
    shorten_end()
    return code


def _can_listen(*, is_module: bool) -> bool:
    """Tell whether there is a parser of HTTP; a module can be without, since it has its messages."""
    if not CAN_LISTEN and not is_module:
        raise OSError(
            "this image cannot listen: it has no httptools, which has no wheel for linux/arm/v7; run it as `edge`, or "
            "on another platform"
        )
    return CAN_LISTEN


def _listen(host: str, port: int) -> socket.socket:
    """Listen before anything is loaded, so that whoever asks is told the state instead of being refused."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        listener = socket.socket(addresses[0][0], socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(addresses[0][4])
        listener.listen(BACKLOG)
    except OSError as error:
        raise OSError(f"cannot listen on {host}:{port} (SLIPWAY_HOST, SERVER_PORT): {error.strerror}") from None
    listener.setblocking(False)
    return listener
