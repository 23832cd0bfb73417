"""An image with nginx, from the system's program or Debian's package: not every machine can pull the published one."""

import io
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

# nginx's workers are of the user that it was built for; Debian's is nobody.
PASSWD = b"root:x:0:0:root:/:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n"
GROUP = b"root:x:0:\nnogroup:x:65534:\n"
FOLDERS = ("etc", "tmp", "run", "var/lib/nginx", "var/log/nginx", "usr/share/nginx")


def pushed(engine, repository, folder):
    """Make the image and push it; return its name with its digest.

    Args:
        engine: A client of the Docker engine.
        repository: Its name, with the registry.
        folder: Where a package may be unpacked.
    """
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name in FOLDERS:
            member = tarfile.TarInfo(name)
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(member)
        for name, content in (("etc/passwd", PASSWD), ("etc/group", GROUP)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        program = _program(folder)
        for name, source in [("usr/sbin/nginx", program), *_libraries(program)]:
            archive.add(Path(source).resolve(), name)
    engine.api.import_image_from_data(
        data.getvalue(), repository=repository, tag="1", changes=["ENV PATH=/usr/sbin", 'CMD ["nginx"]']
    )
    digest = None
    for line in engine.images.push(repository, "1", stream=True, decode=True):
        assert "error" not in line, line
        digest = line.get("aux", {}).get("Digest", digest)
    engine.images.remove(f"{repository}:1")
    return f"{repository}@{digest}"


def _program(folder):
    if found := shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin"):
        return Path(found)
    if not shutil.which("apt-get"):
        pytest.skip("there is no nginx, and no apt-get to have it from")
    for command in (["apt-get", "update"], ["apt-get", "download", "nginx"]):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    [package] = [*folder.glob("nginx_*.deb")] or pytest.fail(f"apt-get has no nginx: {done.stderr}")
    subprocess.run(["dpkg-deb", "-x", package, folder / "unpacked"], check=True, timeout=60)
    return folder / "unpacked/usr/sbin/nginx"


def _libraries(program):
    """What it is linked with, by the loader's own word: names in the image, files here."""
    told = subprocess.run(["ldd", program], capture_output=True, text=True, timeout=60, check=True).stdout
    assert "not found" not in told, told
    return [(path.lstrip("/"), path) for path in re.findall(r"(/\S+) \(0x", told)]
