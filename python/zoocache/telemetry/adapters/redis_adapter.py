"""Counts as a hash on the Redis server of the cache's shared log, one for each process."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import urllib.parse
from typing import TYPE_CHECKING, Any

from zoocache.telemetry.base import Labels, TelemetryAdapter

if TYPE_CHECKING:
    from zoocache._cache import Cache

__all__ = ["RedisTelemetryAdapter"]

_log = logging.getLogger("zoocache.telemetry")

KEPT_S = 86_400  # after its process's last change a hash goes
MOST_NAMES = 10_000  # that are gathered while the server cannot be reached


class RedisTelemetryAdapter(TelemetryAdapter):
    """Adds counters to the fields of `<prefix>:telemetry:<host>:<process>`. Thread-safe.

    The server is that of `bus_url` or `storage_url`; the client is the package redis. Without
    either the counts are gathered and go nowhere, which is said once in the log. A hash goes a day
    after its last change. Gauges are left out; a distribution is a sum and a count.

    Args:
        core: nothing that is needed any more.
        flush_interval: seconds between two sendings, default 1; a manager's `poll_interval` bounds
            it from below.
    """

    def __init__(self, core: Any = None, flush_interval: float = 1.0) -> None:
        self.core = core
        self.flush_interval = flush_interval
        self._lock = threading.Lock()  # guards everything below
        self._counts: dict[str, float] = {}
        self._client: Any = None
        self._prefix = "zoocache"
        self._sent_s = time.monotonic()
        self._said = False

    def bind_core(self, core: Any) -> None:
        """Notes the core."""
        self.core = core

    def bind_cache(self, cache: Cache) -> None:
        """Connects to the server of the cache."""
        self.core = cache.core
        with self._lock:
            self._prefix = cache.options.get("prefix", "zoocache")
            self._client = self._connect(cache.options.get("redis_url"))

    def increment(self, name: str, value: float = 1.0, labels: Labels = None) -> None:
        """Gathers how much a counter grew."""
        shown = (f"{key}={label}" for key, label in sorted((labels or {}).items()))
        field = "_".join([name, *shown])
        with self._lock:
            if field in self._counts or len(self._counts) < MOST_NAMES:
                self._counts[field] = self._counts.get(field, 0.0) + value

    def observe(self, name: str, value: float, labels: Labels = None) -> None:
        """Gathers a value's part in the sum and the count of its distribution."""
        self.increment(f"{name}_sum", value, labels)
        self.increment(f"{name}_count", 1.0, labels)

    def set_gauge(self, name: str, value: float, labels: Labels = None) -> None:
        """Does nothing: a hash of counters has no gauges."""

    def flush(self) -> None:
        """Sends what was gathered, once in `flush_interval`."""
        if time.monotonic() - self._sent_s >= self.flush_interval:
            self._send()

    def close(self) -> None:
        """Sends what is left."""
        self._send()
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connect(self, url: str | None) -> Any:
        scheme, _, rest = (url or "").partition("://")
        scheme = {"redis+unix": "unix"}.get(scheme, scheme)
        if scheme not in ("redis", "rediss", "unix"):
            self._say_once("there is no server: it needs a bus_url or storage_url on Redis")
            return None
        try:
            import redis  # noqa: PLC0415 - few programs have it
        except ImportError:
            self._say_once("the package redis is missing: pip install redis")
            return None
        place, _, query = rest.partition("?")
        asked = dict(urllib.parse.parse_qsl(query))
        options: dict[str, Any] = {"socket_timeout": 1, "socket_connect_timeout": 1}
        if "ca" in asked:
            options["ssl_ca_certs"] = asked["ca"]
        database = f"?db={asked['db']}" if "db" in asked else ""
        return redis.Redis.from_url(f"{scheme}://{place}{database}", **options)

    def _send(self) -> None:
        with self._lock:
            self._sent_s = time.monotonic()
            if self._client is None or not self._counts:
                return
            counts, self._counts = self._counts, {}
            client = self._client
            key = f"{self._prefix}:telemetry:{socket.gethostname()}:{os.getpid()}"
        try:
            with client.pipeline(transaction=True) as pipeline:
                for field, value in counts.items():
                    pipeline.hincrbyfloat(key, field, value)
                pipeline.expire(key, KEPT_S)
                pipeline.execute()
        except Exception as error:  # noqa: BLE001 - it is tried again; the client has many errors
            self._say_once(f"{type(error).__name__} of the server; it is tried again")
            for field, value in counts.items():
                self.increment(field, value)

    def _say_once(self, what: str) -> None:
        if not self._said:
            self._said = True
            _log.warning("counts for Redis are kept in this process: %s", what)
