"""AMLResponse: an answer with a status and headers of the script's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._headers import Headers

if TYPE_CHECKING:
    from collections.abc import Mapping


class AMLResponse:
    """An answer, sent as it is.

    Attributes:
        message: Its body: text, bytes, or a value for JSON; None is `{}`.
        status_code: Its HTTP status.
        headers: Its headers.
        json_str: Whether the message becomes JSON, also where it is a text.
        run_function_failed: Whether the answer tells of a failure of run().
    """

    def __init__(
        self,
        message: Any,
        status_code: int,
        response_headers: Mapping[str, str] | None = None,
        json_str: bool = False,  # as in azureml-inference-server-http
        run_function_failed: bool = False,  # as in azureml-inference-server-http
    ) -> None:
        """Make an answer.

        Args:
            message: Its body: text, bytes, or a value for JSON; None is `{}`.
            status_code: Its HTTP status.
            response_headers: Its headers; a value with commas is as many headers.
            json_str: Whether the message becomes JSON, also where it is a text.
            run_function_failed: Whether the answer tells of a failure of run().
        """
        self.message = message
        self.status_code = status_code
        self.headers = Headers((str(name), str(value)) for name, value in dict(response_headers or {}).items())
        self.json_str = json_str
        self.run_function_failed = run_function_failed

    @property
    def response_headers(self) -> dict[str, str]:
        """The headers as a dictionary, repeated ones joined by commas."""
        return self.headers.joined()

    @property
    def data(self) -> Any:
        """The body, as `message`."""
        return self.message

    @data.setter
    def data(self, value: Any) -> None:
        self.message = value
        self.json_str = False

    def set_data(self, value: Any) -> None:
        """Replace the body by text or bytes."""
        self.data = value
