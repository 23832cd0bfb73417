"""What checks objects for Kubernetes: kubeconform and kube-score, and the definitions of the kinds that are applied."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain import gobuild
from toolchain.context import Taken
from toolchain.process import capture
from toolchain.report import ToolchainError
from toolchain.tools import Tools, digest_of
from toolchain.versions import go_version, module_version

if TYPE_CHECKING:
    from toolchain.context import Context
    from toolchain.report import Step

NAME = "Objects"
DOWNLOAD_SECONDS = 900.0
_EXTENSIONS = gobuild.Module("object-schemas", "sigs.k8s.io/gateway-api")
# The file, and the Go module that has it: Kubernetes' kinds, as the cluster has them, and those that others define.
DEFINITIONS = {
    "swagger.json": (gobuild.KUBERNETES, "k8s.io/kubernetes", "api/openapi-spec/swagger.json"),
    "httproutes.yaml": (
        _EXTENSIONS,
        "sigs.k8s.io/gateway-api",
        "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
    ),
    "servicemonitors.yaml": (
        _EXTENSIONS,
        "github.com/prometheus-operator/prometheus-operator",
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    ),
    "scaledobjects.yaml": (_EXTENSIONS, "github.com/kedacore/keda/v2", "config/crd/bases/keda.sh_scaledobjects.yaml"),
    "triggerauthentications.yaml": (
        _EXTENSIONS,
        "github.com/kedacore/keda/v2",
        "config/crd/bases/keda.sh_triggerauthentications.yaml",
    ),
}


def ensure(context: Context, step: Step) -> Taken:
    """Build the programs and fetch the definitions, unless they are there.

    Raises:
        ToolchainError: If one of them cannot be had.
    """
    gobuild.build(context, step, (gobuild.OBJECT_CHECKS,))
    _definitions(context, step)
    versions = [f"{one.source.rpartition('/')[2]} {one.version(context)}" for one in _sources()]
    return Taken(NAME, f"{', '.join(versions)}: built from Go modules")


def programs(context: Context) -> Path | None:
    """Return the folder of the programs; None where they were not built."""
    return gobuild.built(context, (gobuild.OBJECT_CHECKS,))


def definitions(context: Context) -> Path | None:
    """Return the folder of the definitions; None where they were not fetched."""
    name = _name(context)
    return Tools(context.cache).folder(name) if Tools(context.cache).ready(name) else None


def _sources() -> tuple[gobuild.Module, ...]:
    folder = gobuild.OBJECT_CHECKS.folder
    return gobuild.OBJECT_CHECKS, gobuild.Module(folder, "github.com/zegl/kube-score")


def _name(context: Context) -> str:
    locks = [context.go_files / module.folder / "go.sum" for module in (gobuild.KUBERNETES, _EXTENSIONS)]
    return f"object-schemas-{gobuild.KUBERNETES.version(context)}-{digest_of(locks)}"


def _definitions(context: Context, step: Step) -> None:
    tools, name = Tools(context.cache), _name(context)
    if tools.ready(name):
        return
    step.doing("fetching the definitions of Kubernetes' kinds")
    go = gobuild.find_go(context, step, go_version(context.go_files / _EXTENSIONS.folder / "go.mod"))

    def make(folder: Path) -> None:
        for file, (module, source, path) in DEFINITIONS.items():
            wanted = f"{source}@{module_version(context.go_files / module.folder / 'go.mod', source)}"
            # In the folder whose go.sum has its hash; Go's command keeps what it fetched, read-only.
            command = [go, "-C", str(context.go_files / module.folder), "mod", "download", "-json", wanted]
            answer = capture(command, env=gobuild.go_environment(context), timeout=DOWNLOAD_SECONDS)
            if answer is None:
                raise ToolchainError(
                    f"The Go module {wanted} cannot be fetched.",
                    to_do="the Go module proxy must be reachable (GOPROXY).",
                )
            shutil.copyfile(Path(json.loads(answer)["Dir"]) / path, folder / file)

    tools.install(name, make)
