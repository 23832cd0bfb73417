"""Engine, registry and builder: where they are looked for, and how they are configured."""

import base64
import hashlib
import json
import os
import shutil
import socket
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.unit.toolchain_harness import context_in, serving
from toolchain import builder, docker_engine, registry, setup
from toolchain.context import context_of
from toolchain.engine_api import Engine
from toolchain.network import DOCKER_HUB, Network
from toolchain.oci import Registry
from toolchain.report import Report, Step, ToolchainError
from toolchain.users import Users


def test_the_users_engine_comes_first_and_alone():
    assert docker_engine.addresses({"DOCKER_HOST": "unix:///run/mine.sock"}) == ("unix:///run/mine.sock",)


def test_the_clients_context_is_followed(tmp_path):
    described = tmp_path / "contexts" / "meta" / hashlib.sha256(b"colima").hexdigest() / "meta.json"
    described.parent.mkdir(parents=True)
    described.write_text(json.dumps({"Name": "colima", "Endpoints": {"docker": {"Host": "unix:///c.sock"}}}))
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "colima"}))
    environ = {"DOCKER_CONFIG": str(tmp_path)}
    assert docker_engine.addresses(environ) == ("unix:///c.sock",)
    assert docker_engine.addresses({**environ, "DOCKER_CONTEXT": "default"})[0] == docker_engine.DEFAULT


@pytest.mark.parametrize("address", ["ssh://user@build", "tcp://10.1.2.3:2375", "tcp://build.example:2376"])
def test_an_engine_on_another_machine_is_refused_with_what_to_do(address):
    with pytest.raises(ToolchainError, match=r"another machine.\n.*docker context use default"):
        docker_engine.check_address(address)


@pytest.mark.parametrize("address", ["unix:///var/run/docker.sock", "tcp://localhost:2375", "tcp://127.0.0.1:2375"])
def test_an_engine_on_this_machine_is_fine(address):
    docker_engine.check_address(address)


