"""stats(), tags() and get_tag_version(): the numbers add up."""

from __future__ import annotations

import asyncio
import gc
import inspect
import random
import time
from pathlib import Path
from typing import Any

import pytest

import zoocache
from support import (
    Gate,
    Versions,
    join_all,
    run,
    spawn,
    spawn_many,
    wait_joined,
    wait_joined_async,
)
from zoocache import add_deps, cacheable, get_tag_version, invalidate, no_store, stats, tags

FIELDS = """hits misses loads load_errors stores not_stored evictions expirations invalidations
    dead_entries flights_joined entries bytes tags clock""".split()


def test_everything_starts_at_nothing() -> None:
    numbers = stats().as_dict()
    assert set(FIELDS) <= set(numbers)
    assert {name: numbers[name] for name in FIELDS if name != "clock"} == {
        name: 0 for name in FIELDS if name != "clock"
    }
    for name in FIELDS:
        assert getattr(stats(), name) == numbers[name]


def test_hits_misses_loads_stores() -> None:
    load = cacheable(lambda x: x)
    for x in (1, 1, 2, 1, 2, 3):
        load(x)
    now = stats()
    assert (now.hits, now.misses, now.loads, now.stores, now.entries) == (3, 3, 3, 3, 3)
    assert (now.load_errors, now.not_stored, now.flights_joined) == (0, 0, 0)
    assert now.bytes > 0


def test_errors_and_values_that_were_not_stored() -> None:
    @cacheable
    def load(x: int) -> int:
        if x == 0:
            raise LookupError
        no_store()
        return x

    with pytest.raises(LookupError):
        load(0)
    load(1)
    now = stats()
    assert (now.loads, now.load_errors, now.stores, now.not_stored) == (2, 1, 0, 1)


def test_a_value_overtaken_by_an_invalidation_is_not_stored() -> None:
    @cacheable(deps=["t"])
    def load() -> int:
        invalidate("t")
        return 1

    load()
    assert (stats().stores, stats().not_stored, stats().entries) == (0, 1, 0)


def test_evictions_expirations_and_dead_entries() -> None:
    bounded = cacheable(max_entries=1)(lambda x: x)
    for x in range(4):
        bounded(x)
    assert stats().evictions == 3
    short = cacheable(ttl=0.03)(lambda: 1)
    short()
    time.sleep(0.1)
    short()
    assert stats().expirations == 1
    tagged = cacheable(deps=["t"])(lambda: 1)
    tagged()
    invalidate("t")
    tagged()
    assert (stats().dead_entries, stats().invalidations) == (1, 1)


def test_followers_are_counted_when_they_begin_to_wait() -> None:
    gate = Gate()

    @cacheable
    def load() -> int:
        gate.hold()
        return 1

    threads = [spawn(load) for _ in range(4)]
    gate.wait_entered()
    wait_joined(3)
    gate.release()
    join_all(threads)
    now = stats()
    assert (now.flights_joined, now.loads, now.hits + now.misses) == (3, 1, 4)


def test_hits_and_misses_are_all_calls() -> None:
    """Whatever happens to them: hits, loads, joins, errors, recursion, invalidations."""
    calls = [0] * 6

    @cacheable(deps=["t:{x}"])
    def load(x: int) -> int:
        if x % 10 == 9:
            raise LookupError
        return x

    def work(worker: int) -> None:
        rng = random.Random(worker)
        for _ in range(3000):
            try:
                load(rng.randrange(30))
            except LookupError:
                pass
            calls[worker] += 1
            if rng.random() < 0.02:
                invalidate(f"t:{rng.randrange(30)}")

    numbers = iter(range(6))
    join_all(spawn_many(6, lambda: work(next(numbers))))
    now = stats()
    assert now.hits + now.misses == sum(calls) == 18_000
    assert now.hits > 10_000
    info = load.cache_info()
    assert (info.hits, info.misses) == (now.hits, now.misses)
    assert now.stores + now.not_stored + now.load_errors == now.loads


