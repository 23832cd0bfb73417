"""What the program asks of the engine for registered models; no engine, no registry, nothing fetched."""

import asyncio
import hashlib

import pulumi
import pytest
import yaml

from manifest import ManifestError

REGISTERED, IMAGE = "RegisteredModel", "Image"
URL = "https://models.example/churn/model.onnx"
CHECKSUM = "ab" * 32
SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
WORKSPACE = f"azureml://subscriptions/{SUBSCRIPTION}/resourceGroups/ml/workspaces/flora"


@pytest.fixture(autouse=True)
def hooks_without_callbacks(monkeypatch):
    """The SDK's mocks serve no callbacks: hooks are only noted here; tests/engine runs them."""

    async def registered():
        return None

    monkeypatch.setattr("pulumi.resource_hooks.register_resource_hook", lambda _: asyncio.ensure_future(registered()))


def _edit(project, name, **keys):
    path = project / "models.yaml"
    data = yaml.safe_load(path.read_text())
    next(model for model in data["models"] if model["name"] == name).update(keys)
    path.write_text(yaml.safe_dump(data, sort_keys=False))


def _tag(recorder, name):
    return recorder.of(IMAGE)[name].inputs["tags"][0].rpartition(":")[2]


def test_each_live_model_is_registered_once_with_the_digest_of_its_own_files(declare, project):
    recorder = declare()
    assert set(recorder.of(REGISTERED)) == {"iris", "diabetes", "digits"}
    iris = recorder.of(REGISTERED)["iris"].inputs
    line = f"{hashlib.sha256((project / 'models/iris/model.joblib').read_bytes()).hexdigest()}  model.joblib\n"
    assert iris == {
        "name": "iris",
        "version": "1",
        "digest": f"sha256:{hashlib.sha256(line.encode()).hexdigest()}",
        "registry": ".slipway/registry",
        "description": "Which iris a flower is, by its four measures (scikit-learn).",
        "path": "models/iris",
        "exclude": ["requirements.txt", "sample.json", "schema.json", "score.py"],
    }


def test_an_edited_script_is_no_other_model(declare, project):
    before = declare().of(REGISTERED)["iris"].inputs
    script = project / "models/iris/score.py"
    script.write_text(script.read_text() + "\n# edited\n")
    assert declare().of(REGISTERED)["iris"].inputs == before


