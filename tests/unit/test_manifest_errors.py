"""What a person gets wrong in models.yaml, and what they are told."""

import contextlib
import os
import shutil
import socket
import tempfile
from pathlib import Path

import pytest

from manifest import ManifestError, load_manifest
from manifest.targets import TARGETS
from tests.unit.forks import FORKS, PATIENCE


@pytest.fixture
def root(tmp_path):
    iris = tmp_path / "models" / "iris"
    iris.mkdir(parents=True)
    (iris / "score.py").write_text("def init(): ...")
    (iris / "model.bin").write_text("bytes")
    return tmp_path


def problems(root: Path, text: str | bytes) -> list[str]:
    """What is said of a manifest, without the name of its file."""
    (root / "models.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ManifestError) as caught:
        load_manifest(root / "models.yaml")
    return [str(problem).removeprefix(f"{root / 'models.yaml'}:").strip() for problem in caught.value.problems]


def only(found: list[str]) -> str:
    assert len(found) == 1, found
    return found[0]


def of_model(root: Path, **keys: str) -> str:
    """The one problem of a manifest with one model, some of whose keys are other than usual."""
    keys = {"name": "iris", "version": "1", "path": "models/iris", **keys}
    return only(problems(root, "models:\n  - " + "\n    ".join(f"{key}: {value}" for key, value in keys.items())))


def test_a_misspelt_key_is_named_with_the_nearest_and_the_allowed_ones(root):
    assert problems(
        root,
        "models:\n  - {name: iris, version: 1, path: models/iris}\n  - name: b\n    version: 1\n    path: models/iris\n"
        "    targets:\n      - local-docker: {prot: 8890}\n",
    ) == [
        (
            '7:24: models[1].targets[0].local-docker.prot: unknown key "prot"; did you mean "port"? '
            "Allowed: cpu, memory, port, reload, startupSeconds."
        )
    ]


def test_everything_wrong_is_told_in_one_run(root):
    found = problems(
        root,
        """\
models:
  - name: Iris
    version: 1.10
    path: models/iris
    scoring: {script: scoer.py, sample: none.json, env: {PATH: x}}
    targets:
      - local-docker: {port: "1", reload: yes}
  - name: iris
    name: twice
    version: 1
    path: models/irsi
    scoring: {requirements: a.txt, conda: b.yml}
    targets: [nomad]
  - {}
modles: []
""",
    )
    assert [one.split(": ")[:2] for one in found] == [
        ["2:11", "models[0].name"],
        ["3:14", "models[0].version"],
        ["5:23", "models[0].scoring.script"],
        ["5:41", "models[0].scoring.sample"],
        ["5:58", "models[0].scoring.env.PATH"],
        ["7:30", "models[0].targets[0].local-docker.port"],
        ["7:43", "models[0].targets[0].local-docker.reload"],
        ["8:11", "models[1].name"],
        ["9:5", "models[1]"],
        ["11:11", "models[1].path"],
        ["12:43", "models[1].scoring.conda"],
        ["13:15", "models[1].targets[0]"],
        ["14:5", "models[2].name"],
        ["14:5", "models[2].path"],
        ["14:5", "models[2].version"],
        ["15:1", "modles"],
    ]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Iris_Model", '; for example "iris-model"'),
        ("1st", ""),
        ("a--b", '; for example "a-b"'),
        ("a-", '; for example "a"'),
        ("a.b", '; for example "a-b"'),
        ("x" * 33, f'; for example "{"x" * 32}"'),
        ("größe", ""),
        ("''", ""),
    ],
)
def test_names_that_docker_kubernetes_or_azure_refuse_are_refused(root, name, hint):
    said = of_model(root, name=name)
    assert said.startswith("2:11: models[0].name: must be at most 32 lower-case letters, digits and single hyphens")
    assert "Docker, Kubernetes and Azure" in said
    if hint:
        assert said.endswith(hint)


def test_a_name_of_the_greatest_length_is_taken(root):
    (root / "models.yaml").write_text(f"models: [{{name: {'x' * 32}, version: 1, path: models/iris}}]")
    assert load_manifest(root / "models.yaml").models[0].name == "x" * 32


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("1.10", 'must be text, not 1.10; put it in quotes: "1.10"'),
        ("1e3", 'must be text, not 1e3; put it in quotes: "1e3"'),
        ("true", 'must be text, not true; put it in quotes: "true"'),
        ("[1]", "must be text, not a list"),
        ("", "has no value; give one or remove the key"),
    ],
)
def test_a_version_that_yaml_reads_as_something_else_is_to_be_quoted(root, version, message):
    assert of_model(root, version=version) == f"3:{14 if version else 13}: models[0].version: {message}"


