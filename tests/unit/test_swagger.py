"""/swagger.json: what is told of a service, from decorators, schema, sample or a file of its own."""

from __future__ import annotations

import json
import types

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.script import inspect_script
from scoring.swagger import Swagger, SwaggerError
from scoring.swagger.dialects import to_version
from scoring.swagger.infer import schema_of
from tests.unit.compat_packages import (
    NumpyParameterType,
    PandasParameterType,
    StandardPythonParameterType,
    input_schema,
    output_schema,
)

VERSIONS = ("2.0", "3.0", "3.1")
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda items: st.lists(items, max_size=4) | st.dictionaries(st.text(), items, max_size=4),
    max_leaves=12,
)


def script_of(run):
    module = types.ModuleType("score")
    module.init, module.run = (lambda: None), run
    return inspect_script(module, "score.py")


def swagger_of(tmp_path, *, run=None, schema=None, sample=None, **named):
    paths = {}
    for name, content in (("schema", schema), ("sample", sample)):
        paths[name] = tmp_path / f"the-{name}.json" if content is not None else None
        if content is not None:
            paths[name].write_text(json.dumps(content), encoding="utf-8")
    script = script_of(run) if run is not None else None
    known = {"name": "iris", "version": "3", "path_prefix": "", **named}
    return Swagger(root=tmp_path, script=script, **paths, **known)


def schemas(document):
    return document["definitions"] if "definitions" in document else document["components"]["schemas"]


def validate(document):
    validator = pytest.importorskip("openapi_spec_validator")
    validator.validate(document)


@pytest.mark.parametrize(
    ("query", "key", "number"),
    [
        (b"", "swagger", "2.0"),
        (b"version=2", "swagger", "2.0"),
        (b"version=2.0", "swagger", "2.0"),
        (b"version=3", "openapi", "3.0.3"),
        (b"version=3.0", "openapi", "3.0.3"),
        (b"version=3.1", "openapi", "3.1.0"),
    ],
)
def test_a_version_is_answered_by_all_of_its_names(tmp_path, query, key, number):
    answer = swagger_of(tmp_path).answer(query)

    assert answer.status == 200
    assert json.loads(answer.body)[key] == number


@pytest.mark.parametrize("query", [b"version=4", b"version=", b"version=../../etc/passwd", b"version=2.1&version=2"])
def test_another_version_is_404_and_told_which_there_are(tmp_path, query):
    answer = swagger_of(tmp_path).answer(query)

    assert answer.status == 404
    assert "is not valid. Supported versions: [2, 2.0, 3, 3.0, 3.1]" in json.loads(answer.body)["message"]


@pytest.mark.parametrize(
    ("version", "name"),
    [("2", "swagger.json"), ("2", "swagger2.json"), ("3", "swagger3.json"), ("3.1", "swagger3.1.json")],
)
def test_a_file_of_the_app_replaces_the_document_of_its_version(tmp_path, version, name):
    swagger = swagger_of(tmp_path)
    (tmp_path / name).write_text('{"mine": true}')

    assert swagger.document(version) == {"mine": True}
    others = {"2", "3", "3.1"} - {version}
    assert all("mine" not in swagger.document(other) for other in others)


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_file_that_is_no_document_is_told_by_name(tmp_path, content):
    swagger = swagger_of(tmp_path)
    (tmp_path / "swagger3.json").write_text(content)

    with pytest.raises(SwaggerError, match=r"swagger3\.json"):
        swagger.document("3")
    assert swagger.answer(b"version=3").status == 500
    assert swagger.answer(b"version=2").status == 200


@pytest.mark.parametrize("version", VERSIONS)
def test_names_that_clients_look_for_are_azures(tmp_path, version):
    document = swagger_of(tmp_path, path_prefix="/api/v1/", sample={"a": 1}).document(version)

    operations = {path: next(iter(item.values()))["operationId"] for path, item in document["paths"].items()}
    assert operations == {
        "/api/v1/": "ServiceHealthCheck",
        "/api/v1/score": "RunMLService",
        "/api/v1/swagger.json": "GetSwaggerSpec",
    }
    assert document["info"]["title"] == "iris"
    assert document["info"]["version"] == "3"
    assert set(schemas(document)) == {"ServiceInput", "ServiceOutput", "ErrorResponse"}
    where = document.get("securityDefinitions") or document["components"]["securitySchemes"]
    assert {key: where["Bearer"][key] for key in ("type", "name", "in")} == {
        "type": "apiKey",
        "name": "Authorization",
        "in": "header",
    }
    assert document["paths"]["/api/v1/score"]["post"]["security"] == [{"Bearer": []}]


