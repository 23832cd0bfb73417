"""requirements.txt, as what an environment is made from."""

import pytest

from manifest import ManifestError, load_manifest, requirements
from manifest.requirements import Dependencies


def read(root, text, name="requirements.txt"):
    (root / name).write_text(text)
    return requirements.read(root, name, conda=False)


def problems(root, text):
    with pytest.raises(ManifestError) as caught:
        read(root, text)
    return [str(one) for one in caught.value.problems]


def test_spelling_order_and_comments_do_not_count(tmp_path):
    first = read(
        tmp_path,
        """\
# what the model needs
Scikit_Learn >=1.5 , <2   # the classifier
numpy==2.1.0
uvicorn[standard, Extra.One]>=0.30 ; python_version>='3.11'
pandas \\
    == 2.2.0
""",
    )
    second = read(
        tmp_path,
        "pandas==2.2.0\r\nnumpy==2.1.0\r\nnumpy == 2.1.0\r\n\r\nscikit-learn (<2,>=1.5)\r\n"
        'uvicorn[extra-one,standard]>=0.30; python_version >= "3.11"\r\n',
    )
    assert first == second
    assert hash(first) == hash(second)
    assert first.pip == (
        "numpy==2.1.0",
        "pandas==2.2.0",
        "scikit-learn<2,>=1.5",
        'uvicorn[extra-one,standard]>=0.30; python_version >= "3.11"',
    )
    assert first.python is None
    assert first.notes == ()


@pytest.mark.parametrize(
    ("one", "other"), [("numpy==2.1", "numpy==2.2"), ("numpy", "numpy[x]"), ("numpy", "scipy"), ("a;b<'1'", "a")]
)
def test_what_is_installed_does_count(tmp_path, one, other):
    assert read(tmp_path, one) != read(tmp_path, other)


def test_hashes_are_kept(tmp_path):
    a, b = "a" * 64, "b" * 64
    found = read(
        tmp_path, f"--require-hashes\nnumpy==2.1.0 \\\n    --hash=sha256:{b} \\\n    --hash sha256:{a}  # two\n"
    )
    assert found.pip == ("--require-hashes", f"numpy==2.1.0 --hash=sha256:{a} --hash=sha256:{b}")


def test_options_about_the_choice_of_packages_are_kept_first(tmp_path):
    found = read(tmp_path, "numpy\n--only-binary :all:\n--pre\n--no-binary=scipy\n--prefer-binary\n")
    assert found.pip == ("--no-binary=scipy", "--only-binary=:all:", "--pre", "--prefer-binary", "numpy")


def test_a_wheel_can_be_named_by_its_address(tmp_path):
    found = read(
        tmp_path,
        "en_core@https://example.com/en-1.0.whl#sha256=abc ; sys_platform == 'linux'\nb @ https://example.com/b.tar.gz\n",
    )
    assert found.pip == (
        "b @ https://example.com/b.tar.gz",
        'en-core @ https://example.com/en-1.0.whl#sha256=abc ; sys_platform == "linux"',
    )


def test_files_include_others_of_the_repository(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "base.txt").write_text("numpy\n-r more.txt\n")
    (tmp_path / "shared" / "more.txt").write_text("scipy\n")
    for form in ("-r ../shared/base.txt", "-r../shared/base.txt", "--requirement=../shared/base.txt"):
        found = read(tmp_path, f"{form}\npandas\n", "models/requirements.txt")
        assert found.pip == ("numpy", "pandas", "scipy")


def test_what_is_wrong_in_an_included_file_is_told_there(tmp_path):
    (tmp_path / "base.txt").write_text("# a\nnumpy=1\n")
    (said,) = problems(tmp_path, "-r base.txt\n")
    assert said.startswith('base.txt:2: not a version: "=1" in "numpy=1"; write == for a version')


