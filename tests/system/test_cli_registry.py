"""Removing a project's images from the registry on this machine: the real registry, with images of a few bytes."""

import hashlib
import json
import os
import uuid

import httpx
import pytest

from cli.errors import CliError
from cli.images.names import is_local
from cli.images.removal import remove_tags

pytestmark = pytest.mark.system

REGISTRY = os.environ.get("SLIPWAY_REGISTRY") or "localhost:5050"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture(scope="module")
def client():
    with httpx.Client(base_url=f"http://{REGISTRY}", trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture
def project():
    return f"cli-test-{uuid.uuid4().hex[:8]}"


def _push(client, repository, content, *tags):
    blob = json.dumps({"content": content}).encode()
    digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
    upload = client.post(f"/v2/{repository}/blobs/uploads/").raise_for_status().headers["Location"]
    client.put(httpx.URL(upload).copy_merge_params({"digest": digest}), content=blob).raise_for_status()
    descriptor = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": len(blob)}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor, "layers": []})
    for tag in tags:
        url = f"/v2/{repository}/manifests/{tag}"
        client.put(url, content=manifest, headers={"Content-Type": MANIFEST}).raise_for_status()


def _tags(client, repository):
    return set(client.get(f"/v2/{repository}/tags/list").json().get("tags") or [])


def test_all_tags_of_the_project_go_and_others_stay(client, project):
    _push(client, f"{project}/models/iris", "one", "1-aaa")
    # Two tags of the same content: the first deletion takes both.
    _push(client, f"{project}/models/iris", "two", "2-bbb", "2-ccc")
    _push(client, f"{project}/environments", "three", "ddd")
    _push(client, f"{project}-else/models/iris", "one", "1-aaa")
    assert remove_tags(f"{REGISTRY}/{project}") == 4
    assert _tags(client, f"{project}/models/iris") == set()
    assert _tags(client, f"{project}/environments") == set()
    assert _tags(client, f"{project}-else/models/iris") == {"1-aaa"}
    assert remove_tags(f"{REGISTRY}/{project}") == 0
    assert remove_tags(f"{REGISTRY}/{project}-else") == 1


def test_a_registry_that_is_not_there_is_named():
    with pytest.raises(CliError, match="The registry localhost:1 does not answer"):
        remove_tags("localhost:1/shop")


def test_only_registries_on_this_machine_are_local():
    for local in ("localhost:5050", "127.0.0.1:5000/team", "localhost", "[::1]:5050"):
        assert is_local(local)
    for remote in ("registry.example.com", "localhost.example.com:5050", "team/localhost:5050", "10.0.0.1:5050"):
        assert not is_local(remote)
