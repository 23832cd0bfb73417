"""What went wrong in a script, for people: tracebacks without the runtime's own frames, and one line."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

from scoring.script import is_installed

_RUNTIME = str(Path(__file__).parent) + os.sep
_IMPORT_MACHINERY = "<frozen importlib"

# What scripts written for Azure ML import beyond what this runtime has, and what there is to say about it.
_AZURE_MODULES = {
    "azureml_inference_server_http": "this runtime has azureml_inference_server_http.api.aml_request and .aml_response",
    "azureml.contrib": "this runtime has azureml.contrib.services.aml_request and .aml_response",
    "azureml.ai": "this runtime has azureml.ai.monitoring with Collector, and azureml.ai.monitoring.context",
    "inference_schema": (
        "this runtime has inference_schema.schema_decorators, .schema_util and .parameter_types with "
        "standard_py_parameter_type, numpy_parameter_type and pandas_parameter_type"
    ),
    "azureml": (
        "the Azure ML SDK is not part of this runtime: the model's files are in AZUREML_MODEL_DIR; "
        "what else the script needs of it, add to the model's requirements"
    ),
}
# Packages of models that are not called as they are imported.
_PACKAGES = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}


def trace(error: BaseException) -> str:
    """Return the traceback as Python prints it, with those frames only that a script's author can mend."""
    if _is_runtimes_own(error):
        return str(error)
    report = traceback.TracebackException.from_exception(error)
    _drop_runtime_frames(report)
    return "".join(report.format()).rstrip()


def one_line(error: BaseException) -> str:
    """Return the error in one line: its type and message, and where in the script it was raised."""
    if _is_runtimes_own(error):
        return str(error)
    text = " ".join("".join(traceback.format_exception_only(type(error), error)[-1:]).split())
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_runtime(frame)]
    # Where in the script, not where in a library that it called.
    own = [frame for frame in frames if not is_installed(Path(frame.filename))] or frames
    where = f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
    statement = (own[-1].line or "") if own else ""
    return f"{text}{where}{_advice(error, statement)}"


def _advice(error: BaseException, statement: str) -> str:
    """What to do about a missing module, which is the commonest failure of all."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return ""
    missing = error.name.partition(".")[0]
    for module, advice in _AZURE_MODULES.items():
        # The error names only the first part that is missing; the import statement has the whole name.
        if module.partition(".")[0] == missing and module in f"{error.name} {statement}":
            return f"; {advice}"
    if package := _PACKAGES.get(missing):
        return f"; it is in the package {package}: add that to the model's requirements"
    return f"; if {missing} is a package, add it to the model's requirements"


def _is_runtimes_own(error: BaseException) -> bool:
    """Whether it was the runtime that found fault: then the message says it all."""
    return type(error).__module__.startswith(f"{__package__}.")


def _is_runtime(frame: traceback.FrameSummary) -> bool:
    return frame.filename.startswith((_RUNTIME, _IMPORT_MACHINERY))


def _drop_runtime_frames(report: traceback.TracebackException) -> None:
    seen: set[int] = set()
    waiting: list[traceback.TracebackException | None] = [report]
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        current.stack = traceback.StackSummary.from_list([frame for frame in current.stack if not _is_runtime(frame)])
        # Exception groups came with Python 3.11.
        waiting += [current.__cause__, current.__context__, *(getattr(current, "exceptions", None) or ())]
