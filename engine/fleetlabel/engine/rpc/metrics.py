"""What Prometheus is told."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from fleetlabel.engine.serving import Operations

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """Counters of one engine. Labels are method names of the API and status codes only: their number is bounded."""

    def __init__(self, operations: Operations) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.registry.register(_OpenOperations(operations))
        self._ended = Counter(
            "fleetlabel_calls",
            "Calls that ended, by status code.",
            ("method", "code"),
            registry=self.registry,
        )
        self._took = Histogram(
            "fleetlabel_call_seconds",
            "Time that calls took, streams until their end.",
            ("method",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.open_calls = Gauge(
            "fleetlabel_open_calls", "Calls that are going on.", ("method",), registry=self.registry
        )
        self.messages = Counter(
            "fleetlabel_messages",
            "Messages of calls, by direction.",
            ("method", "direction"),
            registry=self.registry,
        )

    def ended(self, method: str, code: str, took_s: float) -> None:
        """A call is over."""
        self._ended.labels(method, code).inc()
        self._took.labels(method).observe(took_s)

    def serve(self, host: str, port: int) -> tuple[WSGIServer, Thread]:
        """Answers Prometheus' questions over HTTP, from a thread."""
        return start_http_server(port, host, self.registry)


class _OpenOperations(Collector):
    """How many operations wait and run, counted when it is asked."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The gauge as it is now."""
        family = GaugeMetricFamily("fleetlabel_operations", "Operations that are open.", labels=("state",))
        for state, count in self._operations.counts.items():
            family.add_metric((str(state),), count)
        yield family
