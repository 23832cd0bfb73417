"""The Pulumi provider protocol: serves a `Package` of resources to the engine, in a process of its own.

The first line on stdout is the port; the last argument is the engine's address. The engine starts one process
for each provider, for a preview and for an update each, so starting fast counts.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
import re
import signal
import sys
import threading
import time
import traceback
import types
from concurrent import futures
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import any_pb2, empty_pb2, message_factory

from provider.resource import Call, Diff, Failure, InitFailedError, Naming, ProviderError, State, changes
from provider.values import (
    Secret,
    UnsupportedValueError,
    decode,
    encode,
    has_secret,
    mark_secrets,
    plain,
    redact,
    secret_texts,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from provider.resource import Package, Resource, Severity

_MESSAGE_LIMIT = 400 * 1024 * 1024
# Each waiting create holds a thread, and Cancel must still find one. They are made only as calls need them.
_THREADS = 256
_PARENT_CHECK_SECONDS = 0.5
_LOG_SECONDS = 5
_SEVERITIES = {"debug": 0, "info": 1, "warning": 2, "error": 3}


def _load_messages() -> dict[str, types.ModuleType]:
    """Load Pulumi's message classes without the SDK around them, which takes three times as long.

    Returns:
        The modules by name.
    """
    package = "pulumi.runtime.proto"
    if "pulumi" not in sys.modules:
        found = importlib.util.find_spec("pulumi")
        if found is None or not found.submodule_search_locations:
            raise ImportError("this virtual environment has no Python package `pulumi`")
        package = "provider_protocol_messages"
        shell = types.ModuleType(package)
        shell.__path__ = [f"{found.submodule_search_locations[0]}/runtime/proto"]
        sys.modules[package] = shell
    names = ("provider_pb2", "plugin_pb2", "engine_pb2", "status_pb2")
    return {name: importlib.import_module(f"{package}.{name}") for name in names}


_MESSAGES = _load_messages()
_pb: Any = _MESSAGES["provider_pb2"]


class _EngineLog:
    """The engine's display. Connected at the first word: most processes of a plugin have nothing to say."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._lock = threading.Lock()
        self._send: Callable[..., Any] | None = None

    def __call__(self, severity: Severity, text: str, urn: str = "", *, passing: bool = False) -> None:
        if not self.address:
            return
        with self._lock:
            if self._send is None:
                self._send = grpc.insecure_channel(self.address).unary_unary(
                    "/pulumirpc.Engine/Log",
                    request_serializer=lambda message: message.SerializeToString(),
                    response_deserializer=empty_pb2.Empty.FromString,
                )
        request = _MESSAGES["engine_pb2"].LogRequest(
            severity=_SEVERITIES[severity], message=text, urn=urn, ephemeral=passing
        )
        try:
            self._send(request, timeout=_LOG_SECONDS)
        except grpc.RpcError:
            # The engine is going, and nobody is left to read it.
            return


