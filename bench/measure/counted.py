"""One scenario for callgrind, a number of times: counted.py SCENARIO zoocache|baseline TIMES.

The difference of two runs with different TIMES is what the operations cost, start and end left out.
The garbage collector is off: its passes would fall into one run and not the other.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import sys
from collections.abc import Callable
from typing import Any

import zoocache


def hit_int(cached: Any, times: int) -> None:
    f = cached(lambda x: x)
    f(7)
    for _ in range(times):
        f(7)


def hit_two_args(cached: Any, times: int) -> None:
    f = cached(lambda x, y: x)
    f(7, 8)
    for _ in range(times):
        f(7, 8)


def hit_keyword(cached: Any, times: int) -> None:
    f = cached(lambda x, y=0: x)
    f(7, y=8)
    for _ in range(times):
        f(7, y=8)


def hit_async(cached: Any, times: int) -> None:
    @cached
    async def f(x: int) -> int:
        return x

    async def calls() -> None:
        for _ in range(times):
            await f(7)

    asyncio.run(calls())


def miss(cached: Any, times: int) -> None:
    f = cached(lambda x: x)
    for key in range(times):
        f(key)


def miss_own_tag(_: Any, times: int) -> None:
    f = zoocache.cacheable(lambda x: x, deps=lambda x: [f"own:{x}"])
    for key in range(times):
        f(key)


def invalidate(_: Any, times: int) -> None:
    f = zoocache.cacheable(lambda x: x, deps=lambda x: [f"parent:{x}"])
    for key in range(100):
        f(key)
    for _ in range(times):
        zoocache.invalidate("parent")


def nothing(function: Any) -> Any:
    return function


# What each is compared with; None: nothing does the same.
SCENARIOS: dict[str, tuple[Callable[[Any, int], None], Any]] = {
    "hit, 1 int": (hit_int, functools.lru_cache(None)),
    "hit, 2 ints": (hit_two_args, functools.lru_cache(None)),
    "hit, an int and a keyword": (hit_keyword, functools.lru_cache(None)),
    "async hit": (hit_async, nothing),
    "miss + store": (miss, functools.lru_cache(2**20)),
    "miss + store, one new tag by lambda": (miss_own_tag, None),
    "invalidate a parent": (invalidate, None),
}

if __name__ == "__main__":
    gc.disable()
    run, baseline = SCENARIOS[sys.argv[1]]
    run(zoocache.cacheable if sys.argv[2] == "zoocache" else baseline, int(sys.argv[3]))