@pytest.mark.parametrize("version", ["1+cpu", "a/b", "-1", "1 2", "v1.", "x" * 33, '"1\\n"'])
def test_a_version_that_no_image_tag_can_hold_is_refused(root, version):
    assert "(it becomes part of an image's tag), not " in of_model(root, version=version)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ('{port: "8890"}', 'local-docker.port: must be a whole number, not "8890"; remove the quotes'),
        ("{port: 8890.0}", "local-docker.port: must be a whole number, not 8890.0"),
        ("{port: 0}", "local-docker.port: must be at least 1, not 0"),
        ("{port: 65536}", "local-docker.port: must be at most 65535, not 65536"),
        ("{port: true}", "local-docker.port: must be a whole number, not true"),
        ("{reload: yes}", 'local-docker.reload: must be true or false, not "yes"; write true'),
        ("{reload: off}", 'local-docker.reload: must be true or false, not "off"; write false'),
        ("{reload: 1}", "local-docker.reload: must be true or false, not 1"),
        ("{cpu: 0}", "local-docker.cpu: must be more than 0, not 0"),
        ('{cpu: "0.5"}', 'local-docker.cpu: must be a number, not "0.5"; remove the quotes'),
        ("{cpu: .inf}", "local-docker.cpu: input should be a finite number, not .inf"),
        ("{memory: 512MB}", '"64Mi", not "512MB"; did you mean "512Mi"?'),
        ("{memory: 1g}", '"64Mi", not "1g"; did you mean "1Gi"?'),
        ("{memory: 63Mi}", '"64Mi", not "63Mi"'),
        ("{memory: 512}", 'local-docker.memory: must be an amount such as "512Mi" or "2Gi", at least "64Mi", not 512'),
        ("[]", "local-docker: must be a mapping, not a list"),
    ],
)
def test_a_targets_option_of_a_wrong_type_or_size_is_refused(root, options, message):
    assert message in of_model(root, targets=f"[local-docker: {options}]")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("batch: {partBytes: 2000}", 'partBytes: must be a size such as "512Ki", "100Mi" or "1Gi", not 2000'),
        ("batch: {partBytes: true}", 'partBytes: must be a size such as "512Ki", "100Mi" or "1Gi", not true'),
        (
            f"aks: {{canary: {{from: {{version: 1, digest: 'sha256:{'a' * 64}'}}, for: 600}}}}",
            'canary.for: must be a time as in "90s", "10m", "12h" or "7d", not 600',
        ),
    ],
)
def test_a_number_that_quotes_would_not_mend_is_told_what_is_allowed(root, target, message):
    assert of_model(root, targets=f"[{target}]").endswith(message)


@pytest.mark.parametrize("target", ["nomad", "nomad: {cpu: 1}"])
def test_an_unknown_target_names_the_allowed_ones(root, target):
    assert of_model(root, targets=f"[{target}]") == (
        f'5:15: models[0].targets[0]: unknown target "nomad"; allowed: {", ".join(sorted(TARGETS))}.'
    )


def test_a_misspelt_target_is_told_the_nearest(root):
    assert 'unknown target "local_docker"; did you mean "local-docker"?' in of_model(root, targets="[local_docker]")


def test_options_that_are_not_indented_below_their_target_are_recognised(root):
    said = of_model(root, targets="\n      - local-docker:\n        port: 8890")
    assert 'indent "port" below local-docker' in said


@pytest.mark.parametrize("targets", ["local-docker", "{local-docker: {}}"])
def test_targets_that_are_no_list_are_refused(root, targets):
    assert "5:14: models[0].targets: must be a list, not " in of_model(root, targets=targets)


def test_the_same_target_twice_in_one_model_is_refused(root):
    said = of_model(root, targets="[local-docker: {port: 1}, local-docker: {port: 2}]")
    assert "models[0].targets[1]: a second local-docker target; the first one is in line 5" in said


def two(root: Path, first: str, second: str) -> list[str]:
    return problems(
        root,
        f"models:\n  - {{version: 1, path: models/iris, {first}}}\n  - {{version: 1, path: models/iris, {second}}}\n",
    )


