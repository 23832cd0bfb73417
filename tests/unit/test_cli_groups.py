"""Models on Container Instances: their logs and states over Azure's management API, as the stand-in serves it."""

import contextlib
import json
import os
import threading
from pathlib import Path

import httpx
import pytest

from azure_management.place import Place, place_of
from cli.diagnosis.checks import last_error
from cli.diagnosis.context import Context
from cli.diagnosis.run import diagnose
from cli.errors import CliError, Exit
from cli.main import run
from cli.output import outlast_readers
from cli.stack.project import Project, find_project
from standins.azure_management.service import ManagementServer
from standins.azure_metadata.tokens import Tokens
from standins.azure_native.kinds.kind import made_up
from standins.azure_native.management import AUDIENCE, DEPLOYER, folder_of
from standins.azure_native.store import Record, Store, forget, save
from standins.docker.engine import EngineError
from tests.unit.cli_harness import ACI_MANIFEST, FakePulumi, write_iris

SUBSCRIPTION = "/subscriptions/1f"
RESOURCE_GROUP = f"{SUBSCRIPTION}/resourceGroups/shop-dev"
GROUP = f"{RESOURCE_GROUP}/providers/Microsoft.ContainerInstance/containerGroups/shop-dev-iris"
LOGS = f"{GROUP}/containers/model/logs"
READER = "/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"
RUNNING = {"currentState": {"state": "Running"}, "events": []}


class _Docker:
    """The engine's client, as far as a log is read; `written` is what the container wrote."""

    def __init__(self):
        self.written = ["first", "second"]
        self.told = None

    @contextlib.contextmanager
    def doing(self, what):
        yield self

    def logs(self, name, *, stdout, stderr, timestamps, tail):
        if self.written is None:
            raise EngineError(f"no such container {name}", 404)
        lines = [f"2026-01-01T00:00:{at:02}Z {line}" if timestamps else line for at, line in enumerate(self.written)]
        return "".join(f"{line}\n" for line in (lines if tail == "all" else lines[-tail:])).encode()


class Azure:
    """The stand-in's management API over a store with one group."""

    def __init__(self, folder, server):
        self.store, self.server, self.docker = Store(folder), server, server.engine
        self.place = f"http://127.0.0.1:{server.server_port}"
        self.serve(server.tokens.issue(DEPLOYER, AUDIENCE)["access_token"])

    def serve(self, token, *groups, address=None):
        served = {
            "address": address or self.place,
            "token": token,
            "resourceGroups": list(groups) or [RESOURCE_GROUP.lower()],
        }
        (folder_of(self.store) / "served.json").write_text(json.dumps(served))

    def token(self, identity, audience=AUDIENCE, **rest):
        return self.server.tokens.issue(identity, audience, **rest)["access_token"]

    def change(self, **computed):
        record = self.store.get(GROUP)
        record.computed |= computed
        with self.store.transaction() as db:
            save(db, record)

    def see(self, view, state="Running"):
        """Have the group be seen so, without an engine."""
        containers = [{"name": "model", "image": "i", "instanceView": view}]
        self.change(instanceView={"state": state, "events": []}, containers=containers)


@pytest.fixture
def azure(tmp_path, monkeypatch):
    folder = tmp_path / "store"
    monkeypatch.setenv("SLIPWAY_AZURE_STORE", str(folder))
    store = Store(folder)
    folder_of(store).mkdir(parents=True)
    records = [
        Record(RESOURCE_GROUP, "resources:ResourceGroup", {"location": "westeurope"}, {}),
        # Being made: it is shown as it stands, and no engine is asked.
        Record(
            GROUP,
            "containerinstance:ContainerGroup",
            {"location": "westeurope", "containers": [{"name": "model", "image": "i"}]},
            {"instanceView": {"state": "Pending", "events": []}},
            "Creating",
        ),
    ]
    with store.transaction() as db:
        for one in records:
            save(db, one)
    server = ManagementServer(("127.0.0.1", 0), store, Tokens(folder_of(store)))
    server.engine = _Docker()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield Azure(folder, server)
    server.shutdown()
    server.server_close()


