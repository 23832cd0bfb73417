"""The REST service: who asks, what for, and in what form; `python -m standins.azure_batch` runs it."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from standins.azure_batch import files
from standins.azure_batch.common import Answer, Request
from standins.azure_batch.errors import BatchError, missing
from standins.azure_batch.operations import Operations
from standins.azure_batch.pools import account_of, authorize, pools_of, token_for
from standins.azure_batch.runs import Runs
from standins.azure_batch.scheduler import Scheduler
from standins.azure_batch.state import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from standins.azure_native.store import Store

API_VERSION = "2025-06-01"
_MEDIA_TYPE = "application/json"
_LARGEST_BODY = 4 * 1024 * 1024
_log = logging.getLogger(__name__)
# The SDK's addresses, and below /standin what Batch has not.
_ROUTES = (
    ("POST", "/jobs", "create_job"),
    ("GET", "/jobs", "list_jobs"),
    ("GET", "/jobs/{job}", "get_job"),
    ("PATCH", "/jobs/{job}", "change_job"),
    ("DELETE", "/jobs/{job}", "delete_job"),
    ("POST", "/jobs/{job}/disable", "disable_job"),
    ("POST", "/jobs/{job}/enable", "enable_job"),
    ("POST", "/jobs/{job}/terminate", "terminate_job"),
    ("GET", "/jobs/{job}/taskcounts", "count_tasks"),
    ("POST", "/jobs/{job}/tasks", "create_task"),
    ("GET", "/jobs/{job}/tasks", "list_tasks"),
    ("POST", "/jobs/{job}/addtaskcollection", "create_tasks"),
    ("GET", "/jobs/{job}/tasks/{task}", "get_task"),
    ("DELETE", "/jobs/{job}/tasks/{task}", "delete_task"),
    ("POST", "/jobs/{job}/tasks/{task}/terminate", "terminate_task"),
    ("POST", "/jobs/{job}/tasks/{task}/reactivate", "reactivate_task"),
    ("POST", "/jobschedules", "create_schedule"),
    ("GET", "/jobschedules", "list_schedules"),
    ("GET", "/jobschedules/{schedule}", "get_schedule"),
    ("PATCH", "/jobschedules/{schedule}", "change_schedule"),
    ("DELETE", "/jobschedules/{schedule}", "delete_schedule"),
    ("POST", "/jobschedules/{schedule}/enable", "turn_schedule"),
    ("POST", "/jobschedules/{schedule}/disable", "turn_schedule"),
    ("GET", "/jobschedules/{schedule}/jobs", "list_jobs_of_schedule"),
    ("GET", "/pools", "list_pools"),
    ("GET", "/pools/{pool}", "get_pool"),
    ("GET", "/pools/{pool}/nodes", "list_nodes"),
    ("GET", "/pools/{pool}/nodes/{node}", "get_node"),
    ("POST", "/standin/jobschedules/{schedule}/run", "run_schedule"),
    ("POST", "/standin/pools/{pool}/preempt", "preempt"),
)
_PATTERNS = [(method, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)), name) for method, path, name in _ROUTES]
_FILES = re.compile(r"/jobs/(?P<job>[^/]+)/tasks/(?P<task>[^/]+)/files(?:/(?P<file>.+))?")


class Service:
    """The data plane of one store's accounts."""

    def __init__(self, store: Store, folder: Path, url: str) -> None:
        """Take over what there is.

        Args:
            store: Where accounts and pools are.
            folder: Where the rest is.
            url: Where containers find this service.
        """
        self.store = store
        self.state = State(folder)
        self.runs = Runs(store, folder, url)
        self.scheduler = Scheduler(store, self.state, self.runs)
        self.operations = Operations(store, self.state, self.runs, self.scheduler.nodes)
        self._servers: list[ThreadingHTTPServer] = []

    def serve(self, hosts: list[str], port: int) -> None:
        """Answer at addresses of this machine until `stop`."""
        handler = type("Handler", (_Handler,), {"service": self})
        for host in hosts:
            server = ThreadingHTTPServer((host, port), handler)
            server.daemon_threads = True
            self._servers.append(server)
            threading.Thread(target=server.serve_forever, daemon=True).start()
        self.scheduler.run()

    def stop_soon(self) -> None:
        """Have `serve` end, from a signal's handler too."""
        self.scheduler.stop_soon()

    def stop(self) -> None:
        """End."""
        for server in self._servers:
            server.shutdown()
        self.scheduler.stop()


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    service: ClassVar[Service]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        _log.debug(format, *args)

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815 - the base class's names

    def _answer(self) -> None:
        request_id = str(uuid.uuid4())
        self._headers = {"request-id": request_id, "DataServiceVersion": "3.0"}
        try:
            body = self._body()
            status, content, kind = self._handled(body)
        except BatchError as error:
            status, content, kind = error.status, _json(error.body(request_id)), _MEDIA_TYPE
        except Exception:  # noqa: BLE001 - told as Batch tells it, and in the log
            _log.exception("%s %s", self.command, self.path)
            internal = BatchError(500, "InternalError", "Server encountered an internal error. Please try again.")
            status, content, kind = 500, _json(internal.body(request_id)), _MEDIA_TYPE
        with contextlib.suppress(OSError):
            self._send(status, content, kind)

    def _send(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in self._headers.items():
            self.send_header(name, value)
        if content or kind != _MEDIA_TYPE:
            self.send_header("Content-Type", f"{kind}; odata=minimalmetadata" if kind == _MEDIA_TYPE else kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _body(self) -> bytes:
        # Read before anything is refused: what is left would be taken for the next request.
        length = int(self.headers.get("Content-Length") or 0)
        if length > _LARGEST_BODY:
            self.close_connection = True
            raise BatchError(413, "RequestBodyTooLarge", "The size of the request body exceeds the maximum.")
        return self.rfile.read(length)

    def _handled(self, body: bytes) -> tuple[int, bytes, str]:
        parts = urlsplit(self.path)
        _, _, rest = parts.path.partition("/")
        name, slash, path = rest.partition("/")
        path, query = slash + path, dict(parse_qsl(parts.query))
        account = account_of(self.service.store, name)
        if account is None:
            raise BatchError(404, "AccountNotFound", f"There is no account {name} here.")
        if path == "/standin/identity":
            header = self.headers.get("X-IDENTITY-HEADER", "")
            pools = [one for one in pools_of(self.service.store) if one.account == name]
            token = token_for(self.service.store, pools, header, query.get("client_id", ""))
            return 200, _json(token), _MEDIA_TYPE
        authorize(self.service.store, account, self.headers.get("Authorization", ""))
        if not path.startswith("/standin/"):
            _need_version(query)
        url = f"http://{self.headers.get('Host', '')}/{name}"
        if found := _FILES.fullmatch(path):
            return self._files(Request(name, _unquoted(found), query, None, url, path))
        return self._operation(Request(name, {}, query, None, url, path), body)

    def _operation(self, request: Request, body: bytes) -> tuple[int, bytes, str]:
        method = "GET" if self.command == "HEAD" else self.command
        known = [(one, verb, name) for verb, pattern, name in _PATTERNS if (one := pattern.fullmatch(request.path))]
        fitting = [(one, name) for one, verb, name in known if verb == method]
        if not fitting:
            code = "UnsupportedHttpVerb" if known else "InvalidUri"
            text = f"{self.command} {request.path} is not served by this stand-in, or not an operation of Batch."
            raise BatchError(405 if known else 400, code, text)
        [(found, name)] = fitting
        request.parts = _unquoted(found)
        request.body = self._parsed(body, request.path)
        do: Callable[[Request], Answer] = getattr(self.service.operations, name)
        with self.service.state.held():
            answer = do(request)
        if answer.document is not None:
            self._headers["ETag"] = answer.document.shown.get("eTag", "")
            self._headers["DataServiceId"] = request.url + request.path
        return answer.status, b"" if answer.body is None else _json(answer.body), _MEDIA_TYPE

    def _parsed(self, body: bytes, path: str) -> Any:
        if not body:
            return None
        given = self.headers.get("Content-Type", "")
        kind, _, rest = given.partition(";")
        if kind.strip() != _MEDIA_TYPE or ("odata=minimalmetadata" not in rest and not path.startswith("/standin/")):
            raise BatchError(
                415,
                "UnsupportedHeader",
                "One of the headers specified in the request is not supported.",
                HeaderName="Content-Type",
                HeaderValue=given,
            )
        try:
            return json.loads(body)
        except ValueError as error:
            raise BatchError(400, "InvalidRequestBody", "The body is not JSON.", Reason=str(error)) from None

    def _files(self, request: Request) -> tuple[int, bytes, str]:
        if self.command not in {"GET", "HEAD"}:
            raise BatchError(405, "UnsupportedHttpVerb", "The stand-in only reads files.")
        state, runs = self.service.state, self.service.runs
        job = state.get("job", request.account, request.parts["job"])
        task = state.get("task", job.key, request.parts["task"]) if job else None
        if task is None:
            raise missing("Task" if job else "Job", request.parts["task" if job else "job"])
        name = request.parts.get("file")
        if name is None:
            return 200, _json(files.listed(runs, request, task)), _MEDIA_TYPE
        content = files.content(runs, task, name, self.headers.get("ocp-range"))
        self._headers |= {
            "ocp-batch-file-isdirectory": "false",
            "ocp-batch-file-mode": "0o100644",
            "ocp-batch-file-url": request.url + request.path,
        }
        return 200, content, "application/octet-stream"


def _unquoted(found: re.Match[str]) -> dict[str, str]:
    return {name: unquote(value) for name, value in found.groupdict().items() if value is not None}


def _need_version(query: dict[str, str]) -> None:
    given = query.get("api-version")
    if given is None:
        raise BatchError(
            400,
            "MissingRequiredQueryParameter",
            "A query parameter that's mandatory for this request is not specified.",
            QueryParameterName="api-version",
        )
    if given != API_VERSION:
        raise BatchError(
            400,
            "InvalidQueryParameterValue",
            "The value specified for one of the query parameters is invalid.",
            QueryParameterName="api-version",
            QueryParameterValue=given,
            Reason=f"this stand-in speaks {API_VERSION}",
        )


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
