"""How much the cache keeps, and what it gives up first."""

from __future__ import annotations

import random
import weakref
from typing import Any

import pytest

import zoocache
from support import check_script, join_all, plain_id, spawn_many
from zoocache import cacheable, invalidate


def test_max_entries_of_a_function_is_exact() -> None:
    bounded = cacheable(max_entries=10)(lambda x: x)
    free = cacheable(lambda x: x)
    for i in range(1000):
        bounded(i)
        free(i)
        assert bounded.cache_info().currsize <= 10
    assert bounded.cache_info().currsize == 10
    assert free.cache_info().currsize == 1000
    assert zoocache.stats().evictions == 990


def test_max_entries_of_the_process_is_exact() -> None:
    zoocache.configure(max_entries=50)
    first, second = cacheable(lambda x: x), cacheable(lambda x: -x)
    for i in range(500):
        first(i)
        second(i)
        zoocache.set(f"raw{i}", i)
        assert zoocache.stats().entries <= 50
    assert zoocache.stats().entries == 50


def test_a_bound_of_one() -> None:
    load = cacheable(max_entries=1)(lambda x: object())
    first = load(1)
    assert load(1) is first
    load(2)
    assert load.cache_info().currsize == 1


def test_evicted_values_are_freed() -> None:
    class Value:
        pass

    load = cacheable(max_entries=5)(lambda x: Value())
    references = [weakref.ref(load(i)) for i in range(100)]
    assert sum(reference() is not None for reference in references) == 5


def test_what_is_read_often_survives_a_scan() -> None:
    load = cacheable(max_entries=100)(lambda x: x)
    hot = list(range(20))
    for _ in range(5):
        for x in hot:
            load(x)
    misses = 0
    for i in range(5000):
        load(1000 + i)
        if i % 50 == 0:
            before = load.cache_info().misses
            for x in hot:
                load(x)
            misses += load.cache_info().misses - before
    assert misses <= len(hot) * 2, "one-time keys pushed out what is read all the time"


def test_skewed_reads_do_better_than_first_in_first_out() -> None:
    rng = random.Random(7)
    keys = [min(int(rng.paretovariate(0.9)), 100_000) for _ in range(60_000)]
    load = cacheable(max_entries=100)(lambda x: x)
    fifo: dict[int, None] = {}
    fifo_hits = 0
    for key in keys:
        load(key)
        if key in fifo:
            fifo_hits += 1
            continue
        fifo[key] = None
        if len(fifo) > 100:
            del fifo[next(iter(fifo))]
    assert load.cache_info().hits > fifo_hits


def test_dead_entries_make_room_before_live_ones() -> None:
    load = cacheable(max_entries=100, deps=lambda kind, x: [f"{kind}:{x}"])(lambda kind, x: x)
    for x in range(90):
        load("dead", x)
    for x in range(10):
        load("live", x)
        load("live", x)
    invalidate("dead")
    for x in range(90):
        load.peek("dead", x)  # meets it
    for x in range(80):
        load("new", x)
    assert all(load.peek("live", x) == x for x in range(10))


def test_max_bytes_with_a_size_function() -> None:
    load = cacheable(max_bytes=100_000, size=lambda value: 10_000)(lambda x: x)
    for x in range(100):
        load(x)
        assert load.cache_info().currsize <= 10
    assert 5 <= load.cache_info().currsize <= 10


def test_max_bytes_counts_bytes_values() -> None:
    load = cacheable(max_bytes=1_000_000)(lambda x: bytes(10_000))
    for x in range(1000):
        load(x)
    assert 50 <= load.cache_info().currsize <= 100


def test_max_bytes_walks_builtin_containers() -> None:
    load = cacheable(max_bytes=1_000_000)(lambda x: {"rows": [bytes(1000) for _ in range(100)]})
    for x in range(100):
        load(x)
    assert 3 <= load.cache_info().currsize <= 10


def test_max_bytes_of_the_process() -> None:
    zoocache.configure(max_bytes=1_000_000)
    first, second = cacheable(lambda x: bytes(10_000)), cacheable(lambda x: bytes(20_000))
    for x in range(300):
        first(x)
        second(x)
        assert zoocache.stats().bytes <= 1_000_000
    assert zoocache.stats().entries >= 20


def test_a_value_beyond_the_bound_is_returned_and_not_stored() -> None:
    calls = []

    @cacheable(max_bytes=10_000)
    def load(size: int) -> bytes:
        calls.append(size)
        return bytes(size)

    load(10)
    assert len(load(1_000_000)) == 1_000_000
    assert load(10) == bytes(10)
    assert calls == [10, 1_000_000], "and throws nothing else out"


