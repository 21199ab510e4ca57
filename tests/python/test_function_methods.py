"""What a cached function offers beside being called."""

from __future__ import annotations

import functools
import gc
import time
from typing import Any

import pytest

import zoocache
from support import Gate, Versions, join_all, run, spawn, wait_joined
from zoocache import cacheable, explain, invalidate


def per_key() -> tuple[Any, list[int]]:
    calls: list[int] = []

    @cacheable(deps=["t:{x}"])
    def load(x: int = 1) -> tuple[int, int]:
        calls.append(x)
        return x, calls.count(x)

    return load, calls


def test_invalidate_reaches_one_call_only() -> None:
    load, _ = per_key()
    assert [load(1), load(2)] == [(1, 1), (2, 1)]
    load.invalidate(1)
    assert [load(1), load(2)] == [(1, 2), (2, 1)]
    load.invalidate(x=2)
    assert [load(1), load(2)] == [(1, 2), (2, 2)]
    load.invalidate()
    assert [load(1), load(2)] == [(1, 3), (2, 2)], "the default filled in"
    load.invalidate(99)


def test_invalidate_reaches_outer_entries() -> None:
    load, _ = per_key()
    outer = cacheable(lambda x: load(x))
    outermost = cacheable(lambda x: outer(x))
    assert [outermost(1), outermost(2)] == [(1, 1), (2, 1)]
    load.invalidate(1)
    assert [outermost(1), outermost(2)] == [(1, 2), (2, 1)]
    outer.invalidate(2)
    assert outermost(2) == (2, 1)
    assert outer.cache_info().misses == 4


def test_invalidate_reaches_outer_entries_of_inner_ones_that_are_gone() -> None:
    source = Versions()

    @cacheable(max_entries=1)
    def inner(x: int) -> int:
        return source.next()

    outer = cacheable(lambda x: inner(x))
    assert outer(1) == 1
    inner(2)
    inner(3)
    inner.invalidate(1)
    assert outer(1) == 4


def test_cache_clear_reaches_every_call_and_outer_entries_and_no_other_function() -> None:
    load, _ = per_key()
    other, _ = per_key()
    outer = cacheable(lambda x: load(x))
    assert [outer(1), outer(2), other(1)] == [(1, 1), (2, 1), (1, 1)]
    load.cache_clear()
    assert load.cache_info().currsize == 0
    assert [outer(1), outer(2), other(1)] == [(1, 2), (2, 2), (1, 1)]


def test_cache_clear_reaches_loads_that_are_running() -> None:
    gate = Gate()
    inner = cacheable(Versions(gate).next)
    outer = cacheable(lambda: inner())
    leader = spawn(outer)
    gate.wait_entered()
    inner.cache_clear()
    gate.release()
    assert leader.result() == 1
    assert outer() == 2


def test_refresh_loads_now_and_returns_the_new_value() -> None:
    load, calls = per_key()
    assert load(1) == (1, 1)
    assert load.refresh(1) == (1, 2)
    assert load(1) == (1, 2)
    assert load.refresh(2) == (2, 1)
    assert load(2) == (2, 1)
    assert calls == [1, 1, 2]


def test_refresh_reaches_outer_entries() -> None:
    load, _ = per_key()
    outer = cacheable(lambda x: load(x))
    assert outer(1) == (1, 1)
    assert load.refresh(1) == (1, 2)
    assert outer(1) == (1, 2)


def test_refresh_does_not_accept_a_load_that_began_earlier() -> None:
    gate = Gate()
    load = cacheable(Versions(gate).next)
    leader = spawn(load)
    gate.wait_entered()
    refreshing = spawn(load.refresh)
    refreshing.thread.join(0.1)
    gate.release()
    assert leader.result() == 1
    assert refreshing.result() == 2
    assert load() == 2


def test_refresh_that_fails_raises_and_the_next_call_loads() -> None:
    source = Versions()

    @cacheable
    def load() -> int:
        if source.next() == 2:
            raise LookupError
        return source.loads

    assert load() == 1
    with pytest.raises(LookupError):
        load.refresh()
    assert load() in (1, 3)


