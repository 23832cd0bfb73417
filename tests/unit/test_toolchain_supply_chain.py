"""syft, cosign and trivy: the user's own where we know how to call it, else the official release, checked."""

import hashlib
import io
import tarfile

import pytest

from tests.unit.toolchain_harness import context_in, serving
from toolchain import supply_chain
from toolchain.network import Network
from toolchain.report import Step, ToolchainError
from toolchain.supply_chain import COSIGN, SYFT, TRIVY


@pytest.fixture
def step():
    return Step("syft", io.StringIO())


def script(version):
    return f"#!/bin/sh\necho 'Version: {version}'\n".encode()


def own(folder, name, version):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(script(version))
    (folder / name).chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A server with releases of the tools in the place of GitHub's, and the context to use it with."""
    context = context_in(tmp_path, {"PATH": str(tmp_path)})
    pages = {"/": b"welcome"}
    for tool, asset in (
        (SYFT, "syft_{}_linux_amd64.tar.gz"),
        (COSIGN, "cosign-linux-amd64"),
        (TRIVY, "trivy_{}_Linux-64bit.tar.gz"),
    ):
        version = tool.version(context)
        name, content = asset.format(version), script(version)
        if name.endswith(".tar.gz"):
            archive = io.BytesIO()
            with tarfile.open(fileobj=archive, mode="w:gz") as out:
                entry = tarfile.TarInfo(tool.name)
                entry.size = len(content)
                out.addfile(entry, io.BytesIO(content))
            content = archive.getvalue()
        folder = f"/{tool.repository}/releases/download/v{version}"
        pages[f"{folder}/{name}"] = content
        checksum = f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode()
        pages[f"{folder}/{tool.checksums.format(version=version)}"] = checksum
    with serving(pages) as (address, asked):
        monkeypatch.setattr(supply_chain, "GITHUB", address)
        yield context, pages, asked


@pytest.mark.parametrize(("tool", "version"), [(SYFT, "1.40.2"), (COSIGN, "v2.6.1"), (TRIVY, "0.70.0")])
def test_the_users_own_is_used(tmp_path, step, tool, version):
    context = context_in(tmp_path, own(tmp_path / "bin", tool.name, version))
    found = supply_chain.ensure(context, step, Network(context), tool)
    assert found.path == tmp_path / "bin" / tool.name
    assert found.version == f"{tool.name} {version.removeprefix('v')}"


@pytest.mark.parametrize(("tool", "version"), [(SYFT, "0.99.0"), (COSIGN, "v2.1.0"), (COSIGN, "v3.0.2"), (TRIVY, "?")])
def test_one_that_takes_other_options_is_passed_over_for_the_official_release(published, tmp_path, step, tool, version):
    _, _, asked = published
    other = context_in(tmp_path, own(tmp_path / "bin", tool.name, version))
    found = supply_chain.ensure(other, step, Network(other), tool)
    assert found.taken == "official release downloaded"
    assert found.path.stat().st_mode & 0o111
    asked.clear()
    assert supply_chain.ensure(other, step, Network(other), tool).path == found.path
    assert asked == []


def test_a_release_with_another_checksum_is_refused_and_not_kept(published, step):
    context, pages, _ = published
    pages[next(path for path in pages if path.endswith("cosign-linux-amd64"))] += b"x"
    with pytest.raises(ToolchainError, match=r"The checksum of .* but .* was published: it was not used"):
        supply_chain.ensure(context, step, Network(context), COSIGN)
    assert list(context.cache.downloads.iterdir()) == []
    assert list(context.cache.tools.iterdir()) == []


def test_trivy_is_not_built_where_it_cannot_be_downloaded(tmp_path, step):
    context = context_in(tmp_path, {"PATH": str(tmp_path), "SLIPWAY_OFFICIAL": "0"})
    with pytest.raises(ToolchainError, match=r"trivy is not on PATH, and https://github\.com cannot") as refused:
        supply_chain.ensure(context, step, Network(context), TRIVY)
    assert "put trivy 0.50 or later on PATH" in refused.value.to_do
