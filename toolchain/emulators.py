"""What BuildKit on this host needs for images of other processors: an emulator in the kernel, and the base image.

The official BuildKit image brings emulators along, and Docker Desktop has them: there nothing is to be done.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain import apt, base_image, builder, gobuild
from toolchain.cache import read_json
from toolchain.context import Taken
from toolchain.process import capture, run
from toolchain.report import ToolchainError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from toolchain.context import Context
    from toolchain.report import Step

NAME = "Emulators"
PACKAGE = "qemu-user-static"
KERNEL = Path("/proc/sys/fs/binfmt_misc")
# Each is the line that the kernel takes, with the program that it opens at once and gives to every container.
LINES = Path("/usr/lib/binfmt.d")
# As qemu names processors, by the names of images.
PROCESSORS = {"amd64": "x86_64", "arm64": "aarch64", "arm": "arm"}
ASK_SECONDS = 20.0


def platforms_of(context: Context, name: str = builder.BUILDER) -> tuple[str, ...] | None:
    """Return the platforms whose programs a builder can run, as `linux/arm64`; None where it does not tell."""
    known = read_json(builder.store(context) / "instances" / name)
    node = (known.get("Nodes") or [{}])[0]
    ask = ["buildctl", "debug", "workers", "--format", "{{json .}}"]
    env = dict(context.environ)
    if known.get("Driver") == "docker-container":
        ask, env = (
            ["docker", "exec", f"buildx_buildkit_{node.get('Name')}", *ask],
            {**env, "DOCKER_HOST": node["Endpoint"]},
        )
    elif (tools := gobuild.built(context, (gobuild.BUILDKIT,))) is not None and known.get("Driver") == "remote":
        ask = [str(tools / ask[0]), "--addr", str(node.get("Endpoint")), *ask[1:]]
    else:
        return None
    try:
        workers = json.loads(capture(ask, env=env, timeout=ASK_SECONDS) or "")
        found = [_named(one) for worker in workers for one in worker["platforms"]]
    except (ValueError, KeyError, TypeError):
        return None
    return tuple(dict.fromkeys(found))


def _named(platform: dict[str, str]) -> str:
    # Of amd64 the variants are those of its instructions; images are for all of them.
    variant = platform.get("variant") if platform["architecture"] == "arm" else None
    return "/".join(filter(None, (platform["os"], platform["architecture"], variant)))


def lacking(context: Context, platforms: Iterable[str]) -> list[str]:
    """Return the processors of platforms that our builder on this host cannot build for yet.

    Any other builder lacks none. It takes no lock, and waits for nobody.
    """
    if builder.process(context).pid is None:
        return []
    wanted = sorted({one.split("/")[1] for one in platforms})
    return [one for one in wanted if not _is_emulated(context, one) or base_image.lacks(context, one)]


def ensure(context: Context, step: Step, architectures: Iterable[str]) -> list[Taken]:
    """Have our builder on this host build for other processors.

    Call it with the cache locked.

    Args:
        context: This run.
        step: Where the progress is shown.
        architectures: As `lacking` returned them.

    Returns:
        Which ways were taken.

    Raises:
        ToolchainError: If it cannot be had.
    """
    taken = []
    for architecture in architectures:
        if not _is_emulated(context, architecture):
            taken.append(Taken(NAME, f"{architecture}: {_register(context, step, architecture)}"))
        if base_image.lacks(context, architecture):
            taken.append(base_image.ensure_for(context, step, architecture))
    return taken


def _is_emulated(context: Context, architecture: str) -> bool:
    # Many processors run arm's programs of 32 bits beside those of 64. What else BuildKit tells may be of yesterday.
    if (context.architecture, architecture) == ("arm64", "arm") and "linux/arm/v7" in (platforms_of(context) or ()):
        return True
    return _is_enabled(KERNEL / f"qemu-{PROCESSORS.get(architecture)}")


def _register(context: Context, step: Step, architecture: str) -> str:
    """Have the kernel emulate a processor; return which way that was reached."""
    processor = PROCESSORS.get(architecture)
    if processor is None:
        raise ToolchainError(
            f"Images for {architecture} cannot be built here.", to_do="name a builder that can, as slipway:builder."
        )
    entry, line = KERNEL / f"qemu-{processor}", LINES / f"qemu-{processor}.conf"
    if not line.exists():
        apt.install(context, step, (PACKAGE,), f"Building images for {architecture}")
    step.doing(f"registering an emulator of {architecture}")
    try:
        if not (KERNEL / "register").exists():
            run(
                ["mount", "-t", "binfmt_misc", "binfmt_misc", str(KERNEL)],
                log=context.log("emulators"),
                what="Mounting binfmt_misc",
                to_do="see the log; the kernel must have binfmt_misc, and this must run as root.",
                env=context.system_environ,
                timeout=ASK_SECONDS,
            )
        if entry.exists():
            entry.write_text("1", encoding="ascii")
        else:
            # Installing the package has registered it where systemd runs.
            (KERNEL / "register").write_text(line.read_text(encoding="ascii").strip(), encoding="ascii")
    except OSError as error:
        raise ToolchainError(
            f"The kernel takes no emulator of {architecture}: {error.strerror or error}.",
            to_do=f"run `docker run --privileged --rm tonistiigi/binfmt --install {architecture}`, or build on a "
            f"machine with that processor.",
        ) from error
    return f"emulated by Debian's {PACKAGE}, now registered with the kernel"


def _is_enabled(entry: Path) -> bool:
    try:
        return entry.read_text(encoding="ascii").startswith("enabled")
    except OSError:
        return False
