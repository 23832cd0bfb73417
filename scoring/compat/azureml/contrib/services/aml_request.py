"""The older name of `azureml_inference_server_http.api.aml_request`."""

from azureml_inference_server_http.api.aml_request import (  # type: ignore[import-not-found]  # it is beside this one
    AMLRequest,
    rawhttp,
)

__all__ = ["AMLRequest", "rawhttp"]
