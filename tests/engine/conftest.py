"""Small Pulumi programs run by the real engine, each with a state of its own, against the machine's Docker engine."""

import json
import os
import shutil
import subprocess
import uuid
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

ROOT = Path(__file__).parents[2]
BASES = ("localhost:5050/library/python:3.11-slim", "python:3.11-slim")
_TIMEOUT = 300


@dataclass
class Done:
    """One finished run of the engine.

    Attributes:
        code: Its exit code.
        output: All that it wrote.
        operations: What it did or would do, by (type's last part, name); resources left as they are do not appear.
        events: The engine's own log of it.
    """

    code: int
    output: str
    operations: dict
    events: list


def _operations(events):
    found = defaultdict(set)
    for event in events:
        metadata = (event.get("resourcePreEvent") or {}).get("metadata")
        if metadata and metadata["op"] not in {"same", "read", "refresh"}:
            kind, name = metadata["type"].rpartition(":")[2], metadata["urn"].rpartition("::")[2]
            found[kind, name].add(metadata["op"])
    return dict(found)


class Stack:
    """A program in a folder of its own, and the engine's commands on it."""

    def __init__(self, folder, env, *, project="engine-test", name="test"):
        self.folder = folder
        self.env = env
        self.name = name
        folder.mkdir(parents=True)
        virtualenv = {"runtime": {"name": "python", "options": {"virtualenv": str(ROOT / ".venv")}}}
        (folder / "Pulumi.yaml").write_text(json.dumps({"name": project, **virtualenv}))
        self.program("")
        self.pulumi("stack", "init", name)

    def program(self, text, **values):
        """Write the program; `values` are there under their names."""
        given = "".join(f"{name} = {value!r}\n" for name, value in values.items())
        (self.folder / "__main__.py").write_text(
            f"import pulumi\nimport pulumi_docker as docker\n{given}\n{text}\n", encoding="utf-8"
        )

    def command(self, *arguments):
        return ["pulumi", *arguments, "--non-interactive"]

    def pulumi(self, *arguments, check=True):
        """Run one of the engine's commands to its end."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
        if check and done.returncode:
            pytest.fail(f"pulumi {' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def _run(self, command, *arguments, check):
        log = self.folder / f"events-{uuid.uuid4().hex}.json"
        done = self.pulumi(command, "--stack", self.name, "--event-log", str(log), *arguments, check=check)
        events = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return Done(done.returncode, done.stdout + done.stderr, _operations(events), events)

    def up(self, *arguments, check=True):
        return self._run("up", "--yes", "--skip-preview", *arguments, check=check)

    def preview(self, *arguments, check=True):
        return self._run("preview", *arguments, check=check)

    def refresh(self, *arguments, check=True):
        return self._run("refresh", "--yes", "--skip-preview", *arguments, check=check)

    def destroy(self, *arguments, check=True):
        return self._run("destroy", "--yes", "--skip-preview", *arguments, check=check)

    def export(self):
        """Return the state, with secrets as it keeps them."""
        return json.loads(self.pulumi("stack", "export", "--stack", self.name).stdout)["deployment"]

    def resources(self):
        """Return the state's resources, by (type's last part, name)."""
        return {
            (one["type"].rpartition(":")[2], one["urn"].rpartition("::")[2]): one
            for one in self.export().get("resources", [])
        }

    def outputs(self):
        return json.loads(self.pulumi("stack", "output", "--json", "--stack", self.name).stdout)


def plugins(env, module):
    """Return the process ids of a module's plugins that were started with this state."""
    mine = f"PULUMI_BACKEND_URL={env['PULUMI_BACKEND_URL']}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line, variables = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except OSError:
            continue
        if module.encode() in line and mine in variables:
            found.append(int(process.name))
    return found


@pytest.fixture(scope="session")
def toolchain_env():
    """The environment in which this checkout runs the engine: what the set-up found, else what PATH has."""
    found = {"path": [], "env": {}}
    written = ROOT / ".slipway/toolchain.json"
    if written.exists():
        found = json.loads(written.read_text())
    path = os.pathsep.join([str(ROOT / ".venv/bin"), *found["path"], os.environ["PATH"]])
    if shutil.which("pulumi", path=path) is None:
        pytest.fail("no Pulumi engine: run `make setup`")
    return {**os.environ, **found["env"], "PATH": path, "NO_COLOR": "1", "PULUMI_DEBUG_COMMANDS": "true"}


@pytest.fixture
def engine_env(toolchain_env, tmp_path):
    """The same with a state of the test's own, and the stand-ins before whatever else is installed."""
    return own_state(toolchain_env, tmp_path)


def own_state(toolchain_env, folder):
    """Return an environment with a state in a folder, and the stand-ins before whatever else is installed."""
    state = folder / "state"
    state.mkdir()
    home = folder / "home"
    home.mkdir()
    plugins = Path(toolchain_env.get("PULUMI_HOME") or Path.home() / ".pulumi") / "plugins"
    if plugins.is_dir():
        (home / "plugins").symlink_to(plugins)
    env = {name: value for name, value in toolchain_env.items() if name != "PULUMI_CONFIG_PASSPHRASE_FILE"}
    return env | {
        "PATH": f"{ROOT / 'standins/bin'}{os.pathsep}{env['PATH']}",
        "PULUMI_BACKEND_URL": state.as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "of this test only",
        "PULUMI_HOME": str(home),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }


@pytest.fixture
def stack(engine_env, tmp_path):
    """An empty stack; whatever is left in it is destroyed after the test."""
    made = Stack(tmp_path / "program", engine_env)
    yield made
    made.destroy("--refresh", check=False)


@pytest.fixture(scope="session")
def engine(toolchain_env):
    """The Docker engine's own client, to look behind the provider's back."""
    client = docker.from_env(environment=toolchain_env)
    client.ping()
    return client


@pytest.fixture(scope="session")
def image(engine):
    """An image with a shell, Python, and settings of its own that containers inherit."""
    base = _base(engine)
    maker = engine.containers.create(base, ["true"])
    name = f"slipway-engine-test-{uuid.uuid4().hex[:8]}"
    settings = 'ENV FROM_IMAGE=yes\nLABEL from.image=yes\nWORKDIR /tmp\nCMD ["sleep", "1000"]'
    maker.commit(name, "1", changes=settings)
    maker.remove()
    yield f"{name}:1"
    engine.images.remove(f"{name}:1", force=True)


def _base(engine):
    for name in BASES:
        try:
            engine.images.get(name)
        except docker.errors.ImageNotFound:
            try:
                engine.images.pull(name)
            except docker.errors.APIError:
                continue
        return name
    return pytest.fail(f"none of {', '.join(BASES)} can be had: run `make setup`")


@pytest.fixture
def name(engine):
    """A name for what the test makes; containers of that name do not outlive it."""
    made = f"engine-test-{uuid.uuid4().hex[:8]}"
    yield made
    for container in engine.containers.list(all=True, filters={"name": made}, ignore_removed=True):
        container.remove(force=True, v=True)