class Servicer:
    """Answers the engine. Calls that have no method here are UNIMPLEMENTED, which gRPC says by itself."""

    def __init__(self, package: Package, engine: str) -> None:
        """Bind the methods below to the protocol's calls.

        Args:
            package: What to serve.
            engine: The engine's address, to log to; empty for none.
        """
        self.package = package
        self.log = _EngineLog(engine)
        self.cancelled = threading.Event()
        service = _pb.DESCRIPTOR.services_by_name["ResourceProvider"]
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        for method in service.methods:
            name = re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower()
            if (answer := getattr(self, name, None)) is not None:
                handlers[method.name] = grpc.unary_unary_rpc_method_handler(
                    self._guarded(name, answer),
                    request_deserializer=message_factory.GetMessageClass(method.input_type).FromString,
                    response_serializer=lambda message: message.SerializeToString(),
                )
        self.handler = grpc.method_handlers_generic_handler(service.full_name, handlers)

    def _guarded(self, action: str, answer: Callable[[Any], Any]) -> Callable[[Any, grpc.ServicerContext], Any]:
        def guarded(request: Any, context: grpc.ServicerContext) -> Any:
            try:
                return answer(request)
            except InitFailedError as error:
                reason = redact(str(error), _secrets_of(request))
                details = _init_failed(error.state, reason, request)
                context.set_trailing_metadata((("grpc-status-details-bin", details),))
            except ProviderError as error:
                reason = redact(str(error), _secrets_of(request))
            except Exception as error:  # noqa: BLE001 - whatever it is: one line for the user, the rest for the log
                secrets = _secrets_of(request)
                first = (str(error).splitlines() or [""])[0]
                reason = redact(
                    f"the {self.package.name} plugin failed in {action}: {type(error).__name__}: {first} "
                    "(a bug in the plugin; `--debug` shows its traceback)",
                    secrets,
                )
                self.log("debug", redact(traceback.format_exc(), secrets), getattr(request, "urn", ""))
            return context.abort(grpc.StatusCode.UNKNOWN, reason)

        return guarded

    def _call(self, request: Any) -> Call:
        secrets: list[set[str]] = []

        def write(severity: Severity, text: str, passing: bool) -> None:
            if not secrets:
                secrets.append(_secrets_of(request))
            self.log(severity, redact(text, secrets[0]), request.urn, passing=passing)

        return Call(request.urn, self.cancelled, write, getattr(request, "timeout", 0.0), _naming(request))

    def _resource(self, request: Any) -> Resource:
        token = _type_of(request.urn)
        if token not in self.package.resources:
            raise ProviderError(self.package.refusal(token))
        return self.package.resources[token]

    def handshake(self, request: Any) -> Any:
        """Agree on the protocol's options."""
        self.log.address = request.engine_address or self.log.address
        return _pb.ProviderHandshakeResponse(accept_secrets=True, supports_autonaming_configuration=True)

    def attach(self, request: Any) -> Any:
        """Serve an engine that found this process running (PULUMI_DEBUG_PROVIDERS)."""
        self.log.address = request.address
        return empty_pb2.Empty()

    def get_plugin_info(self, _request: Any) -> Any:
        """Say which version this is."""
        return _MESSAGES["plugin_pb2"].PluginInfo(version=self.package.version)

    def get_schema(self, _request: Any) -> Any:
        """Say the package's name; the SDKs are made from elsewhere."""
        schema = {"name": self.package.name, "version": self.package.version}
        return _pb.GetSchemaResponse(schema=json.dumps(schema))

    def check_config(self, request: Any) -> Any:
        """Check the provider's own inputs."""
        failures = self.package.check_config(plain(decode(request.news)))
        return _pb.CheckResponse(inputs=request.news, failures=_failures(failures))

    def diff_config(self, request: Any) -> Any:
        """Compare the provider's own inputs; no change of them replaces resources."""
        old, new = plain(decode(request.old_inputs)), plain(decode(request.news))
        return _diff_response(Diff(changes(old, new, replaces=lambda _name: False)))

    def configure(self, request: Any) -> Any:
        """Take the provider's configuration."""
        self.package.configure(plain(decode(request.args)))
        return _pb.ConfigureResponse(acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True)

    def check(self, request: Any) -> Any:
        """Check and complete a resource's inputs."""
        token = _type_of(request.urn)
        if token not in self.package.resources:
            refusal = Failure("", self.package.refusal(token))
            return _pb.CheckResponse(inputs=request.news, failures=_failures([refusal]))
        new = decode(request.news)
        old = plain(decode(request.olds)) if request.HasField("olds") else None
        inputs, failures = self._resource(request).check(self._call(request), old, plain(new))
        return _pb.CheckResponse(inputs=encode(_marked(inputs, new)), failures=_failures(failures))

    def diff(self, request: Any) -> Any:
        """Compare a resource's inputs with those of the last deployment."""
        old = _state(request, outputs=request.olds)
        return _diff_response(self._resource(request).diff(self._call(request), old, plain(decode(request.news))))

    def create(self, request: Any) -> Any:
        """Make a resource, or foretell it."""
        resource, call, inputs = self._resource(request), self._call(request), decode(request.properties)
        if request.preview:
            outputs = resource.preview(call, plain(inputs), None)
            return _pb.CreateResponse(properties=encode(_marked(outputs, inputs)))
        made = resource.create(call, plain(inputs))
        return _pb.CreateResponse(id=made.id, properties=encode(_marked(made.outputs, inputs)))

    def read(self, request: Any) -> Any:
        """Look at a resource: for a refresh, an import or a get."""
        state = State(request.id, plain(decode(request.inputs)), plain(decode(request.properties)))
        found = self._resource(request).read(self._call(request), state)
        if found is None:
            return _pb.ReadResponse()
        like = {**decode(request.properties), **decode(request.inputs)}
        return _pb.ReadResponse(
            id=found.id,
            inputs=encode(_marked(found.inputs, like)),
            properties=encode(_marked(found.outputs, like)),
        )

    def update(self, request: Any) -> Any:
        """Change a resource in place, or foretell it."""
        resource, call, inputs = self._resource(request), self._call(request), decode(request.news)
        old = _state(request, outputs=request.olds)
        if request.preview:
            outputs = resource.preview(call, plain(inputs), old)
        else:
            outputs = resource.update(call, old, plain(inputs))
        return _pb.UpdateResponse(properties=encode(_marked(outputs, inputs)))

    def delete(self, request: Any) -> Any:
        """Take a resource away."""
        self._resource(request).delete(self._call(request), _state(request, outputs=request.properties))
        return empty_pb2.Empty()

    def invoke(self, request: Any) -> Any:
        """Run a function."""
        function = self.package.functions.get(request.tok)
        if function is None:
            raise ProviderError(self.package.refusal(request.tok))
        call = Call(request.tok, self.cancelled, lambda severity, text, _: self.log(severity, text))
        return _pb.InvokeResponse(**{"return": encode(function(call, plain(decode(request.args))))})

    def cancel(self, _request: Any) -> Any:
        """End all waits: the user has interrupted."""
        self.cancelled.set()
        return empty_pb2.Empty()


