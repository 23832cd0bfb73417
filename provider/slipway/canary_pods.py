"""Asks a cluster for a canary's pods: whether they are ready, and what they counted."""

from __future__ import annotations

import http.client
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

from provider.slipway.canary_counts import Counts
from provider.slipway.canary_steps import CannotTellError, Seen
from provider.values import has_unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

_SECONDS = (5, 20)
_ANSWER_SECONDS = 20
_PORT = 8080
_AT_ONCE = 8


def look(inputs: dict[str, Any], wanted: int) -> Seen:
    """Look at a canary's pods.

    Args:
        inputs: Those of the resource: where the pods are, which image they have, how they are asked.
        wanted: How many its step has.

    Raises:
        CannotTellError: The cluster or a pod does not tell.
    """
    if has_unknown(inputs["kubeconfig"]):
        raise CannotTellError("its cluster is not known before this `up` has made it")
    from kubernetes.client import ApiException, CoreV1Api  # noqa: PLC0415 - slow, and most canaries only wait
    from kubernetes.config import ConfigException  # noqa: PLC0415 - as above
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 - as above

    from clusters import ClusterError, client_from  # noqa: PLC0415 - as above

    selector = ",".join(f"{name}={value}" for name, value in sorted(inputs["labels"].items()))
    try:
        api = client_from(inputs["kubeconfig"], inputs.get("context"))
        # Its types let every part be missing, which the parts that are looked at here never are.
        core: Any = CoreV1Api(api)
        listed = core.list_namespaced_pod(inputs["namespace"], label_selector=selector, _request_timeout=_SECONDS)
    except ClusterError as error:
        raise CannotTellError(str(error)) from None
    except ApiException as error:
        raise CannotTellError(f"the cluster does not list its pods: {error.status} {error.reason}") from None
    except (HTTPError, ConfigException, OSError) as error:
        reason = str(error).rpartition("Caused by ")[2] or type(error).__name__
        raise CannotTellError(f"the cluster does not answer: {reason}") from None
    # Those of another version, if there are any, are about to go.
    pods = [pod for pod in listed.items if _has_image(pod, inputs["to"]) and pod.metadata.deletion_timestamp is None]
    times = sorted(when for pod in pods if (when := _ready_since(pod)) is not None)
    told = f"{len(times)} of its {wanted} pods are ready"
    counted = _counted(api, pods, inputs) if inputs.get("limits") else {}
    # Further ones are an autoscaler's, and come and go.
    return Seen(times[wanted - 1] if len(times) >= wanted else None, told, counted)


def _has_image(pod: Any, image: str) -> bool:
    return any(one.image == image for one in pod.spec.containers)


def _ready_since(pod: Any) -> Any:
    conditions = pod.status.conditions or ()
    return next((one.last_transition_time for one in conditions if one.type == "Ready" and one.status == "True"), None)


def _counted(api: Any, pods: Sequence[Any], inputs: dict[str, Any]) -> dict[str, Counts]:
    """Ask each pod that runs; one that does not answer leaves nothing to conclude."""
    # A key that is just being replaced is unknown, or not in the pods yet; the other one is.
    keys = [key for name in ("primary", "secondary") if isinstance(key := inputs.get(name), str)]
    asked = [pod for pod in pods if _ready_since(pod) is not None]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(lambda pod: _metrics(api, pod.metadata, keys or [None]), asked))
    return {pod.metadata.name: one for pod, one in zip(asked, found, strict=True)}


def _metrics(api: Any, pod: Any, keys: Sequence[str | None]) -> Counts:
    from clusters import connected  # noqa: PLC0415 - as above

    status = 0
    for key in keys:
        try:
            # Not by the API server's proxy, which keeps the header with the key to itself.
            with closing(connected(api, pod.namespace, pod.name, _PORT)) as connection:
                connection.settimeout(_ANSWER_SECONDS)
                status, text = _answer(connection, key)
            if status == http.client.OK:
                return Counts.parsed(text)
        except Exception as error:  # noqa: BLE001 - the library raises whatever its transport does
            reason = str(error).splitlines()[0][:200] if str(error) else ""
            raise CannotTellError(f"{pod.name} does not tell its metrics: {type(error).__name__} {reason}") from None
    raise CannotTellError(f"{pod.name} answers {status} when it is asked for its metrics")


def _answer(connection: Any, key: str | None) -> tuple[int, str]:
    """Ask over a connection that is there."""
    asking = http.client.HTTPConnection("localhost")
    asking.sock = connection
    asking.request("GET", "/metrics", headers={"Authorization": f"Bearer {key}"} if key else {})
    answer = asking.getresponse()
    return answer.status, answer.read().decode()
