"""zoocache.Cache(): caches of their own beside the default one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import zoocache
from support import Versions, run
from zoocache import Cache


def test_instances_are_independent() -> None:
    first, second = Cache(), Cache()
    loads = [owner.cacheable(deps=["t"])(Versions().next) for owner in (first, second, zoocache)]
    assert [load() for load in loads] == [1, 1, 1]
    first.invalidate("t")
    assert [load() for load in loads] == [2, 1, 1]
    zoocache.invalidate("t")
    assert [load() for load in loads] == [2, 1, 2]
    second.clear()
    assert [load() for load in loads] == [2, 2, 2]
    run(second.invalidate_async("t"))
    run(first.clear_async())
    assert [load() for load in loads] == [3, 3, 2]
    with first.invalidating("t"):
        pass
    assert [load() for load in loads] == [4, 3, 2]


def test_numbers_tags_and_explanations_are_their_own() -> None:
    cache = Cache()
    load = cache.cacheable(deps=["own:1"])(lambda: 1)
    load()
    load()
    assert (cache.stats().hits, cache.stats().misses, cache.stats().entries) == (1, 1, 1)
    assert zoocache.stats().entries == 0
    assert [info.tag for info in cache.tags(prefix="own")][-1] == "own:1"
    assert list(zoocache.tags()) == []
    assert cache.explain(load).reason == "hit"
    assert zoocache.explain(load).reason == "hit"
    cache.invalidate("own")
    assert cache.get_tag_version("own:1") == cache.stats().clock
    assert zoocache.get_tag_version("own:1") == 0


def test_raw_keys_are_their_own() -> None:
    first, second = Cache(), Cache()
    first.set("key", 1, deps=["t"], ttl=60)
    assert [first.get("key"), second.get("key"), zoocache.get("key")] == [1, None, None]

    async def main() -> None:
        await second.set_async("key", 2)
        assert [await first.get_async("key"), await second.get_async("key")] == [1, 2]

    run(main())
    first.invalidate("t")
    assert [first.get("key"), second.get("key")] == [None, 2]


def test_options_are_those_of_configure() -> None:
    cache = Cache(max_entries=3, default_ttl=60, read_extend_ttl=False)
    load = cache.cacheable(lambda x: x)
    for x in range(10):
        load(x)
    assert cache.stats().entries == 3
    with pytest.raises(TypeError):
        Cache(unknown=1)
    with pytest.raises((TypeError, zoocache.InvalidOption)):
        Cache(max_entries=-1)


def test_every_form_of_the_decorator() -> None:
    cache = Cache()

    @cache.cacheable
    def bare(x: int) -> int:
        return x

    @cache.cacheable()
    def empty(x: int) -> int:
        return x

    @cache.cacheable(deps=["t:{x}"], max_entries=5)
    async def full(x: int) -> int:
        await asyncio.sleep(0)
        return x

    assert [bare(1), bare(1), empty(1), empty(1), run(full(1)), run(full(1))] == [1] * 6
    assert cache.stats().hits == 3


def test_add_deps_and_no_store_belong_to_the_running_load_whatever_its_cache() -> None:
    cache = Cache()
    source = Versions()

    @cache.cacheable
    def load() -> int:
        zoocache.add_deps(["added"])
        if source.loads == 0:
            zoocache.no_store()
        return source.next()

    assert [load(), load(), load()] == [1, 2, 2]
    zoocache.invalidate("added")
    assert load() == 2
    cache.invalidate("added")
    assert load() == 3


def test_loads_of_two_caches_nest() -> None:
    inner_cache, outer_cache = Cache(), Cache()
    inner = inner_cache.cacheable(deps=["t"])(Versions().next)
    source = Versions()

    @outer_cache.cacheable
    def outer() -> tuple[int, int]:
        return inner(), source.next()

    assert outer() == (1, 1)
    inner_cache.invalidate("t")
    assert inner() == 2
    assert outer()[0] in (1, 2), "each cache obeys its own invalidations"


def test_reset_leaves_other_instances_alone() -> None:
    cache = Cache()
    load = cache.cacheable(lambda: object())
    value = load()
    zoocache.reset()
    assert load() is value


def test_a_dropped_instance_lives_as_long_as_its_functions() -> None:
    load: Any = Cache().cacheable(deps=["t"])(Versions().next)
    assert [load(), load()] == [1, 1]
    load.invalidate()
    assert load() == 2


def test_every_function_of_the_module_is_there() -> None:
    cache = Cache(max_tag_length=30)
    for name in zoocache.__all__:
        thing = getattr(zoocache, name)
        if not isinstance(thing, type):
            assert callable(getattr(cache, name)), name
    load = cache.cacheable(lambda: cache.add_deps(cache.tag("a b", 1)))
    load()
    assert cache.explain(load).deps == ("a%20b:1",)
    assert cache.cacheable(cache.no_store)() is None
    assert cache.stats().not_stored == 1
    assert cache.version() == zoocache.version()
