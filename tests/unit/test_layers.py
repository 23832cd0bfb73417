"""Which package may import which: what serves in an image, describes, stores or installs stays usable by itself."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The SDK is one, with the packages of its providers: importing it takes longer than most commands run.
SDK = "pulumi"
# What each may import of the others. A folder with rules of its own is named after its package.
ALLOWED = {
    # Goes into every image, where nothing else of this repository is.
    "scoring": set(),
    "manifest": set(),
    # Runs before anything is installed.
    "toolchain": set(),
    "storage": set(),
    # Asks Azure's management API, for whoever has something there.
    "azure_management": set(),
    "registry": {"azure_management", "manifest", "storage"},
    "releases": {"storage"},
    # The protocol, for any resources: each process of the engine's starts with it.
    "provider": set(),
    # Asks an IoT hub, for what deploys to it and what looks at it.
    "iot_hub": {"azure_management"},
    # Asks a Kubernetes cluster, for the same two.
    "clusters": set(),
    "provider/slipway": {"clusters", "iot_hub", "jobs", "manifest", "provider", "registry"},
    "components": {"jobs", "manifest", "registry", "releases", SDK},
    "jobs": {"azure_management", "manifest", "storage"},
    # Of the toolchain: tools that only some stacks ask for are found or installed when one does.
    "cli": {
        "azure_management",
        "clusters",
        "iot_hub",
        "jobs",
        "manifest",
        "registry",
        "releases",
        "storage",
        "toolchain",
    },
    # Runs in an environment of its own.
    "policies": {SDK},
    "pipelines": {"cli", "manifest"},
    "standins": {"manifest", "provider", "toolchain", SDK},
}
# Files that run elsewhere than their package.
EXCEPTIONS = {
    # Copied into a debugger's container, beside the runtime.
    "cli/editing/slipway_debug.py": {"scoring"},
    # What splits scheduled jobs in the pool splits them here.
    "jobs/splitting.py": {"scoring"},
    # What tasks wrote to Azure Files is read by the file system that they wrote it with: there is no other.
    "jobs/output.py": {"scoring"},
}


def layer_of(path):
    """Return the layer of a file or a module, as its parts: the most special one."""
    return next((name for end in (2, 1) if (name := "/".join(path[:end])) in ALLOWED), None)


def imported(source):
    """Return the modules that a program imports, wherever in it and for whatever purpose."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{one.name}" for one in node.names)


def layers_of(source):
    """Return the layers that a program imports, with the SDK as one of them."""
    for module in imported(source):
        parts = module.split(".")
        if parts[0] == SDK or parts[0].startswith(f"{SDK}_"):
            yield SDK
        elif layer := layer_of(parts):
            yield layer


def files_of(layer):
    """Return the Python files of a layer, by their path in the repository."""
    found = (path.relative_to(ROOT) for path in (ROOT / layer).rglob("*.py"))
    return [path for path in found if layer_of(path.parts) == layer]


@pytest.mark.parametrize("layer", ALLOWED)
def test_a_package_imports_only_what_it_may(layer):
    files = files_of(layer)
    assert files
    wrong = [
        f"{path} imports {other}"
        for path in files
        for other in layers_of((ROOT / path).read_text(encoding="utf-8"))
        if other not in {layer, *ALLOWED[layer], *EXCEPTIONS.get(path.as_posix(), ())}
    ]
    assert wrong == []


@pytest.mark.parametrize("package", ["cli", "components", "registry"])
def test_no_two_files_of_a_package_need_each_other(package):
    files = {".".join(path.with_suffix("").parts): ROOT / path for path in files_of(package)}
    needs = {}
    for name, path in files.items():
        modules = set(imported(path.read_text(encoding="utf-8")))
        needs[name] = {
            one for one in files if one in modules or any(module.startswith(f"{one}.") for module in modules)
        }
    # It raises CycleError with the circle.
    assert list(TopologicalSorter(needs).static_order())


def test_every_package_has_its_place():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages == {layer for layer in ALLOWED if "/" not in layer}


def test_an_import_is_seen_wherever_it_is():
    program = """
import scoring.codecs
from provider import slipway
if TYPE_CHECKING:
    from registry.record import Notes
def late():
    import json, manifest
    from pulumi_azure_native import storage
    from . import near
"""
    assert set(layers_of(program)) == {"scoring", "provider/slipway", "registry", "manifest", SDK}
