"""`slipway logs` of pods: one that refuses, or a log that is cut off, is told and ends no other's."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from cli.diagnosis.checks import last_error
from cli.diagnosis.context import Context
from cli.errors import Exit
from cli.main import run
from cli.stack.project import find_project
from tests.unit.cli_harness import FakePulumi, write_iris

MANIFEST = """models:
  - name: iris
    version: 1
    path: models/iris
    scoring: {sample: sample.json}
    targets: [aks]
"""
CREATING = 'container "model" in pod "digits-1" is waiting to start: ContainerCreating'


class _Api(BaseHTTPRequestHandler):
    """Kubernetes' API as far as logs go: pods, each with the lines that it has and how its log ends."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = urlsplit(self.path)
        if path.path == "/api/v1/namespaces/shop-dev/pods":
            self._json(200, {"kind": "PodList", "items": [_pod(name) for name in self.server.pods]})
            return
        name = path.path.removesuffix("/log").rpartition("/")[2]
        lines, end = self.server.pods[name]
        if end == "refused":
            self._json(400, {"kind": "Status", "message": CREATING})
            return
        self.server.followed.append("follow=true" in path.query.lower())
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if end == "last":
            self.server.others_told.wait(20)
        for line in lines:
            self._chunk(f"2026-01-01T00:00:0{line[-1]}Z {line}\n".encode())
        if end != "cut":
            self._chunk(b"")
        self.close_connection = True

    def _chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _json(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        """Keep the test's output clean."""


def _pod(name):
    labels = {"app.kubernetes.io/name": name.rpartition("-")[0], "app.kubernetes.io/version": "1"}
    metadata = {"name": name, "namespace": "shop-dev", "uid": name, "labels": labels}
    return {"metadata": metadata, "status": {"phase": "Running"}}


@pytest.fixture
def api(tmp_path, monkeypatch):
    """The API; `pods` are a log's lines and its end by name: whole, last (after the others), cut, or refused."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Api)
    server.pods, server.followed, server.others_told = {}, [], threading.Event()
    threading.Thread(target=server.serve_forever, args=(0.02,)).start()
    write_iris(tmp_path, MANIFEST)
    monkeypatch.chdir(tmp_path)
    project = FakePulumi(tmp_path)
    project.answers(out={"models": {}})
    project.configure("config:\n  slipway:targets: [aks]\n  slipway:kubernetes: {kubeconfig: kubeconfig}\n")
    context = {"name": "here", "context": {"cluster": "local", "user": "me"}}
    cluster = {"name": "local", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
    config = {"apiVersion": "v1", "kind": "Config", "current-context": "here", "contexts": [context]}
    users = [{"name": "me", "user": {"token": "t"}}]
    (tmp_path / "kubeconfig").write_text(json.dumps({**config, "clusters": [cluster], "users": users}))
    yield server
    server.others_told.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def told(api, monkeypatch):
    """What is said beside the logs; a pod whose log ends `last` goes on from then on."""
    said = []

    def say(text):
        said.append(text)
        api.others_told.set()

    monkeypatch.setattr("cli.logs.source.say", say)
    return said


@pytest.mark.parametrize(
    ("end", "why"),
    [("refused", f"digits-1: The cluster refuses: {CREATING}"), ("cut", "digits-1: The log of digits-1 broke off: ")],
)
def test_a_pod_whose_log_breaks_off_is_told_and_the_others_are_followed_to_their_end(end, why, api, told, capsys):
    """The other pod prints only after that was said: nothing of it would be seen if its follow had ended."""
    api.pods = {"iris-1": (["line 1", "line 2"], "last"), "digits-1": (["first 0"], end)}
    assert run(["logs", "-f"]) == Exit.OK
    [one] = told
    assert one.startswith(why)
    seen = capsys.readouterr()
    assert [line for line in seen.out.splitlines() if "iris" in line] == ["iris   | line 1", "iris   | line 2"]
    assert ("digits | first 0" in seen.out) == (end == "cut")
    assert "Traceback" not in seen.err
    assert all(api.followed)


@pytest.mark.parametrize("options", [["-f"], []])
def test_a_log_that_breaks_off_when_it_was_the_last_is_a_failure_in_words(options, api, capsys):
    api.pods = {"iris-1": (["line 1"], "cut")}
    assert run(["logs", *options]) == Exit.FAILED
    seen = capsys.readouterr()
    assert seen.err.startswith("The log of iris-1 broke off: ")
    assert "kubectl cluster-info" in seen.err
    assert "Traceback" not in seen.err


def test_a_follower_that_fails_by_itself_is_told_as_a_message(api, capsys, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("torn")
        yield

    monkeypatch.setattr("cli.placements.cluster.Cluster.log", fail)
    api.pods = {"iris-1": ([], "whole")}
    assert run(["logs", "-f"]) == Exit.FAILED
    assert capsys.readouterr().err == "Slipway itself failed: RuntimeError: torn\nSLIPWAY_DEBUG=1 shows where.\n"


def test_lines_of_a_model_with_several_pods_stand_behind_their_pods_name(api, capsys):
    api.pods = {"iris-1": (["line 1"], "whole"), "iris-2": (["line 2"], "whole"), "digits-1": (["line 3"], "whole")}
    assert run(["logs"]) == Exit.OK
    assert capsys.readouterr().out.splitlines() == ["iris-1 | line 1", "iris-2 | line 2", "digits | line 3"]
    assert run(["logs", "iris"]) == Exit.OK
    assert capsys.readouterr().out.splitlines() == ["iris-1 | line 1", "iris-2 | line 2"]


def test_a_diagnosis_finds_the_last_error_of_each_model_in_all_of_its_pods(api):
    late, early = (f"2026-01-01T00:00:00Z ERROR   slipway: boom {at}" for at in (2, 1))
    api.pods = {"iris-1": ([late], "whole"), "iris-2": ([early], "whole"), "digits-1": ([], "refused")}
    digits, iris = last_error.check(Context(find_project(), "dev"))
    assert (iris.status, iris.model, iris.message) == ("warning", "iris", f"Its last error: {late}")
    assert (digits.status, digits.model) == ("skipped", "digits")
    assert digits.message == f"The log of digits-1 was not read: The cluster refuses: {CREATING}"
