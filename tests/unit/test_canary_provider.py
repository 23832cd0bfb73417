"""Canary, the resource: what each `up` finds stands in its inputs, is told, and leaks nothing."""

import http.server
import socket
import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

import clusters
from provider.resource import Call, State
from provider.slipway import canary, canary_pods
from provider.slipway.canary import Canary
from provider.slipway.canary_counts import Counts
from provider.slipway.canary_steps import CannotTellError, Seen
from provider.values import UNKNOWN

CANARY = Canary()
START = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEYS = ("primary-of-32-characters-or-more", "secondary-of-32-characters-and-more")
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{{name: here, context: {{cluster: local, user: me}}}}]
clusters: [{{name: local, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: me, user: {{token: canary-token}}}}]
"""


@pytest.fixture
def clock(monkeypatch):
    """The time, in seconds after the start."""
    found = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(canary, "_now", lambda: START + timedelta(seconds=found.seconds))
    return found


@pytest.fixture
def pods(monkeypatch):
    """What the cluster tells: one pod that is ready and counts nothing, until a test says otherwise."""
    found = SimpleNamespace(seen=Seen(START, "1 of its 1 pods are ready", {}), asked=[])

    def look(inputs, wanted):
        found.asked.append(wanted)
        if isinstance(found.seen, Exception):
            raise found.seen
        return found.seen

    monkeypatch.setattr(canary, "look", look)
    return found


def inputs(**given):
    return {
        "model": "iris",
        "from": "registry/iris@sha256:aa",
        "to": "registry/iris@sha256:bb",
        "fromVersion": "1",
        "toVersion": "2",
        "steps": [10, 50],
        "pods": [1, 5],
        "seconds": 600,
        "kubeconfig": "/home/me/.kube/config",
        "namespace": "shop-prod",
        "labels": {"slipway.io/track": "canary"},
        **given,
    }


def checked(old, new, said=None):
    """What Check makes of inputs; `said` takes what it tells."""
    note = (lambda severity, text, _: said.append((severity, text))) if said is not None else (lambda *_: None)
    return CANARY.check(Call("urn:pulumi:s::p::t::iris-aks", threading.Event(), note), old, new)


def call():
    return Call("urn:pulumi:s::p::t::iris-aks", threading.Event(), lambda *_: None)


def stage(found):
    return found["weight"], found["phase"]


def test_nothing_changes_before_a_step_is_due_and_a_preview_knows_the_step_that_is(clock, pods):
    first, _ = checked(None, inputs())
    state = CANARY.create(call(), first)
    assert stage(state.outputs) == (10, "running")
    clock.seconds = 599
    second, _ = checked(first, inputs())
    assert CANARY.diff(call(), state, second).changes == ()
    assert pods.asked == []
    clock.seconds = 600
    third, _ = checked(second, inputs())
    assert {one.path for one in CANARY.diff(call(), state, third).changes} == {"weight", "since"}
    assert stage(CANARY.preview(call(), third, state)) == (50, "running")
    assert pods.asked == [1]
    clock.seconds = 1200
    last, _ = checked(third, inputs())
    assert stage(last) == (50, "finished")
    assert pods.asked == [1, 5]


def test_an_abort_is_told_with_its_figures_and_stays_until_there_is_another_image(clock, pods):
    said, limits = [], {"requests": 100, "errorRate": 0.05}
    first, _ = checked(None, inputs(limits=limits))
    pods.seen = Seen(START, "", {"iris-canary-1": Counts(200, 30)})
    second, _ = checked(first, inputs(limits=limits), said)
    assert stage(second) == (0, "aborted")
    (severity, text) = said.pop()
    assert severity == "warning"
    assert "iris: version 2 is aborted" in text
    assert "30 of 200 requests failed (15 %; allowed are 5 %)" in text
    assert "Version 1 has all requests again" in text
    clock.seconds = 9000
    pods.seen = Seen(START, "", {"iris-canary-1": Counts(10_000, 30)})
    third, _ = checked(second, inputs(limits=limits), said)
    assert third == second
    assert said.pop()[0] == "warning"
    fourth, _ = checked(third, inputs(limits=limits, to="registry/iris@sha256:cc"))
    assert stage(fourth) == (10, "running")


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (
            CannotTellError("the cluster does not answer: refused"),
            "stays at 10 %: the cluster does not answer: refused",
        ),
        (Seen(None, "0 of its 1 pods are ready"), "stays at 10 %: 0 of its 1 pods are ready"),
        (Seen(START, "", {"one": Counts(99, 0)}), "with fewer than 100 nothing is concluded"),
    ],
)
def test_what_cannot_be_found_out_takes_no_step_and_is_told(clock, pods, seen, reason):
    said, limits = [], {"requests": 100, "errorRate": 0.05}
    first, _ = checked(None, inputs(limits=limits))
    clock.seconds, pods.seen = 9000, seen
    second, _ = checked(first, inputs(limits=limits), said)
    assert second == first
    assert reason in said.pop()[1]


def test_an_image_that_is_still_to_be_built_begins_its_steps_anew(clock, pods):
    first, _ = checked(None, inputs())
    clock.seconds = 700
    second, _ = checked(first, inputs(to=UNKNOWN))
    assert stage(second) == (10, "running")
    assert pods.asked == []


def test_a_version_that_was_taken_over_is_not_silently_given_up_for_the_one_before(clock, pods):
    finished = {**inputs(), "weight": 50, "phase": "finished", "since": START.isoformat(), "reason": "", "counted": {}}
    _, (failure,) = checked(finished, inputs(to="registry/iris@sha256:cc", toVersion="3"))
    assert failure.property == "from"
    assert "Set from: {version: 2, digest: sha256:bb}" in failure.reason
    following = inputs(
        **{"from": "registry/iris@sha256:bb", "fromVersion": "2", "to": "registry/iris@sha256:cc", "toVersion": "3"}
    )
    found, failures = checked(finished, following)
    assert (stage(found), failures) == ((10, "running"), [])


def test_how_pods_are_asked_is_no_change_and_stands_in_no_output(clock, pods):
    first, _ = checked(None, inputs(kubeconfig="/one", primary=KEYS[0]))
    state = CANARY.create(call(), first)
    other, _ = checked(first, inputs(kubeconfig="/other", primary=KEYS[1]))
    assert CANARY.diff(call(), state, other).changes == ()
    assert set(state.outputs) == {"weight", "phase", "since", "reason"}
    assert CANARY.read(call(), state) == state
    assert CANARY.read(call(), State("x", {}, {})) is None


def test_a_cluster_that_is_not_known_or_does_not_answer_is_told_without_its_credentials():
    with pytest.raises(CannotTellError, match="not known before"):
        canary_pods.look(inputs(kubeconfig=UNKNOWN), 1)
    with pytest.raises(CannotTellError, match="no-such-file does not lead to a cluster"):
        canary_pods.look(inputs(kubeconfig="/no-such-file"), 1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(CannotTellError, match=r"the cluster does not answer: .*refused") as refused:
        canary_pods.look(inputs(kubeconfig=KUBECONFIG.format(port=port)), 1)
    assert "canary-token" not in str(refused.value)


@pytest.fixture
def pod(monkeypatch):
    """A pod that shows its metrics to whoever has the secondary key; connections to it are real."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            may = self.headers["Authorization"] == f"Bearer {KEYS[1]}"
            body = b'slipway_requests_total{code="500",route="/score"} 3.0\n' if may else b"{}"
            self.send_response(200 if may and self.path == "/metrics" else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(clusters, "connected", lambda *_: socket.create_connection(server.server_address))
    yield SimpleNamespace(name="iris-canary-1", namespace="shop-prod")
    server.shutdown()
    server.server_close()


def test_a_key_that_pods_do_not_have_yet_is_followed_by_the_other_one(pod):
    assert canary_pods._metrics(None, pod, KEYS) == Counts(3, 3)
    with pytest.raises(CannotTellError, match="iris-canary-1 answers 401 when it is asked for its metrics"):
        canary_pods._metrics(None, pod, KEYS[:1])
