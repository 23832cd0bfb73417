"""A manifest that is no YAML, or YAML of a kind that has more than one reading."""

import os
from pathlib import Path

import pytest

from manifest import ManifestError, load_manifest


def only_problem(path: Path) -> str:
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    (problem,) = caught.value.problems
    return str(problem).removeprefix(f"{path}:").strip()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"# nothing but a comment\n", "is empty"),
        (b"---\n", "is empty"),
        (b"null\n", "1:1: must be a mapping, not null"),
        (b"- name: iris\n", "1:1: must be a mapping, not a list"),
        (b"iris\n", '1:1: must be a mapping, not "iris"'),
        (b"models:\n", "1:8: models: has no value; give one or remove the key"),
        (b"models: {iris: {}}\n", "1:9: models: must be a list, not a mapping"),
        (b"models:\n\t- name: iris\n", "2:1: a tab cannot be used to indent in YAML; use spaces"),
        (b"models:\n  - name: iris\n\t  version: 1\n", "3:1: a tab cannot be used to indent in YAML; use spaces"),
        (b"models: [\n", "not valid YAML: "),
        (b"models: [{name: @iris}]\n", "1:17: not valid YAML: "),
        (b"models: []\nmodels: []\n", '2:1: duplicate key "models"; the first one is in line 1'),
        (b"models: []\n---\nmodels: []\n", "2:1: a second YAML document begins here"),
        (b"models: &a [*a]\n", "1:13: models[0]: the anchor *a contains itself"),
        (b"models: *a\n", "1:9: models: unknown anchor *a"),
        (b"base: &b {}\n<<: *b\nmodels: []\n", "2:1: merge keys (<<) are not supported"),
        (b"models: !!python/object:os.system []\n", "is not supported; quote a value to make it text"),
        (b"1: x\nmodels: []\n", "1:1: a key must be text, not 1; put it in quotes"),
        (b"true: x\nmodels: []\n", "1:1: a key must be text, not true; put it in quotes"),
        (b"? [a]\n: x\nmodels: []\n", "1:3: a key must be text, not a list; put it in quotes"),
        (b"models: []\n# caf\xe9\n", "2:6: is not UTF-8: byte 0xe9; save it as UTF-8"),
        ("models: []".encode("utf-16"), "is UTF-16; save it as UTF-8"),
        (b"models: []\n# \x00\n", "2:3: contains the control character U+0000"),
        (b"models: " + b"[" * 100_000, "nested more than 32 levels deep"),
        (b"#" * (1024 * 1024 + 1), "has 1,048,577 bytes; at most 1,048,576 are read"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(tmp_path, data, message):
    (tmp_path / "models.yaml").write_bytes(data)
    with pytest.raises(ManifestError) as caught:
        load_manifest(tmp_path / "models.yaml")
    said = [str(one).removeprefix(f"{tmp_path / 'models.yaml'}:").strip() for one in caught.value.problems]
    assert any(message in one for one in said), said


def test_a_manifest_of_ten_megabytes_is_refused_unread(tmp_path):
    with (tmp_path / "models.yaml").open("wb") as file:
        file.truncate(10_000_000)
    assert "has 10,000,000 bytes; at most 1,048,576 are read" in only_problem(tmp_path / "models.yaml")


def test_aliases_that_multiply_are_refused_before_they_are_written_out(tmp_path):
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (tmp_path / "models.yaml").write_text("\n".join(levels))
    assert "the aliases expand to more than 100,000 values" in only_problem(tmp_path / "models.yaml")


def test_aliases_that_nest_are_refused(tmp_path):
    levels = ["a0: &a0 []", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 100))]
    (tmp_path / "models.yaml").write_text("\n".join(levels))
    assert "or 32 levels" in only_problem(tmp_path / "models.yaml")


def test_a_missing_manifest_a_folder_and_a_pipe_are_told_apart(tmp_path):
    assert only_problem(tmp_path / "models.yaml").endswith("no such file")
    (tmp_path / "folder.yaml").mkdir()
    assert only_problem(tmp_path / "folder.yaml").endswith("is a folder; a file is needed")
    os.mkfifo(tmp_path / "pipe.yaml")
    assert only_problem(tmp_path / "pipe.yaml").endswith("is not a regular file")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    assert only_problem(tmp_path / "loop.yaml").endswith("cannot be read: Too many levels of symbolic links")


def test_what_is_wrong_at_an_alias_is_told_at_the_alias(tmp_path):
    text = "models:\n  - {name: a, version: 1, path: &p ../x}\n  - {name: b, version: 1, path: *p}\n"
    (tmp_path / "models.yaml").write_text(text)
    with pytest.raises(ManifestError) as caught:
        load_manifest(tmp_path / "models.yaml")
    assert [(one.line, one.column, one.key) for one in caught.value.problems] == [
        (2, 33, "models[0].path"),
        (3, 33, "models[1].path"),
    ]


def test_reading_goes_on_after_what_can_be_skipped(tmp_path):
    (tmp_path / "models.yaml").write_text("models: []\nmodels: []\n1: x\nmodel: []\n<<: {}\na: !!str b\n")
    with pytest.raises(ManifestError) as caught:
        load_manifest(tmp_path / "models.yaml")
    assert [one.line for one in caught.value.problems] == [2, 3, 4, 5, 6, 6]


def test_a_report_ends_where_nobody_reads_on(tmp_path):
    (tmp_path / "models.yaml").write_text("models: []\n" + "".join(f"key{number}: x\n" for number in range(1500)))
    with pytest.raises(ManifestError) as caught:
        load_manifest(tmp_path / "models.yaml")
    assert len(caught.value.problems) == 1500
    lines = str(caught.value).splitlines()
    assert len(lines) == 201
    assert lines[-1] == "1,500 problems found; these are the first 200."
