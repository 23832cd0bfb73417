"""The tools of the supply chain: syft, cosign and trivy. Each is fetched when it is first needed, and not before."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain import gobuild
from toolchain.network import GITHUB, Network, download, read_text
from toolchain.process import capture
from toolchain.pulumi import published_checksum, unpack
from toolchain.report import ToolchainError
from toolchain.tools import Tools
from toolchain.versions import at_least, numbers

if TYPE_CHECKING:
    from toolchain.context import Context
    from toolchain.gobuild import Module
    from toolchain.report import Step

_VERSION = re.compile(r"(?<![\w.])v?(\d+\.\d+\.\d+)(?!\d)")
_PROCESSORS = {"amd64": "64bit", "arm64": "ARM64"}


@dataclass(frozen=True)
class Tool:
    """One of the tools.

    Attributes:
        name: The program's name.
        module: What it is built from where its release cannot be downloaded; None where it is not built.
        repository: Where its releases are, on GitHub.
        oldest: The oldest version on PATH that takes the options that we give; a later one of the same major version is
            taken too.
        asset: The name of a release's file; {version}, {system} and {architecture} are filled in.
        checksums: The name of the file of checksums beside it.
        fixed: The version, where there is no module to say it.
    """

    name: str
    module: Module | None
    repository: str
    oldest: str
    asset: str
    checksums: str
    fixed: str = ""

    def version(self, context: Context) -> str:
        """Return the version that is fetched, without a v."""
        return self.module.version(context)[1:] if self.module else self.fixed

    def said(self, context: Context) -> str:
        """Return name and version of what is fetched."""
        return f"{self.name} {self.version(context)}"


@dataclass(frozen=True)
class Program:
    """A tool that is there.

    Attributes:
        path: The program.
        version: Name and version, as `syft 1.33.0`.
        taken: Which way it was found or fetched.
    """

    path: Path
    version: str
    taken: str


SYFT = Tool(
    "syft",
    gobuild.SYFT,
    "anchore/syft",
    "1.0",
    "syft_{version}_{system}_{architecture}.tar.gz",
    "syft_{version}_checksums.txt",
)
# Version 3 signs in another format, and demands a signing configuration where no log is wanted.
COSIGN = Tool(
    "cosign",
    gobuild.COSIGN,
    "sigstore/cosign",
    "2.2",
    "cosign-{system}-{architecture}",
    "cosign_checksums.txt",
)
# Not built: a machine that reaches only Go modules has no database for it either.
TRIVY = Tool(
    "trivy",
    None,
    "aquasecurity/trivy",
    "0.50",
    "trivy_{version}_{System}-{processor}.tar.gz",
    "trivy_{version}_checksums.txt",
    fixed="0.66.0",
)


def find(context: Context, tool: Tool) -> Program | None:
    """Return a tool that is there: on PATH, or fetched before. It takes no lock, and waits for nobody."""
    if (own := _on_path(context, tool)) is not None:
        return own
    tools, name = Tools(context.cache), _official_name(context, tool)
    if tools.ready(name):
        return Program(tools.folder(name) / tool.name, tool.said(context), "official release")
    if tool.module and not context.official and (built := gobuild.built(context, (tool.module,))) is not None:
        return Program(built / tool.name, tool.said(context), "built from Go modules")
    return None


def ensure(context: Context, step: Step, network: Network, tool: Tool) -> Program:
    """Find a tool or fetch it: from PATH, else the official release, else built from Go modules.

    Call it with the cache locked.

    Raises:
        ToolchainError: It cannot be had.
    """
    if (there := find(context, tool)) is not None:
        return there
    said, tools, name = tool.said(context), Tools(context.cache), _official_name(context, tool)
    reason = f"{GITHUB} cannot be reached"
    if network.reaches(GITHUB):
        try:
            folder = tools.install(name, lambda folder: _download(context, step, tool, folder))
            return Program(folder / tool.name, said, "official release downloaded")
        except ToolchainError as error:
            if "checksum" in error.what:
                raise
            reason = error.what.rstrip(".")
    if tool.module is None:
        raise ToolchainError(
            f"{tool.name} is not on PATH, and {reason}.", to_do=f"put {tool.name} {tool.oldest} or later on PATH."
        )
    folder = gobuild.build(context, step, (tool.module,))
    return Program(folder / tool.name, said, f"built from Go modules ({reason})")


def _official_name(context: Context, tool: Tool) -> str:
    return f"{tool.name}-v{tool.version(context)}-{context.platform}-official"


def _on_path(context: Context, tool: Tool) -> Program | None:
    """Return the user's own, if it is of a version that we know how to call."""
    found = shutil.which(tool.name, path=context.environ.get("PATH"))
    if found is None:
        return None
    printed = _VERSION.search(capture([found, "version"], env=context.environ) or "")
    version = printed[1] if printed else ""
    if numbers(version)[:1] != numbers(tool.oldest)[:1] or not at_least(version, tool.oldest):
        return None
    return Program(Path(found), f"{tool.name} {version}", f"found on PATH ({found})")


def _download(context: Context, step: Step, tool: Tool, folder: Path) -> None:
    version = tool.version(context)
    parts = {
        "version": version,
        "system": context.system,
        "architecture": context.architecture,
        "System": {"linux": "Linux", "darwin": "macOS"}[context.system],
        "processor": _PROCESSORS[context.architecture],
    }
    asset = tool.asset.format(**parts)
    releases = f"{GITHUB}/{tool.repository}/releases/download/v{version}"
    step.doing(f"downloading {asset}")
    expected = published_checksum(read_text(f"{releases}/{tool.checksums.format(**parts)}"), asset)
    target = context.cache.downloads / asset
    found = download(f"{releases}/{asset}", target, step.progress)
    if found != expected:
        target.unlink()
        raise ToolchainError(
            f"The checksum of {asset} is {found}, but {expected or 'none'} was published: it was not used.",
            to_do="try again; if it stays so, something between here and github.com changes downloads.",
        )
    if asset.endswith(".tar.gz"):
        unpack(target, folder)
        target.unlink()
    else:
        target.replace(folder / tool.name)
        (folder / tool.name).chmod(0o755)
