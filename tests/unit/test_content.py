"""The hash of a model's files: it changes with names and bytes, and with nothing else."""

import os
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifest import ManifestError, content, load_manifest

FILES = {
    "score.py": "def init(): ...",
    "requirements.txt": "numpy\n",
    "sample.json": "[1]",
    "schema.json": "{}",
    "model.bin": "weights",
    "parts/a.bin": "a",
    "parts/deep/b.bin": "b",
    "my notes.md": "read me",
}


@pytest.fixture
def root(tmp_path):
    for name, text in FILES.items():
        write(tmp_path / "models" / "iris" / name, text)
    return tmp_path


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def model(
    root, path="models/iris", scoring="{requirements: requirements.txt, sample: sample.json, schema: schema.json}"
):
    (root / "models.yaml").write_text(f"models: [{{name: iris, version: 1, path: {path}, scoring: {scoring}}}]")
    return load_manifest(root / "models.yaml").models[0]


def digest(root):
    files = content.model_files(model(root), root)
    return content.digest_tree(root / "models" / "iris", files)


def test_a_models_files_are_all_but_the_scoring_files(root):
    for name in (
        "__pycache__/score.pyc",
        "parts/__pycache__/x",
        "old.pyc",
        ".git/HEAD",
        ".ipynb_checkpoints/a",
        ".DS_Store",
    ):
        write(root / "models" / "iris" / name, "x")
    expected = ("model.bin", "my notes.md", "parts/a.bin", "parts/deep/b.bin")
    assert content.model_files(model(root), root) == expected
    assert content.excluded_patterns(model(root)) == (
        "requirements.txt",
        "sample.json",
        "schema.json",
        "score.py",
        "**/__pycache__",
        "**/*.pyc",
        "**/.git",
        "**/.ipynb_checkpoints",
        "**/.DS_Store",
    )


def test_a_single_file_is_its_model_alone(root):
    one = model(root, path="models/iris/model.bin")
    assert content.model_files(one, root) == ("model.bin",)
    assert content.excluded_patterns(one) == ()


def test_the_code_is_the_script_or_a_whole_folder_with_sample_and_schema(root):
    assert content.code_files(model(root), root) == ("sample.json", "schema.json", "score.py")
    write(root / "models" / "iris" / "src" / "main.py", "x")
    write(root / "models" / "iris" / "src" / "lib" / "help.py", "x")
    with_folder = model(root, scoring="{code: src, script: main.py, sample: sample.json}")
    assert content.code_files(with_folder, root) == ("sample.json", "src/lib/help.py", "src/main.py")
    assert "src/main.py" not in content.model_files(with_folder, root)


def test_shared_requirements_exclude_nothing_of_the_model(root):
    write(root / "requirements.txt", "numpy\n")
    shared = model(root, scoring="{requirements: ../../requirements.txt}")
    assert "requirements.txt" in content.model_files(shared, root)


def test_the_runtime_is_its_folder_without_what_builds_environments(tmp_path):
    for name in (
        "__main__.py",
        "web/app.py",
        "environment.Dockerfile",
        "requirements.lock",
        "web/requirements.txt",
        "__pycache__/a.pyc",
    ):
        write(tmp_path / name, "x")
    assert content.runtime_files(tmp_path) == ("__main__.py", "web/app.py", "web/requirements.txt")


def test_the_digest_is_fixed_for_all_time(tmp_path):
    write(tmp_path / "a", "1")
    write(tmp_path / "b" / "c", "2")
    expected = "a8b4e6eed8ae58ae65d1407dbff5b94d819a5fa3250dcf8dc269b41b5bf1086a"
    assert content.digest_tree(tmp_path, ["a", "b/c"]) == expected


def test_time_mode_umask_place_and_order_do_not_count(root, tmp_path_factory):
    expected = digest(root)
    files = content.model_files(model(root), root)
    assert content.digest_tree(root / "models" / "iris", [*reversed(files), files[0]]) == expected
    iris = root / "models" / "iris"
    for path in iris.rglob("*"):
        os.utime(path, (0, 0))
        path.chmod(0o700)
    assert digest(root) == expected
    other = tmp_path_factory.mktemp("elsewhere")
    before = os.umask(0o077)
    try:
        for name, text in FILES.items():
            write(other / "models" / "iris" / name, text)
    finally:
        os.umask(before)
    assert digest(other) == expected


