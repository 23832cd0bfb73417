"""What lies beside an image in a registry: signatures go along with it, and its base is known by its layers."""

import uuid

import httpx
import pytest

from cli.images.base_image import base_digest
from cli.images.copy import has_signature
from tests.system.small_images import INDEX, MANIFEST, SOURCE, pushing

pytestmark = pytest.mark.system


@pytest.fixture
def name():
    return f"supply-test-{uuid.uuid4().hex[:8]}/models/iris"


def _push(registry, name, *layers, tag=None, annotations=None):
    """Push an image, or what cosign makes of signatures; return its digest."""
    with pushing(registry, name) as push:
        listed = [push.blob(layer) | ({"annotations": annotations} if annotations else {}) for layer in layers]
        return push.manifest(MANIFEST, {"config": push.blob(b"{}"), "layers": listed}, tag)["digest"]


def _sign(registry, name, digest, *payloads):
    tag = f"{digest.replace(':', '-')}.sig"
    return _push(registry, name, *payloads, tag=tag, annotations={"dev.cosignproject.cosign/signature": "of this test"})


def _signature(registry, name, digest):
    path = f"http://{registry}/v2/{name}/manifests/{digest.replace(':', '-')}.sig"
    return httpx.get(path, headers={"Accept": MANIFEST}, trust_env=False, timeout=60).content


def test_a_signature_goes_along_with_its_image(target, name, copier):
    digest = _push(SOURCE, name, b"layer")
    source, there = f"{SOURCE}/{name}@{digest}", f"{target}/{name}@{digest}"
    copier.copy(source, there)
    assert not copier.copy_signature(source, there)
    assert not has_signature(there)

    # Signed after the image was copied.
    _sign(SOURCE, name, digest, b"payload")
    assert copier.copy_signature(source, there)
    assert has_signature(there)
    assert _signature(target, name, digest) == _signature(SOURCE, name, digest)


def test_signatures_that_the_target_has_beside_those_that_go_along_stay(target, name, copier):
    digest = _push(SOURCE, name, b"layer")
    source, there = f"{SOURCE}/{name}@{digest}", f"{target}/{name}@{digest}"
    copier.copy(source, there)
    _sign(SOURCE, name, digest, b"payload")
    _sign(target, name, digest, b"payload", b"the target's own")
    own = _signature(target, name, digest)
    assert copier.copy_signature(source, there)
    assert _signature(target, name, digest) == own

    # One that the target does not have goes over.
    _sign(SOURCE, name, digest, b"another")
    assert copier.copy_signature(source, there)
    assert _signature(target, name, digest) == _signature(SOURCE, name, digest)


def test_a_base_images_digest_is_told_while_its_tag_names_what_the_environment_begins_with(name):
    base, environment = f"{name.partition('/')[0]}/base", name.replace("models/iris", "environments")
    digest = _push(SOURCE, base, b"system", b"python", tag="3.11")
    built = f"{SOURCE}/{environment}:abc@{_push(SOURCE, environment, b'system', b'python', b'packages')}"
    assert base_digest(f"{SOURCE}/{base}:3.11", built) == digest
    # The local registry stands in for Docker Hub.
    assert base_digest(f"{base}:3.11", built) == digest
    assert base_digest(f"{SOURCE}/{base}:3.11@{digest}", built) == digest
    # The tag has moved on.
    _push(SOURCE, base, b"newer system", b"python", tag="3.11")
    assert base_digest(f"{SOURCE}/{base}:3.11", built) is None
    assert base_digest(f"{SOURCE}/{base}:missing", built) is None


def test_a_base_image_for_several_platforms_is_known_by_the_digest_that_all_of_them_have(name):
    base, environment = f"{name.partition('/')[0]}/base", name.replace("models/iris", "environments")
    children = [_push(SOURCE, base, b"arm"), _push(SOURCE, base, b"amd")]
    with pushing(SOURCE, base) as push:
        listed = [
            {"mediaType": MANIFEST, "digest": one, "size": 1, "platform": {"os": "linux", "architecture": kind}}
            for one, kind in zip(children, ("arm64", "amd64"), strict=True)
        ]
        index = push.manifest(INDEX, {"manifests": listed}, tag="latest")["digest"]
    built = f"{SOURCE}/{environment}@{_push(SOURCE, environment, b'amd', b'packages')}"
    assert base_digest(f"{SOURCE}/{base}", built) == index