def test_refresh_of_an_async_function_is_awaitable() -> None:
    source = Versions()

    @cacheable
    async def load(x: int) -> int:
        return source.next()

    async def main() -> None:
        assert await load(1) == 1
        assert await load.refresh(1) == 2
        assert await load(1) == 2
        load.invalidate(1)
        assert load.peek(1) is None
        assert await load(1) == 3
        assert load.peek(1) == 3

    run(main())


def test_peek_neither_loads_nor_counts() -> None:
    load, calls = per_key()
    assert load.peek(1) is None
    assert load.peek(1, default="absent") == "absent"
    assert calls == []
    load(1)
    before = zoocache.stats().as_dict()
    assert load.peek(1) == (1, 1)
    assert load.peek(x=1) == (1, 1)
    assert zoocache.stats().as_dict() == before
    assert load.cache_info()[:2] == (0, 1)


def test_peek_never_shows_what_is_invalid() -> None:
    load, _ = per_key()
    load(1)
    invalidate("t")
    assert load.peek(1) is None
    short = cacheable(ttl=0.03)(lambda: 1)
    short()
    time.sleep(0.08)
    assert short.peek(default="gone") == "gone"


def test_peek_tells_a_cached_none_from_absence() -> None:
    load = cacheable(lambda: None)
    assert load.peek(default="absent") == "absent"
    load()
    assert load.peek(default="absent") is None


def test_peek_inside_a_load_is_inherited() -> None:
    load, _ = per_key()
    load(1)
    source = Versions()
    outer = cacheable(lambda: (load.peek(1), source.next()))
    assert outer() == ((1, 1), 1)
    invalidate("t:1")
    assert outer() == (None, 2)


def test_cache_info_and_parameters() -> None:
    @cacheable(max_entries=2)
    def load(x: int) -> int:
        return x

    assert load.cache_info() == (0, 0, 2, 0)
    for x in (1, 1, 2, 1):
        load(x)
    info = load.cache_info()
    assert (info.hits, info.misses, info.maxsize, info.currsize) == (2, 2, 2, 2)
    hits, misses, maxsize, currsize = info
    assert (hits, misses, maxsize, currsize) == (2, 2, 2, 2)
    assert load.cache_parameters()["maxsize"] == 2
    assert set(load.cache_parameters()) == set(functools.lru_cache(lambda: 1).cache_parameters())
    load.cache_clear()
    assert load.cache_info() == (0, 0, 2, 0)


def test_cache_info_of_an_unbounded_function() -> None:
    load = cacheable(lambda: 1)
    assert load.cache_info() == (0, 0, None, 0)
    assert load.cache_parameters()["maxsize"] is None


def test_dead_entries_leave_currsize_when_they_are_met() -> None:
    load, _ = per_key()
    load(1)
    load.invalidate(1)
    assert load.peek(1) is None
    load(1)
    assert load.cache_info().currsize == 1


def test_wrong_arguments_to_the_methods() -> None:
    load, _ = per_key()
    for method in (load.invalidate, load.refresh, load.peek):
        with pytest.raises(TypeError):
            method(1, 2)
        with pytest.raises(TypeError):
            method(unknown=1)


def test_wrapped_bypasses_the_cache() -> None:
    load, calls = per_key()
    load(1)
    assert load.__wrapped__(1) == (1, 2)
    assert load(1) == (1, 1)
    assert calls == [1, 1]


def test_a_dropped_function_takes_its_entries_along() -> None:
    load, _ = per_key()
    for i in range(100):
        load(i)
    assert zoocache.stats().entries == 100
    del load
    gc.collect()
    assert zoocache.stats().entries == 0
    assert zoocache.stats().tags == 0


def test_invalidate_by_another_thread_while_followers_wait() -> None:
    gate = Gate()
    load = cacheable(Versions(gate).next)
    threads = [spawn(load) for _ in range(4)]
    gate.wait_entered()
    wait_joined(3)
    load.invalidate()
    late = spawn(load)
    late.thread.join(0.05)
    gate.release()
    join_all(threads)
    assert late.result() >= 2
    assert load() >= 2
    assert explain(load).reason == "hit"
