"""What an adapter is, and the timer of a manager."""

from __future__ import annotations

import abc
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

    from zoocache._cache import Cache
    from zoocache.telemetry.manager import TelemetryManager

__all__ = ["TelemetryAdapter", "TimerContext"]

Labels = dict[str, str] | None


class TelemetryAdapter(abc.ABC):
    """Gets what a manager counts; to be inherited from. Its methods are called by any thread."""

    @abc.abstractmethod
    def increment(self, name: str, value: float = 1.0, labels: Labels = None) -> None:
        """A counter grew by `value`."""

    @abc.abstractmethod
    def observe(self, name: str, value: float, labels: Labels = None) -> None:
        """One more value of a distribution; of times in seconds."""

    @abc.abstractmethod
    def set_gauge(self, name: str, value: float, labels: Labels = None) -> None:
        """A gauge has the value from here on."""

    @abc.abstractmethod
    def close(self) -> None:
        """Nothing more will come."""

    @abc.abstractmethod
    def bind_core(self, core: Any) -> None:
        """The core of the cache whose numbers will come."""

    def bind_cache(self, cache: Cache) -> None:
        """The cache whose numbers will come."""
        self.bind_core(cache.core)

    def flush(self) -> None:  # noqa: B027 - most have nothing to send
        """Called after each poll: to send what was gathered."""


class TimerContext:
    """Observes the seconds that a `with` block takes, whether or not it raises."""

    def __init__(self, manager: TelemetryManager, name: str, labels: Labels = None) -> None:
        self._manager = manager
        self._name = name
        self._labels = labels
        self._begun_s = 0.0

    def __enter__(self) -> Self:
        self._begun_s = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._manager.observe(self._name, time.perf_counter() - self._begun_s, self._labels)
