"""What holds for every manifest: sound ones come back as they were, no other raises anything but ManifestError."""

import json
import re

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from manifest import Manifest, ManifestError, load_environment, load_manifest
from manifest.requirement_line import LineError, normalise
from manifest.source import parse

names = st.from_regex(r"[a-z](-?[a-z0-9]){0,15}", fullmatch=True)
line = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=20)
# PyYAML writes `1E5` without quotes, as a text of YAML 1.1; since YAML 1.2 it reads as a number.
line = line.filter(lambda text: not re.fullmatch(r"[-+]?\d+[eE][-+]?\d+", text))
targets = st.one_of(
    st.just("local-docker"),
    st.fixed_dictionaries(
        {},
        optional={
            "reload": st.booleans(),
            "cpu": st.floats(0.1, 64, allow_nan=False),
            "memory": st.sampled_from(["64Mi", "512Mi", "2Gi"]),
            "startupSeconds": st.integers(1, 3600),
        },
    ).map(lambda options: {"local-docker": options}),
)
models = st.fixed_dictionaries(
    {
        "name": names,
        "version": st.one_of(
            st.integers(0, 10**9),
            st.from_regex(r"[A-DF-Za-df-z0-9]([A-DF-Za-df-z0-9._-]{0,8}[A-DF-Za-df-z0-9])?", fullmatch=True),
        ),
        "path": st.just("model"),
    },
    optional={
        "description": line,
        "tags": st.dictionaries(names, line, max_size=3),
        "targets": st.lists(targets, max_size=1),
        "scoring": st.fixed_dictionaries(
            {"script": st.just("score.py")},
            optional={"env": st.dictionaries(st.from_regex(r"X_[A-Z0-9_]{1,9}", fullmatch=True), line, max_size=3)},
        ),
    },
)


def _with_ports(models):
    """Give each target a port, as those that follow from names may meet."""
    for number, one in enumerate(models):
        long = [{"local-docker": {}} if target == "local-docker" else target for target in one.get("targets", [])]
        one["targets"] = [{"local-docker": {**target["local-docker"], "port": 8000 + number}} for target in long]
    return {"models": models}


manifests = st.lists(models, max_size=5, unique_by=lambda one: one["name"]).map(_with_ports)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    (root / "model").mkdir()
    for name in ("score.py", "model.bin"):
        (root / "model" / name).write_text("x")
    return root


@given(document=manifests, style=st.booleans())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_manifest_that_another_library_writes_is_read_as_it_was_meant(root, document, style):
    (root / "models.yaml").write_text(
        yaml.safe_dump(document, allow_unicode=True, default_flow_style=style), encoding="utf-8"
    )
    loaded = load_manifest(root / "models.yaml")
    assert loaded == Manifest.model_validate(document, context={"root": root})
    (root / "models.yaml").write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    assert load_manifest(root / "models.yaml") == loaded


def _check_report(error):
    lines = str(error).splitlines()
    assert len(lines) == len(error.problems) + 1 >= 2
    assert lines[-1].endswith(" found.")


syntax = [
    "models:",
    "- ",
    "  ",
    "\n",
    "\t",
    "[",
    "]",
    "{",
    "}",
    ", ",
    ": ",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "---\n",
    "...\n",
]
odd = [
    "? ",
    "| ",
    "> ",
    '"',
    "'",
    "#",
    "%YAML 1.1\n",
    "\\x",
    "\u2028",
    "\x00",
    "\ufeff",
    ".inf",
    "~",
    "1e999",
    "9" * 30,
]
known = [
    "name: ",
    "iris",
    "version: ",
    "1.10",
    "path: ",
    "model",
    "targets:",
    "local-docker",
    "port: ",
    "8890",
    "script: ",
]
snippets = st.sampled_from([*syntax, *odd, *known, "scoring: ", "env: "])
texts = st.one_of(
    st.text(max_size=200),
    st.lists(st.one_of(snippets, st.text(max_size=4)), max_size=60).map("".join),
)


@given(text=texts)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_raises_anything_but_a_manifest_error(root, text):
    (root / "models.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        load_manifest(root / "models.yaml")
    except ManifestError as error:
        _check_report(error)


json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=10),
        st.sampled_from(["local-docker", "score.py", "model"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.text(max_size=5),
                st.sampled_from(
                    ["name", "version", "path", "scoring", "targets", "local-docker", "port", "env", "script", "conda"]
                ),
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=20,
)


@given(values=st.lists(json_values, max_size=3))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_values_raise_anything_but_a_manifest_error(root, values):
    text = json.dumps({"models": values}, allow_nan=False) if _finite(values) else yaml.safe_dump({"models": values})
    (root / "models.yaml").write_text(text)
    try:
        load_manifest(root / "models.yaml")
    except ManifestError as error:
        _check_report(error)


def _finite(value):
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


@given(
    values=st.dictionaries(
        st.one_of(
            st.text(max_size=8), st.sampled_from(["slipway:targets", "slipway:localDocker", "pip", "development"])
        ),
        st.one_of(json_values, json_values.map(json.dumps)),
        max_size=4,
    )
)
@settings(max_examples=200, deadline=None)
def test_no_configuration_raises_anything_but_a_manifest_error(values):
    try:
        load_environment(values, source="Pulumi.dev.yaml")
    except ManifestError as error:
        _check_report(error)


words = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]))
scalars = st.one_of(st.booleans(), st.integers(-(10**9), 10**9), words)


@given(value=st.recursive(scalars, lambda inner: st.one_of(st.lists(inner), st.dictionaries(words, inner))))
@settings(max_examples=100, deadline=None)
def test_every_value_that_json_can_hold_is_read_as_json_reads_it(value):
    # Surrogate pairs are JSON's own, and not YAML's.
    document = parse(json.dumps(value, ensure_ascii=False), "x")
    assert document.root.plain() == value
    assert document.problems == []


@given(
    text=st.one_of(
        st.text(max_size=60),
        st.lists(
            st.sampled_from(
                [
                    "numpy",
                    "==",
                    "1.2",
                    ">=",
                    ",",
                    "[",
                    "]",
                    ";",
                    " ",
                    "@",
                    "https://x/y.whl",
                    "-",
                    "--hash=",
                    "python_version",
                    "'",
                    "${A}",
                    "git+",
                    "\\",
                    "#",
                ]
            ),
            max_size=10,
        ).map("".join),
    )
)
@settings(max_examples=500, deadline=None)
def test_a_requirement_is_refused_or_has_a_form_that_stays(text):
    try:
        once = normalise(text)
    except LineError:
        return
    assert normalise(once) == once