def _type_of(urn: str) -> str:
    # urn:pulumi:STACK::PROJECT::PARENT_TYPE$TYPE::NAME
    return urn.split("::")[2].rpartition("$")[2]


def _state(request: Any, *, outputs: Any) -> State:
    return State(request.id, plain(decode(request.old_inputs)), plain(decode(outputs)))


def _naming(request: Any) -> Naming:
    options = getattr(request, "autonaming", None)
    if options is None:
        return Naming()
    disabled = options.mode == _pb.CheckRequest.AutonamingOptions.DISABLE
    return Naming(request.randomSeed, options.proposed_name, disabled)


def _failures(failures: list[Failure]) -> list[Any]:
    return [_pb.CheckFailure(property=failure.property, reason=failure.reason) for failure in failures]


def _diff_response(diff: Diff) -> Any:
    kinds = {
        change.path: _pb.PropertyDiff.Kind.Value(change.kind + ("_REPLACE" if change.replace else ""))
        for change in diff.changes
    }
    return _pb.DiffResponse(
        changes=_pb.DiffResponse.DIFF_SOME if kinds else _pb.DiffResponse.DIFF_NONE,
        diffs=list(kinds),
        replaces=[change.path for change in diff.changes if change.replace],
        detailedDiff={path: _pb.PropertyDiff(kind=kind, inputDiff=True) for path, kind in kinds.items()},
        hasDetailedDiff=True,
        deleteBeforeReplace=diff.delete_before_replace and diff.replace,
    )


def _values_of(request: Any) -> Iterator[dict[str, Any]]:
    for name in ("properties", "news", "olds", "inputs", "old_inputs", "args"):
        if hasattr(request, name):
            # What cannot be read cannot have come to be in a message either.
            with contextlib.suppress(UnsupportedValueError):
                yield decode(getattr(request, name))


def _secrets_of(request: Any) -> set[str]:
    return set().union(*map(secret_texts, _values_of(request)))


def _marked(values: dict[str, Any], like: dict[str, Any]) -> dict[str, Any]:
    """Mark what was secret in the inputs, and whatever else has come to hold such a text."""
    if not has_secret(like):
        return values
    texts = secret_texts(like)
    marked: dict[str, Any] = mark_secrets(values, like)
    return {name: Secret(plain(value)) if _holds(value, texts) else value for name, value in marked.items()}


def _holds(value: Any, texts: set[str]) -> bool:
    """Tell whether such a text stands anywhere but in what is marked."""
    match value:
        case str():
            return any(text in value for text in texts)
        case dict():
            return any(_holds(item, texts) for item in value.values())
        case list():
            return any(_holds(item, texts) for item in value)
        case _:
            return False


def _init_failed(state: State, reason: str, request: Any) -> bytes:
    like: dict[str, Any] = {}
    for values in _values_of(request):
        like = {**values, **like}
    detail = any_pb2.Any()
    detail.Pack(
        _pb.ErrorResourceInitFailed(
            id=state.id,
            properties=encode(_marked(state.outputs, like)),
            inputs=encode(_marked(state.inputs, like)),
            reasons=[reason],
        )
    )
    code: int = grpc.StatusCode.UNKNOWN.value[0]
    status: bytes = _MESSAGES["status_pb2"].Status(code=code, message=reason, details=[detail]).SerializeToString()
    return status


def _end_with(parent: int) -> None:
    """End this process when the engine that started it has gone, however it went.

    The kernel's own signal for this would come too early: it is sent when the *thread* that forked ends, and
    those of the engine come and go.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_CHECK_SECONDS)
        os._exit(0)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def serve(package: Package) -> None:
    """Run a plugin until the engine ends it.

    Args:
        package: What to serve.
    """
    # The engine's way to say that it needs this process no more. One at the terminal does not come here: plugins
    # have a process group of their own, and the engine calls Cancel.
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    # The starting script notes its parent before Python is up: the engine may end in between.
    _end_with(int(os.environ.pop("SLIPWAY_ENGINE_PID", "0")) or os.getppid())
    address = next((word for word in reversed(sys.argv[1:]) if not word.startswith("-")), "")
    limits = [
        ("grpc.max_receive_message_length", _MESSAGE_LIMIT),
        ("grpc.max_send_message_length", _MESSAGE_LIMIT),
    ]
    server = grpc.server(futures.ThreadPoolExecutor(_THREADS), options=limits)
    server.add_generic_rpc_handlers((Servicer(package, address).handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.wait_for_termination()
