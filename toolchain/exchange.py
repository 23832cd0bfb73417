"""The root file system of another processor, from that of this machine: the same packages, with other programs in them.

Nothing is run: emulated, the packages' own scripts take minutes, and what they write is the same for every processor.
"""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain.report import ToolchainError

if TYPE_CHECKING:
    from collections.abc import Iterable

_INSTALLED = "Status: install ok installed"
# Written for the programs of one processor; without it the loader looks where Debian has its libraries.
_WRITTEN = ("etc/ld.so.cache", "var/cache/ldconfig/aux-cache", "var/lib/dpkg/status-old")
_SECONDS = 120.0


def exchange(rootfs: Path, packages: Iterable[Path]) -> None:
    """Exchange the packages of a root file system that Debian has for each processor by themselves.

    Args:
        rootfs: With all of its packages configured.
        packages: The .deb files of the other processor, with all that the file system is to have.

    Raises:
        ToolchainError: If a package cannot be read.
    """
    status, info = rootfs / "var/lib/dpkg/status", rootfs / "var/lib/dpkg/info"
    found = {_field(one, "Package"): one for one in status.read_text(encoding="utf-8").split("\n\n") if one.strip()}
    known = {name: one for name, one in found.items() if _field(one, "Architecture") == "all"}
    before = set()
    for part in info.iterdir():
        if part.name.rpartition(".")[0].partition(":")[0] in found.keys() - known.keys():
            before.update(_listed(part))
            part.unlink()
    for package in sorted(packages):
        control = _output("dpkg-deb", "--field", str(package)).decode()
        name = _field(control, "Package")
        if name not in known:
            known[name] = _installed(control, _unpack(rootfs, info, package, control))
    after = {line for part in info.iterdir() for line in _listed(part)}
    for line in sorted(before - after, reverse=True):
        _remove(rootfs / line.lstrip("/"))
    status.write_text("".join(f"{known[name].strip()}\n\n" for name in sorted(known)), encoding="utf-8")
    for written in _WRITTEN:
        (rootfs / written).unlink(missing_ok=True)


def _listed(part: Path) -> list[str]:
    return part.read_text(encoding="utf-8").splitlines() if part.suffix == ".list" else []


def _field(paragraph: str, name: str) -> str:
    value = re.search(rf"^{name}: (.*)$", paragraph, re.MULTILINE)
    return value[1] if value else ""


def _installed(control: str, conffiles: list[str]) -> str:
    """A package's paragraph in dpkg's database."""
    first, _, rest = control.partition("\n")
    listed = ["Conffiles:", *(f" {one}" for one in conffiles)] if conffiles else []
    return "\n".join([first, _INSTALLED, rest.strip(), *listed])


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir() and not any(path.iterdir()):
        path.rmdir()


def _unpack(rootfs: Path, info: Path, package: Path, control: str) -> list[str]:
    """Unpack a package and what dpkg keeps of it; return its configuration files, each with its hash."""
    names = []
    content = io.BytesIO(_output("dpkg-deb", "--fsys-tarfile", str(package)))
    with tarfile.open(fileobj=content) as archive:
        for entry in archive:
            names.append(entry.name.removeprefix(".").rstrip("/") or "/.")
            path = rootfs / entry.name
            # A folder that is a link here, as /bin or /var/run, stays one.
            if entry.isdir() and path.is_symlink():
                continue
            if not entry.isdir():
                path.unlink(missing_ok=True)
            archive.extract(entry, rootfs, numeric_owner=True, filter="fully_trusted")
    same = _field(control, "Multi-Arch") == "same"
    prefix = _field(control, "Package") + (f":{_field(control, 'Architecture')}" if same else "")
    (info / f"{prefix}.list").write_text("".join(f"{one}\n" for one in names), encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="slipway-control-") as folder:
        _output("dpkg-deb", "--control", str(package), folder)
        for part in Path(folder).iterdir():
            if part.name != "control":
                (info / f"{prefix}.{part.name}").write_bytes(part.read_bytes())
                (info / f"{prefix}.{part.name}").chmod(part.stat().st_mode & 0o777)
    conffiles = info / f"{prefix}.conffiles"
    files = conffiles.read_text(encoding="utf-8").splitlines() if conffiles.exists() else []
    return [f"{one} {hashlib.md5((rootfs / one[1:]).read_bytes(), usedforsecurity=False).hexdigest()}" for one in files]


def _output(*command: str) -> bytes:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise ToolchainError(f"{command[0]} failed: {''.join(said)}", to_do="run it again: packages are fetched anew.")
    return done.stdout
