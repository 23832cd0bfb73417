"""Images made without an engine are the same bytes for the same content, and arrive in a real registry."""

import hashlib
import json
import os
import shutil
import tarfile

import pytest

from toolchain.oci import Registry, image_digest, index_of, write_image

PLATFORM = {"os": "linux", "architecture": "amd64"}
NEWEST = 1_700_000_000


def tree(folder, *, mtime):
    (folder / "usr" / "bin").mkdir(parents=True)
    program = folder / "usr" / "bin" / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    os.link(program, folder / "usr" / "bin" / "same")
    (folder / "bin").symlink_to("usr/bin")
    os.mkfifo(folder / "usr" / "pipe")
    for path in [program, folder / "usr" / "bin", folder / "usr"]:
        os.utime(path, (mtime, mtime))
    os.utime(folder / "bin", (mtime, mtime), follow_symlinks=False)
    os.utime(folder / "usr" / "pipe", (mtime, mtime))
    return folder


def image(folder, rootfs):
    folder.mkdir()
    write_image(rootfs, folder, settings={"Cmd": ["program"]}, platform=PLATFORM, newest=NEWEST)
    return folder


def test_the_same_content_made_elsewhere_and_later_is_the_same_image(tmp_path):
    first = image(tmp_path / "1", tree(tmp_path / "a", mtime=NEWEST + 10))
    second = image(tmp_path / "2", tree(tmp_path / "elsewhere" / "b", mtime=NEWEST + 99))
    assert image_digest(first) == image_digest(second)


def test_another_mode_is_another_image(tmp_path):
    rootfs = tree(tmp_path / "a", mtime=NEWEST)
    first = image(tmp_path / "1", rootfs)
    (rootfs / "usr" / "bin" / "program").chmod(0o700)
    assert image_digest(first) != image_digest(image(tmp_path / "2", rootfs))


def test_a_layer_keeps_links_and_modes_but_no_devices_of_its_own(tmp_path):
    folder = image(tmp_path / "1", tree(tmp_path / "a", mtime=NEWEST))
    with tarfile.open(folder / "layer", "r:gz") as layer:
        found = {entry.name: entry for entry in layer}
    assert sorted(found) == ["bin", "usr", "usr/bin", "usr/bin/program", "usr/bin/same"]
    assert found["bin"].linkname == "usr/bin"
    assert found["usr/bin/same"].linkname == "usr/bin/program"
    assert found["usr/bin/program"].mode == 0o755


@pytest.mark.system
def test_a_pushed_image_is_in_the_registry_under_its_digest_until_it_is_deleted(tmp_path):
    folder = image(tmp_path / "1", tree(tmp_path / "a", mtime=NEWEST))
    registry = Registry(os.environ.get("SLIPWAY_REGISTRY", "localhost:5050"))
    registry.push(folder, "slipway-test/oci", "1", print)
    assert registry.digest("slipway-test/oci", "1") == image_digest(folder)
    registry.push(folder, "slipway-test/oci", "1", print)
    registry.delete("slipway-test/oci", "1")
    assert registry.digest("slipway-test/oci", "1") is None
    shutil.rmtree(folder)


@pytest.mark.system
def test_images_of_several_platforms_are_in_the_registry_under_the_digest_of_their_index(tmp_path):
    folders = [image(tmp_path / "1", tree(tmp_path / "a", mtime=NEWEST)), tmp_path / "2"]
    folders[1].mkdir()
    arm = {"os": "linux", "architecture": "arm", "variant": "v7"}
    write_image(tmp_path / "a", folders[1], settings={}, platform=arm, newest=NEWEST)
    content = index_of(folders)
    assert [one["platform"] for one in json.loads(content)["manifests"]] == [PLATFORM, arm]
    registry = Registry(os.environ.get("SLIPWAY_REGISTRY", "localhost:5050"))
    registry.push_index(folders, "slipway-test/oci-index", "1", print)
    assert registry.digest("slipway-test/oci-index", "1") == f"sha256:{hashlib.sha256(content).hexdigest()}"
    for folder in folders:
        assert registry.digest("slipway-test/oci-index", image_digest(folder)) == image_digest(folder)
    registry.delete("slipway-test/oci-index", "1")
    assert registry.digest("slipway-test/oci-index", "1") is None


def test_the_settings_are_in_the_image(tmp_path):
    folder = image(tmp_path / "1", tree(tmp_path / "a", mtime=NEWEST))
    config = json.loads((folder / "config.json").read_text())
    assert config["config"] == {"Cmd": ["program"]}
    assert config["architecture"] == "amd64"
    assert len(config["rootfs"]["diff_ids"]) == 1