@pytest.mark.parametrize("version", VERSIONS)
def test_power_bi_finds_its_inputs_parameters_and_results(tmp_path, version):
    rows = PandasParameterType(pd.DataFrame({"length": [5.1], "count": [3], "name": ["x"]}))

    @input_schema("Inputs", StandardPythonParameterType({"data": rows}))
    @input_schema("GlobalParameters", StandardPythonParameterType(1.0))
    @output_schema(StandardPythonParameterType({"Results": [1.0]}))
    def run(Inputs, GlobalParameters):  # noqa: N803 - Power BI's names
        pass

    document = swagger_of(tmp_path, run=run).document(version)
    validate(document)

    number, whole = {"type": "number", "format": "double"}, {"type": "integer", "format": "int64"}
    assert schemas(document)["ServiceInput"] == {
        "type": "object",
        "properties": {
            "Inputs": {
                "type": "object",
                "required": ["data"],
                "properties": {
                    "data": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["length", "count", "name"],
                            "properties": {"length": number, "count": whole, "name": {"type": "string"}},
                        },
                        "format": "pandas.DataFrame:records",
                    }
                },
            },
            "GlobalParameters": number,
        },
        "example": {"Inputs": {"data": [{"length": 5.1, "count": 3, "name": "x"}]}, "GlobalParameters": 1.0},
    }
    assert schemas(document)["ServiceOutput"] == {
        "type": "object",
        "required": ["Results"],
        "properties": {"Results": {"type": "array", "items": number}},
        "example": {"Results": [1.0]},
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_every_argument_of_run_but_the_headers_is_told(tmp_path, version):
    @input_schema("rows", NumpyParameterType(np.array([[1.0, 2.0]])))
    def run(rows, threshold=0.5, request_headers=None):
        pass

    told = schemas(swagger_of(tmp_path, run=run).document(version))["ServiceInput"]
    assert told["properties"]["rows"]["format"] == "numpy.ndarray"
    assert told["example"] == {"rows": [[1.0, 2.0]], "threshold": ""}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_sample_of_different_things_has_a_valid_document_in_every_version(tmp_path, version):
    @input_schema("things", StandardPythonParameterType([1, "a", None, {}, {"b": 1}]))
    def run(things):
        pass

    validate(swagger_of(tmp_path, run=run).document(version))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schema_file_tells_more_than_the_sample(tmp_path, version):
    schema = {"input": {"type": "object", "description": "Flowers."}, "output": {"type": "number", "minimum": 0}}
    document = swagger_of(tmp_path, run=lambda data: data, schema=schema, sample={"data": [1]}).document(version)
    validate(document)

    assert schemas(document)["ServiceInput"] == {"type": "object", "description": "Flowers.", "example": {"data": [1]}}
    assert schemas(document)["ServiceOutput"] == {"type": "number", "minimum": 0}


def test_a_sample_tells_types_and_members(tmp_path):
    sample = {"rows": [{"a": 1, "b": "x"}, {"a": 2.5}], "flag": True, "nothing": None, "empty": []}
    told = schemas(swagger_of(tmp_path, run=lambda data: data, sample=sample).document("3"))["ServiceInput"]

    row = {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "string"}}, "required": ["a"]}
    assert told == {
        "type": "object",
        "properties": {
            "rows": {"type": "array", "items": row},
            "flag": {"type": "boolean"},
            "nothing": {},
            "empty": {"type": "array", "items": {}},
        },
        "required": ["rows", "flag", "nothing", "empty"],
        "example": sample,
    }


def test_without_anything_known_anything_is_allowed(tmp_path):
    document = swagger_of(tmp_path, run=lambda data: data).document("3")
    assert schemas(document)["ServiceInput"] == {}
    validate(document)


@pytest.mark.parametrize("version", VERSIONS)
@given(sample=JSON)
def test_every_sample_has_a_valid_document(tmp_path_factory, version, sample):
    validate(swagger_of(tmp_path_factory.mktemp("app"), sample=sample).document(version))


