"""The provider plugins: downloaded by Pulumi, else docker-build from Go modules, and stand-ins for the others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from toolchain import gobuild
from toolchain.context import Taken
from toolchain.network import PULUMI_RELEASES
from toolchain.process import run
from toolchain.report import ToolchainError
from toolchain.versions import locked

if TYPE_CHECKING:
    from toolchain.context import Context
    from toolchain.network import Network
    from toolchain.report import Step

NAME = "Plugins"
INSTALL_SECONDS = 300.0
# azure-native alone has some hundred megabytes.
LONGER_SECONDS = {"azure-native": 1800.0}
STANDINS = Path("standins") / "bin"


def ensure(context: Context, step: Step, program: Path, home: Path, network: Network) -> Taken:
    """Find or provide the plugins docker-build, docker, azure-native and kubernetes.

    Args:
        context: This run.
        step: Where the progress is shown.
        program: Pulumi.
        home: Its PULUMI_HOME, where downloaded plugins are.
        network: What can be reached.

    Raises:
        ToolchainError: If docker-build can neither be downloaded nor built.
    """
    lines: list[str] = []
    path: list[Path] = []
    lock = context.root / "requirements.lock"
    modules = (gobuild.DOCKER_BUILD,)
    version = locked(lock, "pulumi-docker-build")
    keep = gobuild.built(context, modules) is not None
    if official(context, step, program, home, network, "docker-build", version, keep=keep):
        lines.append(f"docker-build {version}: official")
    else:
        path.append(gobuild.build(context, step, modules))
        lines.append(f"docker-build {version}: built from Go modules")
    version = locked(lock, "pulumi-docker")
    # One way for both: whoever could not download the first would only wait for the second.
    if official(context, step, program, home, network, "docker", version, keep=bool(path)):
        lines.append(f"docker {version}: official")
    else:
        path.append(context.root / STANDINS)
        lines.append(f"docker {version}: stand-in of this repository")
    keep = bool(path)
    for name, aside in (("azure-native", ", nothing goes to Azure"), ("kubernetes", "")):
        version = locked(lock, f"pulumi-{name}")
        is_official = official(context, step, program, home, network, name, version, keep=keep)
        lines.append(f"{name} {version}: {'official' if is_official else f'stand-in of this repository{aside}'}")
        # azure-native's is there in any case, for SLIPWAY_AZURE=stand-in; else it hands over to the official one.
        if context.root / STANDINS not in path and (not is_official or name == "azure-native"):
            # By itself: a stand-in on PATH goes before an installed plugin, and docker's is not wanted.
            path.append(context.root / STANDINS / name)
    return Taken(NAME, ", ".join(lines), path=tuple(path))


def installed(home: Path, name: str, version: str) -> bool:
    """Tell whether Pulumi holds a complete plugin."""
    folder = home / "plugins" / f"resource-{name}-v{version}"
    interrupted = folder.with_name(folder.name + ".partial").exists()
    return not interrupted and (folder / f"pulumi-resource-{name}").is_file()


def official(
    context: Context,
    step: Step,
    program: Path,
    home: Path,
    network: Network,
    name: str,
    version: str,
    *,
    keep: bool,
) -> bool:
    """Have Pulumi download a plugin, unless it is there.

    Args:
        context: This run.
        step: Where the progress is shown.
        program: Pulumi.
        home: Its PULUMI_HOME.
        network: What can be reached.
        name: The plugin's name.
        version: Its version.
        keep: There is another one already: do not change over without being asked to.

    Returns:
        Whether the official plugin is there.
    """
    if installed(home, name, version):
        return True
    if (keep and not context.official) or not network.reaches(PULUMI_RELEASES):
        return False
    step.doing(f"downloading the plugin {name} {version}")
    try:
        run(
            [str(program), "plugin", "install", "resource", name, version],
            log=context.log(f"plugin-{name}"),
            what=f"Downloading the plugin {name}",
            to_do="",
            env={**context.environ, "PULUMI_HOME": str(home), "PULUMI_SKIP_UPDATE_CHECK": "true"},
            timeout=LONGER_SECONDS.get(name, INSTALL_SECONDS),
        )
    except ToolchainError:
        network.remember(PULUMI_RELEASES, reaches=False)
        return False
    return installed(home, name, version)