def test_a_chosen_engine_that_does_not_answer_is_not_replaced_by_another(tmp_path):
    context = context_in(tmp_path, {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    with pytest.raises(ToolchainError, match=r"No Docker engine answers at .*none\.sock"):
        docker_engine.ensure(context, Step("Docker", sys.stderr))


def test_something_else_on_the_socket_is_not_an_engine():
    with serving({"/version": b"hello"}) as (address, _):
        assert Engine(address.replace("http", "tcp")).version() is None


def test_an_engine_tells_its_version():
    with serving({"/version": b'{"Version": "28.1.0"}'}) as (address, _):
        assert Engine(address.replace("http", "tcp")).version() == "28.1.0"


def test_an_engine_with_a_mirror_may_pull_what_this_machine_cannot():
    with serving({"/info": b'{"RegistryConfig": {"Mirrors": ["https://mirror/"]}}'}) as (address, _):
        assert Engine(address.replace("http", "tcp")).has_mirrors()
    with serving({"/info": b'{"RegistryConfig": {"Mirrors": null}}'}) as (address, _):
        assert not Engine(address.replace("http", "tcp")).has_mirrors()


def test_a_public_image_that_cannot_be_had_is_told_and_one_that_is_there_is_taken(tmp_path):
    closed, open_ = (
        Network(context_in(tmp_path / name, environ)) for name, environ in (("a", {"SLIPWAY_OFFICIAL": "0"}), ("b", {}))
    )
    open_.remember(DOCKER_HUB, reaches=True)
    step = Step("Registry", sys.stderr)
    with serving({"/images/there:1/json": b"{}", "/info": b"{}"}) as (address, _):
        engine = Engine(address.replace("http", "tcp"))
        assert registry.pulled(step, engine, closed, "there:1") is None
        assert registry.pulled(step, engine, closed, "none:1") == "Public images cannot be pulled"
        assert registry.pulled(step, engine, open_, "none:1").startswith("The Docker engine cannot pull none:1: ")
    # The next that wants one does not wait for it.
    assert not open_.reaches(DOCKER_HUB)


def test_a_port_taken_by_another_program_is_named_with_the_way_out(tmp_path):
    with serving({"/v2/": b"{}"}) as (address, _):
        context = context_in(tmp_path, registry_port=int(address.rpartition(":")[2]))
        with pytest.raises(ToolchainError, match=r"is taken by a program that is not an image registry") as raised:
            registry.ensure(context, Step("Registry", sys.stderr), Engine("unix:///none"), Network(context))
    assert "SLIPWAY_REGISTRY_PORT=" in raised.value.to_do


def test_a_port_taken_by_a_silent_program_is_named_too(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        context = context_in(tmp_path, registry_port=listener.getsockname()[1])
        listener.listen()
        listener.settimeout(0)
        with pytest.raises(ToolchainError, match="is taken by a program"):
            registry.ensure(context, Step("Registry", sys.stderr), Engine("unix:///none"), Network(context))


@pytest.mark.parametrize("value", ["http", "0", "65536", "-1", "\u0665"])
def test_a_port_that_is_none_is_refused(tmp_path, value):
    with pytest.raises(ToolchainError, match="SLIPWAY_REGISTRY_PORT is"):
        context_of(tmp_path, {"SLIPWAY_REGISTRY_PORT": value}, Report())


def test_the_registry_listens_on_loopback_and_lets_images_be_deleted():
    settings = yaml.safe_load(registry.configuration(Path("/data of mine"), 5051))
    assert settings["http"]["addr"] == "127.0.0.1:5051"
    assert settings["storage"]["delete"]["enabled"] is True
    assert settings["storage"]["filesystem"]["rootdirectory"] == "/data of mine"


def test_the_builder_looks_for_public_images_in_our_registry_first():
    settings = tomllib.loads(builder.configuration("localhost:5050"))
    assert settings["registry"]["docker.io"]["mirrors"] == ["localhost:5050"]
    assert settings["registry"]["localhost:5050"] == {"http": True, "insecure": True}
    assert "grpc" not in settings


def test_the_builder_on_the_host_listens_on_its_socket_only():
    settings = tomllib.loads(builder.configuration("localhost:5050", host=(Path("/d"), Path("/r"))))
    assert settings["grpc"]["address"] == ["unix:///r/buildkitd.sock"]
    assert settings["root"] == "/d"
    assert settings["worker"]["oci"]["gc"] is True


def test_the_builder_is_recorded_as_buildx_does(tmp_path):
    context = context_in(tmp_path, {"DOCKER_CONFIG": str(tmp_path / "docker")})
    builder.record(context, builder.instance("docker-container", "unix:///s", {"network": "host"}, "root = 1"))
    path = tmp_path / "docker" / "buildx" / "instances" / "slipway"
    found = json.loads(path.read_text())
    assert found["Name"] == "slipway"
    assert found["Nodes"][0]["Endpoint"] == "unix:///s"
    assert base64.b64decode(found["Nodes"][0]["Files"]["buildkitd.toml"]) == b"root = 1"
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_isolated_cache_keeps_its_builder_to_itself(tmp_path):
    assert builder.store(context_in(tmp_path, {"SLIPWAY_CACHE": "/c"})) == tmp_path / "cache" / "buildx"
    assert builder.store(context_in(tmp_path, {"SLIPWAY_CACHE": "/c", "BUILDX_CONFIG": "/b"})) == Path("/b")
    assert builder.store(context_in(tmp_path, {})) == Path.home() / ".docker" / "buildx"


@pytest.mark.skipif(sys.platform == "darwin", reason="there Docker Desktop is started")
@pytest.mark.parametrize(
    ("installed", "what", "to_do"),
    [
        (False, "There is no Docker engine on this machine.", "sudo apt-get install docker.io"),
        (True, "The Docker engine is installed but not running.", "sudo systemctl start docker"),
    ],
)
def test_a_user_who_may_not_provide_an_engine_is_told_what_to_do(tmp_path, monkeypatch, installed, what, to_do):
    monkeypatch.setattr(docker_engine, "DEFAULT", f"unix://{tmp_path}/none.sock")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda name, **_: f"/usr/sbin/{name}" if installed else None)
    context = context_in(tmp_path, {"DOCKER_CONFIG": str(tmp_path)})
    with pytest.raises(ToolchainError) as raised:
        docker_engine.ensure(context, Step("Docker", sys.stderr))
    assert raised.value.what == what
    assert to_do in raised.value.to_do


def engine_with(address):
    return Engine(address.replace("http", "tcp"))


LISTING = "/containers/json?all=1&filters=%7B%22label%22%3A%20%5B%22io.slipway.project%22%5D%7D"


def test_services_and_images_stay_while_a_model_has_a_container(tmp_path):
    def environ(address):
        return {"DOCKER_HOST": address.replace("http", "tcp"), "SLIPWAY_CACHE": str(tmp_path / "cache")}

    pages = {"/version": b'{"Version": "28"}', LISTING: b'[{"Names": ["/slipway-prod-iris"]}]'}
    with serving(pages) as (address, _):
        context = context_in(tmp_path, environ(address), root=tmp_path)
        Users(context.cache).add(tmp_path)
        setup.stop(context)
    assert "slipway-prod-iris" in context.report.stream.getvalue()
    assert Users(context.cache).all() == [tmp_path]


def test_an_engine_that_does_not_list_its_containers_is_no_engine_without_them():
    with serving({}) as (address, _), pytest.raises(ToolchainError, match="does not list its containers"):
        engine_with(address).labelled("io.slipway.project")


def test_the_images_of_a_registry_that_we_did_not_stop_are_kept(tmp_path):
    context = context_in(tmp_path)
    (context.cache.home / "registry").mkdir()
    with serving({}) as (address, _):
        assert "left as it is" in registry.stop(context, engine_with(address))
    assert (context.cache.home / "registry").is_dir()


@pytest.mark.parametrize(("service", "container"), [(registry, registry.CONTAINER), (builder, builder.CONTAINER)])
def test_a_container_of_another_cache_is_neither_taken_nor_removed(tmp_path, service, container):
    context = context_in(tmp_path, {"SLIPWAY_CACHE": str(tmp_path / "cache")})
    described = {"Config": {"Labels": {registry.LABEL: "other"}, "Env": [f"{builder.MARK}=other"]}}
    pages = {f"/containers/{container}/json": json.dumps(described).encode()}
    with serving(pages) as (address, asked), pytest.raises(ToolchainError, match="does not belong to this cache"):
        service._official(context, Step("", sys.stderr), engine_with(address), Network(context))
    assert set(asked) == set(pages)


def test_the_official_images_are_of_the_versions_that_are_locked(tmp_path):
    context = context_in(tmp_path)
    assert builder.image(context) == ("moby/buildkit", "v0.25.1")
    assert registry.image(context) == ("registry", "3")


def test_a_builder_with_other_settings_is_not_current(tmp_path):
    context = context_in(tmp_path)
    assert not builder._is_current(context)
    builder._settings(context).write_text(builder._host_configuration(context))
    assert builder._is_current(context)
    assert not builder._is_current(context_in(tmp_path, registry_port=5051))


def test_an_engine_or_registry_that_is_gone_is_a_message_with_what_to_do():
    with pytest.raises(ToolchainError, match=r"did not answer GET .*\n.*docker version"):
        Engine("tcp://127.0.0.1:1").container("x")
    with pytest.raises(ToolchainError, match=r"did not answer HEAD .*\nWhat to do"):
        Registry("localhost:1").digest("x", "1")