@given(sample=JSON)
def test_a_sample_fits_the_schema_that_was_made_of_it(sample):
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(sample, schema_of(sample))


@given(sample=JSON)
@pytest.mark.parametrize("version", VERSIONS)
def test_every_sample_of_a_decorator_has_a_valid_document(tmp_path_factory, version, sample):
    @output_schema(StandardPythonParameterType([sample]))
    @input_schema("data", StandardPythonParameterType({"sample": sample}))
    def run(data):
        pass

    validate(swagger_of(tmp_path_factory.mktemp("app"), run=run).document(version))


@pytest.mark.parametrize(
    ("schema", "in_3_0", "in_2_0"),
    [
        ({"type": ["string", "null"]}, {"type": "string", "nullable": True}, {}),
        ({"type": "null"}, {"enum": [None]}, {}),
        ({"type": ["string", "array"]}, {"anyOf": [{"type": "string"}, {"type": "array", "items": {}}]}, {}),
        ({"const": 5}, {"enum": [5]}, {"enum": [5]}),
        ({"enum": []}, {}, {}),
        ({"examples": [1, 2]}, {"example": 1}, {"example": 1}),
        ({"exclusiveMinimum": 3}, {"minimum": 3, "exclusiveMinimum": True}, {"minimum": 3, "exclusiveMinimum": True}),
        ({"type": "array"}, {"type": "array", "items": {}}, {"type": "array", "items": {}}),
        (
            {"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "number"}},
            {"type": "array", "items": {}},
            {"type": "array", "items": {}},
        ),
        ({"anyOf": [{"type": "string"}, True]}, {"anyOf": [{"type": "string"}, {}]}, {}),
        (
            {"allOf": [{"type": "string"}, False]},
            {"allOf": [{"type": "string"}, {"not": {}}]},
            {"allOf": [{"type": "string"}, {}]},
        ),
        ({"not": {"const": 1}}, {"not": {"enum": [1]}}, {}),
        ({"required": []}, {}, {}),
        (
            {"$defs": {"n": {"type": "number"}}, "properties": {"a": {"$ref": "#/$defs/n", "title": "A"}}},
            {"properties": {"a": {"type": "number", "title": "A"}}},
            {"properties": {"a": {"type": "number", "title": "A"}}},
        ),
        (
            {"type": "object", "properties": {"child": {"$ref": "#"}}},
            {"type": "object", "properties": {"child": {"type": "object", "properties": {"child": {}}}}},
            {"type": "object", "properties": {"child": {"type": "object", "properties": {"child": {}}}}},
        ),
        (
            {
                "patternProperties": {"^x": {}},
                "additionalProperties": False,
                "if": {},
                "propertyNames": {},
                "$comment": "",
            },
            {},
            {},
        ),
        (True, {}, {}),
        (False, {"not": {}}, {}),
    ],
)
def test_older_versions_get_what_they_know_of_a_schema(tmp_path, schema, in_3_0, in_2_0):
    assert to_version(schema, "3.0", "#/x") == in_3_0
    assert to_version(schema, "2.0", "#/x") == in_2_0
    for version in VERSIONS:
        validate(swagger_of(tmp_path, schema={"input": schema}).document(version))


def test_a_reference_to_nothing_allows_anything():
    assert to_version({"$ref": "#/nothing/0"}, "3.0", "#/x") == {}


def test_the_newest_version_has_the_schema_as_it_is_with_its_references_moved(tmp_path):
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {"n": {"type": ["number", "null"]}},
        "properties": {
            "$ref": {"$ref": "#/$defs/n"},
            "list": {"items": [{"const": {"$ref": "#"}}], "additionalItems": False},
        },
        "if": {"required": ["list"]},
    }
    document = swagger_of(tmp_path, schema={"input": schema}).document("3.1")
    validate(document)

    assert schemas(document)["ServiceInput"] == {
        "$defs": {"n": {"type": ["number", "null"]}},
        "properties": {
            "$ref": {"$ref": "#/components/schemas/ServiceInput/$defs/n"},
            "list": {"prefixItems": [{"const": {"$ref": "#"}}], "items": False},
        },
        "if": {"required": ["list"]},
    }
