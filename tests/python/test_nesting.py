"""A cached call inside a cached load: what the outer entry inherits."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from typing import Any

import pytest

import zoocache
from support import Gate, Versions, run, spawn, wait_joined
from zoocache import FlightTimeout, add_deps, cacheable, explain, invalidate, no_store


def chain(depth: int) -> tuple[list[Any], list[int]]:
    """Functions that call each other: the last one depends on `leaf:1`, the others on nothing."""
    counts = [0] * depth
    functions: list[Any] = []

    def level(i: int) -> Any:
        @cacheable(deps=["leaf:1"] if i == depth - 1 else ())
        def load() -> int:
            counts[i] += 1
            return functions[i + 1]() if i + 1 < depth else counts[i]

        return load

    functions.extend(level(i) for i in range(depth))
    return functions, counts


@pytest.mark.parametrize("depth", [2, 3, 30])
@pytest.mark.parametrize("warm", ["nothing", "leaf", "all but the outermost"])
def test_outer_entries_inherit_at_any_depth_on_hit_and_miss(depth: int, warm: str) -> None:
    functions, counts = chain(depth)
    if warm == "leaf":
        functions[-1]()
    elif warm == "all but the outermost":
        functions[1]()
    assert [functions[0](), functions[0]()] == [1, 1]
    assert counts == [1] * depth
    invalidate("leaf")
    assert [functions[0](), functions[0]()] == [2, 2]
    assert counts == [2] * depth


def test_inner_entries_do_not_inherit_from_outer_ones() -> None:
    inner_source, outer_source = Versions(), Versions()
    inner = cacheable(deps=["inner"])(inner_source.next)

    @cacheable(deps=["outer"])
    def outer() -> tuple[int, int]:
        add_deps(["early"])
        return inner(), outer_source.next()

    assert outer() == (1, 1)
    assert explain(inner).deps == ("inner",)
    invalidate("outer", "early")
    assert outer() == (1, 2)
    assert inner() == 1


def test_siblings_do_not_inherit_from_each_other() -> None:
    left, right = Versions(), Versions()
    inner_left = cacheable(deps=["left"])(left.next)
    inner_right = cacheable(deps=["right"])(right.next)
    outer = cacheable(lambda: (inner_left(), inner_right()))
    assert outer() == (1, 1)
    invalidate("left")
    assert outer() == (2, 1)
    assert inner_right() == 1
    invalidate("right")
    assert outer() == (2, 2)


def test_a_call_made_before_the_load_is_not_inherited() -> None:
    inner = cacheable(deps=["inner"])(Versions().next)
    source = Versions()

    @cacheable
    def outer(value: int) -> int:
        return source.next()

    assert outer(inner()) == 1
    invalidate("inner")
    assert outer(1) == 1


def test_an_inner_value_that_is_not_stored_still_counts() -> None:
    source, outer_source = Versions(), Versions()

    @cacheable(deps=["inner"])
    def unstored() -> int:
        no_store()
        return source.next()

    refused = cacheable(deps=["inner"], store_if=lambda value: False)(source.next)
    for inner in (unstored, refused):
        outer = cacheable(lambda: (inner(), outer_source.next())[1])  # noqa: B023
        first = outer()
        assert outer() == first, "the outer one is stored"
        invalidate("inner")
        assert outer() == first + 1


def test_an_inner_call_that_raised_still_counts() -> None:
    @cacheable
    def inner() -> int:
        add_deps(["inner"])
        raise LookupError

    source = Versions()

    @cacheable
    def outer() -> int:
        try:
            inner()
        except LookupError:
            pass
        return source.next()

    assert [outer(), outer()] == [1, 1]
    invalidate("inner")
    assert outer() == 2


def test_deps_known_before_an_inner_call_raised_count() -> None:
    @cacheable(deps=["constant", "template:{x}"])
    def inner(x: int) -> int:
        raise LookupError

    source = Versions()

    @cacheable
    def outer() -> int:
        with pytest.raises(LookupError):
            inner(1)
        return source.next()

    for count, name in enumerate(["constant", "template:1"], start=1):
        assert outer() == count
        invalidate(name)
        assert outer() == count + 1


def test_an_inner_load_overtaken_by_an_invalidation_keeps_the_outer_one_out() -> None:
    gate = Gate()
    inner = cacheable(deps=["inner"])(Versions(gate).next)
    outer = cacheable(lambda: inner())
    leader = spawn(outer)
    gate.wait_entered()
    invalidate("inner")
    gate.release()
    assert leader.result() == 1
    assert [outer(), inner()] == [2, 2]


def test_an_inner_entry_that_dies_between_its_use_and_the_store() -> None:
    inner = cacheable(deps=["inner"])(Versions().next)

    @cacheable
    def outer() -> int:
        value = inner()
        if value == 1:
            invalidate("inner")
        return value

    assert [outer(), outer(), outer()] == [1, 2, 2]


def test_a_followers_outer_load_inherits_too() -> None:
    gate = Gate()
    inner = cacheable(deps=["inner"])(Versions(gate).next)
    leader = spawn(inner)
    gate.wait_entered()
    outer = cacheable(lambda: inner())
    follower = spawn(outer)
    wait_joined(1)
    gate.release()
    assert [leader.result(), follower.result()] == [1, 1]
    assert outer() == 1
    invalidate("inner")
    assert outer() == 2


def test_evicted_inner_entries_leave_their_tags_with_the_outer_one() -> None:
    source = Versions()

    @cacheable(deps=lambda x: [f"item:{x}"], max_entries=1)
    def inner(x: int) -> int:
        return source.next()

    outer = cacheable(lambda: [inner(i) for i in range(5)])
    assert outer() == [1, 2, 3, 4, 5]
    invalidate("item:0")
    assert outer()[0] >= 6


def test_sync_inside_async_and_async_inside_sync() -> None:
    leaf = cacheable(deps=["leaf"])(Versions().next)

    @cacheable
    async def middle() -> int:
        await asyncio.sleep(0)
        return leaf()

    @cacheable
    def above() -> int:
        return asyncio.run(middle())

    @cacheable
    async def top() -> int:
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        return await loop.run_in_executor(None, context.run, above)

    assert [run(top()), run(top())] == [1, 1]
    invalidate("leaf")
    assert [run(top()), above(), run(middle())] == [2, 2, 2]


def test_to_thread_inside_an_async_load() -> None:
    leaf = cacheable(deps=["leaf"])(Versions().next)

    @cacheable
    async def outer() -> int:
        return await asyncio.to_thread(leaf)

    assert run(outer()) == 1
    invalidate("leaf")
    assert run(outer()) == 2


@pytest.mark.parametrize("how", ["await", "gather", "create_task", "wait_for", "as_completed"])
def test_every_way_to_await_inside_an_async_load(how: str) -> None:
    source = Versions()

    @cacheable(deps=["leaf"])
    async def leaf() -> int:
        await asyncio.sleep(0)
        return source.next()

    @cacheable
    async def outer() -> int:
        if how == "await":
            return await leaf()
        if how == "gather":
            return (await asyncio.gather(leaf(), asyncio.sleep(0)))[0]
        if how == "create_task":
            return await asyncio.create_task(leaf())
        if how == "wait_for":
            return await asyncio.wait_for(leaf(), 10)
        return [await future for future in asyncio.as_completed([leaf()])][0]

    async def main() -> list[int]:
        first = [await outer(), await outer()]
        invalidate("leaf")
        return [*first, await outer(), await outer()]

    assert run(main()) == [1, 1, 2, 2]


def test_interleaved_async_loads_keep_their_dependencies_apart() -> None:
    async def main() -> None:
        turns = [asyncio.Event(), asyncio.Event()]

        @cacheable
        async def load(name: str) -> str:
            add_deps([f"{name}:before"])
            mine, other = turns if name == "a" else turns[::-1]
            other.set()
            await mine.wait()
            add_deps([f"{name}:after"])
            return name

        assert await asyncio.gather(load("a"), load("b")) == ["a", "b"]
        for name in "ab":
            assert sorted(explain(load, name).deps) == [f"{name}:after", f"{name}:before"]

    run(main())


def test_the_frame_of_a_suspended_load_does_not_leak_into_its_loop() -> None:
    async def main() -> None:
        inside, release = asyncio.Event(), asyncio.Event()

        @cacheable
        async def slow() -> int:
            inside.set()
            await release.wait()
            return 1

        task = asyncio.create_task(slow())
        await inside.wait()
        add_deps(["stranger"])
        no_store()
        await asyncio.create_task(asyncio.sleep(0, add_deps(["stranger"])))
        release.set()
        assert await task == 1
        assert explain(slow).reason == "hit"
        assert explain(slow).deps == ()

    run(main())


def test_inner_ttl_bounds_the_outer_one() -> None:
    inner = cacheable(ttl=0.2)(Versions().next)
    middle = cacheable(lambda: inner())
    outer = cacheable(ttl=3600)(lambda: middle())
    start = time.monotonic()
    first = outer()
    assert first == 1
    time.sleep(max(0.0, start + 0.5 - time.monotonic()))
    assert outer() == 2


def test_the_rest_of_an_inner_entrys_life_bounds_the_outer_one() -> None:
    ttl_s = 1.0
    inner = cacheable(ttl=ttl_s)(Versions().next)
    outer = cacheable(lambda: inner())
    assert inner() == 1
    loaded = time.monotonic()
    time.sleep(ttl_s / 2)
    first = outer()
    time.sleep(max(0.0, loaded + ttl_s + 0.1 - time.monotonic()))
    assert outer() == first + 1, "half a life was left, not a whole one"


def test_an_outer_ttl_does_not_shorten_the_inner_one() -> None:
    inner = cacheable(ttl=3600)(Versions().next)
    outer = cacheable(ttl=0.05)(lambda: inner())
    assert outer() == 1
    time.sleep(0.1)
    assert outer() == 1
    assert inner.cache_info().misses == 1


def test_recursion_inherits_from_every_level() -> None:
    counts: list[int] = []

    @cacheable(deps=["fib:{n}"])
    def fib(n: int) -> int:
        counts.append(n)
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    assert fib(30) == 832040
    assert len(counts) == 31
    invalidate("fib:10")
    assert fib(9) == 34
    assert len(counts) == 31
    assert fib(30) == 832040
    assert len(counts) == 31 + 21


def test_raw_keys_read_inside_a_load_are_inherited() -> None:
    source = Versions()
    zoocache.set("raw", "value", deps=["raw:1"])

    @cacheable
    def outer() -> tuple[str, int]:
        return zoocache.get("raw"), source.next()

    assert [outer(), outer()] == [("value", 1)] * 2
    invalidate("raw:1")
    assert outer() == (None, 2)


def test_helper_threads_that_carry_the_context_are_inherited() -> None:
    leaf = cacheable(deps=["leaf"])(Versions().next)
    results: list[int] = []

    @cacheable
    def outer() -> int:
        context = contextvars.copy_context()
        helper = threading.Thread(target=context.run, args=(lambda: results.append(leaf()),))
        helper.start()
        helper.join()
        return results[-1]

    assert [outer(), outer()] == [1, 1]
    invalidate("leaf")
    assert outer() == 2


def test_a_cached_call_inside_the_deps_callable_is_harmless() -> None:
    lookup = cacheable(deps=["lookup"])(lambda x: f"item:{x}")
    source = Versions()

    @cacheable(deps=lambda x: [lookup(x)])
    def load(x: int) -> int:
        return source.next()

    assert [load(1), load(1)] == [1, 1]
    invalidate("item:1")
    assert load(1) == 2


def test_an_inner_no_store_is_not_the_outer_ones() -> None:
    @cacheable
    def inner() -> int:
        no_store()
        return 1

    source = Versions()
    outer = cacheable(lambda: (inner(), source.next())[1])
    assert [outer(), outer()] == [1, 1]


def test_deep_recursion_ends_in_a_recursion_error() -> None:
    @cacheable
    def down(n: int) -> int:
        return 0 if n == 0 else down(n - 1)

    with pytest.raises(RecursionError):
        down(1_000_000)
    assert down(50) == 0
    with pytest.raises(RecursionError):
        down(1_000_000)


def test_a_fallback_after_a_time_out_is_not_kept_through_any_depth() -> None:
    gate = Gate()

    @cacheable(flight_timeout=0.05, on_flight_timeout="raise")
    def inner() -> str:
        gate.hold()
        return "fresh"

    @cacheable
    def middle() -> str:
        try:
            return inner()
        except FlightTimeout:
            return "fallback"

    outer = cacheable(lambda: middle())
    leader = threading.Thread(target=inner)
    leader.start()
    gate.wait_entered()
    assert outer() == "fallback"
    gate.release()
    leader.join()
    assert outer() == "fresh"


@pytest.mark.parametrize("leads", [True, False])
def test_a_fallback_after_a_cancelled_inner_call_is_not_kept(leads: bool) -> None:
    async def main() -> list[str]:
        gate = asyncio.Event()

        @cacheable
        async def inner() -> str:
            await gate.wait()
            return "fresh"

        @cacheable
        async def outer() -> str:
            try:
                return await asyncio.wait_for(inner(), 0.02)
            except asyncio.TimeoutError:
                return "fallback"

        other = None if leads else asyncio.create_task(inner())
        await asyncio.sleep(0)
        first = await outer()
        gate.set()
        if other is not None:
            await other
        return [first, await outer()]

    assert asyncio.run(main()) == ["fallback", "fresh"]


def test_a_value_without_time_to_live_leaves_none_to_what_is_made_of_it() -> None:
    source = iter(range(10))
    inner = cacheable(ttl=lambda _: 0)(lambda: next(source))
    outer = cacheable(lambda: inner())
    assert [outer(), outer()] == [0, 1]
