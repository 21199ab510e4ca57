"""The functions that are cached, and the baselines.

Each has a name of its own: some caches tell functions apart by their names alone.
"""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Callable
from typing import Any

from peers import BOUND, Decorator

Function = Callable[..., Any]

_numbers = itertools.count()


def own_name(f: Function) -> Function:
    f.__name__ = f.__qualname__ = f"f{next(_numbers)}"
    return f


def identity() -> Function:
    def f(x: Any) -> Any:
        return x

    return own_name(f)


def constant() -> Function:
    """For memory: the values are all one object, so that only the cache's own bytes count."""

    def f(x: Any) -> Any:
        return 1

    return own_name(f)


def first_of_two() -> Function:
    def f(x: Any, y: Any = 0) -> Any:
        return x

    return own_name(f)


def async_identity() -> Function:
    async def f(x: Any) -> Any:
        return x

    return own_name(f)


def async_constant() -> Function:
    async def f(x: Any) -> Any:
        return 1

    return own_name(f)


def instance_with(decorate: Decorator) -> Any:
    """An instance whose method `m` is cached."""

    class Holder:
        def __init__(self) -> None:
            self.cache: dict[Any, Any] = {}  # cachetools keeps a method's entries in the instance

        @decorate
        def m(self, x: Any) -> Any:
            return x

    return Holder()


def plain_lru() -> Function:
    return functools.lru_cache(None)(identity())


def bounded_lru() -> Function:
    return functools.lru_cache(BOUND)(identity())


def random_keys(entries: int, seed: int) -> list[int]:
    """As many keys as there are entries, each key an object of its own, as in a program."""
    chosen = random.Random(seed)
    return [chosen.randrange(entries) + 1_000_000 for _ in range(entries)]


def entry_keys(entries: int) -> range:
    return range(1_000_000, 1_000_000 + entries)
