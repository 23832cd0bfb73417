"""The older name of `azureml_inference_server_http.api.aml_response`."""

from azureml_inference_server_http.api.aml_response import (  # type: ignore[import-not-found]  # it is beside this one
    AMLResponse,
)

__all__ = ["AMLResponse"]
