"""The Dockerfile of a model's image, as text: it is part of what the image's name is a hash of.

It is rendered, not a file, because BuildKit expands no variable in `COPY --exclude`, and the scoring files that
must stay out of the model's layer differ from model to model.

Layers come by rate of change: environment (its own image), runtime, model, code. Each is placed by a RUN that
sets every file's time to SOURCE_DATE_EPOCH, so that the same content is the same layer on every machine.
BuildKit's own `rewrite-timestamp` would pack every layer again at every build: seconds for each 100 MB of model.
"""

from __future__ import annotations

import json
import posixpath
from typing import TYPE_CHECKING

from manifest import content

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

APP_ROOT = "/var/azureml-app"
RUNTIME_ROOT = "/opt/slipway"
PORT = 8080
USER = "65532"

_MODE = "a=rX,u+w"


def render(
    *,
    model: str,
    model_context: str = "source",
    exclude: Sequence[str],
    code: str,
    code_files: Sequence[str] | None,
    contract_files: Mapping[str, str],
    model_dir: str,
    environment: Mapping[str, str],
) -> str:
    """Render the Dockerfile of one model's image.

    It expects the named contexts `source` (the model's folder), `runtime` (the scoring package) and `environment`
    (the environment image).

    Args:
        model: The model's file or folder, relative to its context.
        model_context: The named context with the model.
        exclude: Patterns of what in that folder is not the model, in .dockerignore's syntax.
        code: The folder of the code, relative to `source`.
        code_files: Which files of that folder are the code; None for all of it.
        contract_files: Name in the image to file in `source`: the sample and the schema.
        model_dir: Where the model is placed: AZUREML_MODEL_DIR.
        environment: What `ENV` sets, beside that which is the same for every model.

    Returns:
        The Dockerfile's text.
    """
    env = {
        "AML_APP_ROOT": APP_ROOT,
        "AZUREML_MODEL_DIR": model_dir,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": RUNTIME_ROOT,
        "PYTHONUNBUFFERED": "1",
        "SERVER_PORT": str(PORT),
        **environment,
    }
    copy_code = (
        _copy(f"{code}/.", "/code/", exclude=content.IGNORED_PATTERNS)
        if code_files is None
        else _copy(*(_join(code, name) for name in code_files), "/code/")
    )
    contract = [_copy(source, f"/contract/{name}") for name, source in sorted(contract_files.items())]
    lines = [
        "FROM scratch AS runtime-files",
        _copy(
            ".",
            f"{RUNTIME_ROOT}/scoring/",
            source="runtime",
            exclude=[*content.RUNTIME_EXCLUDED_PATTERNS, *content.IGNORED_PATTERNS],
        ),
        "",
        "FROM scratch AS model-files",
        _copy(model, "/", source=model_context, exclude=exclude),
        "",
        "FROM scratch AS code-files",
        copy_code,
        *contract,
        "",
        "FROM environment",
        "ARG SOURCE_DATE_EPOCH",
        # Compiled here, because nothing can be written where it runs.
        _place("runtime-files", {RUNTIME_ROOT: RUNTIME_ROOT}, compiled=RUNTIME_ROOT),
        _place("model-files", {"": model_dir}),
        *(f"ENV {name}={_quote(value)}" for name, value in sorted(env.items())),
        # Not the code: `python -m` would import a scoring.py of the model instead of the runtime.
        f"WORKDIR {RUNTIME_ROOT}",
        # The sample must be answered by the user that will serve, from the files as they will be served. One RUN
        # for both: the code changes most often, and every RUN costs the start of a container.
        _place(
            "code-files",
            {"/code": APP_ROOT} | ({"/contract": f"{RUNTIME_ROOT}/contract"} if contract else {}),
            # A failure waits until its traceback is with the engine, which stops listening when the build ends.
            then=f"{{ setpriv --reuid={USER} --regid={USER} --clear-groups /opt/venv/bin/python -m scoring check"
            " || { sleep 1; exit 1; }; }",
        ),
        f"USER {USER}:{USER}",
        f"EXPOSE {PORT}",
        'ENTRYPOINT ["/opt/venv/bin/python", "-m", "scoring"]',
        'CMD ["serve"]',
    ]
    return "\n".join(lines) + "\n"


def _join(folder: str, name: str) -> str:
    return name if folder == "." else f"{folder}/{name}"


def _quote(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'


def _copy(*paths: str, source: str = "source", exclude: Sequence[str] = ()) -> str:
    """A COPY in JSON form, which takes spaces in names, of one mode whatever the checkout's umask."""
    # The manifest takes no names with spaces or wildcards, which a flag could not carry.
    flags = [f"--from={source}", f"--chmod={_MODE}", *(f"--exclude={pattern}" for pattern in exclude)]
    return f"COPY {' '.join(flags)} {json.dumps(list(paths))}"


def _place(stage: str, folders: Mapping[str, str], *, compiled: str | None = None, then: str | None = None) -> str:
    """A RUN that copies folders out of a stage and gives every file and folder the same time."""
    steps = [f"mkdir -p {APP_ROOT} {RUNTIME_ROOT}"]
    for source, target in folders.items():
        steps += [f"mkdir -p {target}", f"cp -r /mnt/files{source}/. {target}/"]
    if compiled:
        steps.append(f"/opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash {compiled}")
    touch = "touch -h -d @$SOURCE_DATE_EPOCH"
    # The folders above too: making a folder changes the time of the one that holds it.
    steps.append(f"{touch} {posixpath.dirname(APP_ROOT)} {posixpath.dirname(RUNTIME_ROOT)}")
    steps.append(f"find {APP_ROOT} {RUNTIME_ROOT} -newermt @$SOURCE_DATE_EPOCH -exec {touch} {{}} +")
    steps += [then] if then else []
    mounts = f"--mount=type=bind,from={stage},target=/mnt/files --mount=type=tmpfs,target=/tmp"
    return f"RUN {mounts} {' && '.join(steps)}"
