"""A manifest and the files that it names, as typed values."""

import os
import subprocess
import sys
from pathlib import Path

import pydantic
import pytest

from manifest import Manifest, ManifestError, Problem, load_manifest

WHOLE = """\
# yaml-language-server: $schema=./models.schema.json
models:
  - name: iris
    version: 1
    description: Which iris a flower is.
    tags: {team: plants, year: 2026}
    path: ./models/iris/
    scoring:
      script: score.py
      requirements: requirements.txt
      sample: sample.json
      schema: schema.json
      env: {WORKER_COUNT: 2, GREETING: "hello, $USER"}
    targets:
      - local-docker: {port: 8890, reload: true, cpu: 1, memory: 2Gi}
  - name: prices
    version: "1.10"
    path: models/prices/model.onnx
    scoring: {script: main.py, code: src}
    targets: [local-docker]
"""


@pytest.fixture
def root(tmp_path):
    iris = tmp_path / "models" / "iris"
    iris.mkdir(parents=True)
    for name, text in {
        "score.py": "def init(): ...",
        "requirements.txt": "numpy==2.1.0\n",
        "sample.json": "[1]",
        "schema.json": '{"input": {"type": "array"}, "output": {}}',
        "model.joblib": "bytes",
    }.items():
        (iris / name).write_text(text)
    prices = tmp_path / "models" / "prices"
    (prices / "src").mkdir(parents=True)
    (prices / "src" / "main.py").write_text("def init(): ...")
    (prices / "model.onnx").write_text("bytes")
    return tmp_path


def load(root: Path, text: str) -> Manifest:
    (root / "models.yaml").write_text(text)
    return load_manifest(root / "models.yaml")


def test_a_manifest_becomes_typed_values(root):
    iris, prices = load(root, WHOLE).models
    assert (iris.name, iris.version, iris.path) == ("iris", "1", "models/iris")
    assert iris.tags == {"team": "plants", "year": "2026"}
    assert iris.scoring.schema_file == "schema.json"
    assert iris.scoring.env == {"WORKER_COUNT": "2", "GREETING": "hello, $USER"}
    (docker,) = iris.targets
    assert (docker.kind, docker.port, docker.reload, docker.cpu) == ("local-docker", 8890, True, 1.0)
    assert docker.memory_mib == 2048
    assert prices.version == "1.10"
    assert prices.targets[0].memory_mib is None


def test_scoring_paths_start_from_the_models_folder(root):
    iris, prices = load(root, WHOLE).models
    assert (iris.folder, iris.model_path, iris.script_path, iris.code_folder) == ("models/iris", ".", "score.py", ".")
    assert (prices.folder, prices.model_path) == ("models/prices", "model.onnx")
    assert (prices.script_path, prices.code_folder) == ("src/main.py", "src")


def test_a_model_file_in_the_projects_own_folder_is_refused(root):
    for name in ("model.bin", "score.py"):
        (root / name).write_text("")
    with pytest.raises(ManifestError, match=r'put "model\.bin" and its scoring files into a folder'):
        load(root, "models: [{name: a, version: 1, path: model.bin}]")


def test_values_cannot_be_changed(root):
    manifest = load(root, WHOLE)
    with pytest.raises(pydantic.ValidationError):
        manifest.models[0].name = "other"
    with pytest.raises(pydantic.ValidationError):
        manifest.models[0].targets[0].port = 1


def test_a_bare_kind_and_an_empty_mapping_are_the_same_target(root):
    text = "models:\n  - name: a\n    version: 1\n    path: models/iris\n    targets:\n      - %s\n"
    forms = [load(root, text % form) for form in ("local-docker", "local-docker: {}", "local-docker:")]
    assert forms[0] == forms[1] == forms[2]


def test_no_models_is_a_manifest(root):
    assert load(root, "models: []").models == ()


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(root):
    plain = load(root, WHOLE)
    (root / "models.yaml").write_bytes(b"\xef\xbb\xbf" + WHOLE.replace("\n", "\r\n").encode())
    assert load_manifest(root / "models.yaml") == plain


def test_a_port_that_is_not_given_follows_from_the_name_alone(root):
    text = "models: [{name: a, version: 1, path: models/iris, targets: [local-docker]}%s]"
    other = ", {name: b, version: 1, path: models/iris, targets: [local-docker]}"
    alone = load(root, text % "").models[0]
    beside = load(root, text % other).models
    assert alone.targets[0].port_for("a") == beside[0].targets[0].port_for("a")
    assert beside[0].targets[0].port_for("a") != beside[1].targets[0].port_for("b")
    assert 10_000 <= alone.targets[0].port_for("a") < 32_768


def test_paths_are_relative_to_the_manifest_wherever_the_program_runs(root, monkeypatch):
    expected = load(root, WHOLE)
    monkeypatch.chdir("/")
    assert load_manifest(root / "models.yaml") == expected


def test_shared_values_can_have_an_anchor(root):
    text = """\
models:
  - {name: a, version: 1, path: models/iris, scoring: &scoring {sample: sample.json}}
  - {name: b, version: 1, path: models/iris, scoring: *scoring}
"""
    first, second = load(root, text).models
    assert first.scoring == second.scoring


def test_plain_scalars_mean_what_yaml_1_2_says(root):
    text = "models: [{name: no, version: 010, path: models/iris, scoring: {env: {A: no, B: 1:30, C: 0x1F}}}]"
    (model,) = load(root, text).models
    assert (model.name, model.version) == ("no", "010")
    assert model.scoring.env == {"A": "no", "B": "1:30", "C": "0x1F"}


def test_requirements_may_be_shared_above_the_models_folder(root):
    (root / "shared.txt").write_text("numpy\n")
    text = "models: [{name: a, version: 1, path: models/iris, scoring: {requirements: ../../shared.txt}}]"
    assert load(root, text).models[0].scoring.requirements == "../../shared.txt"


def test_a_report_is_sorted_by_place_and_counts(root):
    with pytest.raises(ManifestError) as caught:
        load(root, "models:\n  - {name: A, version: 1, path: models/iris}\n  - {name: b, path: models/iris}\nx: 1\n")
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[0].rpartition("models.yaml:")[2] for line in lines[:-1]] == ["2:12", "3:5", "4:1"]
    assert lines[-1] == "3 problems found."
    assert caught.value.problems[2] == Problem(
        str(root / "models.yaml"), 4, 1, "x", 'unknown key "x"; allowed: models.'
    )


def test_importing_the_package_loads_neither_pulumi_nor_what_only_some_runs_need():
    heavy = ["pulumi", "jsonschema", "difflib", "manifest.conda_names", "manifest.schema", "packaging"]
    code = f"import sys, manifest; print([name for name in {heavy} if name in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
