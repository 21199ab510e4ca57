"""`TelemetryManager`: hands the counts of a cache to adapters, from time to time.

The engine counts; a daemon thread asks it once in `poll_interval` and passes on what has grown. So
calls cost nothing more, and a count comes late by that much.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from zoocache._errors import InvalidOption, shown
from zoocache.telemetry.base import Labels, TimerContext

if TYPE_CHECKING:
    from zoocache._cache import Cache
    from zoocache.telemetry.base import TelemetryAdapter

__all__ = ["TelemetryManager"]

_log = logging.getLogger("zoocache.telemetry")

_ERRORS = {"error_type": "exception"}
# What is passed on: the name of old, its labels, and what the engine calls it.
_COUNTERS: tuple[tuple[str, Labels, str], ...] = (
    ("cache_hits_total", None, "hits"),
    ("cache_misses_total", None, "misses"),
    ("cache_errors_total", _ERRORS, "load_errors"),
    ("cache_invalidations_total", None, "invalidations"),
    ("cache_silent_errors_total", None, "storage_errors"),
)
_GAUGES = (("cache_entries", "entries"), ("cache_bytes", "bytes"))
_ASKED = (*(count for _, _, count in _COUNTERS), *(gauge for _, gauge in _GAUGES))


class TelemetryManager:
    """Adapters, and what feeds them. Thread-safe.

    Args:
        adapters: who gets the counts; none: nothing is done.
        poll_interval: seconds between two looks at the cache's counters; default 1.

    Raises:
        InvalidOption: `poll_interval` is not allowed.
    """

    def __init__(
        self, adapters: Iterable[TelemetryAdapter] | None = None, *, poll_interval: float = 1.0
    ) -> None:
        if type(poll_interval) not in (int, float) or not 0.01 <= poll_interval < math.inf:
            raise InvalidOption(
                f"poll_interval={shown(poll_interval)} is not allowed: seconds, 0.01 or more"
            )
        self._adapters = list(adapters or ())
        self._poll_interval_s = poll_interval
        self._lock = threading.Lock()  # guards everything below; held while adapters are fed
        self._cache: weakref.ref[Cache] | None = None
        self._last: dict[str, int] = {}
        self._shown: dict[str, int] = {}
        self._failed = False
        self._ended = threading.Event()

    @property
    def enabled(self) -> bool:
        """Whether there is an adapter."""
        return bool(self._adapters)

    def increment(self, name: str, value: float = 1.0, labels: Labels = None) -> None:
        """Tells every adapter that a counter grew."""
        for adapter in self._adapters:
            adapter.increment(name, value, labels)

    def observe(self, name: str, value: float, labels: Labels = None) -> None:
        """Tells every adapter one more value of a distribution."""
        for adapter in self._adapters:
            adapter.observe(name, value, labels)

    def set_gauge(self, name: str, value: float, labels: Labels = None) -> None:
        """Tells every adapter what a gauge has."""
        for adapter in self._adapters:
            adapter.set_gauge(name, value, labels)

    def time_operation(self, name: str, labels: Labels = None) -> TimerContext:
        """Observes how long a `with` block takes."""
        return TimerContext(self, name, labels)

    def bind_core(self, core: Any) -> None:
        """Tells every adapter the core of the cache."""
        for adapter in self._adapters:
            adapter.bind_core(core)

    def follow(self, cache: Cache) -> None:
        """Feeds the adapters with the cache's counts from here on; `configure` calls it."""
        if not self.enabled:
            return
        for adapter in self._adapters:
            if hasattr(adapter, "bind_cache"):
                adapter.bind_cache(cache)
            else:  # it inherits from nothing of ours
                adapter.bind_core(cache.core)
        with self._lock:
            self._ended.set()
            self._cache = weakref.ref(cache)
            self._last = self._counts(cache)
            self._shown = {}
            self._start()

    def poll(self) -> None:
        """Passes on what has grown since the last time, now."""
        with self._lock:
            cache = None if self._cache is None else self._cache()
            if cache is not None:
                self._pass_on(cache)

    def close(self) -> None:
        """Passes on what is left and ends: the adapters are closed."""
        self.poll()
        with self._lock:
            self._ended.set()
            self._cache = None
            adapters = list(self._adapters)
        for adapter in adapters:
            adapter.close()

    def _counts(self, cache: Cache) -> dict[str, int]:
        if not cache.core.used():  # to ask would be to use it: it could not be configured any more
            return dict.fromkeys(_ASKED, 0)
        counts: dict[str, int] = cache.stats().as_dict()
        storage = cache.storage()
        counts["storage_errors"] = 0 if storage is None else storage["counters"]["errors"]
        return counts

    def _pass_on(self, cache: Cache) -> None:
        now = self._counts(cache)
        for name, labels, count in _COUNTERS:
            grown = now[count] - self._last[count]
            if grown > 0:
                self._last[count] = now[count]
                self._tell("increment", name, float(grown), labels)
        for name, gauge in _GAUGES:
            if self._shown.get(name) != now[gauge]:
                self._shown[name] = now[gauge]
                self._tell("set_gauge", name, float(now[gauge]))
        self._tell("flush")

    def _tell(self, method: str, *args: object) -> None:
        """Calls every adapter; what one raises is nobody's but the log's."""
        for adapter in self._adapters:
            self._tell_one(adapter, method, args)

    def _tell_one(self, adapter: TelemetryAdapter, method: str, args: tuple[object, ...]) -> None:
        try:
            getattr(adapter, method, _nothing)(*args)
        except Exception:  # noqa: BLE001 - the others and the thread go on
            if not self._failed:
                self._failed = True
                name = type(adapter).__name__
                _log.warning("%s.%s() failed; said once", name, method, exc_info=True)

    def _start(self) -> None:
        self._ended = threading.Event()
        threading.Thread(
            target=_poll_until,
            args=(weakref.ref(self), self._ended, self._poll_interval_s),
            name="zoocache-telemetry",
            daemon=True,
        ).start()
        _polled.add(self)

    def poll_once(self) -> bool:
        """What the thread does each time. False: nothing is left to do."""
        self.poll()
        with self._lock:
            return self._cache is not None and self._cache() is not None

    def after_fork(self) -> None:
        """Of a child of `fork()`: the cache is empty there, and the thread is not there."""
        self._lock = threading.Lock()
        if self._cache is not None and not self._ended.is_set():
            self._last = dict.fromkeys(self._last, 0)
            self._shown = {}
            self._start()


def _nothing(*_: object) -> None:
    pass


def _poll_until(
    manager_ref: weakref.ref[TelemetryManager], ended: threading.Event, interval_s: float
) -> None:
    while not ended.wait(interval_s):
        manager = manager_ref()
        if manager is None or not manager.poll_once():
            return
        del manager


_polled: weakref.WeakSet[TelemetryManager] = weakref.WeakSet()


def _after_fork() -> None:
    for manager in list(_polled):
        manager.after_fork()


os.register_at_fork(after_in_child=_after_fork)
