"""The collector: cycles through the cache are found, and nothing else is disturbed."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from typing import Any

import pytest

import zoocache
from support import check_script, run
from zoocache import cacheable

pytestmark = pytest.mark.usefixtures("collected")


class Node:
    """Something that can be referred to weakly."""

    def __init__(self, **links: Any) -> None:
        self.__dict__.update(links)


def test_a_value_that_refers_to_its_function() -> None:
    def make() -> weakref.ref[Node]:
        @cacheable
        def load() -> Node:
            return Node(function=load)

        return weakref.ref(load())

    reference = make()
    gc.collect()
    assert reference() is None
    assert zoocache.stats().entries == 0


def test_a_key_that_refers_to_its_function() -> None:
    def make() -> weakref.ref[Node]:
        @cacheable
        def load(node: Node) -> int:
            return 1

        node = Node(function=load)
        load(node)
        return weakref.ref(node)

    reference = make()
    gc.collect()
    assert reference() is None


def test_keys_and_values_inside_frozen_arguments() -> None:
    def make() -> weakref.ref[Node]:
        @cacheable
        def load(nodes: Any) -> Any:
            return [nodes]

        node = Node(function=load)
        load((node, frozenset([node])))
        load([node])
        return weakref.ref(node)

    reference = make()
    gc.collect()
    assert reference() is None


def test_two_functions_whose_values_refer_to_each_other() -> None:
    def make() -> weakref.ref[Node]:
        left = cacheable(lambda: Node(other=right))
        right = cacheable(lambda: Node(other=left))
        left()
        return weakref.ref(right())

    reference = make()
    gc.collect()
    assert reference() is None


def test_attributes_options_and_closures() -> None:
    def make() -> weakref.ref[Node]:
        node = Node()
        load = cacheable(
            deps=lambda: [] if node else [],
            key=lambda: node,
            store_if=lambda value: bool(node),
            ttl=lambda value: None if node else None,
        )(lambda: node)
        load.mark = load
        node.function = load
        load()
        return weakref.ref(node)

    reference = make()
    gc.collect()
    assert reference() is None


def test_async_functions_and_methods() -> None:
    def make() -> list[weakref.ref[Any]]:
        class Service:
            @cacheable
            async def load(self) -> Any:
                return Node(service=self, bound=self.load)

        service = Service()
        value = run(service.load())
        return [weakref.ref(service), weakref.ref(value), weakref.ref(Service)]

    references = make()
    zoocache.clear()
    gc.collect()
    assert [reference() for reference in references] == [None] * 3


def test_a_value_that_refers_to_its_instance_goes_with_the_class() -> None:
    def make() -> list[weakref.ref[Any]]:
        class Service:
            @cacheable
            def load(self) -> Any:
                return Node(service=self)

        service = Service()
        return [weakref.ref(service.load()), weakref.ref(service), weakref.ref(Service)]

    references = make()
    gc.collect()
    assert [reference() for reference in references] == [None] * 3


def test_cache_instances() -> None:
    def make() -> weakref.ref[Node]:
        cache = zoocache.Cache()
        load = cache.cacheable(lambda: Node(cache=cache, function=load))
        cache.set("key", Node(cache=cache))
        return weakref.ref(load())

    reference = make()
    gc.collect()
    assert reference() is None


def test_suspended_awaitables() -> None:
    def make() -> weakref.ref[Node]:
        node = Node()

        @cacheable
        async def load() -> Any:
            await asyncio.sleep(3600)
            return node

        async def main() -> None:
            node.awaitable = load()
            node.awaitable.send(None)

        run(main())
        node.function = load
        return weakref.ref(node)

    reference = make()
    gc.collect()
    assert reference() is None


def test_living_entries_survive_collections() -> None:
    load = cacheable(lambda x: [x])
    for x in range(100_000):
        load(x)
    for _ in range(3):
        gc.collect()
    assert load.cache_info().currsize == 100_000
    assert all(load(x) == [x] for x in range(0, 100_000, 997))
    assert load.cache_info().misses == 100_000


@pytest.mark.slow
def test_collections_in_the_middle_of_everything() -> None:
    threshold = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    try:
        load = cacheable(max_entries=20, deps=lambda x: [f"t:{x % 5}"])(lambda x: [x, Node()])
        for x in range(2000):
            assert load(x % 37)[0] == x % 37
            if x % 11 == 0:
                zoocache.invalidate(f"t:{x % 5}")
    finally:
        gc.set_threshold(*threshold)


def test_values_are_seen_by_the_collector_and_counted_once() -> None:
    load = cacheable(lambda: Node())
    value = load()
    referrers = gc.get_referrers(value)
    assert len([r for r in referrers if type(r) is type(load) or r is load]) <= 1
    assert value in gc.get_referents(load) or any(
        value in gc.get_referents(r) for r in gc.get_referents(load)
    )


def test_finalisers_that_use_the_cache() -> None:
    log = []

    class Noisy:
        def __init__(self, x: int) -> None:
            self.x = x

        def __del__(self) -> None:
            log.append(self.x)
            helper(self.x)
            zoocache.invalidate("t:other")
            load.peek(self.x)

    helper = cacheable(lambda x: x)
    load = cacheable(max_entries=3, deps=lambda x: [f"t:{x}"])(Noisy)
    for x in range(100):
        load(x)
    assert len(log) == 97
    zoocache.invalidate("t")
    for x in range(3):
        load(1000 + x)
    zoocache.clear()
    assert len(log) == 103


def test_finalisers_that_clear_the_table_they_fall_out_of() -> None:
    class Clearing:
        def __del__(self) -> None:
            load.cache_clear()
            zoocache.clear()

    load = cacheable(max_entries=2)(lambda x: Clearing())
    for x in range(200):
        load(x)
        load.cache_info()
    load.cache_clear()


def test_a_function_collected_during_its_own_load() -> None:
    check_script(
        """
        import gc
        import zoocache

        def once():
            holder = []
            def body(x):
                holder.clear()
                gc.collect()
                return x
            holder.append(zoocache.cacheable(body))
            return holder[0](5)

        for _ in range(50):
            assert once() == 5
        gc.collect()
        assert zoocache.stats().entries == 0
        """
    )


def test_references_are_balanced() -> None:
    """Nobody's reference count drifts, whatever the calls did."""
    value, key = Node(), Node()

    @cacheable(deps=lambda x: ["t"], max_entries=4)
    def load(x: Any) -> Any:
        return value

    before = (sys.getrefcount(value), sys.getrefcount(key))
    for turn in range(200):
        load(key)
        load(x=key)
        load.peek(key)
        load.refresh(key)
        zoocache.explain(load, key)
        if turn % 3 == 0:
            load.invalidate(key)
        if turn % 5 == 0:
            zoocache.invalidate("t")
    zoocache.clear()
    assert (sys.getrefcount(value), sys.getrefcount(key)) == before
