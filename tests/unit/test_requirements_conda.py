"""A conda environment file, as what pip is to install."""

import pytest

from manifest import ManifestError, requirements
from manifest.conda_names import ADVICE, NOT_NEEDED, RENAMED, SAME
from manifest.requirement_line import package_name


def read(root, text):
    (root / "environment.yml").write_text(text)
    return requirements.read(root, "environment.yml", conda=True)


def package(root, spec):
    return read(root, f"dependencies:\n  - {spec}\n")


def problems(root, text):
    with pytest.raises(ManifestError) as caught:
        read(root, text)
    return [str(one) for one in caught.value.problems]


WHOLE = """\
name: project_environment
channels: [conda-forge, defaults]
dependencies:
  - python=3.11
  - pip
  - numpy=2.1
  - conda-forge::scikit-learn>=1.5,<2
  - pytorch=2.5.1=py3.11_cpu_0
  - libgcc-ng
  - pip:
      - azureml-defaults
      - Some_Package == 1.0   # a comment of YAML's
      - -r more.txt
"""


def test_a_file_becomes_lines_for_pip(tmp_path):
    (tmp_path / "more.txt").write_text("six\n")
    found = read(tmp_path, WHOLE)
    assert found.python == "3.11"
    assert found.pip == ("numpy==2.1.*", "scikit-learn<2,>=1.5", "six", "some-package==1.0", "torch==2.5.1")
    assert [note.split(" is left out")[0] for note in found.notes] == [
        "environment.yml:5: pip",
        "environment.yml:8: the build of pytorch",
        "environment.yml:9: libgcc-ng",
        "environment.yml:11: azureml-defaults",
    ]


def test_the_same_needs_in_either_file_are_equal(tmp_path):
    (tmp_path / "requirements.txt").write_text("numpy==2.1.0\npandas>=2\n")
    conda = read(tmp_path, "dependencies: [pandas>=2, numpy==2.1.0]")
    assert conda == requirements.read(tmp_path, "requirements.txt", conda=False)


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("numpy", "numpy"),
        ("numpy=1.26", "numpy==1.26.*"),
        ("numpy=1.26.*", "numpy==1.26.*"),
        ("numpy=1.26.4", "numpy==1.26.4.*"),
        ("numpy==1.26.4", "numpy==1.26.4"),
        ("numpy 1.26.4", "numpy==1.26.4"),
        ("numpy 1.26.*", "numpy==1.26.*"),
        ("numpy=1.26.4=py311_0", "numpy==1.26.4"),
        ("numpy 1.26.4 py311_0", "numpy==1.26.4"),
        ("numpy==1.26.4=py311_0", "numpy==1.26.4"),
        ("'numpy>=1.2,<2'", "numpy<2,>=1.2"),
        ("'numpy >=1.2, <2'", "numpy<2,>=1.2"),
        ("'numpy>=1.26.*'", "numpy>=1.26"),
        ("'numpy!=1.26.*'", "numpy!=1.26.*"),
        ("numpy~=1.26", "numpy~=1.26"),
        ("'numpy=*'", "numpy"),
        ("conda-forge::numpy=1.26", "numpy==1.26.*"),
        ("conda-forge/linux-64::numpy", "numpy"),
        ("NumPy", "numpy"),
        ("typing_extensions", "typing-extensions"),
        ("pytorch", "torch"),
        ("py-opencv>=4", "opencv-python-headless>=4"),
        ("matplotlib-base", "matplotlib"),
    ],
)
def test_condas_spellings_become_pips(tmp_path, spec, line):
    assert package(tmp_path, spec).pip == (line,)


@pytest.mark.parametrize(
    ("spec", "python"),
    [
        ("python=3.11", "3.11"),
        ("python==3.11.4", "3.11"),
        ("python 3.12.*", "3.12"),
        ("python=3.11.4=h123_0_cpython", "3.11"),
        ("python", None),
    ],
)
def test_the_python_version_is_found(tmp_path, spec, python):
    assert package(tmp_path, spec).python == python


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("python=3.8", 'python must be one of 3.11, 3.12, 3.13, written as python=3.11, not "3.8"'),
        ("'python>=3.11'", 'written as python=3.11, not ">=3.11"'),
        ("python=3", "written as python=3.11"),
        ("python=3.110", 'not "3.110"'),
        ("my-package=1", "does not know whether the conda package my-package is the same on Python's package index"),
        ("cudatoolkit=11.8", "pip cannot install the conda package cudatoolkit; the wheels of GPU packages bring"),
        ("tensorflow-gpu", "write tensorflow"),
        ("'numpy=1.25|1.26'", "alternatives (|) are not supported"),
        ("'numpy[version=1.26]'", "conda's brackets are not supported"),
        ("'numpy<'", "not a version"),
        ("'=1.0'", "not a conda package"),
        ("1.0", "must be a package such as numpy=2.1, not 1.0"),
        ("npm: [a]", "only `pip:` with a list of requirements can stand among the packages"),
        ("pip: numpy", "only `pip:` with a list of requirements can stand among the packages"),
        ("pip: [1]", "must be a requirement such as numpy==2.1.0, not 1"),
        ("pip: [-e .]", "dependencies[0].pip[0]: -e is not supported"),
    ],
)
def test_what_pip_cannot_install_is_refused_with_a_way_out(tmp_path, spec, message):
    (said,) = problems(tmp_path, f"dependencies:\n  - {spec}\n")
    assert said.startswith("environment.yml:2:")
    assert message in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "environment.yml: is empty"),
        ("[]", "environment.yml:1:1: must be a mapping with the key `dependencies`"),
        ("name: x", "must have a list of packages under `dependencies`"),
        ("dependencies:", "must have a list of packages under `dependencies`"),
        ("dependencies: []\nvariables: {A: b}", "2:1: variables: environment variables belong to `scoring.env`"),
        ("dependencies: []\nchanels: []", '2:1: chanels: unknown key "chanels"; did you mean "channels"?'),
        ("dependencies: []\ndependencies: []", '2:1: duplicate key "dependencies"'),
        ("dependencies: [", "not valid YAML"),
    ],
)
def test_a_file_of_another_shape_is_refused(tmp_path, text, message):
    (said,) = problems(tmp_path, text)
    assert message in said


def test_everything_wrong_is_told_in_one_run(tmp_path):
    found = problems(tmp_path, "variables: {}\ndependencies:\n  - python=2.7\n  - nosuch\n  - pip: ['a=1', 'b=1']\n")
    assert [one.split(": ")[0] for one in found] == [
        f"environment.yml:{place}" for place in ("1:1", "3:5", "4:5", "5:11", "5:18")
    ]


def test_the_tables_do_not_contradict_each_other():
    tables = [SAME, frozenset(map(package_name, RENAMED)), frozenset(map(package_name, NOT_NEEDED)), frozenset(ADVICE)]
    assert sum(map(len, tables)) == len(frozenset().union(*tables))
    assert all(name == package_name(name) for name in SAME)