def test_a_call_that_waited_in_vain_and_then_found_an_entry_counts_once() -> None:
    """Both late callers refuse the old value; one loads, the other finds what it stored."""
    source = Versions()

    async def main() -> list[int]:
        inside, release = asyncio.Event(), asyncio.Event()

        @cacheable(deps=["t"])
        async def load() -> int:
            value = source.next()
            if value == 1:
                inside.set()
                await release.wait()
            return value

        leader = asyncio.create_task(load())
        await inside.wait()
        invalidate("t")
        late = [asyncio.create_task(load()) for _ in range(2)]
        await wait_joined_async(2)
        release.set()
        return await asyncio.gather(leader, *late)

    assert run(main()) == [1, 2, 2]
    now = stats()
    assert now.hits + now.misses == 3, now


def test_async_calls_are_counted() -> None:
    @cacheable
    async def load(x: int) -> int:
        return x

    async def main() -> None:
        for x in (1, 1, 2):
            await load(x)

    run(main())
    now = stats()
    assert (now.hits, now.misses, now.loads) == (1, 2, 2)


def test_the_clock_moves_with_every_invalidation() -> None:
    load = cacheable(lambda: 1)
    load()
    moments = [stats().clock]
    for action in (
        lambda: invalidate("a"),
        lambda: invalidate("a", "b"),
        load.invalidate,
        load.cache_clear,
        zoocache.clear,
    ):
        action()
        moments.append(stats().clock)
    assert moments == sorted(set(moments)), "strictly growing"
    load()
    load()
    assert stats().clock == moments[-1], "and with nothing else"


def test_tags_lists_live_tags_in_order() -> None:
    load = cacheable(deps=["org:acme:user:{x}", "list"])(lambda x: x)
    for x in (3, 1, 2):
        load(x)
    names = [info.tag for info in tags()]
    assert names == sorted(names)
    assert {"org:acme:user:1", "org:acme:user:2", "org:acme:user:3", "list"} <= set(names)
    by_name = {info.tag: info for info in tags()}
    assert by_name["list"].entries == 3
    assert by_name["org:acme:user:1"].entries == 1
    invalidate("list")
    assert {info.tag: info for info in tags()}["list"].version == stats().clock


def test_tags_with_a_prefix_means_whole_segments() -> None:
    for name in ("org", "org:acme", "org:acme:user:1", "organ", "org2:x", "other"):
        cacheable_keep.append(cacheable(deps=[name])(lambda: 1))
        cacheable_keep[-1]()
    names = [info.tag for info in tags(prefix="org")]
    assert names[:2] == ["org", "org:acme"]
    assert "org:acme:user:1" in names
    assert not {"organ", "org2:x", "org2", "other"} & set(names)
    assert [info.tag for info in tags("org:acme:user:1")] == ["org:acme:user:1"]
    assert list(tags(prefix="nothing")) == []


cacheable_keep: list[Any] = []


@pytest.fixture(autouse=True)
def release_kept() -> Any:
    yield
    cacheable_keep.clear()


def test_hidden_nodes_are_never_shown() -> None:
    inner = cacheable(deps=["inner"])(lambda x: x)
    outer = cacheable(lambda: inner(1) + inner(2))
    outer()
    inner.invalidate(1)
    inner.refresh(2)
    outer()
    assert [info.tag for info in tags()] == ["inner"]


def test_tags_go_with_their_last_entry() -> None:
    load = cacheable(deps=["t:{x}"])(lambda x: x)
    load(1)
    load(2)
    assert [info.tag for info in tags(prefix="t:1")] == ["t:1"]
    load.invalidate(1)
    load.peek(1)
    load(2)
    load.cache_clear()
    assert list(tags()) == []
    assert stats().tags == 0


def test_tags_survive_changes_while_they_are_read() -> None:
    load = cacheable(deps=["t:{x}"])(lambda x: x)
    for x in range(100):
        load(x)
    seen = 0
    for info in tags(prefix="t"):
        load(1000 + seen)
        invalidate(info.tag)
        load.cache_clear()
        seen += 1
    assert seen >= 1


