"""Counts as instruments of OpenTelemetry."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from opentelemetry.metrics import Meter, MeterProvider

from zoocache.telemetry.base import Labels, TelemetryAdapter

__all__ = ["OpenTelemetryAdapter"]


class OpenTelemetryAdapter(TelemetryAdapter):
    """Makes an instrument of each name when it first comes. Thread-safe.

    Args:
        service_name: who sends them, where no provider is given.
        otlp_endpoint: where they are sent over gRPC every minute and by `close`, such as
            "http://localhost:4317", where no provider is given; default nowhere. It needs
            opentelemetry-exporter-otlp.
        meter_provider: whose instruments they are; default a new one, which needs
            opentelemetry-sdk.

    Raises:
        ImportError: one of those packages is wanted and missing.
    """

    def __init__(
        self,
        service_name: str = "zoocache",
        otlp_endpoint: str | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._shutdown: Callable[[], None] | None = None
        if meter_provider is None:
            meter_provider, self._shutdown = _provider(service_name, otlp_endpoint)
        self._meter: Meter = meter_provider.get_meter("zoocache")
        self._lock = threading.Lock()  # guards _instruments
        self._instruments: dict[str, Any] = {}

    def increment(self, name: str, value: float = 1.0, labels: Labels = None) -> None:
        """Adds to a counter."""
        self._instrument(self._meter.create_counter, name).add(value, labels or {})

    def observe(self, name: str, value: float, labels: Labels = None) -> None:
        """Adds a value to a histogram."""
        self._instrument(self._meter.create_histogram, name).record(value, labels or {})

    def set_gauge(self, name: str, value: float, labels: Labels = None) -> None:
        """Sets a gauge."""
        self._instrument(self._meter.create_gauge, name).set(value, labels or {})

    def close(self) -> None:
        """Sends what is left; a provider that was given is its owner's to shut down."""
        shutdown, self._shutdown = self._shutdown, None
        if shutdown is not None:
            shutdown()

    def bind_core(self, core: Any) -> None:
        """Does nothing."""

    def _instrument(self, make: Callable[..., Any], name: str) -> Any:
        with self._lock:
            if name not in self._instruments:
                self._instruments[name] = make(name, description=f"{name} of zoocache")
            return self._instruments[name]


def _provider(
    service_name: str, otlp_endpoint: str | None
) -> tuple[MeterProvider, Callable[[], None]]:
    from opentelemetry.sdk.metrics import MeterProvider as Provider  # noqa: PLC0415 - if wanted
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415

    readers = []
    if otlp_endpoint is not None:
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (  # noqa: PLC0415
            OTLPMetricExporter,
        )

        exporter = OTLPMetricExporter(endpoint=otlp_endpoint)
        readers.append(PeriodicExportingMetricReader(exporter))
    provider = Provider(readers, Resource.create({"service.name": service_name}))
    return provider, provider.shutdown
