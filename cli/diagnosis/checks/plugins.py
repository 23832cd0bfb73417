"""Whether the programs that Pulumi starts for its resources are there."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from cli.diagnosis.finding import Finding
from cli.stack.wanted import uses_azure
from manifest.live import live_models, live_targets, needs_cluster
from toolchain.plugins import installed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cli.diagnosis.context import Context

# The language's, and one for each of the packages that components/ imports for every target.
_NEEDED = ("language-python", "resource-docker", "resource-docker-build")

_AZURE = "resource-azure-native"
# The folder that the stand-ins' scripts are in; on PATH they go before installed plugins.
_STANDINS = "standins"


def check(context: Context) -> Iterator[Finding]:
    """Look for each plugin where Pulumi does: on PATH, and in its own folder."""
    path = context.env.get("PATH")
    installed = {
        f"{one.get('kind')}-{one.get('name')}": str(one.get("version"))
        for one in json.loads(context.run("pulumi", "plugin", "ls", "--json")) or []
    }
    kinds = context.environment.targets
    live = [target for model in live_models(context.manifest, kinds) for target in live_targets(model, kinds)]
    needed = (*_NEEDED, *(["resource-kubernetes"] if any(map(needs_cluster, live)) else []))
    found = {name: shutil.which(f"pulumi-{name}", path=path) or installed.get(name) for name in needed}
    if missing := [name for name, where in found.items() if not where]:
        yield Finding(
            "problem",
            f"Plugins are missing: {', '.join(f'pulumi-{name}' for name in missing)}.",
            f"Run `make setup` in {context.project.root}.",
        )
    else:
        yield Finding("ok", f"{', '.join(needed)}: there.")
    if uses_azure(context.config, context.manifest) and azure_is_stood_in_for(context.env):
        yield Finding(
            "warning",
            "azure-native is this repository's stand-in: nothing goes to Azure (docs/azure-standin.md).",
            "docs/azure.md says what a deployment to Azure needs.",
        )


def azure_is_stood_in_for(env: Mapping[str, str]) -> bool:
    """Tell whether Pulumi would take the stand-in for azure-native.

    Args:
        env: Pulumi's environment.
    """
    found = shutil.which(f"pulumi-{_AZURE}", path=env.get("PATH"))
    if found is None or _STANDINS not in Path(found).resolve().parts:
        return False
    home = Path(env.get("PULUMI_HOME") or Path.home() / ".pulumi")
    # The script in standins/bin hands over to the official one.
    return env.get("SLIPWAY_AZURE") == "stand-in" or not installed(home, "azure-native", version("pulumi-azure-native"))