def test_tag_versions() -> None:
    assert get_tag_version("org:acme") == 0
    invalidate("org:acme")
    first = get_tag_version("org:acme")
    assert first == stats().clock
    invalidate("org:acme:user")
    assert get_tag_version("org:acme") == first, "a child's invalidation is not its parent's"
    assert get_tag_version("org:acme:user") == first + 1
    invalidate("org")
    assert get_tag_version("org:acme:user") == get_tag_version("org") == first + 2
    assert get_tag_version("org2") == 0
    with pytest.raises(zoocache.InvalidTag):
        get_tag_version("bad tag")
    with pytest.raises(TypeError):
        get_tag_version(5)  # type: ignore[arg-type]


def test_asking_for_versions_creates_nothing() -> None:
    for i in range(100):
        get_tag_version(f"t:{i}")
    assert stats().tags == 0


def test_added_tags_are_listed() -> None:
    source = Versions()

    @cacheable
    def load() -> int:
        add_deps(["added:1"])
        return source.next()

    load()
    assert "added:1" in [info.tag for info in tags()]


def test_functions_tell_their_counts_and_load_times() -> None:
    @cacheable(deps=["user:{x}"])
    def slow(x: int) -> int:
        if x == 0:
            raise LookupError
        time.sleep(0.002)
        return x

    quick = cacheable(lambda x: x)
    slow(1), slow(1), slow(2), quick(7)
    with pytest.raises(LookupError):
        slow(0)
    invalidate("user:1")
    slow(1)
    told = {info.name.rpartition(".")[2]: info for info in zoocache.functions()}
    info = told["slow"]
    assert info.name == f"{slow.__module__}.{slow.__qualname__}"
    assert info.entries == 2
    counts = info.counts
    assert (counts["hits"], counts["misses"], counts["loads"], counts["load_errors"]) == (
        1,
        4,
        4,
        1,
    )
    assert (counts["misses_invalidated"], counts["misses_expired"]) == (1, 0)
    times = info.load_times
    assert len(times.counts) == len(times.bounds_s) + 1
    assert sum(times.counts) == 4
    assert sum(times.counts[: times.bounds_s.index(0.001) + 1]) == 1, "the one that raised at once"
    assert times.sum_s >= 3 * 0.002
    assert times.mean_s == times.sum_s / 4
    assert told["<lambda>"].counts["loads"] == 1
    del quick
    gc.collect()
    assert [one.name for one in zoocache.functions()] == [info.name]
    assert stats().loads == 5, "what is gone still counts in the sums"


def test_a_miss_says_whether_something_was_there() -> None:
    load = cacheable(lambda x: x, deps=["a"], ttl=60)
    zoocache._default.core.set_time(1e6)
    load(1), load(2)
    invalidate("a")
    load(1), load(2)
    zoocache._default.core.set_time(1e6 + 61)
    load(1)
    cache = zoocache.Cache(max_entries=1)
    small = cache.cacheable(lambda x: x)
    small(1), small(2), small(1)
    unkept = cacheable(lambda: no_store())
    unkept(), unkept()
    now = stats()
    assert (now.misses, now.misses_invalidated, now.misses_expired) == (7, 2, 1)
    assert now.misses_not_stored == 1
    assert (cache.stats().misses, cache.stats().misses_evicted) == (3, 1)


def test_calls_of_many_count_their_misses_once() -> None:
    load = cacheable(lambda x: x, deps=["a"])
    load.get_many([1, 2])
    invalidate("a")
    assert load.get_many([1, 2, 3]) == [1, 2, 3]
    now = stats()
    assert (now.misses, now.misses_invalidated, now.loads) == (5, 2, 5)


def test_a_load_that_waits_counts_the_wait() -> None:
    @cacheable
    async def load() -> int:
        await asyncio.sleep(0.01)
        return 1

    run(load())
    [info] = zoocache.functions()
    assert info.load_times.sum_s >= 0.01


