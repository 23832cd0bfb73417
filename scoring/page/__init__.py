"""The page to try a service: `/docs` and what belongs to it, from files beside this one."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from scoring.answers import Answer

PATH = "/docs"
_FOLDER = Path(__file__).parent
_TYPES = {
    ".css": b"text/css; charset=utf-8",
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
_FILES = ("app.js", "icon.svg", "json.js", "schema.js", "snippets.js", "style.css")
# Only files of this service are loaded, and nothing but this service is asked; images are answers shown.
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob:; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-cache"),
)


def answer(path: str) -> Answer | None:
    """Return the answer to a GET request for the page, or for a file of it; None for any other path.

    Args:
        path: The request's path, such as `/docs` or `/docs/app.js`.
    """
    if path == PATH:
        return _file("index.html")
    if path == f"{PATH}/":
        # The page's addresses are relative, for gateways that put something before its path.
        return Answer(b"", 308, None, ((b"location", b"../docs"),))
    name = path.removeprefix(f"{PATH}/")
    return _file(name) if name != path and name in _FILES else None


@cache
def _file(name: str) -> Answer:
    file = _FOLDER / name
    return Answer(file.read_bytes(), content_type=_TYPES[file.suffix], headers=_HEADERS)
