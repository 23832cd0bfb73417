"""A checkout of a test's own on the real parts: engine, BuildKit, registry and containers."""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
import uuid
from pathlib import Path

import docker
import httpx

ROOT = Path(__file__).parents[2]
SLIPWAY = ROOT / ".venv/bin/slipway"
PROGRAM = (
    "__main__.py",
    "Pulumi.yaml",
    "azure_management",
    "clusters",
    "components",
    "iot_hub",
    "manifest",
    "policies",
    "provider",
    "registry",
    "releases",
    "scoring",
    "storage",
    "pyproject.toml",
)
SCORE = '''"""A model of {project}'s own, without dependencies: built in a second."""
import json


def init():
    pass


def run(data):
    return {{"answer": {answer!r}, "sum": sum(json.loads(data))}}
'''


def free_port():
    """A port that nobody has, below those that the system gives to outgoing connections at any moment."""
    while True:
        port = random.SystemRandom().randrange(12_000, 30_000)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


class Project:
    """A checkout with its own state, stack and models; everything that it makes carries the stack's name."""

    def __init__(self, folder, stack=None, state=None):
        self.folder = folder
        self.stack = stack or f"t{uuid.uuid4().hex[:8]}"
        self.ports = {}
        for name in PROGRAM:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, folder / name)
        # A project of its own: what `down` removes is the project's.
        (folder / "Pulumi.yaml").write_text(
            (ROOT / "Pulumi.yaml").read_text().replace("name: slipway", f"name: {self.stack}", 1)
        )
        (folder / ".venv").symlink_to(ROOT / ".venv")
        (folder / f"Pulumi.{self.stack}.yaml").write_text(
            "config:\n  slipway:targets: [local-docker]\n  slipway:development: true\n"
        )
        toolchain = json.loads((ROOT / ".slipway/toolchain.json").read_text())
        state = state or folder / ".slipway/state"
        state.mkdir(parents=True, exist_ok=True)
        (folder / ".slipway").mkdir(exist_ok=True)
        passphrase = folder / ".slipway/passphrase"
        passphrase.touch(mode=0o600)
        passphrase.write_text("of this test only")
        own = {"PULUMI_BACKEND_URL": f"file://{state}", "PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase)}
        toolchain["env"] |= own
        (folder / ".slipway/toolchain.json").write_text(json.dumps(toolchain))
        self.state = state
        self.env = {
            **os.environ,
            **toolchain["env"],
            "PATH": os.pathsep.join([*toolchain["path"], os.environ["PATH"]]),
            "NO_COLOR": "1",
        }
        self.docker = docker.from_env(environment=self.env)

    def model(self, name, answer="first", *, reload=False, **scoring):
        """Write a model's folder and remember it for the manifest."""
        folder = self.folder / "models" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "weights.json").write_text(json.dumps([1, 2, 3]))
        (folder / "sample.json").write_text("[1, 2]")
        self.script(name).write_text(SCORE.format(project=self.stack, answer=answer))
        self.ports.setdefault(name, free_port())
        self._entries = getattr(self, "_entries", {})
        self._entries[name] = {
            "name": name,
            "version": 1,
            "path": f"models/{name}",
            "scoring": {"sample": "sample.json", **scoring},
            "targets": [{"local-docker": {"port": self.ports[name], "reload": reload, "memory": "256Mi"}}],
        }
        self.write_manifest()

    def target(self, name, target):
        """Give a model a further target."""
        self._entries[name]["targets"].append(target)
        self.write_manifest()

    def remove(self, name):
        del self._entries[name]
        self.write_manifest()

    def remove_all_but(self, *names):
        self._entries = {name: entry for name, entry in self._entries.items() if name in names}
        self.write_manifest()

    def write_manifest(self):
        # JSON is YAML.
        (self.folder / "models.yaml").write_text(json.dumps({"models": list(self._entries.values())}, indent=2))

    def script(self, name):
        return self.folder / "models" / name / "score.py"

    def command(self, *arguments):
        name, *rest = arguments
        return [str(SLIPWAY), name, "--stack", self.stack, *rest]

    def run(self, *arguments, check=True, timeout=600):
        """Run the slipway command in this checkout; `up` that has to work without a preview, a third of its time."""
        if arguments[0] == "up" and check:
            arguments = (*arguments, *([] if "--" in arguments else ["--"]), "--skip-preview")
        return self.slipway(*self.command(*arguments)[1:], check=check, timeout=timeout)

    def slipway(self, *arguments, check=True, timeout=600):
        """Run the slipway command in this checkout just so, on any stack."""
        done = subprocess.run(
            [str(SLIPWAY), *arguments],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"slipway {arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def pulumi(self, *arguments, check=True):
        """Run the engine itself, as a user would."""
        done = subprocess.run(
            ["pulumi", *arguments, "--stack", self.stack, "--non-interactive"],
            cwd=self.folder,
            env={**self.env, "PULUMI_DEBUG_COMMANDS": "true"},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"pulumi {arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def operations(self, *arguments):
        """Run a preview or an update and return what it does: resource to operation, without those left as they are."""
        log = self.folder / "events.json"
        log.unlink(missing_ok=True)
        self.pulumi(*arguments, "--event-log", str(log))
        found = {}
        for line in log.read_text().splitlines():
            metadata = (json.loads(line).get("resourcePreEvent") or {}).get("metadata")
            if metadata and metadata["op"] not in {"same", "read"}:
                kind, name = metadata["type"].rpartition(":")[2], metadata["urn"].rpartition("::")[2]
                found.setdefault((kind, name), set()).add(metadata["op"])
        return found

    def answer(self, name):
        """What the running container answers now."""
        return httpx.post(f"http://127.0.0.1:{self.ports[name]}/score", content=b"[1, 2]", timeout=60).json()

    def containers(self):
        filters = {"label": f"io.slipway.stack={self.stack}"}
        return {
            one.labels["io.slipway.model"]: one
            for one in self.docker.containers.list(all=True, filters=filters, ignore_removed=True)
        }

    def images(self):
        """The models whose images the engine has under this project's names."""
        found = set()
        for image in self.docker.api.images():
            for name in [*(image["RepoTags"] or []), *(image["RepoDigests"] or [])]:
                _, is_ours, path = name.partition(f"/{self.stack}/models/")
                if is_ours:
                    found.add(re.split("[:@]", path)[0])
        return found

    def wait_for(self, condition, seconds=120):
        """Wait until a condition holds; what it raises while it does not is part of the message."""
        deadline, last = time.monotonic() + seconds, None
        while time.monotonic() < deadline:
            try:
                if condition():
                    return
            except (httpx.HTTPError, ValueError) as error:
                last = error
            time.sleep(0.1)
        raise AssertionError(f"not within {seconds} s; last error: {last}")

    def close(self):
        self.run("down", check=False)
        for container in self.containers().values():
            container.remove(force=True)


def kill_tree(process):
    """Kill a process and all below it, at once, as a machine that dies would."""
    children = subprocess.run(["pgrep", "-P", str(process)], capture_output=True, text=True, check=False).stdout.split()
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    for child in children:
        kill_tree(int(child))
