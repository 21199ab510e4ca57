"""The ways to answer that are compared: no cache, two TTL caches, zoocache."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from clock import ReplayClock
from ttl_cache import TtlCache

import zoocache

NAMES = ("none", "ttl-30", "ttl-300", "zoocache")
TAGS = ("board", "route", "flight", "carrier", "plane", "weather")  # what each tag begins with
LABELS = {
    "none": "no cache", "ttl-30": "TTL 30 s", "ttl-300": "TTL 300 s", "zoocache": "zoocache",
}  # fmt: skip


class Mode(NamedTuple):
    name: str
    cached: Callable[..., Any]
    invalidate: Callable[..., object]
    invalidate_async: Callable[..., Awaitable[object]]


def uncached(function: Callable[..., Any] | None = None, *, deps: Any = None) -> Any:
    """Stands where `cacheable` stands and caches nothing."""
    return function if function is not None else uncached


def _ignore(*tags: str) -> None:
    """Neither a TTL cache nor no cache hears of changes."""


async def _ignore_async(*tags: str) -> None:
    """The same for asyncio."""


def make_mode(
    name: str, clock: ReplayClock, *, drop_every: int = 0, forget: str | None = None
) -> Mode:
    """A fresh, empty cache.

    With `drop_every` = n every nth invalidation is left out on purpose; with `forget` those of one
    of TAGS, and every hit is loaded anew to find that out.
    """
    if name == "none":
        return Mode(name, uncached, _ignore, _ignore_async)
    if name.startswith("ttl-"):
        cache = TtlCache(float(name[4:]), clock)
        return Mode(name, cache.cached, _ignore, _ignore_async)
    if name != "zoocache":
        raise ValueError(f"unknown mode {name!r}; choose from {', '.join(NAMES)}")
    zoocache.clear()
    if drop_every:
        return _broken(drop_every)
    if forget:
        zoocache.configure(verify=1.0)
        return _forgetful(forget)
    return Mode(name, zoocache.cacheable, zoocache.invalidate, zoocache.invalidate_async)


def _broken(drop_every: int) -> Mode:
    calls = 0

    def dropped() -> bool:
        nonlocal calls
        calls += 1
        return calls % drop_every == 0

    def invalidate(*tags: str) -> None:
        if not dropped():
            zoocache.invalidate(*tags)

    async def invalidate_async(*tags: str) -> None:
        if not dropped():
            await zoocache.invalidate_async(*tags)

    return Mode("zoocache", zoocache.cacheable, invalidate, invalidate_async)


def _forgetful(forgotten: str) -> Mode:
    """A program whose author did not think of one kind of tag."""

    def kept(tags: tuple[str, ...]) -> list[str]:
        return [tag for tag in tags if tag.split(":")[0] != forgotten]

    def invalidate(*tags: str) -> None:
        if left := kept(tags):
            zoocache.invalidate(*left)

    async def invalidate_async(*tags: str) -> None:
        if left := kept(tags):
            await zoocache.invalidate_async(*left)

    return Mode("zoocache", zoocache.cacheable, invalidate, invalidate_async)
