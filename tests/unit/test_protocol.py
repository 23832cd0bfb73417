"""The protocol over real gRPC: a small resource of each behaviour, and calls as the engine makes them."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent import futures
from pathlib import Path

import grpc
import pytest
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, provider_pb2_grpc, status_pb2

from provider.protocol import Servicer
from provider.resource import (
    Call,
    Diff,
    Failure,
    InitFailedError,
    Naming,
    Package,
    ProviderError,
    Resource,
    State,
    autoname,
    changes,
)
from provider.values import UNKNOWN, Secret, decode, encode

ROOT = Path(__file__).parents[2]
URN = "urn:pulumi:dev::shop::a:b:Parent$test:index/thing:Thing::one"


class Thing(Resource):
    """Does what its input `mode` says, and remembers what it was called for."""

    def __init__(self):
        self.calls = []
        self.waiting = threading.Event()

    def check(self, call, old, new):
        name = new.get("name") or autoname(call, (old or {}).get("name"))
        return {**new, "name": name}, [Failure("mode", "must not be bad")] if new.get("mode") == "bad" else []

    def diff(self, call, old, new):
        return Diff(changes(old.inputs, new, replaces=lambda name: name == "name"), delete_before_replace=True)

    def preview(self, call, inputs, old):
        self.calls.append("preview")
        return {**inputs, "computed": old.outputs["computed"] if old else UNKNOWN}

    def create(self, call, inputs):
        self.calls.append("create")
        outputs = {**inputs, "computed": f"made of {inputs.get('password')}"}
        match inputs.get("mode"):
            case "error":
                raise ProviderError(f"cannot make it with {inputs['password']}")
            case "broken":
                raise InitFailedError("it does not answer", State("id-1", inputs, outputs))
            case "bug":
                raise KeyError(inputs["password"])
            case "talk":
                call.status(f"half way with {inputs['password']}")
                call.log("warning", "done")
            case "wait":
                self.waiting.set()
                call.cancelled.wait(30)
                raise ProviderError("interrupted" if call.cancelled.is_set() else "never interrupted")
        return State("id-1", inputs, outputs)

    def read(self, call, state):
        if state.id == "gone":
            return None
        return State(state.id, {**state.inputs, "mode": "drifted"}, {**state.outputs, "mode": "drifted"})

    def update(self, call, old, new):
        self.calls.append("update")
        return {**new, "computed": old.outputs["computed"]}

    def delete(self, call, state):
        self.calls.append(f"delete {state.id}")


class Engine(engine_pb2_grpc.EngineServicer):
    """The engine's side of logging."""

    def __init__(self):
        self.said = []

    def Log(self, request, context):  # noqa: N802 - the protocol's name
        self.said.append(request)
        return engine_pb2_grpc.google_dot_protobuf_dot_empty__pb2.Empty()


@pytest.fixture
def thing():
    return Thing()


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture
def plugin(thing, engine):
    """A stub that calls a package with that resource through gRPC."""
    with futures.ThreadPoolExecutor(8) as pool:
        display = grpc.server(pool)
        engine_pb2_grpc.add_EngineServicer_to_server(engine, display)
        address = f"127.0.0.1:{display.add_insecure_port('127.0.0.1:0')}"
        display.start()
        package = Package(
            "test",
            "1.2.3",
            {"test:index/thing:Thing": thing},
            {"test:index/double:double": lambda _call, args: {"n": args["n"] * 2}},
        )
        server = grpc.server(pool)
        server.add_generic_rpc_handlers((Servicer(package, address).handler,))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield provider_pb2_grpc.ResourceProviderStub(channel)
        server.stop(None)
        display.stop(None)


def _create(plugin, *, preview=False, **inputs):
    return plugin.Create(provider_pb2.CreateRequest(urn=URN, properties=encode(inputs), preview=preview))


def test_the_plugin_says_its_version_and_that_it_takes_secrets(plugin):
    assert plugin.GetPluginInfo(provider_pb2.google_dot_protobuf_dot_empty__pb2.Empty()).version == "1.2.3"
    answer = plugin.Configure(provider_pb2.ConfigureRequest())
    assert answer.acceptSecrets
    assert answer.supportsPreview


def test_a_preview_makes_nothing_and_leaves_unknown_what_it_cannot_know(plugin, thing):
    answer = _create(plugin, preview=True, name="x")
    assert answer.id == ""
    assert decode(answer.properties) == {"name": "x", "computed": UNKNOWN}
    request = provider_pb2.UpdateRequest(
        urn=URN, id="id-1", olds=encode({"computed": "kept"}), news=encode({"name": "x"}), preview=True
    )
    assert decode(plugin.Update(request).properties) == {"name": "x", "computed": "kept"}
    assert thing.calls == ["preview", "preview"]


