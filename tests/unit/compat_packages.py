"""The packages that scripts import, found as the runtime has them found: on sys.path, ahead of installed ones."""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = str(Path(__file__).parents[2] / "scoring" / "compat")
if FOLDER not in sys.path:
    sys.path.insert(0, FOLDER)

from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp  # noqa: E402 - they are found from here on
from azureml_inference_server_http.api.aml_response import AMLResponse  # noqa: E402
from inference_schema import schema_util  # noqa: E402
from inference_schema.parameter_types.abstract_parameter_type import AbstractParameterType  # noqa: E402
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType  # noqa: E402
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType  # noqa: E402
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType  # noqa: E402
from inference_schema.schema_decorators import input_schema, output_schema  # noqa: E402
from slipway import batched, decoded  # noqa: E402

__all__ = [
    "AMLRequest",
    "AMLResponse",
    "AbstractParameterType",
    "NumpyParameterType",
    "PandasParameterType",
    "StandardPythonParameterType",
    "batched",
    "decoded",
    "input_schema",
    "output_schema",
    "rawhttp",
    "schema_util",
]
