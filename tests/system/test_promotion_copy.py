"""Copying images by digest between two real registries, with images of a few bytes."""

import os
import uuid

import httpx
import pytest

from cli.errors import CliError
from cli.images.connection import RegistryError
from cli.images.copy import image_size
from cli.images.registry import Registry
from tests.system.small_images import INDEX, MANIFEST, SOURCE, digest_of, pushing

pytestmark = pytest.mark.system


@pytest.fixture
def name():
    return f"copy-test-{uuid.uuid4().hex[:8]}/models/iris"


def _push(name, layers, registry=SOURCE):
    """Push an image with an index around it, as builders with attestations make them; return its digest."""
    with pushing(registry, name) as push:
        layers = [push.blob(layer) for layer in layers]
        image = push.manifest(MANIFEST, {"config": push.blob(b"{}"), "layers": layers})
        provenance = {"config": push.blob(b'{"a":1}'), "layers": [push.blob(b"provenance")]}
        attestation = push.manifest(MANIFEST, provenance)
        return push.manifest(INDEX, {"manifests": [image, attestation]})["digest"]


def _get(registry, name, digest):
    path = f"http://{registry}/v2/{name}/manifests/{digest}"
    return httpx.get(path, headers={"Accept": f"{INDEX}, {MANIFEST}"}, trust_env=False, timeout=60)


def test_an_image_arrives_whole_under_the_same_digest_and_a_second_copy_sends_nothing(target, name, copier):
    layers = [os.urandom(3_000_000), b"small"]
    digest = _push(name, layers)
    sent = copier.copy(f"{SOURCE}/{name}@{digest}", f"{target}/{name}@{digest}")
    assert sent == sum(map(len, layers)) + len(b"{}") + len(b'{"a":1}') + len(b"provenance")
    assert _get(target, name, digest).content == _get(SOURCE, name, digest).content
    for layer in layers:
        there = httpx.get(f"http://{target}/v2/{name}/blobs/{digest_of(layer)}", trust_env=False, timeout=60)
        assert there.content == layer
    assert copier.copy(f"{SOURCE}/{name}@{digest}", f"{target}/{name}@{digest}") == 0


def test_a_layer_that_two_models_share_is_sent_once(target, name, copier):
    shared = os.urandom(100_000)
    other = name.replace("iris", "digits")
    one, two = _push(name, [shared, b"one"]), _push(other, [shared, b"two"])
    copier.copy(f"{SOURCE}/{name}@{one}", f"{target}/{name}@{one}")
    assert copier.copy(f"{SOURCE}/{other}@{two}", f"{target}/{other}@{two}") < len(shared)
    assert _get(target, other, two).status_code == 200


def test_within_a_registry_nothing_is_sent_and_to_the_same_place_nothing_is_done(name, copier):
    digest = _push(name, [os.urandom(50_000)])
    elsewhere = f"team/{name}"
    assert copier.copy(f"{SOURCE}/{name}@{digest}", f"{SOURCE}/{elsewhere}@{digest}") == 0
    assert _get(SOURCE, elsewhere, digest).status_code == 200
    assert copier.copy(f"{SOURCE}/{name}@{digest}", f"{SOURCE}/{name}@{digest}") == 0


def test_an_image_that_is_not_there_is_named(target, name, copier):
    digest = "sha256:" + "0" * 64
    with pytest.raises(RegistryError, match=rf"{SOURCE} does not have {name}@{digest} \(HTTP 404\)"):
        copier.copy(f"{SOURCE}/{name}@{digest}", f"{target}/{name}@{digest}")


def test_a_registry_that_is_not_there_is_asked_again_and_then_named():
    waited = []
    registry = Registry("localhost:1", wait=waited.append)
    with pytest.raises(CliError, match="The registry localhost:1 does not answer"):
        registry.has("blobs", "x", "sha256:" + "0" * 64)
    assert waited == [0.5, 1.0, 2.0]


def test_the_size_of_an_image_is_that_of_its_layers(name):
    digest = _push(name, [b"a" * 1000, b"b" * 500])
    assert image_size(f"{SOURCE}/{name}@{digest}") == 1500
    assert image_size(f"{SOURCE}/{name}:missing") is None
    assert image_size("localhost:1/x:y") is None