def test_a_name_that_is_taken_names_the_line_of_the_other(root):
    assert only(two(root, "name: iris", "name: iris")) == (
        '3:43: models[1].name: the name "iris" is taken by the model in line 2; names must differ, not only in case'
    )
    assert any("is taken by the model in line 2" in one for one in two(root, "name: iris", "name: IRIS"))


def test_a_port_that_is_taken_names_the_line_of_the_other(root):
    found = two(
        root, "name: a, targets: [local-docker: {port: 8890}]", "name: b, targets: [local-docker: {port: 8890}]"
    )
    assert only(found) == (
        '3:77: models[1].targets[0].local-docker.port: port 8890 is that of the model "a" too, in line 2; '
        "give one of them another"
    )


def test_a_port_that_follows_from_a_name_can_be_taken_too(root):
    (root / "models.yaml").write_text("models: [{name: a, version: 1, path: models/iris, targets: [local-docker]}]")
    port = load_manifest(root / "models.yaml").models[0].targets[0].port_for("a")
    found = two(root, f"name: b, targets: [local-docker: {{port: {port}}}]", "name: a, targets: [local-docker]")
    assert f'port {port} (which follows from this model\'s name) is that of the model "b" too' in only(found)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/etc", 'must be relative and stay in the repository, not "/etc"'),
        ("~/iris", 'must be relative and stay in the repository, not "~/iris"'),
        ("C:/iris", 'must be relative and stay in the repository, not "C:/iris"'),
        ("../iris", "must stay in its folder, without '..': \"../iris\""),
        ("models/../models/iris", "must stay in its folder, without '..': \"models/../models/iris\""),
        ("models\\iris", 'must have / between folders, not a backslash: "models\\\\iris"'),
        ("'https://user:key@host/m'", 'not a URL such as "https://...@host/m"; the URL goes below `source`'),
        ("my models/iris", 'must not contain a space: "my models/iris"'),
        ("models/*", 'must not contain "*": "models/*"'),
        ('"models\\niris"', 'must not contain "\\n": "models\\niris"'),
        ("''", "must be a path, not an empty text"),
        (".", "must be a folder of its own, or a file"),
        ("models/irsi", 'no such file or folder: models/irsi; did you mean "iris"?'),
        ("modles/iris", 'no such file or folder: modles/iris; did you mean "models"?'),
        ("models/iris/model.bin/x", "no such file or folder: models/iris/model.bin/x"),
        ("x" * 300, "cannot be read: File name too long"),
    ],
)
def test_a_path_that_cannot_be_a_model_is_refused(root, path, message):
    said = of_model(root, path=path)
    assert said.startswith("4:11: models[0].path: ")
    assert message in said


def test_a_link_out_of_the_repository_is_refused(root, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "score.py").write_text("")
    (root / "models" / "away").symlink_to(outside)
    assert "models/away is a link that leads out of the repository" in of_model(root, path="models/away")
    (root / "models" / "iris" / "other.py").symlink_to(outside / "score.py")
    said = only([one for one in problems(root, SCRIPT % "other.py") if ".script" in one])
    assert "models/iris/other.py is a link that leads out of the model's folder" in said


SCRIPT = "models: [{name: a, version: 1, path: models/iris, scoring: {script: %s}}]"


def test_links_that_lead_nowhere_are_refused(root):
    (root / "models" / "gone").symlink_to("nothing")
    assert "it is a link to what does not exist" in of_model(root, path="models/gone")
    (root / "models" / "a").symlink_to("b")
    (root / "models" / "b").symlink_to("a")
    assert "models/a is a link in a circle" in of_model(root, path="models/a")


def test_a_folder_without_a_models_file_is_refused(root):
    (root / "models" / "iris" / "model.bin").unlink()
    (root / "models" / "iris" / "__pycache__").mkdir()
    (root / "models" / "iris" / "__pycache__" / "score.pyc").write_text("")
    assert of_model(root) == (
        "4:11: models[0].path: the folder models/iris holds no file of the model besides score.py; "
        "put the model's file there"
    )


def test_an_empty_folder_lacks_script_and_model(root):
    (root / "models" / "empty").mkdir()
    found = problems(root, "models: [{name: a, version: 1, path: models/empty}]")
    assert sorted(one.split(": ", 1)[1] for one in found) == [
        "models[0].path: the folder models/empty holds no file of the model; put the model's file there",
        "models[0].scoring.script: no such file or folder: models/empty/score.py",
    ]


