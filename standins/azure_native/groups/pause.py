"""The container that holds a group's network: a program of a few instructions that sleeps, as an image of its own.

It has to come from somewhere that needs no download and no compiler, so its bytes are here. The group's other
containers may end and start again while it keeps the network and the published ports.
"""

from __future__ import annotations

import io
import struct
import tarfile
from typing import TYPE_CHECKING

from provider.resource import ProviderError

if TYPE_CHECKING:
    from standins.docker.engine import Engine

_REPOSITORY, _TAG = "slipway-azure-pause", "1"
IMAGE = f"{_REPOSITORY}:{_TAG}"
_BASE, _HEADERS = 0x400000, 64 + 56
# ELF's number of the machine, and: call pause() or ppoll(0, 0, 0, 0); again.
_PROGRAMS = {
    "amd64": (0x3E, bytes.fromhex("b822000000 0f05 ebf7".replace(" ", ""))),
    "arm64": (
        0xB7,
        struct.pack("<7I", 0xD2800928, 0xD2800000, 0xD2800001, 0xD2800002, 0xD2800003, 0xD4000001, 0x17FFFFFA),
    ),
}


def ensure(engine: Engine) -> None:
    """Have the image, unless the engine has it.

    Args:
        engine: Where.

    Raises:
        ProviderError: The engine is of an architecture that there is no program for.
    """
    if engine.inspect_image(IMAGE):
        return
    with engine.doing("look at the engine") as api:
        architecture = api.version()["Arch"]
    if architecture not in _PROGRAMS:
        raise ProviderError(f"the stand-in cannot run container groups on {architecture}")
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        program = elf(architecture)
        member = tarfile.TarInfo("pause")
        member.size, member.mode = len(program), 0o755
        archive.addfile(member, io.BytesIO(program))
    with engine.doing("make the image of container groups' networks") as api:
        api.import_image_from_data(data.getvalue(), repository=_REPOSITORY, tag=_TAG, changes=['ENTRYPOINT ["/pause"]'])


def elf(architecture: str) -> bytes:
    """Build the program.

    Args:
        architecture: amd64 or arm64.

    Returns:
        A static executable for Linux.
    """
    machine, code = _PROGRAMS[architecture]
    size = _HEADERS + len(code)
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return header + segment + code
