"""A stand-in for the few calls of GitHub's REST API that we make, over real HTTP; strict where GitHub is."""

import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

TOKEN = "ghs_of-this-test-only"
US = "github-actions[bot]"
REPOSITORY = "team/models"
LIMIT = 65_536
_REPO = f"/repos/{REPOSITORY}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self._route("GET")

    def do_POST(self):
        self._route("POST")

    def do_PATCH(self):
        self._route("PATCH")

    def do_PUT(self):
        self._answer(404, {"message": "Not Found"})

    def _route(self, method):
        path = urlsplit(self.path)
        body = self._body()
        self.server.calls.append((method, path.path))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._answer(401, {"message": "Bad credentials"})
        if self.headers.get("Accept") != "application/vnd.github+json":
            return self._answer(415, {"message": "Unsupported 'Accept' header"})
        if self.server.refuse:
            return self._answer(*self.server.refuse)
        for wanted, pattern, act in (
            ("GET", rf"{_REPO}/pulls", self._pulls),
            ("GET", rf"{_REPO}/issues/(\d+)/comments", self._comments),
            ("POST", rf"{_REPO}/issues/(\d+)/comments", self._add_comment),
            ("PATCH", rf"{_REPO}/issues/comments/(\d+)", self._edit_comment),
            ("GET", rf"{_REPO}/issues", self._issues),
            ("POST", rf"{_REPO}/issues", self._add_issue),
            ("PATCH", rf"{_REPO}/issues/(\d+)", self._edit_issue),
        ):
            match = re.fullmatch(pattern, path.path)
            if match and wanted == method:
                return act(body if method != "GET" else parse_qs(path.query), *map(int, match.groups()))
        return self._answer(404, {"message": "Not Found"})

    def _body(self):
        length = int(self.headers.get("Content-Length") or 0)
        return json.loads(self.rfile.read(length)) if length else None

    def _pulls(self, query):
        found = [one for one in self.server.pulls if one["state"] == query["state"][0]]
        self._page(query, [one for one in found if one["head"]["label"] == query["head"][0]])

    def _comments(self, query, number):
        self._page(query, [one for one in self.server.comments if one["issue"] == number])

    def _add_comment(self, body, number):
        if self._is_refused(body, {"body"}):
            return
        comment = {"id": 1000 + len(self.server.comments), "issue": number, "user": {"login": US}, **body}
        self.server.comments.append(comment)
        self._answer(201, comment)

    def _edit_comment(self, body, id_):
        if not self._is_refused(body, {"body"}):
            self._edit(self.server.comments, "id", id_, body)

    def _issues(self, query):
        found = [one for one in self.server.issues if one["state"] == query["state"][0]]
        self._page(query, [one for one in found if one["user"]["login"] == query["creator"][0]])

    def _add_issue(self, body):
        if self._is_refused(body, {"title", "body"}):
            return
        issue = {"number": 1 + len(self.server.issues), "state": "open", "user": {"login": US}, **body}
        self.server.issues.append(issue)
        self._answer(201, issue)

    def _edit_issue(self, body, number):
        if not self._is_refused(body, {"title", "body", "state", "state_reason"}):
            self._edit(self.server.issues, "number", number, body)

    def _is_refused(self, body, known):
        wrong = set(body) - known or len(body.get("body", "")) > LIMIT
        if wrong:
            self._answer(422, {"message": "Validation Failed: body is too long (maximum is 65536 characters)"})
        return bool(wrong)

    def _edit(self, kept, key, value, body):
        for one in kept:
            if one[key] == value:
                one.update(body)
                return self._answer(200, one)
        return self._answer(404, {"message": "Not Found"})

    def _page(self, query, found):
        size = min(int(query.get("per_page", ["30"])[0]), self.server.largest_page)
        page = int(query.get("page", ["1"])[0])
        first = (page - 1) * size
        headers = {}
        if first + size < len(found):
            rest = "&".join(f"{key}={value[0]}" for key, value in query.items() if key != "page")
            next_ = f"{self.server.next_host}{urlsplit(self.path).path}?{rest}&page={page + 1}"
            headers["Link"] = f'<{next_}>; rel="next"'
        self._answer(200, found[first : first + size], headers)

    def _answer(self, status, body, headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *arguments):
        """Keep the test's output clean."""


@contextmanager
def github():
    """Run it.

    Attributes of what is returned: `url`, `pulls`, `comments`, `issues`, `calls` (method and path of each request),
    `largest_page`, `next_host` (where links to the next page lead), `refuse` (status and body for everything).
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.pulls, server.comments, server.issues, server.calls = [], [], [], []
    server.largest_page, server.refuse = 100, None
    server.url = server.next_host = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,)).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