def test_a_single_file_has_its_own_checksum_as_digest(declare, project):
    _edit(project, "digits", path="models/digits/model.onnx")
    inputs = declare().of(REGISTERED)["digits"].inputs
    content = (project / "models/digits/model.onnx").read_bytes()
    assert inputs["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert "exclude" not in inputs


def test_what_the_manifest_says_about_a_model_goes_with_it(declare, project):
    lineage = {"data": "digits 2024", "metrics": {"accuracy": 0.98, "classes": 10}}
    _edit(project, "digits", tags={"team": "post"}, framework="onnx", lineage=lineage)
    inputs = declare().of(REGISTERED)["digits"].inputs
    assert inputs["tags"] == {"team": "post"}
    assert inputs["framework"] == "onnx"
    assert inputs["data"] == "digits 2024"
    assert inputs["metrics"] == {"accuracy": 0.98, "classes": 10}


def test_a_version_by_content_follows_the_models_files_and_nothing_else(declare, project):
    _edit(project, "iris", version="auto")
    before = declare().of(REGISTERED)["iris"].inputs
    assert before["digest"].startswith(f"sha256:{before['version']}")
    assert len(before["version"]) == 12
    (project / "models/iris/sample.json").write_text('{"data": [[1, 2, 3, 4]]}')
    assert declare().of(REGISTERED)["iris"].inputs["version"] == before["version"]
    (project / "models/iris/model.joblib").write_bytes(b"other")
    recorder = declare()
    after = recorder.of(REGISTERED)["iris"].inputs
    assert after["version"] != before["version"]
    assert _tag(recorder, "iris").startswith(f"{after['version']}-")


def test_the_stack_says_where_the_registry_is(declare):
    assert declare(modelRegistry="s3://team/models").of(REGISTERED)["iris"].inputs["registry"] == "s3://team/models"


@pytest.mark.parametrize("location", ["ftp://host/models", "s3://team/models?key=canary", "https://host/x"])
def test_a_registry_that_cannot_be_is_refused(declare, location):
    with pytest.raises(ManifestError, match="modelRegistry: must be a folder, or a URL with s3://, az:// or abfs://"):
        declare(modelRegistry=location)


def test_a_model_from_elsewhere_is_named_by_its_checksum_without_being_fetched(declare, project):
    (project / "models/digits/model.onnx").unlink()
    _edit(project, "digits", source={"url": URL, "sha256": CHECKSUM})
    recorder = declare(preview=True)
    inputs = recorder.of(REGISTERED)["digits"].inputs
    assert inputs["digest"] == f"sha256:{CHECKSUM}"
    assert (inputs["url"], inputs["sha256"]) == (URL, CHECKSUM)
    assert "path" not in inputs
    assert not (project / ".slipway").exists()
    image = recorder.of(IMAGE)["digits"].inputs
    tree = hashlib.sha256(f"{CHECKSUM}  model.onnx\n".encode()).hexdigest()
    assert image["context"]["named"]["model"] == {"location": f".slipway/models/{tree}"}
    assert 'COPY --from=model --chmod=a=rX,u+w [".", "/"]' in image["dockerfile"]["inline"]
    before = _tag(recorder, "digits")
    _edit(project, "digits", source={"url": URL, "sha256": "cd" * 32})
    assert _tag(declare(preview=True), "digits") != before


def test_the_same_bytes_from_another_place_are_the_same_image(declare, project):
    _edit(project, "digits", source={"url": URL, "sha256": CHECKSUM})
    before = _tag(declare(preview=True), "digits")
    _edit(project, "digits", source={"url": "s3://mirror/model.onnx", "sha256": CHECKSUM})
    assert _tag(declare(preview=True), "digits") == before


def test_a_registration_waits_for_the_image_and_whatever_runs_it_for_both(declare):
    recorder = declare()
    order = [(one.type.rpartition(":")[2], one.name) for one in recorder.registered]
    for name in ("iris", "diabetes", "digits"):
        image = recorder.of(REGISTERED)[name].options.depends_on
        assert (type(image).__name__, image._name) == ("ScoringImage", name)
        assert order.index((REGISTERED, name)) < order.index(("RemoteImage", name))


def test_a_build_fetches_only_what_is_elsewhere(declare, project):
    _edit(project, "digits", source={"url": URL, "sha256": CHECKSUM})
    images = declare(preview=True).of(IMAGE)
    assert not images["iris"].options.hooks.before_create
    hooks = images["digits"].options.hooks
    assert [one.name for one in hooks.before_create] == [one.name for one in hooks.before_update] == ["fetch-digits"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"url": URL}, r"source\.sha256: is missing: .*`slipway models digest URL`"),
        ({"url": URL, "sha256": "AB" * 32}, "must be a SHA-256 of 64 hexadecimal digits in lower case"),
        ({"url": "http://host/m", "sha256": CHECKSUM}, "must be https://HOST/FILE"),
        ({"url": "https://me:canary@host/m", "sha256": CHECKSUM}, "must not hold a user or a password"),
        ({"url": "https://host/m?sig=canary", "sha256": CHECKSUM}, "must not have a query"),
        ({"url": "https://host/m/", "sha256": CHECKSUM}, "must be https://HOST/FILE"),
        ({"url": "s3://bucket/a b", "sha256": CHECKSUM}, "without spaces"),
        ({"url": "s3://bucket/../x", "sha256": CHECKSUM}, "must be https"),
        ({"url": "mlflow:models:/churn@champion", "sha256": CHECKSUM}, "with a version's number"),
        ({"url": "azureml:churn@latest", "sha256": CHECKSUM}, r"with a version \(no label such as @latest\)"),
        (
            {"url": "azureml://registries/r/models/m/versions/1", "sha256": CHECKSUM},
            "of a workspace and with a version",
        ),
        ("s3://bucket/x", "must be a mapping"),
    ],
)
def test_a_source_that_cannot_be_used_is_refused_with_what_to_write(declare, project, source, message):
    _edit(project, "digits", source=source)
    with pytest.raises(ManifestError, match=message) as refused:
        declare()
    assert "canary" not in str(refused.value)
    assert len(refused.value.problems) == 1


@pytest.mark.parametrize(
    "url",
    [
        "https://host.example:8443/a/b-1.0/model.onnx",
        "s3://bucket/models/churn/",
        "az://container/model.pkl",
        "abfss://models@account.dfs.core.windows.net/churn/3/",
        "mlflow:models:/churn/3",
        f"{WORKSPACE}/models/churn/versions/3",
    ],
)
def test_each_kind_of_source_is_taken(declare, project, url):
    _edit(project, "digits", source={"url": url, "sha256": CHECKSUM})
    assert declare(preview=True).of(REGISTERED)["digits"].inputs["url"] == url


def test_a_short_address_of_a_workspace_is_in_the_stacks_own(declare, project):
    _edit(project, "digits", source={"url": "azureml:churn:3", "sha256": CHECKSUM})
    resource = (
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/ml/providers/Microsoft.MachineLearningServices/workspaces/flora"
    )
    azure = {"location": "westeurope", "machineLearning": {"id": resource}}
    recorder = declare(preview=True, azure=azure)
    assert recorder.of(REGISTERED)["digits"].inputs["url"] == f"{WORKSPACE}/models/churn/versions/3"
    with pytest.raises(
        pulumi.RunError, match=r"model digits: source\.url: azureml:churn:3 is in the stack's workspace"
    ):
        declare(preview=True)


def test_a_path_that_is_a_file_leaves_no_folder_for_the_scoring_files(declare, project):
    _edit(project, "digits", path="models/digits/model.onnx", source={"url": URL, "sha256": CHECKSUM})
    with pytest.raises(ManifestError, match="must be the folder of the scoring files where `source` gives the model"):
        declare()