def test_a_secret_stays_secret_in_the_outputs_and_in_what_was_made_of_it(plugin):
    answer = _create(plugin, name="x", password=Secret("hunter22"))
    assert decode(answer.properties) == {
        "name": "x",
        "password": Secret("hunter22"),
        "computed": Secret("made of hunter22"),
    }


def test_a_secret_under_another_name_is_secret(plugin):
    answer = _create(plugin, name="x", settings={"password": Secret("hunter22")}, copy={"of": "hunter22", "b": 1})
    outputs = decode(answer.properties)
    assert outputs["settings"] == {"password": Secret("hunter22")}
    assert outputs["copy"] == Secret({"of": "hunter22", "b": 1})


def test_a_secret_stays_secret_through_check_read_and_update(plugin):
    inputs = {"name": "x", "password": Secret("hunter22")}
    checked = plugin.Check(provider_pb2.CheckRequest(urn=URN, news=encode(inputs)))
    assert decode(checked.inputs) == inputs
    read = plugin.Read(provider_pb2.ReadRequest(urn=URN, id="id-1", inputs=encode(inputs), properties=encode(inputs)))
    assert decode(read.inputs)["password"] == decode(read.properties)["password"] == Secret("hunter22")
    request = provider_pb2.UpdateRequest(urn=URN, id="id-1", olds=encode({"computed": "a"}), news=encode(inputs))
    assert decode(plugin.Update(request).properties)["password"] == Secret("hunter22")


def test_an_error_is_its_message_without_secrets(plugin):
    with pytest.raises(grpc.RpcError) as failed:
        _create(plugin, mode="error", password=Secret("hunter22"))
    assert failed.value.details() == "cannot make it with [secret]"


def test_a_bug_is_one_line_and_its_traceback_goes_to_the_debug_log_without_secrets(plugin, engine):
    with pytest.raises(grpc.RpcError) as failed:
        _create(plugin, mode="bug", password=Secret("hunter22"))
    assert failed.value.details() == (
        "the test plugin failed in create: KeyError: '[secret]' (a bug in the plugin; `--debug` shows its traceback)"
    )
    (said,) = engine.said
    assert said.severity == engine_pb2.DEBUG
    assert said.message.startswith("Traceback")
    assert "hunter22" not in said.message


def test_what_was_made_but_does_not_work_keeps_its_id_and_its_secrets(plugin):
    with pytest.raises(grpc.RpcError) as failed:
        _create(plugin, mode="broken", password=Secret("hunter22"))
    details = dict(failed.value.trailing_metadata())["grpc-status-details-bin"]
    (packed,) = status_pb2.Status.FromString(details).details
    kept = provider_pb2.ErrorResourceInitFailed()
    assert packed.Unpack(kept)
    assert (kept.id, list(kept.reasons)) == ("id-1", ["it does not answer"])
    assert decode(kept.inputs)["password"] == decode(kept.properties)["password"] == Secret("hunter22")


def test_what_a_resource_says_reaches_the_display_without_secrets(plugin, engine):
    _create(plugin, mode="talk", password=Secret("hunter22"))
    assert [(said.message, said.ephemeral, said.urn) for said in engine.said] == [
        ("half way with [secret]", True, URN),
        ("done", False, URN),
    ]


def test_cancel_ends_a_wait(plugin, thing):
    with futures.ThreadPoolExecutor(1) as pool:
        create = pool.submit(_create, plugin, mode="wait")
        assert thing.waiting.wait(10)
        plugin.Cancel(provider_pb2.google_dot_protobuf_dot_empty__pb2.Empty())
        with pytest.raises(grpc.RpcError) as failed:
            create.result(10)
    assert failed.value.details() == "interrupted"


def test_a_diff_says_what_changed_how_and_what_needs_a_replacement(plugin):
    def diff(old, new):
        return plugin.Diff(provider_pb2.DiffRequest(urn=URN, id="id-1", old_inputs=encode(old), news=encode(new)))

    kinds = provider_pb2.PropertyDiff
    found = diff({"name": "x", "gone": 1, "same": [1], "__defaults": ["a"]}, {"name": "y", "new": 2, "same": [1]})
    assert found.changes == provider_pb2.DiffResponse.DIFF_SOME
    assert {path: one.kind for path, one in found.detailedDiff.items()} == {
        "gone": kinds.DELETE,
        "name": kinds.UPDATE_REPLACE,
        "new": kinds.ADD,
    }
    assert list(found.replaces) == ["name"]
    assert found.deleteBeforeReplace
    assert not diff({"a": 1}, {"a": 2}).deleteBeforeReplace
    assert diff({"a": Secret("x")}, {"a": "x"}).changes == provider_pb2.DiffResponse.DIFF_NONE


