"""A preview that finds nothing to do, of 100 models, against a bare program that registers the same resources.

The bare program knows every input beforehand: it reads them from the stack's state. What Slipway adds to it is
reading and checking the manifest, hashing the models' files, and components.

    .venv/bin/python bench/noop_preview.py [--models 100] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import keyword
import tempfile
from pathlib import Path

from measure import TreeMemory, project, run, table, timed

_BARE = '''"""Registers what the state holds, input for input."""
import json
from pathlib import Path
import pulumi
import pulumi_docker as docker
import pulumi_docker_build as docker_build

def registered(name, opts, **inputs):
    return pulumi.CustomResource("slipway:index:RegisteredModel", name, inputs, opts)

KINDS = {
    "docker-build:index:Image": docker_build.Image,
    "slipway:index:RegisteredModel": registered,
    "docker:index/remoteImage:RemoteImage": docker.RemoteImage,
    "docker:index/container:Container": docker.Container,
}
made = {}
for one in json.loads(Path("resources.json").read_text()):
    parent = made.get(one["parent"])
    opts = pulumi.ResourceOptions(parent=parent, retain_on_delete=one["retain"])
    kind = KINDS.get(one["type"])
    if kind is None:
        made[one["urn"]] = pulumi.ComponentResource(one["type"], one["name"], None, opts)
        made[one["urn"]].register_outputs(one["outputs"])
    else:
        opts.delete_before_replace = one["type"].endswith("Container") or None
        made[one["urn"]] = kind(one["name"], opts, **one["inputs"])
pulumi.export("models", json.loads(Path("outputs.json").read_text()))
'''


def _manifest(folder: Path, count: int) -> str:
    """Write `count` models without dependencies and return their manifest."""
    entries = []
    for number in range(count):
        model = folder / f"models/m{number:03}"
        model.mkdir(parents=True)
        (model / "weights.json").write_text(json.dumps([number] * 1000))
        (model / "sample.json").write_text("[1, 2]")
        (model / "score.py").write_text(
            f"import json\n\n\ndef init():\n    pass\n\n\ndef run(data):\n    return sum(json.loads(data)) + {number}\n"
        )
        entries.append(
            f"  - name: m{number:03}\n    version: 1\n    path: models/m{number:03}\n"
            f"    scoring: {{sample: sample.json}}\n    targets: [local-docker: {{port: {21000 + number}}}]\n"
        )
    return "models:\n" + "".join(entries)


def _bare(slipway: Path, bare: Path, env: dict[str, str]) -> None:
    """Write the bare program for the state of a stack."""
    state = json.loads(run(["pulumi", "stack", "export", "--show-secrets"], slipway, env))
    resources, outputs = [], {}
    for one in state["deployment"]["resources"]:
        kind, name = one["type"], one["urn"].rpartition("::")[2]
        if kind == "pulumi:pulumi:Stack":
            outputs = one["outputs"]["models"]
        elif not kind.startswith("pulumi:"):
            resources.append(
                {
                    "urn": one["urn"],
                    "type": kind,
                    "name": name,
                    "parent": one.get("parent"),
                    "retain": one.get("retainOnDelete", False),
                    "inputs": _snake(_plain(one.get("inputs", {}))),
                    "outputs": one.get("outputs", {}),
                }
            )
    bare.mkdir()
    (bare / "Pulumi.yaml").write_text((slipway / "Pulumi.yaml").read_text())
    (bare / "Pulumi.dev.yaml").write_text((slipway / "Pulumi.dev.yaml").read_text())
    (bare / ".venv").symlink_to((slipway / ".venv").resolve())
    # The same relative paths as the stack's, for the contexts.
    for name in ("models", "scoring", "components", "policies"):
        (bare / name).symlink_to(slipway / name)
    (bare / "__main__.py").write_text(_BARE)
    (bare / "resources.json").write_text(json.dumps(resources))
    (bare / "outputs.json").write_text(json.dumps(outputs))


def _plain(value: object) -> object:
    """Drop the secret envelopes and what the engine added."""
    if isinstance(value, dict):
        if "plaintext" in value:
            return json.loads(value["plaintext"])
        return {key: _plain(one) for key, one in value.items() if not key.startswith("__")}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _snake(inputs: dict[str, object]) -> dict[str, object]:
    """Keyword names for the wire names of the top level; below it the SDK takes wire names as they are."""
    names = {key: "".join(f"_{c.lower()}" if c.isupper() else c for c in key) for key in inputs}
    return {
        f"{name}_" if keyword.iskeyword(name) or name == "exec" else name: inputs[key] for key, name in names.items()
    }


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--models", type=int, default=100)
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        slipway = Path(temporary, "slipway")
        slipway.mkdir()
        env = project(slipway, _manifest(slipway, options.models))
        run(["pulumi", "stack", "init", "dev"], slipway, env)
        try:
            up = timed(lambda: run(["pulumi", "up", "--yes", "--skip-preview"], slipway, env))
            print(f"first up of {options.models} models: {up:.0f} s")
            bare = Path(temporary, "bare")
            _bare(slipway, bare, env)
            preview = ["pulumi", "preview", "--stack", "dev", "--expect-no-changes"]
            rows: dict[str, list[float]] = {"bare program": [], "Slipway": []}
            memory: dict[str, float] = {}
            for _ in range(options.rounds):
                for name, folder in (("bare program", bare), ("Slipway", slipway)):
                    with TreeMemory() as used:
                        rows[name].append(timed(lambda folder=folder: run(preview, folder, env)))
                    memory[name] = max(memory.get(name, 0), used.peak)
            print(table(rows, "bare program"))
            print("\n".join(f"{name}: {peak:.0f} MiB at the most" for name, peak in memory.items()))
        finally:
            run(["pulumi", "destroy", "--yes", "--skip-preview"], slipway, env)


if __name__ == "__main__":
    main()
