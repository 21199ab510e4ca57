"""A small benchmark on this machine: a cached call beside `functools.lru_cache`."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import time
from typing import TYPE_CHECKING, Any

from zoocache import Cache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Result", "bench"]

_KEYS = 1000


@dataclasses.dataclass(frozen=True)
class Result:
    """One thing that was measured.

    Attributes:
        what: in words.
        seconds: of one call, the best of several rounds.
        ratio: to the same with lru_cache; None: it has nothing of the kind.
    """

    what: str
    seconds: float
    ratio: float | None


def _value(key: int) -> int:
    return key


def _best(rounds: int, calls: int, run: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(rounds):
        began = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - began)
    return best / calls


def _hits(fn: Callable[[int], Any], calls: int) -> Callable[[], None]:
    keys = [number % _KEYS for number in range(calls)]

    def run() -> None:
        for key in keys:
            fn(key)

    return run


def _misses(fn: Callable[[int], Any], clear: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        clear()
        for key in range(_KEYS):
            fn(key)

    return run


def bench(calls: int, rounds: int) -> Iterator[Result]:
    """Measures one thing after another.

    Args:
        calls: hits in a round.
        rounds: of which the best counts.
    """
    cache = Cache(max_entries=10 * _KEYS)
    plain = functools.lru_cache(maxsize=None)(_value)
    cached = cache.cacheable(_value)
    tagged = cache.cacheable(deps=["item:{key}"])(_value)

    plain_hit = _best(rounds, calls, _hits(plain, calls))
    yield Result("lru_cache: hit", plain_hit, 1.0)
    for what, fn in (("hit", cached), ("hit, with a tag", tagged)):
        seconds = _best(rounds, calls, _hits(fn, calls))
        yield Result(f"zoocache: {what}", seconds, seconds / plain_hit)

    plain_miss = _best(rounds, _KEYS, _misses(plain, plain.cache_clear))
    yield Result("lru_cache: miss", plain_miss, 1.0)
    for what, fn in (("miss", cached), ("miss, with a tag", tagged)):
        seconds = _best(rounds, _KEYS, _misses(fn, fn.cache_clear))
        yield Result(f"zoocache: {what}", seconds, seconds / plain_miss)

    tags = [f"item:{key}" for key in range(_KEYS)]
    seconds = _best(rounds, _KEYS, lambda: [cache.invalidate(tag) for tag in tags])
    yield Result("zoocache: invalidate(tag)", seconds, None)
    yield Result("zoocache: await of a hit", _async_hit(cache, calls, rounds), None)


def _async_hit(cache: Cache, calls: int, rounds: int) -> float:
    @cache.cacheable
    async def fetch(key: int) -> int:
        return key

    async def run() -> float:
        best = float("inf")
        for _ in range(rounds):
            began = time.perf_counter()
            for number in range(calls):
                await fetch(number % _KEYS)
            best = min(best, time.perf_counter() - began)
        return best / calls

    return asyncio.run(run())