def test_an_unknown_value_is_a_change(plugin):
    found = plugin.Diff(
        provider_pb2.DiffRequest(urn=URN, id="i", old_inputs=encode({"a": 1}), news=encode({"a": UNKNOWN}))
    )
    assert list(found.diffs) == ["a"]


def test_a_resource_that_is_gone_is_read_as_nothing(plugin):
    assert plugin.Read(provider_pb2.ReadRequest(urn=URN, id="gone")).id == ""


def test_a_type_that_is_not_served_is_refused_by_name(plugin):
    urn = URN.replace("Thing", "Other")
    (failure,) = plugin.Check(provider_pb2.CheckRequest(urn=urn)).failures
    assert "does not serve test:index/thing:Other; it serves test:index/double:double" in failure.reason
    with pytest.raises(grpc.RpcError, match="does not serve"):
        plugin.Delete(provider_pb2.DeleteRequest(urn=urn, id="x"))


def test_functions_are_called_by_token(plugin):
    answer = plugin.Invoke(provider_pb2.InvokeRequest(tok="test:index/double:double", args=encode({"n": 4})))
    assert decode(getattr(answer, "return")) == {"n": 8}
    with pytest.raises(grpc.RpcError, match="does not serve test:index/half:half"):
        plugin.Invoke(provider_pb2.InvokeRequest(tok="test:index/half:half"))


def test_a_call_that_is_not_answered_is_unimplemented(plugin):
    with pytest.raises(grpc.RpcError) as failed:
        plugin.Construct(provider_pb2.ConstructRequest())
    assert failed.value.code() == grpc.StatusCode.UNIMPLEMENTED


def _check(plugin, **request):
    return plugin.Check(provider_pb2.CheckRequest(urn=URN, **request))


def test_a_name_is_the_same_in_preview_and_update_and_stays(plugin):
    first = decode(_check(plugin, randomSeed=b"seed").inputs)["name"]
    assert first == decode(_check(plugin, randomSeed=b"seed").inputs)["name"]
    assert first.startswith("one-")
    assert first != decode(_check(plugin, randomSeed=b"other").inputs)["name"]
    assert decode(_check(plugin, randomSeed=b"other", olds=encode({"name": first})).inputs)["name"] == first


def test_the_stacks_own_naming_rules_are_followed(plugin):
    options = provider_pb2.CheckRequest.AutonamingOptions
    proposed = options(proposed_name="theirs", mode=options.PROPOSE)
    assert decode(_check(plugin, autonaming=proposed).inputs)["name"] == "theirs"
    with pytest.raises(grpc.RpcError, match="a name is required"):
        _check(plugin, autonaming=options(mode=options.DISABLE))


def test_the_messages_are_loaded_without_the_sdk():
    script = "import sys, provider.protocol; sys.exit('pulumi' in sys.modules or 'docker' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


SERVE = """
import sys
sys.argv = ["plugin", "-v=9", "127.0.0.1:1"]
from provider.protocol import serve
from provider.resource import Package
serve(Package("test", "1.2.3", {}))
"""


# In between, as the engine is: starts the plugin, tells its number, and stays.
PARENT = f"""
import subprocess, sys, time
plugin = subprocess.Popen([sys.executable, "-c", {SERVE!r}], stdout=subprocess.PIPE, text=True)
print(plugin.pid, plugin.stdout.readline().strip(), flush=True)
time.sleep(600)
"""


def _is_there(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _wait_until(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_plugin_ends_when_the_process_that_started_it_was_killed():
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            PARENT,
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    plugin, port = map(int, parent.stdout.readline().split())
    assert port > 0
    assert _is_there(plugin)
    parent.kill()
    parent.wait()
    _wait_until(lambda: not _is_there(plugin))


def test_the_plugin_ends_when_its_engine_had_gone_before_it_was_up():
    environment = {**os.environ, "SLIPWAY_ENGINE_PID": "1"}
    plugin = subprocess.Popen([sys.executable, "-c", SERVE], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    assert plugin.wait(20) == 0


def test_the_plugin_ends_at_the_engines_interrupt():
    plugin = subprocess.Popen([sys.executable, "-c", SERVE], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    plugin.stdout.readline()
    plugin.send_signal(signal.SIGINT)
    assert plugin.wait(20) == 0


def test_a_call_knows_the_resources_name():
    call = Call(URN, threading.Event(), lambda *_: None, naming=Naming())
    assert call.name == "one"
