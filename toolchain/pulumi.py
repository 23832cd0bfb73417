"""The Pulumi engine: from PATH, else the official release, else built from Go modules."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain import gobuild
from toolchain.cache import read_json, write_json
from toolchain.context import Taken
from toolchain.network import PULUMI_RELEASES, Network, download, read_text
from toolchain.process import capture
from toolchain.report import ToolchainError
from toolchain.tools import Tools
from toolchain.versions import at_least, locked

if TYPE_CHECKING:
    from toolchain.context import Context
    from toolchain.report import Step

NAME = "Pulumi"
OLDEST = "3.200"
LANGUAGE_HOST = "pulumi-language-python"
MODULES = (gobuild.PULUMI, gobuild.LANGUAGE_PYTHON)
# Programs in Python that lie beside the engine; the release has them, the Go modules keep them in these places.
SCRIPTS = ("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python")


def ensure(context: Context, step: Step, network: Network) -> tuple[Path, Taken]:
    """Find or provide Pulumi.

    Returns:
        The program, and what was found.

    Raises:
        ToolchainError: If it can neither be downloaded nor built.
    """
    own = _on_path(context)
    if own is not None:
        program, version = own
        return program, Taken(NAME, f"{version} found on PATH ({program})", path=(program.parent,))
    version = locked(context.root / "requirements.lock", "pulumi")
    tools = Tools(context.cache)
    official = f"pulumi-v{version}-{context.platform}-official"
    if tools.ready(official):
        return _provided(context, tools.folder(official), f"v{version}, official release")
    built = gobuild.built(context, MODULES)
    reason = ""
    if built is None or context.official:
        reason = f"{PULUMI_RELEASES} cannot be reached"
        if network.reaches(PULUMI_RELEASES):
            try:
                folder = tools.install(official, lambda folder: _download(context, step, version, folder))
                return _provided(context, folder, f"v{version}, official release downloaded")
            except ToolchainError as error:
                if "checksum" in error.what:
                    raise
                network.remember(PULUMI_RELEASES, reaches=False)
                reason = error.what.rstrip(".")
    folder = gobuild.build(context, step, MODULES, lambda go, folder: _add_scripts(context, go, folder))
    detail = f" ({reason})" if reason else ""
    return _provided(context, folder, f"v{version} built from Go modules{detail}")


def _provided(context: Context, folder: Path, line: str) -> tuple[Path, Taken]:
    # The home of another Pulumi, with its plugins and its login, is left alone.
    home = context.environ.get("PULUMI_HOME") or str(context.cache.home / "pulumi-home")
    return folder / "pulumi", Taken(NAME, line, path=(folder,), env=(("PULUMI_HOME", home),))


def _on_path(context: Context) -> tuple[Path, str] | None:
    """Return the user's own Pulumi and its version, if it is complete and new enough."""
    folders = [
        folder
        for folder in context.environ.get("PATH", "").split(":")
        if folder and not Path(folder).is_relative_to(context.cache.home)
    ]
    search = ":".join(folders)
    found = shutil.which("pulumi", path=search)
    if found is None:
        return None
    program = Path(found).resolve()
    beside = (program.parent / LANGUAGE_HOST).exists()
    if not beside and shutil.which(LANGUAGE_HOST, path=search) is None:
        return None
    version = version_of(context, program)
    return (program, version) if at_least(version, OLDEST) else None


def version_of(context: Context, program: Path) -> str:
    """Return what `pulumi version` prints, remembered for as long as the program is the same."""
    memory = context.cache.home / "versions.json"
    status = program.stat()
    mark = f"{program} {status.st_size} {status.st_mtime_ns}"
    known = read_json(memory)
    if mark not in known:
        env = {**context.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
        known = {mark: (capture([str(program), "version"], env=env) or "").strip()}
        write_json(memory, known)
    return str(known[mark])


def archive_name(version: str, system: str, architecture: str) -> str:
    """Return the file name of a release."""
    return f"pulumi-v{version}-{system}-{'x64' if architecture == 'amd64' else architecture}.tar.gz"


def published_checksum(listing: str, archive: str) -> str | None:
    """Return a release's SHA-256 from the list that is published with it."""
    for line in listing.splitlines():
        fields = line.split()
        if len(fields) == 2 and fields[1].lstrip("*") == archive:  # noqa: PLR2004 - a checksum and a name.
            return fields[0].lower()
    return None


def _download(context: Context, step: Step, version: str, folder: Path) -> None:
    archive = archive_name(version, context.system, context.architecture)
    releases = f"{PULUMI_RELEASES}/releases/sdk"
    step.doing(f"downloading {archive}")
    expected = published_checksum(read_text(f"{releases}/pulumi-{version}-checksums.txt"), archive)
    target = context.cache.downloads / archive
    found = download(f"{releases}/{archive}", target, step.progress)
    if found != expected:
        target.unlink()
        raise ToolchainError(
            f"The checksum of {archive} is {found}, but {expected or 'none'} was published: it was not used.",
            to_do="try again; if it stays so, something between here and get.pulumi.com changes downloads.",
        )
    unpack(target, folder)
    target.unlink()


def unpack(archive: Path, folder: Path) -> None:
    """Unpack the files of a release, which lie in one folder, into `folder`."""
    with tarfile.open(archive) as opened:
        for member in opened:
            stream = opened.extractfile(member) if member.isfile() else None
            if stream is not None:
                target = folder / Path(member.name).name
                with stream, target.open("wb") as out:
                    shutil.copyfileobj(stream, out)
                target.chmod(0o755)


def _add_scripts(context: Context, go: str, folder: Path) -> None:
    module = "github.com/pulumi/pulumi/sdk/v3"
    told = capture(
        [go, "-C", str(context.go_files / "pulumi"), "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", module],
        env=gobuild.go_environment(context),
        timeout=120,
    )
    source = Path(told.strip()) if told and told.strip() else None
    for script in SCRIPTS:
        if source is None or not (source / script).is_file():
            raise ToolchainError(
                f"The Go module {module} does not hold {script}.", to_do="restore toolchain/go from the repository."
            )
        target = folder / Path(script).name
        shutil.copyfile(source / script, target)
        target.chmod(0o755)