@pytest.mark.parametrize(
    "change",
    [
        lambda iris: (iris / "model.bin").write_text("Weights"),
        lambda iris: (iris / "model.bin").rename(iris / "model2.bin"),
        lambda iris: (iris / "parts/a.bin").rename(iris / "a.bin"),
        lambda iris: (iris / "parts/a.bin").unlink(),
        lambda iris: (iris / "new").write_text(""),
        lambda iris: (iris / "parts").rename(iris / "Parts"),
    ],
)
def test_names_and_bytes_count(root, change):
    before = digest(root)
    change(root / "models" / "iris")
    assert digest(root) != before


def test_scoring_files_do_not_count_for_the_model(root):
    before = digest(root)
    write(root / "models" / "iris" / "score.py", "def init(): pass")
    write(root / "models" / "iris" / "requirements.txt", "scipy\n")
    assert digest(root) == before


names = st.text("ab/", min_size=1, max_size=4).map(lambda one: one.strip("/").replace("//", "/")).filter(bool)
trees = st.dictionaries(names, st.binary(max_size=4), max_size=4).filter(
    lambda tree: not any(one.startswith(f"{other}/") for one in tree for other in tree)
)


@given(first=trees, second=trees)
@settings(max_examples=150, deadline=None)
def test_equal_digests_mean_equal_trees(tmp_path_factory, first, second):
    digests = []
    for tree in (first, second):
        folder = tmp_path_factory.mktemp("tree")
        for name, data in tree.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        digests.append(content.digest_tree(folder, tree))
        shutil.rmtree(folder)
    assert (digests[0] == digests[1]) == (first == second)


def complaints(root):
    with pytest.raises(ManifestError) as caught:
        model(root)
    return [one.message for one in caught.value.problems]


def test_a_link_counts_by_the_content_that_it_leads_to(root):
    iris = root / "models" / "iris"
    (iris / "latest.bin").symlink_to("parts/a.bin")
    before = digest(root)
    (iris / "latest.bin").unlink()
    (iris / "latest.bin").symlink_to("model.bin")
    assert digest(root) != before
    (iris / "latest.bin").unlink()
    (iris / "latest.bin").write_text("a")
    assert digest(root) == before


def test_a_link_to_a_folder_counts_by_where_it_leads(root):
    iris = root / "models" / "iris"
    (iris / "current").symlink_to("parts/deep")
    before = digest(root)
    assert "current" in content.model_files(model(root), root)
    (iris / "current").unlink()
    (iris / "current").symlink_to("parts")
    assert digest(root) != before


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("../other.bin", 'other is a link to "../other.bin", outside of its folder'),
        ("/etc/hostname", 'other is a link to "/etc/hostname", outside of its folder'),
        ("nothing", 'other is a link to "nothing", which does not exist'),
        ("other", "other is a link in a circle"),
        (".", "other is a link to a folder that it is in itself: a circle"),
        ("score.py", "other is a link to score.py, which is not one of these files"),
    ],
)
def test_a_link_that_an_image_cannot_follow_is_refused(root, target, message):
    write(root / "models" / "other.bin", "x")
    (root / "models" / "iris" / "other").symlink_to(target)
    (said,) = complaints(root)
    assert message in said


def test_a_link_that_leaves_the_folder_and_comes_back_is_refused(root):
    (root / "models" / "iris" / "other").symlink_to("../iris/model.bin")
    (said,) = complaints(root)
    assert "outside of its folder" in said


def test_a_file_that_went_away_is_an_error_with_its_name(tmp_path):
    with pytest.raises(ManifestError, match=r"gone\.bin: cannot be read: No such file or directory"):
        content.digest_tree(tmp_path, ["gone.bin"])


def test_what_came_since_the_manifest_was_loaded_is_refused(root):
    loaded = model(root)
    os.mkfifo(root / "models" / "iris" / "pipe")
    with pytest.raises(ManifestError, match="pipe is a pipe, socket or device"):
        content.model_files(loaded, root)