def test_includes_stay_in_the_repository_and_end(tmp_path, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "x.txt"
    outside.write_text("numpy")
    (tmp_path / "link.txt").symlink_to(outside)
    includes = ["../x.txt", outside, "none.txt", "requirements.txt", "https://example.com/x", "", "link.txt"]
    assert problems(tmp_path, "".join(f"-r {one}\n" for one in includes)) == [
        'requirements.txt:1: an included file must be in the repository, not "../x.txt"',
        f'requirements.txt:2: an included file must be in the repository, not "{outside}"',
        "requirements.txt:3: no such file: none.txt",
        "requirements.txt:4: requirements.txt includes itself",
        'requirements.txt:5: an address cannot be included: "https://example.com/x"; keep the file in the repository',
        'requirements.txt:6: an included file must be in the repository, not ""',
        "link.txt: is outside of the repository",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("numpy=1.26", "write == for a version"),
        ("numpy 1.26", 'not a version: "1.26" in "numpy 1.26"'),
        ("numpy>=", "not a version"),
        ("numpy==1.0==2.0", "not a version"),
        ("==1.0", "not a requirement"),
        ("numpy[a b]", "not a list of extras"),
        ("-e .", "-e is not supported; put the code into `scoring.code`"),
        ("-e git+https://example.com/a.git", "-e is not supported"),
        (".", "a package in a folder is not supported"),
        ("./src", "a package in a folder is not supported"),
        ("../shared", "a package in a folder is not supported"),
        ("mine @ file:///src", "a package in a folder is not supported"),
        ("wheels/a-1.0-py3-none-any.whl", "a package in a file is not supported"),
        ("git+https://example.com/a.git@main", "a requirement from a repository needs its tools in the image"),
        ("a @ git+ssh://git@example.com/a.git", "a requirement from a repository needs its tools in the image"),
        ("https://example.com/a.whl", "a URL needs its package's name: NAME @ https://example.com/a.whl"),
        ("a @ http://example.com/a.whl", "only https addresses of .whl, .tar.gz and .zip files"),
        (
            "a @ https://user:key@example.com/a.whl",
            "only https addresses of .whl, .tar.gz and .zip files without credentials",
        ),
        ("-i https://example.com/simple", "remove -i here and set slipway:pip: {indexUrl: ...}"),
        ("--index-url=https://example.com/simple", "remove --index-url here and set slipway:pip: {indexUrl: ...}"),
        ("--extra-index-url https://example.com", "set slipway:pip: {extraIndexUrls: ...}"),
        ("--trusted-host example.com", "set slipway:pip: {trustedHosts: ...}"),
        ("--find-links wheels", "--find-links is not supported"),
        ("-c constraints.txt", "-c is not supported; write the versions into the requirements themselves"),
        ("--pree", 'unknown option "--pree"; did you mean "--pre"?'),
        ("-", 'unknown option "-"'),
        ("--pre yes", '--pre has a wrong value: "yes"'),
        ("--only-binary", '--only-binary has a wrong value: ""'),
        ("numpy --config-settings x=y", "options of single requirements are not supported"),
        ("numpy==${VERSION}", "environment variables would make images differ"),
    ],
)
def test_what_an_image_cannot_be_made_from_is_refused_with_a_way_out(tmp_path, line, message):
    (said,) = problems(tmp_path, f"# first\n{line}\n")
    assert said.startswith("requirements.txt:2: ")
    assert message in said


def test_a_password_in_an_address_is_not_repeated(tmp_path):
    said = problems(tmp_path, "a @ https://user:hunter2@example.com/a.whl\nhttps://user:hunter2@example.com/b.whl\n")
    assert "hunter2" not in "\n".join(said)


def test_everything_wrong_is_told_in_one_run(tmp_path):
    found = problems(tmp_path, "numpy=1\nscipy\n-e .\npandas \\\n  =2\n--x\n")
    assert [one.split(": ")[0] for one in found] == [f"requirements.txt:{line}" for line in (1, 3, 4, 6)]


def test_azures_own_servers_are_left_out_with_a_note(tmp_path):
    found = read(tmp_path, "numpy\nazureml_defaults>=1.0\nazureml-inference-server-http[x]==1.4\n")
    assert found.pip == ("numpy",)
    assert [note.split(": ")[0] for note in found.notes] == ["requirements.txt:2", "requirements.txt:3"]
    assert found.notes[0].startswith("requirements.txt:2: azureml-defaults is left out: Slipway's own runtime serves")
    assert found == Dependencies(pip=("numpy",))


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "requirements.txt").write_bytes(b"numpy\n\xff")
    with pytest.raises(ManifestError, match=r"requirements.txt:2:1: is not UTF-8"):
        requirements.read(tmp_path, "requirements.txt", conda=False)


def test_a_byte_order_mark_is_not_part_of_a_name(tmp_path):
    assert read(tmp_path, "\ufeffnumpy\n").pip == ("numpy",)


def test_a_model_without_requirements_needs_nothing(tmp_path):
    for name in ("score.py", "model.bin"):
        (tmp_path / "m").mkdir(exist_ok=True)
        (tmp_path / "m" / name).write_text("")
    (tmp_path / "models.yaml").write_text("models: [{name: a, version: 1, path: m}]")
    (model,) = load_manifest(tmp_path / "models.yaml").models
    assert requirements.dependencies(model, tmp_path) == Dependencies()


def test_models_with_the_same_needs_share_them(tmp_path):
    texts = {"a": "numpy\nscipy>=1\n", "b": "# b's own\nscipy >= 1\nNumPy\n"}
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "requirements.txt").write_text(text)
        for file in ("score.py", "model.bin"):
            (tmp_path / name / file).write_text("")
    lines = [
        f"  - {{name: {name}, version: 1, path: {name}, scoring: {{requirements: requirements.txt}}}}" for name in texts
    ]
    (tmp_path / "models.yaml").write_text("\n".join(["models:", *lines]))
    models = load_manifest(tmp_path / "models.yaml").models
    assert len({requirements.dependencies(model, tmp_path) for model in models}) == 1
