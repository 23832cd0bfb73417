"""The program against Pulumi's mocks: what would be registered, without an engine."""

import asyncio
import importlib.util
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pulumi
import pytest

ROOT = Path(__file__).parents[2]


@dataclass
class Registered:
    """One registration, as it left the program; `options` are Pulumi's."""

    type: str
    name: str
    inputs: dict
    options: pulumi.ResourceOptions | None = None


@dataclass
class Recorder(pulumi.runtime.Mocks):
    """Records every registration and answers with outputs like the providers'; `unknown` leaves digests unknown."""

    unknown: bool = False
    digest: str = "sha256:" + "d" * 64
    registered: list[Registered] = field(default_factory=list)

    def new_resource(self, args):
        self.registered.append(Registered(args.typ, args.name, args.inputs))
        outputs = dict(args.inputs)
        if args.typ == "docker-build:index:Image" and not self.unknown:
            outputs |= {"digest": self.digest, "ref": f"{args.inputs['tags'][0]}@{self.digest}"}
        if args.typ == "docker:index/remoteImage:RemoteImage" and not self.unknown:
            outputs |= {"imageId": "sha256:" + "1" * 64}
        return f"{args.name}-id", outputs

    def call(self, args):
        raise AssertionError(f"the program calls no function, but called {args.token}")

    def of(self, kind):
        """Registrations of a type's last part, such as Container, by name."""
        return {one.name: one for one in self.registered if one.type.rpartition(":")[2] == kind}


@pytest.fixture
def project(tmp_path):
    """A project's folder with the sample models, which a test may change."""
    for name in ("scoring", "models"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "models.yaml", tmp_path / "models.yaml")
    return tmp_path


@pytest.fixture
def declare(project, monkeypatch):
    """Runs the program on the project; returns what it registered."""

    def run(*, stack="dev", preview=False, unknown=False, recorder=None, **config):
        config = {"targets": ["local-docker"], **config}
        values = {f"slipway:{key}": v if isinstance(v, str) else json.dumps(v) for key, v in config.items()}
        monkeypatch.setenv("PULUMI_CONFIG", json.dumps(values))
        recorder = recorder or Recorder(unknown=unknown)
        # The SDK takes the thread's loop, which another test may have closed.
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        pulumi.runtime.set_mocks(recorder, project="slipway", stack=stack, preview=preview)
        spec = importlib.util.spec_from_file_location("slipway_program", ROOT / "__main__.py")
        program = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(program)
        options = {}

        def note(args):
            options[args.type_, args.name] = args.opts

        def declared():
            pulumi.runtime.register_stack_transformation(note)
            program.main(project)

        # Waits until every registration has drained, so that absence means absence.
        try:
            pulumi.runtime.test(declared)()
        finally:
            asyncio.set_event_loop(None)
            loop.close()
        for one in recorder.registered:
            one.options = options.get((one.type, one.name))
        return recorder

    return run
