"""Async functions: one execution for many tasks, loops and threads; awaitables that behave."""

from __future__ import annotations

import asyncio
import collections.abc
import contextvars
import functools
import gc
import inspect
import warnings
import weakref
from typing import Any

import pytest

import zoocache
from support import (
    Versions,
    run,
)
from zoocache import cacheable, explain, invalidate


def test_entries_outlive_the_loop_that_loaded_them() -> None:
    source = Versions()

    @cacheable(deps=["t"])
    async def load() -> int:
        await asyncio.sleep(0)
        return source.next()

    assert [run(load()), run(load())] == [1, 1]
    invalidate("t")
    assert [run(load()), run(load())] == [2, 2]


def test_hits_finish_at_the_first_send() -> None:
    @cacheable
    async def load(x: int) -> int:
        await asyncio.sleep(0)
        return x

    run(load(1))
    awaitable = load(1)
    with pytest.raises(StopIteration) as stop:
        awaitable.send(None)
    assert stop.value.value == 1


def test_tuples_and_exceptions_are_ordinary_values() -> None:
    """Both are special inside StopIteration."""
    values: list[Any] = [(1, 2), (), ValueError("a value"), StopIteration(3), None]

    @cacheable
    async def load(i: int) -> Any:
        return values[i]

    async def main() -> None:
        for _ in range(2):
            for i, value in enumerate(values):
                assert await load(i) is value

    run(main())


def test_lookup_happens_at_the_first_send_and_not_at_the_call() -> None:
    source = Versions()

    @cacheable(deps=["t"])
    async def load() -> int:
        return source.next()

    async def main() -> None:
        early = load()
        assert source.loads == 0
        assert await load() == 1
        assert await early == 1, "loaded meanwhile"
        early = load()
        invalidate("t")
        assert await early == 2, "invalidated meanwhile"

    run(main())


def test_the_load_is_born_at_the_first_send() -> None:
    source = Versions()

    @cacheable(deps=["t"])
    async def load() -> int:
        return source.next()

    async def main() -> None:
        early = load()
        invalidate("t")
        assert [await early, await load()] == [1, 1]

    run(main())


def test_awaitables_are_coroutines_to_everyone() -> None:
    @cacheable
    async def load(x: int) -> int:
        await asyncio.sleep(0)
        return x

    async def main() -> None:
        for _ in range(2):  # a miss and a hit
            awaitable = load(1)
            assert isinstance(awaitable, collections.abc.Coroutine)
            assert isinstance(awaitable, collections.abc.Awaitable)
            assert inspect.isawaitable(awaitable)
            assert asyncio.iscoroutine(awaitable)
            assert await awaitable == 1
            load.cache_clear()
        assert await asyncio.create_task(load(2)) == 2
        assert await asyncio.create_task(load(2)) == 2
        assert await asyncio.ensure_future(load(3)) == 3
        assert await asyncio.wait_for(load(4), 10) == 4
        assert await asyncio.wait_for(load(4), 10) == 4
        assert await asyncio.shield(load(4)) == 4
        assert await asyncio.gather(load(5), load(5), load(4)) == [5, 5, 4]

    run(main())
    assert asyncio.run(load(6)) == 6
    assert asyncio.run(load(6)) == 6


def test_an_awaitable_is_awaited_once() -> None:
    @cacheable
    async def load() -> int:
        return 1

    async def main() -> None:
        for _ in range(2):  # a miss and a hit
            awaitable = load()
            assert await awaitable == 1
            with pytest.raises(RuntimeError):
                await awaitable

    run(main())


def test_close_and_throw_before_the_first_send() -> None:
    source = Versions()

    @cacheable
    async def load() -> int:
        return source.next()

    load().close()
    with pytest.raises(LookupError):
        load().throw(LookupError())
    with pytest.raises(LookupError):
        load().throw(LookupError)
    assert source.loads == 0
    assert run(load()) == 1


def test_close_in_the_middle_frees_the_flight() -> None:
    closed = []

    @cacheable
    async def load() -> int:
        if not closed:
            try:
                await asyncio.sleep(3600)
            finally:
                closed.append(True)
        return 1

    async def main() -> None:
        awaitable = load()
        awaitable.send(None)
        awaitable.close()
        assert closed == [True]
        assert await load() == 1

    run(main())


