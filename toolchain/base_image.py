"""The base image: pulled by the builder when first needed, else made from Debian's packages, under the same name.

For other processors than this machine's it is made when a deployment asks for them; the name is then that of an index.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain import apt
from toolchain.context import Taken
from toolchain.exchange import exchange
from toolchain.network import DOCKER_HUB
from toolchain.oci import Registry, image_digest, index_of, write_image
from toolchain.process import capture, run
from toolchain.tools import Tools

if TYPE_CHECKING:
    from toolchain.context import Context
    from toolchain.network import Network
    from toolchain.report import Step

NAME = "Base image"
REPOSITORY = "library/python"
TAG = "3.11-slim"
RELEASE = "bookworm"  # The Debian release whose Python is 3.11, and the one the official image was long made of.
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PACKAGES = ("python3-minimal", "python3-venv", "python3-pip", "ca-certificates", "libgomp1", "netbase", "tzdata")
# What differs between two makings of the same packages, or serves nobody in an image.
UNWANTED = (
    "dev/*",
    "etc/apt/apt.conf.d/*proxy*",
    "etc/hostname",
    "etc/machine-id",
    "etc/resolv.conf",
    "proc/*",
    "run/*",
    "sys/*",
    "tmp/*",
    "usr/share/doc/*/[!c]*",
    "usr/share/info/*",
    "usr/share/locale/*",
    "usr/share/man/*",
    "var/cache/*",
    "var/lib/apt/lists/*",
    "var/lib/dpkg/*-old",
    "var/lib/systemd/*",
    "var/log/*",
    "var/tmp/*",
    "**/__pycache__",
)
# The official image's names for its interpreter.
LINKS = {"usr/local/bin/python": "/usr/bin/python3", "usr/local/bin/python3": "/usr/bin/python3"}
SETTINGS = {
    "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"],
    "Cmd": ["python3"],
}
DEBOOTSTRAP_SECONDS = 1800.0
# Debian's names of architectures, by those of images.
PORTS = {"amd64": "amd64", "arm64": "arm64", "arm": "armhf"}
VARIANTS = {"arm": {"variant": "v7"}}


def _tool_name(architecture: str) -> str:
    recipe = json.dumps([RELEASE, PACKAGES, UNWANTED, LINKS, SETTINGS])
    return f"python-{TAG}-linux-{architecture}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def ensure(context: Context, step: Step, network: Network) -> Taken:
    """Make sure that the builder can get the base image.

    Raises:
        ToolchainError: If it can neither be pulled nor made.
    """
    name = f"python:{TAG}"
    tools = Tools(context.cache)
    made = _tool_name(context.architecture)
    registry = Registry(context.registry)
    there = tools.ready(made)
    # Once made it stays: another base image would be a change of every model's image, out of the blue.
    if (not there or context.official) and network.reaches(DOCKER_HUB):
        registry.delete(REPOSITORY, TAG)
        return Taken(NAME, f"{name}: official, pulled when first needed")
    if not there:
        tools.install(made, lambda folder: _make(context, step, folder))
    how = f"{name}: made from Debian {RELEASE}'s packages"
    return Taken(NAME, f"{how}, {_push(context, step)}")


def lacks(context: Context, architecture: str) -> bool:
    """Tell whether the base image was made here, and not for another processor; what is pulled is for all of them."""
    tools = Tools(context.cache)
    return tools.ready(_tool_name(context.architecture)) and not tools.ready(_tool_name(architecture))


def ensure_for(context: Context, step: Step, architecture: str) -> Taken:
    """Make the base image for another processor too.

    Args:
        context: This run.
        step: Where the progress is shown.
        architecture: As images name it: amd64, arm64, arm.

    Raises:
        ToolchainError: If it cannot be made.
    """
    made = _tool_name(architecture)
    Tools(context.cache).install(made, lambda folder: _make_for(context, step, folder, architecture))
    how = _push(context, step)
    return Taken(NAME, f"python:{TAG} for {architecture}: made from Debian {RELEASE}'s packages, {how}")


def _push(context: Context, step: Step) -> str:
    """Push what was made, for each processor that it was made for; return what was done."""
    tools, registry = Tools(context.cache), Registry(context.registry)
    folders = [tools.folder(name) for one in PORTS if tools.ready(name := _tool_name(one))]
    if len(folders) == 1:
        digest = image_digest(folders[0])
    else:
        digest = f"sha256:{hashlib.sha256(index_of(folders)).hexdigest()}"
    if registry.digest(REPOSITORY, TAG) == digest:
        return "in the registry"
    if len(folders) == 1:
        registry.push(folders[0], REPOSITORY, TAG, step.doing)
    else:
        registry.push_index(folders, REPOSITORY, TAG, step.doing)
    return f"pushed to {context.registry}"


def mirror(context: Context) -> str | None:
    """Return the package server to make the image from, where this machine uses a Debian one.

    None stands for debootstrap's own.
    """
    # Other publishers' packages for this release carry its codename too.
    fields = ("Origin: Debian", f"Codename: {RELEASE}")
    told = capture(["apt-get", "indextargets", "--format", "$(REPO_URI)", *fields], env=context.environ)
    found = told.split() if told else []
    return found[0].rstrip("/") if found else None


def _make(context: Context, step: Step, folder: Path) -> None:
    step.doing(f"making it from Debian {RELEASE}'s packages")
    rootfs = folder / "rootfs"
    _debootstrap(context, step, rootfs, context.architecture)
    _pack(context.architecture, step, rootfs, folder)


def _make_for(context: Context, step: Step, folder: Path, architecture: str) -> None:
    """Make the image for another processor from that of this machine's and the packages for the other."""
    step.doing(f"making it for {architecture} from Debian {RELEASE}'s packages")
    packages, rootfs = folder / "packages", folder / "rootfs"
    _debootstrap(context, step, packages, architecture, "--download-only")
    with tarfile.open(Tools(context.cache).folder(_tool_name(context.architecture)) / "layer") as layer:
        layer.extractall(rootfs, numeric_owner=True, filter="fully_trusted")  # noqa: S202 - we packed it ourselves
    exchange(rootfs, packages.glob("var/cache/apt/archives/*.deb"))
    shutil.rmtree(packages)
    _pack(architecture, step, rootfs, folder)


