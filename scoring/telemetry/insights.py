"""Application Insights: requests, the log and exceptions, with the fields that Azure ML's server sends."""

from __future__ import annotations

import datetime as dt
import logging
import os
import re
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scoring.context import REQUEST_ID
from scoring.telemetry.events import cut

if TYPE_CHECKING:
    from collections.abc import Callable

    from scoring.request import Request
    from scoring.variables import Reader

_KEY = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# The longest value of a property that Application Insights keeps.
_MOST_CHARACTERS = 8192
_FIRST_FAILURE = 400
# What the exporter would send about itself, to other servers than the one that was asked for.
_OF_ITS_OWN = (
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED",
    "APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED",
)
# Their events are about sending: sent too, they would never end.
_OF_THE_EXPORT = ("azure.", "opentelemetry.", "urllib3.", "slipway.telemetry")


@dataclass(frozen=True)
class Insights:
    """Where Application Insights is, and what it gets.

    Attributes:
        connection_string: The connection string; a secret.
        responses: Whether answers are sent, APP_INSIGHTS_LOG_RESPONSE_ENABLED.
        container: HOSTNAME.
        workspace: WORKSPACE_NAME.
        service: SERVICE_NAME.
    """

    connection_string: str = field(repr=False)
    responses: bool
    container: str
    workspace: str
    service: str

    @classmethod
    def from_reader(cls, reader: Reader) -> Insights | None:
        """Read the settings.

        Args:
            reader: The environment variables; takes what is wrong with them.

        Returns:
            None where Application Insights is off.
        """
        connection_string = reader.text("APPLICATIONINSIGHTS_CONNECTION_STRING")
        key = reader.text("AML_APP_INSIGHTS_KEY")
        enabled = reader.flag("AML_APP_INSIGHTS_ENABLED")
        if not enabled and (reader.text("AML_APP_INSIGHTS_ENABLED") or not connection_string):
            return None
        name = "APPLICATIONINSIGHTS_CONNECTION_STRING" if connection_string else "AML_APP_INSIGHTS_KEY"
        if not connection_string:
            connection_string = key if "=" in key else f"InstrumentationKey={key}"
        parts = dict(part.partition("=")[::2] for part in connection_string.split(";"))
        given = next((value for part, value in parts.items() if part.strip().lower() == "instrumentationkey"), "")
        if not _KEY.fullmatch(given.strip()):
            # Without the value, which is a secret.
            reader.problems.append(
                f"environment variable {name} has no instrumentation key in it, which Application Insights "
                "(AML_APP_INSIGHTS_ENABLED) needs; allowed are a key (a GUID) or a connection string"
            )
            return None
        responses = reader.flag("APP_INSIGHTS_LOG_RESPONSE_ENABLED")
        return cls(
            connection_string=connection_string,
            # On unless it is switched off, as in Azure ML's server.
            responses=responses or not reader.text("APP_INSIGHTS_LOG_RESPONSE_ENABLED"),
            container=reader.text("HOSTNAME", "Unknown"),
            workspace=reader.text("WORKSPACE_NAME"),
            service=reader.text("SERVICE_NAME"),
        )

    def span_exporter(self) -> Any:
        """Return what sends spans: those of the service are rows of the table `requests`."""
        from azure.monitor.opentelemetry.exporter import (  # noqa: PLC0415 - optional, and slow to import
            AzureMonitorTraceExporter,
        )

        for name in _OF_ITS_OWN:
            os.environ.setdefault(name, "true")
        return AzureMonitorTraceExporter(connection_string=self.connection_string, disable_offline_storage=True)

    def log_exporter(self) -> Any:
        """Return what sends log events: rows of the tables `traces` and `exceptions`."""
        from azure.monitor.opentelemetry.exporter import (  # noqa: PLC0415 - optional, and slow to import
            AzureMonitorLogExporter,
        )

        return AzureMonitorLogExporter(connection_string=self.connection_string, disable_offline_storage=True)

    def attributes(
        self, request: Request, started: float, seconds: float, status: int, response: bytes
    ) -> dict[str, Any]:
        """Return what Azure ML's server tells of a request.

        Args:
            request: The request.
            started: When it came, in seconds since 1970.
            seconds: How long it took.
            status: The HTTP status of the answer.
            response: The answer's body.
        """
        host = request.header(b"host").decode("latin-1")
        query = f"?{request.query.decode('latin-1')}" if request.query else ""
        client = request.header(b"x-ms-client-request-id") or request.header(b"x-ms-request-id")
        found = {
            "Container Id": self.container,
            "Request Id": request.id,
            "Client Request Id": client.decode("latin-1"),
            "name": request.path,
            "url": f"{request.scheme}://{host}{request.path}{query}",
            "start_time": _moment(started),
            "duration": _duration(seconds),
            "resultCode": str(status),
            "success": status < _FIRST_FAILURE,
            "http_method": request.method,
            "Workspace Name": self.workspace,
            "Service Name": self.service,
        }
        if self.responses:
            found["Response Value"] = _shown(response)
        return found


