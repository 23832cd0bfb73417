"""Docker's health check: ask /ready over a plain socket; importing an HTTP client would cost more than that.

Runs as `python -m scoring health`, and by path, which starts fastest: `python -I -S scoring/health.py`.
"""

import os
import socket
import sys
import time

_TIMEOUT_SECONDS = 4
# Less than what components/local_docker.py gives a check: one that waits tells at once when the model is there.
_PATIENCE_SECONDS = 3.0
_PAUSE_SECONDS = 0.03
_STARTS = 2
_REQUEST = b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def health() -> int:
    """Ask the service of this container whether it is ready, for three seconds while it starts; print what it says.

    Returns:
        0 when it is ready, 1 when it is not or does not answer.
    """
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        code, said = _ask()
        if code != _STARTS or time.monotonic() > end:
            print(said)  # noqa: T201 - Docker keeps it as the check's output
            return min(code, 1)
        time.sleep(_PAUSE_SECONDS)


def _ask() -> tuple[int, str]:
    """Return the exit code for what the service says, or `_STARTS`, and what it says."""
    port = os.environ.get("SERVER_PORT", "8080")
    try:
        with socket.create_connection(("127.0.0.1", int(port)), timeout=_TIMEOUT_SECONDS) as connection:
            if os.environ.get("SLIPWAY_TLS_CERT"):
                import ssl  # noqa: PLC0415 - not every service has TLS

                # It is this machine's own service: there is nobody to tell apart.
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                connection = context.wrap_socket(connection)  # noqa: PLW2901 - the same connection, wrapped
            connection.sendall(_REQUEST)
            answer = b""
            while chunk := connection.recv(4096):
                answer += chunk
    except (OSError, ValueError) as error:
        # Refused: Python itself is not up yet.
        code = _STARTS if isinstance(error, ConnectionRefusedError) else 1
        return code, f"no answer on port {port}: {error}"
    head, _, body = answer.partition(b"\r\n\r\n")
    said = body.decode("utf-8", "replace")
    if head.split(b" ", 2)[1:2] == [b"200"]:
        return 0, said
    return (_STARTS if '"starting"' in said else 1), said


if __name__ == "__main__":
    sys.exit(health())