def test_invalidations_tell_what_died_of_them() -> None:
    load = cacheable(lambda x: x, deps=["org:acme:user:{x}"])
    for x in range(5):
        load(x)
    invalidate("org:acme:user:1", "elsewhere")
    line = inspect.currentframe().f_lineno - 1  # type: ignore[union-attr]
    invalidate("org:acme")
    load.invalidate(7)
    for x in range(5):
        load(x)
    load.invalidate(3)
    zoocache.clear()
    load(0)
    whole, one, nothing, parent, two = zoocache.invalidations()
    assert (two.tags, two.functions, two.everything) == (
        ("org:acme:user:1", "elsewhere"),
        (),
        False,
    )
    assert two.origin == f"{__file__}:{line}"
    assert 0 <= two.age_s < 60
    assert (parent.tags, parent.died) == (("org:acme",), 5), "its newest killer is told"
    assert two.died == 0
    assert nothing.functions == one.functions == (f"{__name__}.{load.__qualname__}",)
    assert (nothing.died, one.died) == (0, 1)
    assert whole.everything and whole.died == 4
    assert whole.epoch > one.epoch > nothing.epoch > parent.epoch > two.epoch


def test_only_so_many_invalidations_are_remembered() -> None:
    cache = zoocache.Cache(invalidation_records=4)
    for index in range(10):
        cache.invalidate(f"a:{index}")
    assert [info.tags for info in cache.invalidations()] == [(f"a:{x}",) for x in (9, 8, 7, 6)]
    cache.invalidate(*(f"{'x' * 200}:{index}" for index in range(10)))
    newest = cache.invalidations()[0]
    assert len(newest.tags) + newest.more == 10
    assert sum(map(len, newest.tags)) <= 1024
    assert newest.more > 0
    none = zoocache.Cache(invalidation_records=0)
    none.invalidate("a")
    assert none.invalidations() == []


def test_invalidations_of_other_processes_come_without_a_place(tmp_path: Path) -> None:
    first, second = (zoocache.Cache(bus_url=f"lmdb://{tmp_path}") for _ in range(2))
    load = second.cacheable(lambda x: x, deps=["a:{x}"])
    load(1)
    first.invalidate("a:1")
    load(1)
    info = second.invalidations()[0]
    assert (info.tags, info.died, info.origin) == (("a:1",), 1, None)


def test_entries_below_a_tag_are_those_that_its_invalidation_kills() -> None:
    load = cacheable(deps=["org:{x}:user:{y}", "all"])(lambda x, y: (x, y))
    other = cacheable(deps=["org2:1"])(lambda: 1)
    names = [f"{fn.__module__}.{fn.__qualname__}" for fn in (load, other)]
    other()
    for x in range(3):
        for y in range(4):
            load(x, y)
    assert zoocache.entries_below("org:1") == {names[0]: 4}, "whole segments"
    assert zoocache.entries_below("org:1:user:2") == {names[0]: 1}
    assert zoocache.entries_below("org") == zoocache.entries_below("all") == {names[0]: 12}
    invalidate("org:1:user")
    assert zoocache.entries_below("org") == {names[0]: 8}, "what is dead already does not die again"
    assert zoocache.entries_below("nobody") == {}
    assert stats().entries == 13, "nothing was changed"
    assert load.peek(0, 0) == (0, 0)
    invalidate("org:0")
    assert load.peek(0, 0) is None
    with pytest.raises(zoocache.InvalidTag, match="bad tag"):
        zoocache.entries_below("bad tag")
    with pytest.raises(TypeError):
        zoocache.entries_below(5)  # type: ignore[arg-type]


def test_entries_below_is_what_a_naive_count_says() -> None:
    rng = random.Random(11)
    deps: dict[int, list[str]] = {
        key: [":".join(str(rng.randrange(3)) for _ in range(rng.randrange(1, 5))) for _ in range(3)]
        for key in range(300)
    }
    load = cacheable(deps=lambda key: deps[key])(lambda key: key)
    for key in deps:
        load(key)
    for tag in sorted({tag for tags_of in deps.values() for tag in tags_of} | {"3"}):
        naive = sum(
            any(one == tag or one.startswith(tag + ":") for one in tags_of)
            for tags_of in deps.values()
        )
        assert sum(zoocache.entries_below(tag).values()) == naive, tag