def test_pipes_and_sockets_in_a_models_folder_are_refused(root):
    os.mkfifo(root / "models" / "iris" / "pipe")
    assert "pipe is a pipe, socket or device; only files can be put into an image" in of_model(root)
    assert "must be a file, and models/iris/pipe is a pipe" in only(
        problems(root, "models: [{name: a, version: 1, path: models/iris/pipe}]")
    )
    (root / "models" / "iris" / "pipe").unlink()
    # A socket's path must be short.
    here = tempfile.mkdtemp(dir="/tmp")
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(f"{here}/s")
            (root / "models" / "iris" / "s").hardlink_to(f"{here}/s")
            assert "s is a pipe, socket or device" in of_model(root)
    finally:
        shutil.rmtree(here)


def test_a_name_with_a_line_break_in_a_models_folder_is_refused(root):
    (root / "models" / "iris" / "a\nb").write_text("")
    assert 'the name "a\\nb" has a character that cannot be printed; rename it' in of_model(root)


def test_a_name_that_is_no_text_in_a_models_folder_is_refused(root):
    Path(os.fsdecode(bytes(root / "models" / "iris") + b"/\xff")).write_text("")
    assert "has a character that cannot be printed; rename it" in of_model(root)


def test_many_problems_in_one_folder_are_counted_not_listed(root):
    for number in range(30):
        (root / "models" / "iris" / f"link{number}").symlink_to("nothing")
    found = problems(root, "models: [{name: a, version: 1, path: models/iris}]")
    assert len(found) == 11
    assert any("and 20 more such problems" in one for one in found)


def _load_as_another_user(manifest, tell):
    try:
        # Modules that are imported late are closed to another user.
        with contextlib.suppress(ManifestError):
            load_manifest(manifest)
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        load_manifest(manifest)
    except BaseException as error:  # noqa: BLE001 - the parent judges
        tell.send(str(error))


def as_another_user(manifest: Path) -> str:
    """The report for a user to whom files can be closed: not root, who runs the tests in a container."""
    report, tell = FORKS.Pipe(duplex=False)
    child = FORKS.Process(target=_load_as_another_user, args=(manifest, tell))
    child.start()
    tell.close()
    assert report.poll(PATIENCE)
    said = report.recv()
    child.join(PATIENCE)
    return said


def test_files_that_may_not_be_read_are_told():
    # Not pytest's folder, which is closed to other users.
    root = Path(tempfile.mkdtemp(dir="/tmp"))
    folder = root / "models" / "iris"
    try:
        folder.mkdir(parents=True)
        for name in ("score.py", "model.bin", "other.bin"):
            (folder / name).write_text("x")
        (folder / "closed").mkdir(mode=0)
        for closed in ("score.py", "model.bin"):
            (folder / closed).chmod(0)
        (root / "models.yaml").write_text("models: [{name: a, version: 1, path: models/iris}]")
        for opened in (root, root / "models", folder):
            opened.chmod(0o755)
        said = as_another_user(root / "models.yaml")
        assert "models/iris/score.py cannot be read: permission denied" in said
        assert "model.bin cannot be read: permission denied" in said
        assert "closed cannot be read: Permission denied" in said
        assert "other.bin" not in said
    finally:
        (folder / "closed").chmod(0o700)
        shutil.rmtree(root)


