"""What a service has beside its script: access, TLS, metrics, traces, collection, and the pages about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scoring import collect, security
from scoring.collect import CollectSettings
from scoring.cors import Cors
from scoring.security.tls import Certificate
from scoring.swagger import Swagger
from scoring.telemetry.counters import Counters
from scoring.telemetry.metrics import Metrics
from scoring.telemetry.tracing import Tracing

if TYPE_CHECKING:
    import asyncio

    from scoring.collect.recorder import Sink
    from scoring.edge.settings import EdgeSettings
    from scoring.script import Script
    from scoring.security import Guard
    from scoring.settings import Settings
    from scoring.variables import Reader

# A worker and the one that takes its place may be there at once.
SLOTS_PER_WORKER = 2
_SEND_SECONDS = 5.0


@dataclass(frozen=True)
class Features:
    """What the environment asks for, made before the workers are forked.

    Attributes:
        guard: Who may ask; None where anybody may.
        certificate: For TLS; None where the service speaks plain HTTP.
        tracing: None where nothing is traced.
        collect: What is collected of inputs and outputs.
        cors: Which web pages may ask.
        page: Whether there is a page to try the service.
        path_prefix: What a gateway in front has before the paths.
        counters: What all processes count.
        edge: How it is a module of IoT Edge; None where it is none.
    """

    guard: Guard | None
    certificate: Certificate | None
    tracing: Tracing | None
    collect: CollectSettings
    cors: Cors
    page: bool
    path_prefix: str
    counters: Counters
    edge: EdgeSettings | None = None

    @classmethod
    def from_reader(cls, reader: Reader, settings: Settings) -> Features:
        """Read them.

        Args:
            reader: The environment's variables; takes what is wrong with them.
            settings: What is known already.

        Raises:
            SettingsError: Access or TLS cannot be had as it was asked for.
        """
        return cls(
            certificate=Certificate.from_reader(reader),
            tracing=Tracing.from_reader(reader),
            collect=CollectSettings.from_reader(reader),
            cors=Cors(reader.text("AML_CORS_ORIGINS")),
            page=reader.flag("SLIPWAY_DOCS") if reader.text("SLIPWAY_DOCS") else settings.development,
            path_prefix=reader.text("SERVICE_PATH_PREFIX"),
            counters=Counters(SLOTS_PER_WORKER * settings.workers),
            guard=security.guard(reader),
        )

    def swagger(self, settings: Settings, script: Script | None) -> Swagger:
        """Return the documents about a service.

        Args:
            settings: Its settings.
            script: The script that answers.
        """
        return Swagger(
            name=settings.name,
            version=settings.version,
            path_prefix=self.path_prefix,
            root=settings.root,
            script=script,
            schema=settings.schema,
            sample=settings.sample,
        )


class Instruments:
    """The features at work in one process.

    Attributes:
        metrics: Counts.
        sink: Collects; None where nothing is collected.
    """

    def __init__(self, features: Features, slot: int, loop: asyncio.AbstractEventLoop) -> None:
        """Start them, after the fork.

        Args:
            features: What to start.
            slot: The process's number.
            loop: Its event loop.
        """
        self._features = features
        self.metrics = Metrics(features.counters.of(slot))
        self.sink: Sink | None = collect.start(features.collect, slot)
        self._collected = self._dropped = 0
        if features.tracing is not None:
            features.tracing.start_worker(self.metrics.dropped_spans)
        if features.guard is not None:
            features.guard.start(loop)
        if features.certificate is not None:
            features.certificate.start(loop)

    def tick(self, waiting: int) -> None:
        """Count what counts itself; about once a second.

        Args:
            waiting: How many requests wait for run() or are in it.
        """
        self.metrics.queue(waiting)
        if self.sink is not None:
            counts = self.sink.counts()
            self.metrics.collected(counts.collected - self._collected)
            self.metrics.dropped(counts.dropped_in_all - self._dropped)
            self._collected, self._dropped = counts.collected, counts.dropped_in_all

    def stop(self) -> None:
        """Write and send what waits, within seconds; blocks, so not on an event loop that still answers."""
        features = self._features
        for feature in (features.guard, features.certificate):
            if feature is not None:
                feature.stop()
        if self.sink is not None:
            self.sink.close(_SEND_SECONDS)
            self.tick(0)
        if features.tracing is not None:
            features.tracing.shutdown(_SEND_SECONDS)