class InsightsHandler(logging.Handler):
    """Sends log events, those of the script's prints among them."""

    def __init__(self, insights: Insights, resource: Any, put: Callable[[Any], None]) -> None:
        """Make one.

        Args:
            insights: What every event tells.
            resource: The OpenTelemetry resource that the events are of.
            put: Takes the events, without waiting.
        """
        super().__init__(logging.INFO)
        self._insights = insights
        self._resource = resource
        self._put = put

    def emit(self, record: logging.LogRecord) -> None:
        """Hand an event over."""
        if record.name.startswith(_OF_THE_EXPORT):
            return
        from opentelemetry._logs import LogRecord, SeverityNumber  # noqa: PLC0415 - optional
        from opentelemetry.context import Context, get_current  # noqa: PLC0415 - optional
        from opentelemetry.sdk._logs import ReadableLogRecord  # noqa: PLC0415 - optional

        attributes = {
            "Container Id": self._insights.container,
            "Request Id": str(getattr(record, "request_id", "") or REQUEST_ID.get()) or "Unknown",
            "Workspace Name": self._insights.workspace,
            "Service Name": self._insights.service,
            "logger": record.name,
        }
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            attributes["exception.type"] = type(error).__name__
            attributes["exception.message"] = str(error)
            attributes["exception.stacktrace"] = "".join(traceback.format_exception(error))
        # Four numbers of OpenTelemetry's for each level of Python's: INFO is 9, WARNING 13, ERROR 17, CRITICAL 21.
        severity = SeverityNumber(min(21, max(1, record.levelno // 10 * 4 + 1)))
        event = LogRecord(
            timestamp=int(record.created * 1e9),
            context=get_current(),
            severity_number=severity,
            severity_text=record.levelname,
            body=cut(record.getMessage(), getattr(record, "left_out", 0)),
            attributes=attributes,
        )
        # It keeps the ids of its span, and not what else the context holds.
        event.context = Context()
        self._put(ReadableLogRecord(log_record=event, resource=self._resource))


def _shown(response: bytes) -> str:
    try:
        return response[:_MOST_CHARACTERS].decode() if len(response) <= _MOST_CHARACTERS else _cut(response)
    except UnicodeDecodeError:
        # A JSON string, and these words: what Azure ML's server sends.
        return '"Scoring request response payload is a non serializable object or raw binary"'


def _cut(response: bytes) -> str:
    end = _MOST_CHARACTERS
    # Not in the middle of a character.
    while end and response[end] & 0xC0 == 0x80:  # noqa: PLR2004 - UTF-8's mark of a byte that goes on
        end -= 1
    return response[:end].decode()


def _moment(seconds: float) -> str:
    """ISO 8601 in UTC, as Azure ML's server writes it."""
    moment = dt.datetime.fromtimestamp(seconds, dt.timezone.utc)  # noqa: UP017 - images may have Python 3.10
    return f"{moment.replace(tzinfo=None).isoformat()}Z"


def _duration(seconds: float) -> str:
    """[days.]hours:minutes:seconds.milliseconds."""
    left, milliseconds = divmod(round(seconds * 1000), 1000)
    minutes, second = divmod(left, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{f'{days}.' if days else ''}{hour:02d}:{minute:02d}:{second:02d}.{milliseconds:03d}"