@pytest.mark.parametrize(
    ("scoring", "message"),
    [
        ("{script: scoer.py}", 'script: no such file or folder: models/iris/scoer.py; did you mean "score.py"?'),
        ("{script: score.txt}", 'script: must be a Python file (.py), not "score.txt"'),
        ("{script: ../score.py}", "script: must stay in its folder, without '..'"),
        ("{script: folder.py}", "script: must be a file, and models/iris/folder.py is a folder"),
        ("{code: .}", "code: must be a folder of its own"),
        ("{code: model.bin}", "code: must be a folder, and models/iris/model.bin is a file"),
        ("{code: folder.py}", "script: no such file or folder: models/iris/folder.py/score.py"),
        ("{requirements: ../../../etc/passwd}", "requirements: leads out of the repository"),
        ("{requirements: a.txt, conda: b.yml}", "conda: conda and requirements exclude each other; keep one"),
        ("{sample: bad.json}", "sample: models/iris/bad.json is not valid JSON: Expecting value (line 2, column 6)"),
        ("{sample: empty.json}", "sample: models/iris/empty.json is empty"),
        ("{sample: nan.json}", "sample: models/iris/nan.json is not valid JSON: NaN is not a JSON number"),
        ("{sample: deep.json}", "sample: models/iris/deep.json is not usable JSON"),
        ("{sample: long.json}", "sample: models/iris/long.json is not usable JSON"),
        ("{sample: latin.json}", "sample: models/iris/latin.json: is not UTF-8: byte 0xe9"),
        ("{schema: list.json}", 'must be a JSON object with the keys "input" and "output", not a list'),
        ("{schema: plain.json}", 'unknown key "type"; allowed: input, output. Put the JSON Schema of the request'),
        ("{schema: wrong.json}", '"input" must be a JSON Schema (an object), not "number"'),
        ("{env: {1A: x}}", 'env.1A: an environment variable\'s name is letters, digits and underscores, not "1A"'),
        ("{env: {SLIPWAY_X: x}}", "env.SLIPWAY_X: SLIPWAY_X is set by Slipway itself"),
        ("{env: {A: 1.5}}", 'env.A: must be text, not 1.5; put it in quotes: "1.5"'),
        ("{env: [A]}", "env: must be a mapping, not a list"),
        ("score.py", 'scoring: must be a mapping, not "score.py"'),
    ],
)
def test_what_scoring_names_must_be_there_and_sound(root, scoring, message):
    iris = root / "models" / "iris"
    (iris / "folder.py").mkdir()
    for name, data in {
        "a.txt": b"",
        "b.yml": b"dependencies: []",
        "bad.json": b'{\n"a": }',
        "empty.json": b" \n",
        "nan.json": b"[NaN]",
        "deep.json": b"[" * 100_000,
        "long.json": b"9" * 5000,
        "latin.json": "é".encode("latin-1"),
        "list.json": b"[]",
        "plain.json": b'{"type": "object"}',
        "wrong.json": b'{"input": "number"}',
    }.items():
        (iris / name).write_bytes(data)
    assert message in of_model(root, scoring=scoring)


def test_a_model_file_that_is_its_own_script_is_refused(root):
    said = of_model(root, path="models/iris/score.py")
    assert "scoring.script: models/iris/score.py is the model itself, by `path`" in said


def test_requirements_that_no_image_can_have_are_told_with_their_own_line(root):
    (root / "models" / "iris" / "requirements.txt").write_text("numpy\npandas=2\n-e .\n")
    (root / "models.yaml").write_text(
        "models: [{name: a, version: 1, path: models/iris, scoring: {requirements: requirements.txt}}]"
    )
    with pytest.raises(ManifestError) as caught:
        load_manifest(root / "models.yaml")
    assert [(one.file, one.line) for one in caught.value.problems] == [
        ("models/iris/requirements.txt", 2),
        ("models/iris/requirements.txt", 3),
    ]


def test_more_tags_than_azure_takes_are_refused(root):
    tags = ", ".join(f"tag{number}: x" for number in range(51))
    assert "tags: must have at most 50 entries" in of_model(root, tags=f"{{{tags}}}")


def test_what_is_given_is_shown_short_and_harmless(root):
    said = of_model(root, name='"' + "\\e[31m" + "x" * 10_000 + '"')
    assert "\x1b" not in said
    assert len(said) < 400


def test_a_dockerignore_in_a_models_folder_is_refused(root):
    (root / "models/iris/.dockerignore").write_text("*.bin\n")
    assert "models/iris/.dockerignore would keep files out of the image unseen" in of_model(root)


def test_the_runtimes_own_settings_may_be_set_and_others_not(root):
    (root / "models.yaml").write_text(
        "models: [{name: iris, version: 1, path: models/iris, scoring: {env: {SLIPWAY_THREADS: '4'}}}]"
    )
    assert load_manifest(root / "models.yaml").models[0].scoring.env == {"SLIPWAY_THREADS": "4"}
    assert "SLIPWAY_RELOAD is set by Slipway itself" in of_model(root, scoring="{env: {SLIPWAY_RELOAD: '/'}}")


@pytest.mark.parametrize("private", [".slipway", ".git", ".venv"])
def test_what_must_not_go_into_an_image_is_no_model(root, private):
    (root / private / "inside").mkdir(parents=True)
    (root / private / "inside/score.py").write_text("def init(): ...")
    (root / private / "inside/passphrase").write_text("secret")
    assert f"lies in {private}, which holds what must not go into an image" in of_model(root, path=f"{private}/inside")
    (root / "models/sly").symlink_to(root / private / "inside")
    assert private in of_model(root, path="models/sly")