@pytest.fixture
def project(tmp_path, monkeypatch, azure):
    write_iris(tmp_path, ACI_MANIFEST)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-docker.sock")
    monkeypatch.setattr("azure_management.client._FIRST_PAUSE", 0.001)
    made = FakePulumi(tmp_path)
    made.configure("config:\n  slipway:targets: [aci]\n  slipway:azure: {location: westeurope}\n")
    # Nothing answers there.
    targets = {"aci": {"endpoint": "http://127.0.0.1:9", "group": "shop-dev-iris", "auth": "none"}}
    made.answers(
        out={
            "models": {"iris": {"version": "1", "targets": targets}},
            "azure": {"resourceGroup": "shop-dev", "subscription": "1f", "location": "westeurope"},
            "deployment": {"resources": []},
        }
    )
    return made


def refused(capsys, *arguments):
    assert run([*arguments]) == Exit.FAILED
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


def test_the_last_lines_are_read_with_their_times(project, azure, capsys):
    azure.docker.written = ["first", '{"a": 1}', "third"]
    assert run(["logs", "iris", "-n", "2"]) == Exit.OK
    assert capsys.readouterr().out == '{"a": 1}\nthird\n'
    assert run(["logs", "--json", "-n", "1"]) == Exit.OK
    [line] = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["model"], line["container"]) == ("iris", "shop-dev-iris")
    assert (line["time"], line["line"]) == ("2026-01-01T00:00:02Z", "third")
    assert run(["logs", "irs"]) == Exit.USAGE


def test_a_log_is_followed_until_its_group_is_gone(project, azure, capsys, monkeypatch):
    looks = []

    def look(seconds):
        looks.append(seconds)
        if len(looks) <= 2:
            azure.docker.written.append(f"look {len(looks)}")
            return
        with azure.store.transaction() as db:
            forget(db, GROUP)

    monkeypatch.setattr("cli.placements.groups.time.sleep", look)
    assert run(["logs", "iris", "-f"]) == Exit.FAILED
    seen = capsys.readouterr()
    assert seen.out == "first\nsecond\nlook 1\nlook 2\n"
    assert "is not there" in seen.err


@pytest.mark.parametrize(("form", "written"), [([], ["a line"]), (["--json"], ["a line"]), ([], [])])
def test_a_log_that_is_followed_ends_when_its_reader_has_gone(project, azure, monkeypatch, form, written):
    azure.docker.written = written
    over = threading.Event()

    def look(_seconds):
        over.wait(20)
        raise CliError("It is over.")

    monkeypatch.setattr("cli.placements.groups.time.sleep", look)
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as out, Path(os.devnull).open("w") as err:  # noqa: PTH123 - no path
        monkeypatch.setattr("sys.stdout", out)
        monkeypatch.setattr("sys.stderr", err)
        outlast_readers()
        assert run(["logs", "iris", "-f", *form]) == Exit.OK
    over.set()


def test_a_diagnosis_finds_the_last_error_of_a_group_without_an_engine_here(project, azure):
    errors = [f"2026-01-01T00:00:0{at}Z ERROR   slipway: boom {at}" for at in (1, 2)]
    azure.docker.written = [*errors, "over"]
    [found] = last_error.check(Context(find_project(), "dev"))
    assert (found.status, found.model, found.message) == ("warning", "iris", f"Its last error: {errors[-1]}")
    assert "`slipway logs iris`" in found.mend
    azure.docker.written = ["first"]
    [found] = last_error.check(Context(find_project(), "dev"))
    assert (found.status, found.model) == ("ok", "iris")


def test_a_container_that_has_not_started_has_written_nothing(project, azure, capsys):
    azure.docker.written = None
    assert run(["logs", "iris"]) == Exit.OK
    assert capsys.readouterr().out == ""


