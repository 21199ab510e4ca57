"""`Cache.hook_loads`: what instrumentation puts around every loader."""

from __future__ import annotations

import time
from typing import Any

import pytest

import zoocache
from support import run
from zoocache import Cache, add_deps


class Hooks:
    """Note each load that they run."""

    def __init__(self) -> None:
        self.loads: list[tuple[str, str, tuple[Any, ...], dict[str, Any]]] = []
        self.awaited = 0

    def sync(self, loader: Any, reason: str, /, *args: Any, **kwargs: Any) -> Any:
        self.loads.append((loader.__qualname__, reason, args, kwargs))
        return loader(*args, **kwargs)

    async def asynchronous(self, loader: Any, reason: str, /, *args: Any, **kwargs: Any) -> Any:
        self.awaited += 1
        self.loads.append((loader.__qualname__, reason, args, kwargs))
        return await loader(*args, **kwargs)

    def reasons(self) -> list[str]:
        reasons = [reason for _, reason, _, _ in self.loads]
        self.loads.clear()
        return reasons


@pytest.fixture
def hooks() -> Hooks:
    return Hooks()


@pytest.fixture
def cache(hooks: Hooks) -> Cache:
    made = Cache(default_ttl=600)
    made.hook_loads((hooks.sync, hooks.asynchronous))
    return made


def test_loads_go_through_the_hook_and_hits_do_not(cache: Cache, hooks: Hooks) -> None:
    @cache.cacheable(deps=["t:{x}"])
    def load(x: int, *, y: int = 0) -> int:
        add_deps("more")
        return x + y

    assert [load(1), load(1), load(2, y=3), load(2, y=3)] == [1, 1, 5, 5]
    name = load.__qualname__
    assert hooks.loads == [
        (name, "never loaded", (1,), {}),
        (name, "never loaded", (2,), {"y": 3}),
    ]
    cache.invalidate("more")
    assert load(1) == 1, "the loader's dependencies are the entry's"
    assert hooks.reasons()[-1] == "invalidated"
    assert load.__wrapped__(1) == 1
    assert hooks.loads == []


def test_the_reason_says_why_nothing_was_hit(cache: Cache, hooks: Hooks) -> None:
    short = cache.cacheable(lambda: 1, ttl=0.02)
    short()
    time.sleep(0.05)
    short()
    small = cache.cacheable(lambda x: x, max_entries=1)
    small(1), small(2), small(1)
    unkept = cache.cacheable(lambda: zoocache.no_store())
    unkept(), unkept()
    first = "never loaded"
    assert hooks.reasons() == [first, "expired", first, first, "evicted", first, "not stored"]


def test_methods_and_errors(cache: Cache, hooks: Hooks) -> None:
    class Shop:
        @cache.cacheable
        def price(self, item: int) -> int:
            return 100 // item

        @cache.cacheable
        @classmethod
        def name(cls) -> str:
            return cls.__name__

    shop = Shop()
    assert (shop.price(5), Shop.name()) == (20, "Shop")
    with pytest.raises(ZeroDivisionError):
        shop.price(0)
    assert hooks.reasons() == ["never loaded"] * 3


def test_async_loads(cache: Cache, hooks: Hooks) -> None:
    @cache.cacheable(deps=["t"])
    async def load(x: int) -> int:
        return x

    async def twice() -> list[int]:
        return [await load(1), await load(1)]

    assert run(twice()) == [1, 1]
    cache.invalidate("t")
    run(twice())
    assert hooks.reasons() == ["never loaded", "invalidated"]
    assert hooks.awaited == 2


def test_the_loads_of_get_many(cache: Cache, hooks: Hooks) -> None:
    def load_all(items: list[int]) -> list[int]:
        return [-x for x in items]

    async def load_all_async(items: list[int]) -> list[int]:
        return load_all(items)

    load = cache.cacheable(lambda x: x)
    assert load.get_many([1, 2, 1], load=load_all) == [-1, -2, -1]
    assert hooks.loads == [(load.__qualname__, "many", ([1, 2], load_all), {})]
    assert load.get_many([2, 3]) == [-2, 3]
    with pytest.raises(TypeError, match="dict"):
        load.get_many([4], load=lambda items: dict.fromkeys(items))

    @cache.cacheable
    async def load_async(x: int) -> int:
        return x

    assert run(load_async.get_many([1, 2], load=load_all_async)) == [-1, -2]
    assert hooks.reasons() == ["many", "never loaded", "many", "many"]


def test_loads_in_the_background_are_refreshes(cache: Cache, hooks: Hooks) -> None:
    load = cache.cacheable(lambda: time.monotonic(), ttl=600, refresh_ahead=599.99)
    first = load()
    time.sleep(0.05)
    deadline = time.monotonic() + 30
    while load() == first:
        assert time.monotonic() < deadline, "no load in the background"
        time.sleep(0.001)
    assert hooks.reasons()[:2] == ["never loaded", "refresh"]


def test_functions_of_before_and_after_and_without(hooks: Hooks) -> None:
    cache = Cache()
    before = cache.cacheable(lambda x: x)
    before(0)
    cache.hook_loads((hooks.sync, hooks.asynchronous))
    after = cache.cacheable(lambda x: x)
    other = Cache().cacheable(lambda x: x)
    before(1), after(1), other(1)
    assert hooks.reasons() == ["never loaded"] * 2
    cache.reset()
    cache.configure(max_entries=100)
    before(1)
    assert hooks.reasons() == ["never loaded"], "a cache that begins anew keeps its hooks"
    cache.hook_loads(None)
    assert (before(2), after(2)) == (2, 2)
    assert hooks.loads == []
