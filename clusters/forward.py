"""A connection to a port of a pod through the API server, which reaches what only the cluster does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket


def connected(api: Any, namespace: str, pod: str, port: int) -> socket.socket:
    """Connect to a pod.

    Args:
        api: The library's client of the cluster.
        namespace: The pod's namespace.
        pod: Its name.
        port: Which of its ports.

    Returns:
        A connection; closing it ends the forwarding.

    Raises:
        Exception: Whatever the library's transport does.
    """
    from kubernetes import client  # noqa: PLC0415 - importing it takes longer than most commands run
    from kubernetes.stream import portforward  # noqa: PLC0415 - as above

    # Of its own: forwarding takes a client's way of asking from all others that use it.
    core = client.CoreV1Api(client.ApiClient(api.configuration))
    forward = portforward(core.connect_get_namespaced_pod_portforward, pod, namespace, ports=str(port))
    found: socket.socket = forward.socket(port)
    found.setblocking(True)
    return found
