"""The first task of a scheduled job on Azure Batch: what it adds, and how it ends where it cannot."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from scoring.batch import azure

TEMPLATE = {"id": "0", "commandLine": "batch", "environmentSettings": [{"name": "SLIPWAY_JOB_KEEP", "value": "id"}]}


class Account:
    """Answers addtaskcollection: `results` says how, task by task; else all are taken."""

    def __init__(self):
        self.tasks, self.requests, self.results, self.status = {}, 0, {}, 200
        account = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                account.requests += 1
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                account.seen = self.path, self.headers["Authorization"], self.headers["Content-Type"]
                answer = json.dumps({"value": [account.taken(one) for one in body["value"]]}).encode()
                self.send_response(account.status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def taken(self, task):
        if planned := self.results.get(task["id"]):
            return {"taskId": task["id"], **planned.pop(0)} if planned else self.success(task)
        return self.success(task)

    def success(self, task):
        self.tasks[task["id"]] = {one["name"]: one["value"] for one in task["environmentSettings"]}
        return {"taskId": task["id"], "status": "Success"}


@pytest.fixture
def account(monkeypatch):
    made = Account()
    monkeypatch.setenv("AZ_BATCH_ACCOUNT_URL", made.url)
    monkeypatch.setenv("AZ_BATCH_JOB_ID", "nightly:job-7")
    monkeypatch.setattr(azure.time, "sleep", lambda _: None)
    asked = []

    class Credential:
        def __init__(self, *, client_id):
            asked.append(client_id)

        def get_token(self, _scope):
            return type("Token", (), {"token": "t"})

    monkeypatch.setattr("azure.identity.ManagedIdentityCredential", Credential)
    yield made
    made.server.shutdown()
    made.server.server_close()
    assert set(asked) <= {"submitter"}


@pytest.fixture
def split(monkeypatch, tmp_path):
    def run(*, given=None, **told):
        for number in range(3):
            (tmp_path / f"{number}.csv").write_text("x\n1\n")
        monkeypatch.setenv("SLIPWAY_JOB_INPUT", given or f"{tmp_path}/*.csv")
        values = {"template": TEMPLATE, "output": "abfs://out/x/", "submitter": "submitter", "tasks": None}
        values |= {"taskBytes": 1024**3, "mostTasks": 4, **told}
        monkeypatch.setenv("SLIPWAY_BATCH_SPLIT", json.dumps(values))
        return azure.split()

    return run


def test_each_task_knows_its_number_and_the_jobs_own_folder(account, split):
    assert split(tasks=2) == 0
    path, authorization, kind = account.seen
    assert path == "/jobs/nightly:job-7/addtaskcollection?api-version=2025-06-01"
    assert (authorization, kind) == ("Bearer t", "application/json; odata=minimalmetadata")
    assert account.tasks["00001"] == {
        "SLIPWAY_JOB_KEEP": "id",
        "SLIPWAY_JOB_OUTPUT": "abfs://out/x/nightly-job-7",
        "SLIPWAY_JOB_OF": "2",
        "SLIPWAY_JOB_TASK": "1",
    }


def test_how_many_there_are_follows_from_the_inputs_size(account, split):
    assert split() == 0
    assert list(account.tasks) == ["00000"]
    account.tasks.clear()
    assert split(taskBytes=256 * 1024) == 0
    assert len(account.tasks) == 4


def test_many_tasks_are_added_a_hundred_at_once(account, split):
    assert split(tasks=250) == 0
    assert (len(account.tasks), account.requests) == (250, 3)


def test_what_is_there_already_stays_and_what_batch_was_too_busy_for_is_added_again(account, split):
    account.results = {
        "00000": [{"status": "clienterror", "error": {"code": "TaskExists"}}],
        "00001": [{"status": "servererror"}, {"status": "servererror"}],
    }
    assert split(tasks=2) == 0
    assert list(account.tasks) == ["00001"]
    assert account.requests == 3


def test_a_task_that_batch_refuses_ends_it_as_unfinished_with_the_reason(account, split, capsys):
    account.results = {"00000": [{"status": "clienterror", "error": {"code": "JobCompleted"}}]}
    assert split(tasks=1) == 75
    assert "JobCompleted" in capsys.readouterr().err


def test_a_batch_that_does_not_answer_ends_it_as_unfinished(account, split, capsys):
    account.status = 503
    assert split(tasks=1) == 75
    assert account.requests == 5
    assert "Batch answers 503" in capsys.readouterr().err


def test_no_input_is_a_mistake(account, split, capsys):
    assert split(given="/nowhere/*.csv") == 2
    assert "has no files" in capsys.readouterr().err
    assert account.requests == 0
