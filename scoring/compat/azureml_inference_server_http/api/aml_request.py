"""@rawhttp and AMLRequest: the whole HTTP request for run(), in a form like Flask's."""

from __future__ import annotations

import io
import json
from email.message import Message
from functools import cached_property
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, quote

from ._headers import Headers, Parameters
from ._multipart import parse_multipart

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._multipart import FileStorage

__all__ = ["AMLRequest", "rawhttp"]

Run = TypeVar("Run", bound="Callable[..., Any]")
_FORM = "application/x-www-form-urlencoded"


def rawhttp(func: Run) -> Run:
    """Have run() called with an AMLRequest, for GET, POST and OPTIONS."""
    func.__slipway_raw__ = AMLRequest  # type: ignore[attr-defined]  # what the runtime reads
    return func


class AMLRequest:
    """A request.

    Attributes:
        method: GET, POST or OPTIONS.
        path: The path, without the query.
        query_string: What follows the question mark, as it came.
        headers: Its headers; names in whatever case.
        data: The body, whatever its content type.
    """

    def __init__(
        self,
        method: str = "GET",
        path: str = "/",
        query: bytes = b"",
        headers: Sequence[tuple[bytes, bytes]] = (),
        body: bytes = b"",
        scheme: str = "http",
    ) -> None:
        """Make a request; the runtime does.

        Args:
            method: GET, POST or OPTIONS.
            path: The path, without the query.
            query: What follows the question mark, as it came.
            headers: Names and values as they came.
            body: The body.
            scheme: http or https.
        """
        self.method = method
        self.path = path
        self.query_string = query
        self.headers = Headers((name.decode("latin-1").title(), value.decode("latin-1")) for name, value in headers)
        self.data = body
        self._scheme = scheme

    def __repr__(self) -> str:
        """Method and address: a log is not to have bodies in it."""
        return f"<AMLRequest {self.url!r} [{self.method}]>"

    @cached_property
    def args(self) -> Parameters:
        """The query's parameters, as text."""
        return _form(self.query_string)

    @cached_property
    def form(self) -> Parameters:
        """The fields of a form."""
        if self.mimetype == _FORM:
            return _form(self.data)
        return Parameters(self._parts[0])

    @cached_property
    def files(self) -> Parameters:
        """The files of a form."""
        return Parameters(self._parts[1])

    @cached_property
    def values(self) -> Parameters:
        """The query's parameters and the form's fields."""
        pairs = [*self.args.lists(), *self.form.lists()]
        return Parameters((name, value) for name, values in pairs for value in values)

    @property
    def json(self) -> Any:
        """The body's JSON value."""
        return self.get_json()

    @property
    def stream(self) -> io.BytesIO:
        """The body as a file, from its start."""
        return io.BytesIO(self.data)

    @property
    def is_json(self) -> bool:
        """Whether the content type is JSON."""
        kind = self.mimetype
        return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))

    @property
    def content_type(self) -> str | None:
        """What the body is, as the caller says."""
        value: str | None = self.headers.get("Content-Type")
        return value

    @property
    def content_encoding(self) -> str | None:
        """How the body was compressed on its way; here it is not any more."""
        value: str | None = self.headers.get("Content-Encoding")
        return value

    @property
    def content_length(self) -> int | None:
        """The body's length in bytes, as the caller says."""
        value: int | None = self.headers.get("Content-Length", type=int)
        return value

    @property
    def mimetype(self) -> str:
        """What the body is, in lower case and without parameters; empty where the caller does not say."""
        return (self.content_type or "").partition(";")[0].strip().lower()

    @property
    def mimetype_params(self) -> dict[str, str]:
        """The parameters of the content type, such as its charset."""
        header = Message()
        header["Content-Type"] = self.content_type or ""
        return {name: str(value) for name, value in (header.get_params() or [])[1:]}

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies."""
        try:
            return {name: morsel.value for name, morsel in SimpleCookie(self.headers.get("Cookie", "")).items()}
        except CookieError:
            return {}

    @property
    def scheme(self) -> str:
        """The scheme, http or https, as the proxy in front says."""
        value: str = self.headers.get("X-Forwarded-Proto", self._scheme)
        return value

    @property
    def is_secure(self) -> bool:
        """Whether the caller came by https."""
        return self.scheme == "https"

    @property
    def host(self) -> str:
        """The host that was asked for."""
        value: str = self.headers.get("Host", "")
        return value

    @property
    def host_url(self) -> str:
        """The address up to the path, with a slash at its end."""
        return f"{self.scheme}://{self.host}/"

    url_root = root_url = host_url

    @property
    def base_url(self) -> str:
        """The address without the query."""
        return f"{self.scheme}://{self.host}{quote(self.path)}"

    @property
    def url(self) -> str:
        """The whole address."""
        query = self.query_string.decode("latin-1")
        return f"{self.base_url}?{query}" if query else self.base_url

    @property
    def full_path(self) -> str:
        """Path, question mark and query."""
        return f"{self.path}?{self.query_string.decode('latin-1')}"

    def get_data(self, cache: bool = True, as_text: bool = False, parse_form_data: bool = False) -> bytes | str:  # noqa: ARG002 - as in Flask; the body is always there
        """Return the body, as text where asked."""
        return self.data.decode("utf-8", "replace") if as_text else self.data

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:  # noqa: ARG002 - as in Flask
        """Return the body's JSON value.

        Args:
            force: Whether it is parsed whatever the content type.
            silent: Whether None is returned for what is not JSON.
            cache: Has no effect.

        Raises:
            ValueError: It is not JSON.
        """
        if not force and not self.is_json:
            if silent:
                return None
            raise ValueError(f"the content type is {self.content_type!r}, which is not JSON")
        try:
            return json.loads(self.data)
        except ValueError:
            if silent:
                return None
            raise

    @cached_property
    def _parts(self) -> tuple[list[tuple[str, str]], list[tuple[str, FileStorage]]]:
        if self.mimetype != "multipart/form-data":
            return [], []
        return parse_multipart(self.data, self.mimetype_params.get("boundary", ""))


def _form(text: bytes) -> Parameters:
    return Parameters(parse_qsl(text.decode("utf-8", "replace"), keep_blank_values=True))