def _debootstrap(context: Context, step: Step, rootfs: Path, architecture: str, *options: str) -> None:
    if context.which("debootstrap") is None or not KEYRING.exists() or context.which("gpgv") is None:
        packages = ("debootstrap", "debian-archive-keyring", "gpgv")
        apt.install(context, step, packages, f"Making the base image python:{TAG}")
    run(
        [
            context.which("debootstrap") or "debootstrap",
            "--variant=minbase",
            "--force-check-gpg",
            f"--keyring={KEYRING}",
            f"--include={','.join(PACKAGES)}",
            f"--arch={PORTS[architecture]}",
            *options,
            RELEASE,
            str(rootfs),
            *filter(None, [mirror(context)]),
        ],
        log=context.log("base-image"),
        what="Making the base image",
        to_do="see the log; Debian's package server must be reachable, or Docker Hub (SLIPWAY_OFFICIAL=1).",
        env=context.system_environ,
        timeout=DEBOOTSTRAP_SECONDS,
    )


def _pack(architecture: str, step: Step, rootfs: Path, folder: Path) -> None:
    newest = _newest_package_file(rootfs)
    for pattern in UNWANTED:
        for path in rootfs.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    for link, target in LINKS.items():
        (rootfs / link).unlink(missing_ok=True)
        (rootfs / link).symlink_to(target)
    step.doing("packing it")
    platform = {"os": "linux", "architecture": architecture, **VARIANTS.get(architecture, {})}
    write_image(rootfs, folder, settings=SETTINGS, platform=platform, newest=newest)
    shutil.rmtree(rootfs)


def _newest_package_file(rootfs: Path) -> int:
    """Return the date of the newest file that came out of a package: what is later was written here and now."""
    lists = rootfs / "var" / "lib" / "dpkg" / "info"
    newest = 0
    for listing in lists.glob("*.list"):
        for line in listing.read_text(encoding="utf-8").splitlines():
            path = rootfs / line.lstrip("/")
            if path.is_file() and not path.is_symlink():
                newest = max(newest, int(path.stat().st_mtime))
    return newest
