"""The caches whose values processes share, each through its ordinary decorator and a server.

A view is what one process has: what was stored through one view is found through another one, as
by another process. Caches that keep nothing in memory have one view.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Function = Callable[..., Any]
Decorator = Callable[[Function], Function]

VALUE = "v" * 100  # what loaders return
PATIENCE_S = 10.0  # a busy machine is no dead server


@dataclass(frozen=True)
class HomePeer:
    name: str
    distribution: str
    view: Callable[[], Decorator]
    is_async: bool = False
    guarded: Decorator | None = None  # with an option against herds that is not the default
    reset: Callable[[], None] = field(default=lambda: None)  # something unrelated changed


def at_home(cache: Any) -> Any:
    """The cache, once it has found its home."""
    until = time.monotonic() + PATIENCE_S
    cache.cacheable(lambda: None)()
    while cache.core.has_home() and not cache.core.home()["reachable"]:
        if time.monotonic() > until:
            raise RuntimeError(cache.core.home()["trouble"])
        time.sleep(0.001)
    return cache


# For so long after a process came to a folder or went, each invalidation and each store of a value
# looks who is there; then it is enough that the folder has not changed.
SETTLED_S = 2.2


def settle(place: str) -> None:
    """Until a folder is as it is most of the time. A server always is."""
    if place.startswith("lmdb"):
        time.sleep(SETTLED_S)


def new_cache(home: str, place: str, **options: Any) -> Any:
    """`home`: memory, lmdb or redis; invalidations are shared, values are not."""
    import zoocache

    if home == "memory":
        return zoocache.Cache(**options)
    if home == "redis":
        options.setdefault("command_timeout", PATIENCE_S)
    return at_home(zoocache.Cache(bus_url=place, **options))


def make_zoocache(place: str) -> HomePeer:
    import zoocache

    def view() -> Decorator:
        options = {} if place.startswith("lmdb") else {"command_timeout": PATIENCE_S}
        cache = at_home(zoocache.Cache(storage_url=place, **options))
        return lambda f: cache.cacheable(
            deps=lambda x: [f"item:{x}"], namespace=f.__name__, version="1"
        )(f)

    def reset() -> None:
        options = {} if place.startswith("lmdb") else {"command_timeout": PATIENCE_S}
        zoocache.Cache(storage_url=place, **options).invalidate("unrelated")

    return HomePeer("zoocache", "zoocache", view, reset=reset)


def make_published(place: str) -> HomePeer:
    import zoocache

    zoocache.configure(storage_url=place, bus_url=place)

    def decorate(f: Function) -> Function:
        return zoocache.cacheable(deps=lambda x: [f"item:{x}"], namespace=f.__name__)(f)

    return HomePeer("zoocache-published", "zoocache", lambda: decorate)


def make_cashews(place: str) -> HomePeer:
    import cashews

    cache = cashews.Cache()
    cache.setup(f"{place}/0")
    return HomePeer(
        "cashews", "cashews", lambda: cache(ttl="1h"), is_async=True,
        guarded=cache(ttl="1h", lock=True),
    )  # fmt: skip


def make_aiocache(place: str) -> HomePeer:
    import aiocache

    def options() -> dict[str, Any]:
        host, port = place.removeprefix("redis://").split(":")
        serializer = aiocache.serializers.PickleSerializer()
        kind = aiocache.Cache.REDIS
        return {"cache": kind, "endpoint": host, "port": int(port), "serializer": serializer}

    return HomePeer(
        "aiocache", "aiocache",
        lambda: lambda f: aiocache.cached(**options())(f), is_async=True,
        guarded=lambda f: aiocache.cached_stampede(lease=2, **options())(f),
    )  # fmt: skip


def make_dogpile(place: str) -> HomePeer:
    from dogpile.cache import make_region

    def region(**arguments: Any) -> Decorator:
        kind = "dogpile.cache.redis"
        made = make_region().configure(kind, arguments={"url": place, **arguments})
        return made.cache_on_arguments()  # type: ignore[no-any-return]

    return HomePeer(
        "dogpile.cache", "dogpile.cache", region,
        guarded=region(distributed_lock=True, thread_local_lock=False),
    )  # fmt: skip


def make_diskcache(place: str) -> HomePeer:
    import diskcache

    folder = Path(place.removeprefix("lmdb://")) / "diskcache"
    cache = diskcache.Cache(str(folder), size_limit=1 << 34)
    return HomePeer(
        "diskcache", "diskcache", cache.memoize,
        guarded=lambda f: diskcache.barrier(cache, diskcache.Lock)(cache.memoize()(f)),
    )  # fmt: skip


# name -> what makes it, and the home whose place it is given
MAKERS: dict[str, tuple[Callable[[str], HomePeer], str]] = {
    "zoocache": (make_zoocache, "redis"),
    "zoocache-lmdb": (make_zoocache, "lmdb"),
    "zoocache-published": (make_published, "redis"),
    "cashews": (make_cashews, "redis"),
    "aiocache": (make_aiocache, "redis"),
    "dogpile.cache": (make_dogpile, "redis"),
    "diskcache": (make_diskcache, "lmdb"),
}
