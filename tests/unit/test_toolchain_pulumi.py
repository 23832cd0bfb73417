"""Pulumi: the user's own where it is new enough, else the official release, checked before it is used."""

import hashlib
import io
import tarfile
from types import SimpleNamespace

import pytest

from tests.unit.toolchain_harness import context_in, serving
from toolchain import gobuild, plugins, pulumi
from toolchain.network import Network
from toolchain.report import Step, ToolchainError
from toolchain.versions import locked


@pytest.fixture
def step():
    return Step("Pulumi", io.StringIO())


def own_pulumi(folder, version):
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("pulumi", pulumi.LANGUAGE_HOST):
        (folder / name).write_text(f"#!/bin/sh\necho v{version}\n")
        (folder / name).chmod(0o755)
    return folder / "pulumi"


def release(context):
    """Return the pages of a release of the locked version, whose programs are scripts."""
    version = locked(context.root / "requirements.lock", "pulumi")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as out:
        for name in ("pulumi", "pulumi-language-python"):
            content = f"#!/bin/sh\necho v{version}\n".encode()
            entry = tarfile.TarInfo(f"pulumi/{name}")
            entry.size = len(content)
            out.addfile(entry, io.BytesIO(content))
    name = pulumi.archive_name(version, "linux", "amd64")
    checksum = hashlib.sha256(archive.getvalue()).hexdigest()
    return {
        "/": b"installer",
        f"/releases/sdk/{name}": archive.getvalue(),
        f"/releases/sdk/pulumi-{version}-checksums.txt": f"{'0' * 64}  other.tar.gz\n{checksum}  {name}\n".encode(),
    }


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A server with the release in the place of the official one, and the context to use it with."""
    context = context_in(tmp_path)
    pages = release(context)
    with serving(pages) as (address, asked):
        monkeypatch.setattr(pulumi, "PULUMI_RELEASES", address)
        yield context, pages, asked


def test_the_users_own_pulumi_is_used(tmp_path, step):
    program = own_pulumi(tmp_path / "bin", "3.220.1")
    context = context_in(tmp_path, {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"})
    found, taken = pulumi.ensure(context, step, Network(context))
    assert found == program
    assert taken.line == f"v3.220.1 found on PATH ({program})"
    assert dict(taken.env) == {}


def test_the_release_is_downloaded_where_the_users_pulumi_is_too_old(published, tmp_path, step):
    context, _, _ = published
    own_pulumi(tmp_path / "bin", "3.100.0")
    older = context_in(tmp_path, {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"})
    found, taken = pulumi.ensure(older, step, Network(context))
    assert "official release downloaded" in taken.line
    assert context.cache.tools in found.parents


def test_a_downloaded_release_is_used_again_without_the_network(published, step):
    context, _, asked = published
    first, _ = pulumi.ensure(context, step, Network(context))
    asked.clear()
    again, taken = pulumi.ensure(context, step, Network(context))
    assert again == first
    assert asked == []
    assert first.stat().st_mode & 0o111
    assert dict(taken.env)["PULUMI_HOME"] == str(context.cache.home / "pulumi-home")


def test_the_pulumi_in_our_own_cache_on_path_is_not_taken_for_the_users(published, step):
    context, _, _ = published
    found, first = pulumi.ensure(context, step, Network(context))
    with_env = context_in(context.cache.home.parent, {"PATH": f"{found.parent}:/usr/bin:/bin"})
    assert pulumi.ensure(with_env, step, Network(with_env))[1].env == first.env


def test_a_release_with_another_checksum_is_refused_and_not_kept(published, step):
    context, pages, _ = published
    archive = next(path for path in pages if path.endswith(".tar.gz"))
    pages[archive] += b"x"
    with pytest.raises(ToolchainError, match=r"The checksum of .* but .* was published: it was not used"):
        pulumi.ensure(context, step, Network(context))
    assert list(context.cache.downloads.iterdir()) == []
    assert list(context.cache.tools.iterdir()) == []


@pytest.mark.parametrize(
    ("system", "architecture", "expected"),
    [
        ("linux", "amd64", "pulumi-v3.259.0-linux-x64.tar.gz"),
        ("darwin", "arm64", "pulumi-v3.259.0-darwin-arm64.tar.gz"),
    ],
)
def test_a_release_is_named_as_it_is_published(system, architecture, expected):
    assert pulumi.archive_name("3.259.0", system, architecture) == expected


def test_the_built_engine_reports_the_locked_version(tmp_path):
    context = context_in(tmp_path)
    version = locked(context.root / "requirements.lock", "pulumi")
    assert gobuild.PULUMI.linker_flags(context).endswith(f"sdk/v3/go/common/version.Version=v{version}")
    version = locked(context.root / "requirements.lock", "pulumi-docker-build")
    assert gobuild.DOCKER_BUILD.linker_flags(context).endswith(f"provider.Version={version}")


def test_an_interrupted_plugin_download_does_not_count(tmp_path):
    folder = tmp_path / "plugins" / "resource-docker-v5.2.0"
    assert not plugins.installed(tmp_path, "docker", "5.2.0")
    folder.mkdir(parents=True)
    (folder / "pulumi-resource-docker").write_text("")
    (tmp_path / "plugins" / "resource-docker-v5.2.0.partial").write_text("")
    assert not plugins.installed(tmp_path, "docker", "5.2.0")
    (tmp_path / "plugins" / "resource-docker-v5.2.0.partial").unlink()
    assert plugins.installed(tmp_path, "docker", "5.2.0")
    assert not plugins.installed(tmp_path, "docker", "5.1.0")


@pytest.mark.parametrize(
    ("downloaded", "on_path"),
    [
        # Azure's is there in any case: SLIPWAY_AZURE=stand-in asks for it, else it hands over to the official one.
        ({"docker-build", "docker", "azure-native", "kubernetes"}, ["azure-native"]),
        ({"docker-build", "docker", "azure-native"}, ["azure-native", "kubernetes"]),
        ({"docker-build", "docker"}, ["azure-native", "kubernetes"]),
        # Docker's lies in the folder of all of them.
        ({"docker-build"}, [""]),
    ],
)
def test_stand_ins_are_on_the_path_where_they_may_be_wanted(monkeypatch, tmp_path, downloaded, on_path):
    monkeypatch.setattr(plugins, "official", lambda *arguments, **_: arguments[5] in downloaded)
    monkeypatch.setattr(plugins, "locked", lambda *_: "1.0.0")
    monkeypatch.setattr(gobuild, "built", lambda *_: None)
    taken = plugins.ensure(SimpleNamespace(root=tmp_path), None, None, None, None)
    assert list(taken.path) == [tmp_path / "standins/bin" / name for name in on_path]
