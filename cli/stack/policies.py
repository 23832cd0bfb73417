"""The policies of a stack: those of slipway:policies hold for each preview and each deployment by `slipway`."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from cli.errors import CliError, Exit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cli.stack.config import StackConfig
    from cli.stack.project import Project

KEY = "slipway:policies"
# Tells the program that its policies are looked at.
MARK = "SLIPWAY_POLICIES"
_OPERATIONS = ("up", "preview")
PACK = "policies"


def policy_options(operation: str, project: Project, config: StackConfig, env: Mapping[str, str]) -> list[str]:
    """Return the options by which the engine runs the policy pack; none where the stack has no policies.

    What the pack needs is installed the first time.

    Args:
        operation: What the engine is to do.
        project: The project.
        config: The stack's configuration.
        env: The environment that Pulumi runs in.

    Raises:
        CliError: The configuration of the policies is wrong, or the pack cannot be run.
    """
    if operation not in _OPERATIONS or KEY not in config.values:
        return []
    from manifest import ManifestError, load_environment  # noqa: PLC0415 - most stacks have no policies
    from manifest.atomic import write_atomically  # noqa: PLC0415 - as above

    try:
        # By themselves: the rest may hold what only Pulumi can decrypt.
        given = {KEY: config.values[KEY], "slipway:targets": []}
        environment = load_environment(given, source=config.file.name, path=config.file)
    except ManifestError as error:
        raise CliError(str(error), code=Exit.USAGE) from None
    if environment.policies is None:
        raise AssertionError("given above")
    if not (project.root / PACK / "PulumiPolicy.yaml").is_file():
        raise CliError(
            f"{config.file.name} has {KEY}, and {project.root} has no folder {PACK}/ with the policy pack.",
            hint=f"Restore it from the repository, or remove {KEY}.",
            code=Exit.SETUP,
        )
    _install(project, env)
    written = project.private / f"{PACK}-{config.file.stem.removeprefix('Pulumi.')}.json"
    project.private.mkdir(exist_ok=True)
    write_atomically(written, json.dumps(environment.policies.pack_config(), indent=2) + "\n")
    # From the project's folder, where the engine runs: that is how it calls the pack in its messages.
    return ["--policy-pack", PACK, "--policy-pack-config", os.path.relpath(written, project.root)]


def _install(project: Project, env: Mapping[str, str]) -> None:
    from toolchain import policies  # noqa: PLC0415 - as above

    if policies.current(project.root):
        return
    from toolchain.context import context_of  # noqa: PLC0415 - as above
    from toolchain.report import Report, ToolchainError  # noqa: PLC0415 - as above

    try:
        # What `slipway` prints may be read by programs.
        context = context_of(project.root, env, Report(sys.stderr))
        context.cache.prepare()
        with context.cache.lock(), context.report.step(policies.NAME) as step:
            found = policies.ensure(context, step)
        context.report.line(found.name, found.line)
    except ToolchainError as error:
        raise CliError(str(error), code=Exit.SETUP) from None
