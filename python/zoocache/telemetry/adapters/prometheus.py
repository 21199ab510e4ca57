"""Counts as metrics of the Prometheus client."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from zoocache.telemetry.base import Labels, TelemetryAdapter

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

__all__ = ["PrometheusAdapter"]

_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class PrometheusAdapter(TelemetryAdapter):
    """Makes a metric of each name when it first comes. Thread-safe.

    Args:
        port: where the numbers are served over HTTP, until `close`; default nowhere.
        addr: of the interface to serve on; default all of them.
        prefix: in front of each name, with an underscore.
        registry: where the metrics are registered; default one of its own.

    Raises:
        OSError: the port is taken.
    """

    def __init__(
        self,
        port: int | None = None,
        addr: str = "0.0.0.0",  # noqa: S104 - that of old
        prefix: str = "zoocache",
        registry: CollectorRegistry | None = None,
    ) -> None:
        self._registry = CollectorRegistry() if registry is None else registry
        self._prefix = prefix
        self._lock = threading.Lock()  # guards _metrics
        self._metrics: dict[tuple[str, tuple[str, ...]], Any] = {}
        self._server: tuple[WSGIServer, threading.Thread] | None = None
        if port is not None:
            self._server = start_http_server(port, addr, registry=self._registry)

    @property
    def port(self) -> int | None:
        """Where the numbers are served: the one that the system chose, if 0 was asked for."""
        return None if self._server is None else self._server[0].server_port

    def increment(self, name: str, value: float = 1.0, labels: Labels = None) -> None:
        """Adds to a counter."""
        self._metric(Counter, name, labels).inc(value)

    def observe(self, name: str, value: float, labels: Labels = None) -> None:
        """Adds a value to a histogram."""
        self._metric(_histogram, name, labels).observe(value)

    def set_gauge(self, name: str, value: float, labels: Labels = None) -> None:
        """Sets a gauge."""
        self._metric(Gauge, name, labels).set(value)

    def close(self) -> None:
        """Ends serving; the metrics stay in their registry."""
        if self._server is None:
            return
        server, thread = self._server
        self._server = None
        server.shutdown()
        server.server_close()
        thread.join()

    def bind_core(self, core: Any) -> None:
        """Does nothing."""

    def _metric(self, make: Callable[..., Any], name: str, labels: Labels) -> Any:
        names = tuple(sorted(labels or {}))
        full = f"{self._prefix}_{name}" if self._prefix else name
        with self._lock:
            metric = self._metrics.get((full, names))
            if metric is None:
                metric = make(full, f"{name} of zoocache", names, registry=self._registry)
                self._metrics[full, names] = metric
        return metric.labels(**labels) if labels else metric


_histogram = functools.partial(Histogram, buckets=_BUCKETS)