def test_a_dropped_awaitable_frees_the_flight() -> None:
    source = Versions()

    @cacheable
    async def load() -> int:
        value = source.next()
        if value == 1:
            await asyncio.sleep(3600)
        return value

    async def main() -> None:
        awaitable = load()
        awaitable.send(None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            del awaitable
            gc.collect()
        assert await load() == 2

    run(main())


def test_never_awaited_calls_leave_nothing_behind() -> None:
    source = Versions()

    @cacheable
    async def load() -> int:
        return source.next()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(100):
            load()
        gc.collect()
    assert source.loads == 0
    assert zoocache.stats().misses == 0
    assert run(load()) == 1


def test_the_leader_runs_in_its_own_task_and_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    @cacheable
    async def load() -> tuple[Any, str]:
        seen = variable.get()
        variable.set("by the loader")
        return asyncio.current_task(), seen

    async def main() -> None:
        variable.set("by the caller")
        assert await load() == (asyncio.current_task(), "by the caller")
        assert variable.get() == "by the loader", "as if it were not cached"

    run(main())


def test_the_traceback_shows_the_loader() -> None:
    @cacheable
    async def load() -> int:
        raise LookupError("inside")

    async def main() -> None:
        with pytest.raises(LookupError) as caught:
            await load()
        assert any(entry.name == "load" for entry in caught.traceback)

    run(main())


def test_hits_do_not_keep_tracebacks_or_contexts() -> None:
    @cacheable
    async def load() -> int:
        return 1

    async def main() -> None:
        assert await load() == 1
        for _ in range(3):
            try:
                raise LookupError("being handled")
            except LookupError:
                assert await load() == 1
        awaitable = load()
        with pytest.raises(StopIteration) as stop:
            awaitable.send(None)
        assert stop.value.__context__ is None
        assert stop.value.__cause__ is None

    run(main())


def test_stop_iterations_of_two_hits_are_not_one_object_in_use() -> None:
    @cacheable
    async def load(x: int) -> int:
        return x

    run(load(1))
    run(load(2))
    kept = []
    for x in (1, 2, 1):
        with pytest.raises(StopIteration) as stop:
            load(x).send(None)
        kept.append(stop.value)
    assert [stop.value for stop in kept] == [1, 2, 1]


def test_sync_loader_that_returns_a_coroutine_is_a_clear_error() -> None:
    async def fetch() -> int:
        return 1

    calls = []

    @cacheable
    def load() -> Any:
        calls.append(1)
        return fetch()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for attempt in (1, 2):
            with pytest.raises(TypeError, match="coroutine|await|async"):
                load()
            assert len(calls) == attempt
        gc.collect()


def test_module_level_async_functions() -> None:
    async def main() -> None:
        await zoocache.set_async("key", {"a": 1}, deps=["t:1"], ttl=60)
        assert await zoocache.get_async("key") == {"a": 1}
        assert zoocache.get("key") == {"a": 1}
        await zoocache.invalidate_async("t")
        assert await zoocache.get_async("key") is None
        await zoocache.set_async("key", 2)
        await zoocache.clear_async()
        assert await zoocache.get_async("key") is None
        with pytest.raises(zoocache.InvalidTag):
            await zoocache.invalidate_async("bad tag")

    run(main())


def test_async_callable_objects_and_partials() -> None:
    source = Versions()

    async def add(a: int, b: int) -> int:
        source.next()
        return a + b

    cached = cacheable(functools.partial(add, 1))
    assert [run(cached(2)), run(cached(2)), source.loads] == [3, 3, 1]
    assert explain(cached, 2).reason == "hit"


def test_sync_loader_that_returns_a_cached_coroutine_is_a_clear_error() -> None:
    @cacheable
    async def inner(x: int) -> int:
        return x

    outer = cacheable(lambda x: inner(x))
    for _ in range(2):
        with pytest.raises(TypeError, match="coroutine"):
            outer(1)
    assert zoocache.stats().entries == 0
    assert zoocache.stats().flights == 0


def test_async_loader_that_returns_a_coroutine_is_a_clear_error() -> None:
    async def inner(x: int) -> int:
        return x

    @cacheable
    async def outer(x: int) -> Any:
        return inner(x)

    for _ in range(2):
        with pytest.raises(TypeError, match="coroutine"):
            run(outer(1))


def test_tasks_are_shown_by_the_name_of_the_function() -> None:
    @cacheable
    async def load(x: int) -> int:
        await asyncio.sleep(0)
        return x

    async def main() -> None:
        task = asyncio.create_task(load(1))
        assert "load()" in repr(task)
        await task
        assert "load()" in repr(task)

    awaitable: Any = load(1)
    assert (awaitable.__name__, awaitable.__qualname__) == ("load", load.__qualname__)
    awaitable.close()
    run(main())


def test_a_hit_ends_with_a_clean_stop_iteration_of_its_own() -> None:
    class Value:
        pass

    @cacheable
    async def load(key: int) -> Value | None:
        return Value() if key else None

    async def main() -> weakref.ref[Value]:
        first = await load(1)
        assert await load(0) is await load(0) is None
        stops = []
        for _ in range(2):
            with pytest.raises(StopIteration) as caught:
                next(load(1).__await__())
            stops.append(caught.value)
        assert stops[0] is not stops[1], "somebody holds the first one"
        assert [stop.value for stop in stops] == [first, first]
        assert stops[1].__context__ is None
        del stops, caught
        assert await load(1) is first
        return weakref.ref(first)

    held = run(main())
    zoocache.clear()
    gc.collect()
    assert held() is None, "the iterator's end keeps the value alive"