@pytest.mark.parametrize("result", [-1, "big", None, object()], ids=plain_id)
def test_a_size_function_that_answers_nonsense_is_an_error(result: Any) -> None:
    calls = []
    load = cacheable(max_bytes=1000, size=lambda value: result)(lambda: calls.append(1))
    for attempt in (1, 2):
        with pytest.raises((TypeError, ValueError, zoocache.InvalidOption)):
            load()
        assert len(calls) == attempt, "and nothing is stored"


def test_a_size_beyond_the_machine_word_is_not_stored() -> None:
    calls = []
    load = cacheable(max_bytes=1000, size=lambda value: 2**70)(lambda: calls.append(1))
    for attempt in (1, 2):
        try:
            assert load() is None
        except (OverflowError, zoocache.InvalidOption):
            pass
        assert len(calls) == attempt


def test_a_size_function_that_raises_reaches_the_caller() -> None:
    calls = []
    load = cacheable(max_bytes=1000, size=lambda value: 1 / 0)(lambda: calls.append(1))
    for attempt in (1, 2):
        with pytest.raises(ZeroDivisionError):
            load()
        assert len(calls) == attempt


def test_the_size_function_is_not_asked_without_a_byte_bound() -> None:
    load = cacheable(size=lambda value: 1 / 0)(lambda: 1)
    assert [load(), load()] == [1, 1]


def test_bounds_hold_with_threads() -> None:
    load = cacheable(max_entries=50)(lambda x: x)

    def work() -> None:
        for i in range(5000):
            assert load(i % 997) == i % 997

    join_all(spawn_many(6, work))
    assert load.cache_info().currsize == 50


@pytest.mark.no_asan
def test_a_million_keys_under_a_bound_stay_bounded() -> None:
    check_script(
        """
        import resource
        import zoocache

        @zoocache.cacheable(max_entries=10_000)
        def load(x):
            return (x, str(x))

        def peak_mb():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

        for x in range(100_000):
            load(x)
        before = peak_mb()
        for x in range(1_000_000):
            load(x + 100_000)
        assert load.cache_info().currsize == 10_000, load.cache_info()
        assert zoocache.stats().entries == 10_000
        grown = peak_mb() - before
        assert grown < 32, f"grew by {grown} MB"
        """
    )


RSS = """
import gc, os

def rss_mb():
    gc.collect()
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
"""


@pytest.mark.no_asan
def test_a_million_tags_come_and_go() -> None:
    check_script(
        RSS
        + """
import zoocache

@zoocache.cacheable(deps=["tenant:{x}:row"], max_entries=1000)
def load(x):
    return x

for x in range(100_000):
    load(x)
before = rss_mb()
for x in range(100_000, 1_100_000):
    load(x)
    if x % 3 == 0:
        zoocache.invalidate(f"tenant:{x}")
tags = zoocache.stats().tags
assert tags <= 4000, f"{tags} nodes for 1000 entries"
load.cache_clear()
assert zoocache.stats().tags == 0, zoocache.stats()
grown = rss_mb() - before
assert grown < 24, f"grew by {grown} MB"
"""
    )


@pytest.mark.no_asan
def test_memory_of_live_tags_returns_when_they_go() -> None:
    check_script(
        RSS
        + """
import zoocache

@zoocache.cacheable(deps=["some:quite:long:tag:of:number:{x}"])
def load(x):
    return x

def fill_and_clear():
    for x in range(100_000):
        load(x)
    assert zoocache.stats().entries == 100_000
    full = rss_mb()
    zoocache.clear()
    assert (zoocache.stats().entries, zoocache.stats().tags) == (0, 0)
    return full, rss_mb()

full, first = fill_and_clear()
for _ in range(3):
    _, last = fill_and_clear()
assert last - first < 24, f"{first} MB after the first round, {last} MB after the last"
"""
    )


@pytest.mark.no_asan
def test_invalidations_alone_need_no_memory() -> None:
    check_script(
        RSS
        + """
import zoocache

for i in range(200_000):
    zoocache.invalidate(f"tag:{i}")
before = rss_mb()
for i in range(200_000, 1_200_000):
    zoocache.invalidate(f"tag:{i}")
assert zoocache.stats().tags == 0
grown = rss_mb() - before
assert grown < 16, f"grew by {grown} MB"
"""
    )


def test_add_deps_alone_needs_no_memory() -> None:
    """Tags named by loads that are not stored leave nothing behind."""

    @cacheable(store_if=lambda value: False)
    def load(x: int) -> int:
        zoocache.add_deps([f"t:{x}"])
        return x

    for x in range(1000):
        load(x)
    assert zoocache.stats().tags == 0
    assert zoocache.stats().entries == 0