def test_who_is_not_logged_in_to_azure_is_told_how_to(project, azure, capsys, monkeypatch):
    # Whoever runs the tests may be.
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "ARM_CLIENT_ID", "ARM_TENANT_ID"):
        monkeypatch.delenv(name, raising=False)
    (folder_of(azure.store) / "served.json").unlink()
    said = refused(capsys, "logs", "iris")
    assert said.startswith("The log of iris cannot be read: nobody is logged in to Azure here: run `az login`")


def test_who_may_not_read_it_is_told_the_role_and_with_the_role_may(project, azure, capsys):
    azure.serve(azure.token("colleague"))
    said = refused(capsys, "logs", "iris")
    assert f"may not read it (AuthorizationFailed): it takes the role Reader on {GROUP}" in said
    body = {
        "scope": RESOURCE_GROUP,
        "principalId": made_up("principal", "colleague"),
        "roleDefinitionId": f"{SUBSCRIPTION}{READER}",
    }
    role = Record(f"{RESOURCE_GROUP}{READER}", "authorization:RoleAssignment", body, {})
    with azure.store.transaction() as db:
        save(db, role)
    assert run(["logs", "iris"]) == Exit.OK


@pytest.mark.parametrize(("gone", "code"), [(GROUP, "ResourceNotFound"), (RESOURCE_GROUP, "ResourceGroupNotFound")])
def test_a_group_that_is_not_there_is_told_with_what_makes_it_again(project, azure, capsys, gone, code):
    with azure.store.transaction() as db:
        forget(db, gone)
    said = refused(capsys, "logs", "iris")
    assert f"The container group shop-dev-iris of iris is not there ({code}" in said
    assert "slipway up --stack dev -- --refresh" in said


@pytest.mark.parametrize(("times", "code"), [(3, Exit.OK), (10, Exit.FAILED)])
def test_an_api_that_throttles_is_waited_for_as_long_as_it_asks_and_then_told(
    project, azure, capsys, monkeypatch, times, code
):
    pauses = []
    monkeypatch.setattr("tenacity.nap.time.sleep", pauses.append)
    fault = {"do": "throttle", "type": "containerinstance:ContainerGroup", "on": "read", "times": times}
    monkeypatch.setenv("SLIPWAY_AZURE_SETTINGS", json.dumps({"faults": [fault]}))
    assert run(["logs", "iris"]) == code
    assert pauses == [1] * min(times, 5)
    told = "answers 429 (too many requests) (6 attempts); run it again in 1 s" in capsys.readouterr().err
    assert told == (code is Exit.FAILED)


def test_a_stand_in_that_has_ended_is_told_with_what_starts_it(project, azure, capsys):
    azure.serve("t", address="http://127.0.0.1:9")
    said = refused(capsys, "logs", "iris")
    assert "does not answer at http://127.0.0.1:9: `slipway up --stack STACK -- --refresh` starts it" in said


def test_a_login_that_is_not_taken_is_told(project, azure, capsys):
    azure.serve(azure.token(DEPLOYER, now=0))
    assert "does not take the login (ExpiredAuthenticationToken" in refused(capsys, "logs", "iris")


@pytest.mark.parametrize("served", ["other", "elsewhere", "broken"])
def test_what_the_stand_in_does_not_list_is_asked_of_azure_and_its_token_goes_nowhere_else(azure, tmp_path, served):
    env = {"SLIPWAY_AZURE_STORE": str(azure.store.folder)}
    assert place_of(GROUP.upper(), env, tmp_path).address == azure.place
    if served == "other":
        azure.serve("t", f"{RESOURCE_GROUP}-other".lower())
    elif served == "elsewhere":
        azure.serve("t", address="http://192.0.2.1:80")
    else:
        (folder_of(azure.store) / "served.json").write_text("{")
    assert place_of(GROUP, env, tmp_path) == Place()


