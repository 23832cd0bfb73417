"""Images of a few bytes, pushed as builders and cosign push theirs."""

import hashlib
import json
import os
from contextlib import contextmanager

import httpx

SOURCE = os.environ.get("SLIPWAY_REGISTRY") or "localhost:5050"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def digest_of(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Pushing:
    """Pushes to one repository; each part is returned as others name it: media type, digest and size."""

    def __init__(self, client, name):
        self._client, self._name = client, name

    def blob(self, content):
        place = self._client.post(f"/v2/{self._name}/blobs/uploads/").raise_for_status().headers["Location"]
        self._client.put(httpx.URL(place).copy_merge_params({"digest": digest_of(content)}), content=content)
        return {"mediaType": "application/octet-stream", "digest": digest_of(content), "size": len(content)}

    def manifest(self, kind, value, tag=None):
        content = json.dumps({"schemaVersion": 2, "mediaType": kind, **value}).encode()
        path = f"/v2/{self._name}/manifests/{tag or digest_of(content)}"
        self._client.put(path, content=content, headers={"Content-Type": kind}).raise_for_status()
        return {"mediaType": kind, "digest": digest_of(content), "size": len(content)}


@contextmanager
def pushing(registry, name):
    with httpx.Client(base_url=f"http://{registry}", trust_env=False, timeout=60) as client:
        yield Pushing(client, name)
