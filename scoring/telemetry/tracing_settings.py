"""Whether and where to trace: OpenTelemetry's environment variables."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scoring.telemetry.insights import Insights

if TYPE_CHECKING:
    from scoring.variables import Reader

_TRACES = "OTEL_EXPORTER_OTLP_TRACES_"
_ALL = "OTEL_EXPORTER_OTLP_"
_PROTOCOL = "http/protobuf"
_OTLP_PACKAGES = {
    "opentelemetry.sdk.trace": "opentelemetry-sdk",
    "opentelemetry.exporter.otlp.proto.http": "opentelemetry-exporter-otlp-proto-http",
}
_INSIGHTS_PACKAGES = {"azure.monitor.opentelemetry.exporter": "azure-monitor-opentelemetry-exporter"}


@dataclass(frozen=True)
class TracingSettings:
    """Where spans go.

    Attributes:
        endpoint: The URL for spans of an OTLP collector; empty for none.
        insights: Application Insights; None for none.
        name: The model's name, the name of the service.
        version: The model's version.
        capacity: How many spans may wait: OTEL_BSP_MAX_QUEUE_SIZE.
        batch: How many are sent at once: OTEL_BSP_MAX_EXPORT_BATCH_SIZE.
        delay: After how many seconds they are sent: OTEL_BSP_SCHEDULE_DELAY, in milliseconds.
    """

    endpoint: str
    insights: Insights | None
    name: str
    version: str
    capacity: int
    batch: int
    delay: float

    @classmethod
    def from_reader(cls, reader: Reader) -> TracingSettings | None:
        """Read the settings.

        Args:
            reader: The environment variables; takes what is wrong with them.

        Returns:
            None where nothing is to be traced.
        """
        endpoint = reader.text(f"{_TRACES}ENDPOINT")
        if not endpoint and (base := reader.text(f"{_ALL}ENDPOINT")):
            endpoint = f"{base.rstrip('/')}/v1/traces"
        if reader.text("OTEL_TRACES_EXPORTER", "otlp").lower() == "none":
            endpoint = ""
        insights = Insights.from_reader(reader)
        if reader.flag("OTEL_SDK_DISABLED") or not (endpoint or insights):
            return None
        name = f"{_TRACES}PROTOCOL" if reader.text(f"{_TRACES}PROTOCOL") else f"{_ALL}PROTOCOL"
        if endpoint and (protocol := reader.text(name, _PROTOCOL)) != _PROTOCOL:
            reader.problems.append(f"environment variable {name} is {protocol!r}; allowed is {_PROTOCOL}")
        needed = {**(_OTLP_PACKAGES if endpoint else {}), **(_INSIGHTS_PACKAGES if insights else {})}
        if missing := [package for module, package in needed.items() if not _is_installed(module)]:
            what = f"{_ALL}ENDPOINT" if endpoint else "AML_APP_INSIGHTS_ENABLED"
            reader.problems.append(
                f"{what} is set, but the image has no {', '.join(missing)}: set `telemetry: true` under `scoring` "
                "in models.yaml, or add the packages to the model's requirements"
            )
        capacity = reader.integer("OTEL_BSP_MAX_QUEUE_SIZE", 2048, least=1, most=1_000_000)
        return cls(
            endpoint=endpoint,
            insights=insights,
            name=reader.text("SERVICE_NAME", "slipway"),
            version=reader.text("SERVICE_VERSION"),
            capacity=capacity,
            batch=min(capacity, reader.integer("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512, least=1)),
            delay=reader.integer("OTEL_BSP_SCHEDULE_DELAY", 5000, least=1) / 1000,
        )


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of a package that it is in
        return False