def test_the_state_tells_what_azure_sees_of_a_model_that_does_not_answer(project, azure, capsys):
    def told():
        assert run(["status", "--json"]) == Exit.OK
        [one] = json.loads(capsys.readouterr().out)["models"]
        return one["state"], one["error"]

    azure.see(RUNNING)
    assert told() == ("unreachable", None)
    waiting = {"currentState": {"state": "Waiting", "detailStatus": "CrashLoopBackOff: Back-off", "exitCode": 3}}
    azure.see(waiting, "Pending")
    assert told() == ("unreachable", "model is waiting, CrashLoopBackOff: Back-off, exit code 3")
    ended = {
        "currentState": {"state": "Terminated", "exitCode": 137, "detailStatus": "OOMKilled"},
        "events": [{"type": "Warning", "message": "too much"}, {"type": "Normal", "message": "no"}],
    }
    azure.see(ended, "Failed")
    assert told() == ("stopped", "model is terminated, OOMKilled, exit code 137, too much")
    with azure.store.transaction() as db:
        forget(db, GROUP)
    assert told() == ("missing", None)


def test_diagnose_tells_how_azure_sees_each_group(project, azure):
    def told():
        found = diagnose(Context(Project(project.root, "shop"), "dev"), 20.0)
        return [(one.status, one.message, one.model) for one in found if one.check == "groups"]

    azure.see(RUNNING)
    assert told() == [("ok", "shop-dev-iris is running.", "iris")]
    azure.see({"currentState": {"state": "Waiting", "detailStatus": "ImagePullBackOff"}}, "Pending")
    assert told() == [("problem", "shop-dev-iris is pending: model is waiting, ImagePullBackOff.", "iris")]
    azure.serve(azure.token("colleague"))
    [(status, message, _)] = told()
    assert (status, "the role Reader on" in message) == ("problem", True)


@pytest.mark.parametrize(
    ("path", "identity", "status", "code"),
    [
        (LOGS, DEPLOYER, 400, "MissingApiVersionParameter"),
        (f"{LOGS}?api-version=1999-01-01", DEPLOYER, 400, "NoRegisteredProviderFound"),
        (f"{LOGS}?api-version=2023-05-01&lines=3", DEPLOYER, 400, "InvalidRequestUri"),
        (f"{LOGS}?api-version=2023-05-01&tail=0", DEPLOYER, 400, "InvalidRequestContent"),
        (f"{LOGS}?api-version=2023-05-01&timestamps=1", DEPLOYER, 400, "InvalidRequestContent"),
        (f"{GROUP}/containers/tls/logs?api-version=2023-05-01", DEPLOYER, 404, "ContainerNotFound"),
        (f"{GROUP}/start?api-version=2023-05-01", DEPLOYER, 404, "InvalidResourceType"),
        (f"{LOGS}?api-version=2023-05-01", None, 401, "AuthenticationFailed"),
    ],
)
def test_the_stand_in_refuses_what_azure_refuses(azure, path, identity, status, code):
    headers = {"Authorization": f"Bearer {azure.token(identity)}"} if identity else {}
    answer = httpx.get(azure.place + path, headers=headers, trust_env=False)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert ("www-authenticate" in answer.headers) == (status == 401)


def test_a_token_for_another_service_opens_nothing(azure):
    headers = {"Authorization": f"Bearer {azure.token(DEPLOYER, 'https://storage.azure.com')}"}
    answer = httpx.get(f"{azure.place}{LOGS}?api-version=2023-05-01", headers=headers, trust_env=False)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")


def test_a_group_is_shown_in_the_apis_own_shape(azure):
    headers = {"Authorization": f"Bearer {azure.token(DEPLOYER)}"}
    shown = httpx.get(f"{azure.place}{GROUP}?api-version=2023-05-01", headers=headers, trust_env=False).json()
    assert shown == {
        "id": GROUP,
        "name": "shop-dev-iris",
        "type": "Microsoft.ContainerInstance/containerGroups",
        "location": "westeurope",
        "properties": {
            "provisioningState": "Creating",
            "containers": [{"name": "model", "properties": {"image": "i"}}],
            "instanceView": {"state": "Pending", "events": []},
        },
    }
