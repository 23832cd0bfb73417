"""Names of registries and images, and their platforms, as the manifest and the stack's configuration take them."""

from typing import Annotated, Literal

from manifest.fields import matching

# 1 to 65535.
_PORT = "(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
HOST = rf"[a-z0-9]+(?:[.-][a-z0-9]+)*(?::{_PORT})?"
Platform = Literal["linux/amd64", "linux/arm64", "linux/arm/v7"]
_REPOSITORY = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
Registry = Annotated[
    str,
    matching(
        rf"{HOST}(?:/{_REPOSITORY})*",
        'a registry as in "localhost:5050" or "registry.example.com/team", without a scheme and in lower case',
    ),
]
ImageName = Annotated[
    str,
    matching(
        rf"(?:{HOST}/)?{_REPOSITORY}(?:/{_REPOSITORY})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?",
        'an image as in "python:3.11-slim"',
    ),
]
