"""Counts for adapters that a program brings, as the older package of this name had them.

::

    from zoocache import configure
    from zoocache.telemetry import LogAdapter, TelemetryManager

    configure(telemetry=TelemetryManager([LogAdapter()]))

New programs want `zoocache.contrib.prometheus` or `zoocache.contrib.opentelemetry`, which tell more
and keep no thread. docs/METRICS.md says what is the same as it was and what is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoocache.telemetry.adapters.logs import LogAdapter
from zoocache.telemetry.base import TelemetryAdapter, TimerContext
from zoocache.telemetry.manager import TelemetryManager

if TYPE_CHECKING:
    from zoocache.telemetry.adapters.opentelemetry import OpenTelemetryAdapter
    from zoocache.telemetry.adapters.prometheus import PrometheusAdapter
    from zoocache.telemetry.adapters.redis_adapter import RedisTelemetryAdapter

__all__ = [
    "LogAdapter",
    "OpenTelemetryAdapter",
    "PrometheusAdapter",
    "RedisTelemetryAdapter",
    "TelemetryAdapter",
    "TelemetryManager",
    "TimerContext",
]

_LATER = {
    "OpenTelemetryAdapter": "opentelemetry",
    "PrometheusAdapter": "prometheus",
    "RedisTelemetryAdapter": "redis_adapter",
}


def __getattr__(name: str) -> object:
    """Imports what needs another package when it is named."""
    if name not in _LATER:
        raise AttributeError(f"module 'zoocache.telemetry' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f"zoocache.telemetry.adapters.{_LATER[name]}"), name)
