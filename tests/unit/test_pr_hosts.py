"""One comment and one issue of ours, found again among others, against stand-ins of the hosts' APIs."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipelines.hosts import AzureDevOps, GitHub, HostError
from tests.unit.github_standin import REPOSITORY, TOKEN, US, github

MARKER = "<!-- slipway:preview -->"


@pytest.fixture
def server():
    with github() as running:
        yield running


@pytest.fixture
def host(server):
    return GitHub(server.url, REPOSITORY, TOKEN)


def test_the_first_result_makes_a_comment_and_the_next_ones_bring_it_up_to_date(server, host):
    host.comment(7, MARKER, f"{MARKER}\nfirst")
    host.comment(7, MARKER, f"{MARKER}\nsecond")
    assert [(one["issue"], one["body"]) for one in server.comments] == [(7, f"{MARKER}\nsecond")]


def test_our_comment_is_found_on_a_later_page(server, host):
    server.largest_page = 2
    server.comments += [
        {"id": number, "issue": 7, "user": {"login": "somebody"}, "body": "talk"} for number in range(1, 6)
    ]
    server.comments.append({"id": 99, "issue": 7, "user": {"login": US}, "body": f"{MARKER}\nold"})
    host.comment(7, MARKER, f"{MARKER}\nnew")
    assert len(server.comments) == 6
    assert server.comments[-1]["body"] == f"{MARKER}\nnew"


def test_somebody_elses_comment_with_our_marker_stays_theirs(server, host):
    theirs = {"id": 1, "issue": 7, "user": {"login": "mallory"}, "body": f"{MARKER}\nmine"}
    quoting = {"id": 2, "issue": 7, "user": {"login": US}, "body": f"> {MARKER}"}
    ghost = {"id": 3, "issue": 7, "user": None, "body": MARKER}
    server.comments += [theirs, quoting, ghost]
    host.comment(7, MARKER, f"{MARKER}\nours")
    assert theirs["body"] == f"{MARKER}\nmine"
    assert quoting["body"] == f"> {MARKER}"
    assert len(server.comments) == 4


def test_the_token_goes_to_no_other_host(server, host):
    server.largest_page, server.next_host = 1, "http://elsewhere.example.com"
    server.comments += [{"id": one, "issue": 7, "user": {"login": "a"}, "body": ""} for one in (1, 2)]
    with pytest.raises(HostError, match="another host"):
        host.comment(7, MARKER, MARKER)


def test_a_refusal_names_the_call_and_the_reason_and_never_the_token(server):
    with pytest.raises(HostError, match=r"refuses GET .*/issues/7/comments: HTTP 401 Bad credentials") as caught:
        GitHub(server.url, REPOSITORY, "wrong-token-x").comment(7, MARKER, "x")
    assert "wrong-token-x" not in str(caught.value)
    server.refuse = (403, {"message": "Resource not accessible by integration"})
    with pytest.raises(HostError, match="HTTP 403 Resource not accessible"):
        GitHub(server.url, REPOSITORY, TOKEN).comment(7, MARKER, "x")


def test_a_host_that_does_not_answer_is_named():
    with pytest.raises(HostError, match=r"127\.0\.0\.1:1 does not answer"):
        GitHub("http://127.0.0.1:1", REPOSITORY, TOKEN).comment(7, MARKER, "x")


def test_a_pull_request_is_the_open_one_that_ends_at_the_commit(server, host):
    def pull(number, sha, state="open"):
        return {"number": number, "state": state, "head": {"sha": sha, "label": "forker:patch"}}

    server.pulls += [pull(1, "a" * 40, "closed"), pull(2, "b" * 40), pull(3, "a" * 40)]
    assert host.pull_request("forker", "patch", "a" * 40) == 3
    assert host.pull_request("forker", "patch", "c" * 40) is None
    assert host.pull_request("forker", "other", "a" * 40) is None


def test_an_issue_is_opened_once_renewed_and_closed_when_it_is_over(server, host):
    marker = "<!-- slipway:drift dev -->"
    server.issues += [
        {"number": 1, "state": "open", "user": {"login": US}, "body": marker, "pull_request": {}},
        {"number": 2, "state": "open", "user": {"login": "mallory"}, "body": marker},
    ]
    assert not host.close_issue(marker)
    host.open_issue(marker, "Drift in dev", f"{marker}\none")
    host.open_issue(marker, "Drift in dev", f"{marker}\ntwo")
    ours = server.issues[2:]
    assert [(one["state"], one["body"]) for one in ours] == [("open", f"{marker}\ntwo")]
    assert host.close_issue(marker)
    assert (ours[0]["state"], ours[0]["state_reason"]) == ("closed", "completed")
    assert {one["state"] for one in server.issues[:2]} == {"open"}
    host.open_issue(marker, "Drift in dev", f"{marker}\nagain")
    assert len(server.issues) == 4


class _Azure(BaseHTTPRequestHandler):
    """Stands in for Azure DevOps' threads of a pull request."""

    def _do(self, method):
        if self.headers.get("Authorization") != f"Bearer {TOKEN}" or "api-version=7.1" not in self.path:
            return self._answer(401, {"message": "TF400813"})
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        threads = self.server.threads
        path = self.path.partition("?")[0]
        base = "/org/My%20project/_apis/git/repositories/id/pullRequests/5/threads"
        if method == "GET" and path == base:
            return self._answer(200, {"value": threads})
        if method == "POST" and path == base:
            body["id"] = 10 + len(threads)
            body["comments"][0]["id"] = 1
            threads.append(body)
            return self._answer(200, body)
        for thread in threads:
            if method == "PATCH" and path == f"{base}/{thread['id']}/comments/1":
                thread["comments"][0].update(body)
                return self._answer(200, body)
        return self._answer(404, {"message": "not found"})

    def do_GET(self):
        self._do("GET")

    def do_POST(self):
        self._do("POST")

    def do_PATCH(self):
        self._do("PATCH")

    def _answer(self, status, body):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *arguments):
        """Keep the test's output clean."""


def test_at_azure_devops_one_closed_thread_is_kept_current():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Azure)
    server.threads = [{"id": 1, "comments": [{"id": 1, "content": "talk"}]}, {"id": 2, "comments": []}]
    threading.Thread(target=server.serve_forever, args=(0.02,)).start()
    try:
        host = AzureDevOps(f"http://127.0.0.1:{server.server_port}/org/", "My project", "id", TOKEN)
        host.comment(5, MARKER, f"{MARKER}\nfirst")
        host.comment(5, MARKER, f"{MARKER}\nsecond")
    finally:
        server.shutdown()
        server.server_close()
    assert len(server.threads) == 3
    assert server.threads[2]["status"] == "closed"
    assert server.threads[2]["comments"][0]["content"] == f"{MARKER}\nsecond"
