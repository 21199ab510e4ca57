"""A small, honest TTL cache on the replay's clock, to compare with.

It gives the TTL idea its best case: it never evicts, nested pages do not add up their ages (a page
expires with the oldest thing that it shows), and functions without dependencies, whose answers
never change, never expire. As in the usual TTL caches, two callers that miss together both load.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

from clock import ReplayClock

# The earliest expiry of anything used by the load that is running here, in a list of one.
_running: contextvars.ContextVar[list[float] | None] = contextvars.ContextVar(
    "running", default=None
)


class TtlCache:
    """Functions decorated with `cached` answer from memory for `ttl_s` seconds of the clock.

    Thread-safe: the store is one dict whose single operations are atomic.
    """

    def __init__(self, ttl_s: float, clock: ReplayClock) -> None:
        self._ttl_s = ttl_s
        self._clock = clock
        self._store: dict[tuple, tuple[float, Any]] = {}

    def cached(self, function: Callable[..., Any] | None = None, *, deps: Any = None) -> Any:
        if function is None:
            return functools.partial(self.cached, deps=deps)
        lasting = deps is None
        if inspect.iscoroutinefunction(function):
            return self._cached_async(function, lasting)
        return self._cached_sync(function, lasting)

    def _lookup(self, key: tuple) -> tuple[float, Any] | None:
        entry = self._store.get(key)
        if entry is None or entry[0] <= self._clock.now_s:
            return None
        _limit_outer(entry[0])
        return entry

    def _begin(self, lasting: bool) -> tuple[list[float], contextvars.Token]:
        """Age counts from before the load, for that is when its data may have been read."""
        expiry = [math.inf if lasting else self._clock.now_s + self._ttl_s]
        return expiry, _running.set(expiry)

    def _cached_sync(self, function: Callable[..., Any], lasting: bool) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any) -> Any:
            key = (function, args)
            entry = self._lookup(key)
            if entry is not None:
                return entry[1]
            expiry, token = self._begin(lasting)
            try:
                value = function(*args)
            finally:
                _running.reset(token)
            self._store[key] = (expiry[0], value)
            _limit_outer(expiry[0])
            return value

        return call

    def _cached_async(self, function: Callable[..., Any], lasting: bool) -> Callable[..., Any]:
        @functools.wraps(function)
        async def call(*args: Any) -> Any:
            key = (function, args)
            entry = self._lookup(key)
            if entry is not None:
                return entry[1]
            expiry, token = self._begin(lasting)
            try:
                value = await function(*args)
            finally:
                _running.reset(token)
            self._store[key] = (expiry[0], value)
            _limit_outer(expiry[0])
            return value

        return call


def _limit_outer(expiry_s: float) -> None:
    outer = _running.get()
    if outer is not None and expiry_s < outer[0]:
        outer[0] = expiry_s
