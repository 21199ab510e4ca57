"""The caches that are measured, each through its ordinary decorator.

A peer says what it can do: what it leaves None is absent from the scenarios that need it. Modules
are imported when a peer is made, so that one that is not installed hurts nobody else.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

BOUND = 1 << 20  # where a decorator wants a bound that no scenario reaches

Function = Callable[..., Any]
Decorator = Callable[[Function], Function]


@dataclass(frozen=True)
class Tagged:
    """A cached function whose entries depend on tags, and what kills them.

    `tags`: a list, or a callable of the function's argument.
    """

    decorate: Callable[[Any], Decorator]
    invalidate: Callable[[str], Any]
    is_async: bool = False
    one_tag: bool = False  # an entry has one flat tag, the same for a whole function
    largest: int = 10_000_000  # entries that are worth waiting for


@dataclass(frozen=True)
class Peer:
    name: str
    module: str  # what is imported to use it
    distribution: str  # what is installed; empty if it comes with Python
    sync: Decorator | None = None
    bounded: Decorator | None = None  # room for BOUND entries; `sync` if there is no difference
    method: Decorator | None = None  # `sync` if there is no difference
    is_async: Decorator | None = None
    tagged: Tagged | None = None
    reset: Callable[[], None] | None = None  # forgets everything

    @property
    def for_misses(self) -> Decorator | None:
        return self.bounded or self.sync

    @property
    def for_methods(self) -> Decorator | None:
        return self.method or self.sync


def make_lru_cache() -> Peer:
    return Peer(
        "lru_cache", "functools", "",
        sync=functools.lru_cache(None), bounded=functools.lru_cache(BOUND),
    )  # fmt: skip


def make_zoocache() -> Peer:
    import zoocache

    def roomy() -> None:
        zoocache.reset()
        zoocache.configure(max_entries=100_000_000)

    roomy()
    return Peer(
        "zoocache", "zoocache", "zoocache",
        sync=zoocache.cacheable, is_async=zoocache.cacheable,
        bounded=zoocache.cacheable(max_entries=BOUND),
        tagged=Tagged(lambda tags: zoocache.cacheable(deps=tags), zoocache.invalidate),
        reset=roomy,
    )  # fmt: skip


def make_published() -> Peer:
    import zoocache

    return Peer(
        "zoocache-published", "zoocache", "zoocache",
        sync=zoocache.cacheable, is_async=zoocache.cacheable,
        tagged=Tagged(
            lambda tags: zoocache.cacheable(deps=tags), zoocache.invalidate, largest=1_000_000
        ),
        reset=zoocache.reset,
    )  # fmt: skip


def make_cachebox() -> Peer:
    import cachebox

    def decorate(f: Function) -> Function:  # what cached() returns is good for one function
        return cachebox.cached()(f)

    return Peer(
        "cachebox", "cachebox", "cachebox", sync=decorate, is_async=decorate,
        bounded=lambda f: cachebox.cached(cachebox.LRUCache(BOUND))(f),
    )  # fmt: skip


def make_cachetools() -> Peer:
    import cachetools

    def method(f: Function) -> Function:
        return cachetools.cachedmethod(lambda self: self.cache)(f)

    return Peer(
        "cachetools", "cachetools", "cachetools",
        sync=lambda f: cachetools.cached(cache={})(f),
        bounded=lambda f: cachetools.cached(cachetools.LRUCache(BOUND))(f),
        method=method,
    )  # fmt: skip


def make_theine() -> Peer:
    import theine

    def decorate(f: Function) -> Function:
        return theine.Memoize(BOUND, None)(f)

    return Peer("theine", "theine", "theine", sync=decorate, is_async=decorate)


def make_moka() -> Peer:
    import moka_py

    def decorate(f: Function) -> Function:  # what cached() returns is good for one function
        return moka_py.cached(maxsize=BOUND)(f)

    return Peer("moka-py", "moka_py", "moka-py", sync=decorate, is_async=decorate)


def make_cashews() -> Peer:
    import cashews

    cache = cashews.Cache()
    cache.setup("mem://", size=BOUND)

    def decorate_tagged(tags: Any) -> Decorator:
        texts = ["item:{x}"] if callable(tags) else tags  # its own are templates of the arguments
        return lambda f: cache(ttl="1h", key=f.__name__ + ":{x}", tags=texts)(f)

    return Peer(
        "cashews", "cashews", "cashews",
        is_async=cache(ttl="1h"),
        tagged=Tagged(decorate_tagged, cache.delete_tags, is_async=True, largest=10_000),
    )  # fmt: skip


def make_aiocache() -> Peer:
    import aiocache

    return Peer("aiocache", "aiocache", "aiocache", is_async=lambda f: aiocache.cached()(f))


def make_async_lru() -> Peer:
    import async_lru

    def decorate(f: Function) -> Function:
        return async_lru.alru_cache(maxsize=None)(f)

    return Peer("async-lru", "async_lru", "async-lru", is_async=decorate)


def make_dogpile() -> Peer:
    from dogpile.cache import make_region

    region = make_region().configure("dogpile.cache.memory")
    name = "dogpile.cache"
    return Peer(name, name, name, sync=region.cache_on_arguments())


def make_diskcache() -> Peer:
    import diskcache

    folder = tempfile.TemporaryDirectory(prefix="diskcache-", ignore_cleanup_errors=True)
    cache = diskcache.Cache(folder.name, size_limit=1 << 34)

    def close() -> None:
        cache.close()
        folder.cleanup()

    atexit.register(close)
    return Peer(
        "diskcache", "diskcache", "diskcache", sync=cache.memoize(),
        tagged=Tagged(
            lambda tags: cache.memoize(tag=None if callable(tags) else tags[0]),
            cache.evict, one_tag=True, largest=10_000,
        ),
    )  # fmt: skip


MAKERS: dict[str, Callable[[], Peer]] = {
    "lru_cache": make_lru_cache,
    "zoocache": make_zoocache,
    "zoocache-published": make_published,
    "cachebox": make_cachebox,
    "cachetools": make_cachetools,
    "theine": make_theine,
    "moka-py": make_moka,
    "cashews": make_cashews,
    "aiocache": make_aiocache,
    "async-lru": make_async_lru,
    "dogpile.cache": make_dogpile,
    "diskcache": make_diskcache,
}

# What is imported, for the import time.
MODULES = {
    "lru_cache": "functools", "zoocache": "zoocache", "zoocache-published": "zoocache",
    "cachebox": "cachebox", "cachetools": "cachetools", "theine": "theine", "moka-py": "moka_py",
    "cashews": "cashews", "aiocache": "aiocache", "async-lru": "async_lru",
    "dogpile.cache": "dogpile.cache", "diskcache": "diskcache",
}  # fmt: skip


def make_peer(name: str) -> Peer:
    return MAKERS[name]()


def version_of(peer: Peer) -> str:
    if not peer.distribution:
        return "with Python"
    return importlib.import_module("importlib.metadata").version(peer.distribution)
