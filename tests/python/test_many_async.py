"""`get_many` of async functions: as of others, and no event loop is kept waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import zoocache
from many_support import Source, of
from support import run
from zoocache import add_deps, cacheable, invalidate


@pytest.fixture
def none_open() -> Iterator[None]:
    """No load is open afterwards: what is declared then belongs to nobody."""
    yield
    runs: list[int] = []
    outer = cacheable(lambda: runs.append(1))
    outer()
    outer()
    assert len(runs) == 1


@pytest.mark.usefixtures("none_open")
def test_async_functions() -> None:
    source = Source()

    @cacheable(deps=["item:{item}"])
    async def get(item: int) -> Any:
        await asyncio.sleep(0)
        return source.one(item)

    async def load(items: list[int]) -> list[Any]:
        add_deps("before")
        await asyncio.sleep(0)
        add_deps("after")
        return source.many(items)

    async def main() -> None:
        assert await get.get_many([1, 2, 1], load=load) == of(1, 2, 1)
        assert source.batches == [[1, 2]]
        for tag, missing in (("before", [1, 2]), ("after", [1, 2]), ("item:2", [2])):
            invalidate(tag)
            assert await get.get_many([1, 2], load=load) == of(1, 2)
            assert source.batches[-1] == missing, tag
        assert await get.get_many([1, 5]) == of(1, 5)
        assert source.single == [5]

    run(main())


@pytest.mark.usefixtures("none_open")
def test_async_batches_that_overlap_load_each_item_once() -> None:
    loaded: list[int] = []

    async def load(items: list[int]) -> list[Any]:
        loaded.extend(items)
        await asyncio.sleep(0.001)
        return of(*items)

    @cacheable
    async def get(item: int) -> Any:
        return (await load([item]))[0]

    async def main() -> None:
        ranges = [list(range(first, first + 20)) for first in range(0, 60, 5)]
        found = await asyncio.gather(*(get.get_many(items, load=load) for items in ranges))
        assert found == [of(*items) for items in ranges]
        assert sorted(loaded) == list(range(75))

    run(main())


@pytest.mark.usefixtures("none_open")
def test_a_cancelled_batch_leaves_nobody_behind() -> None:
    source = Source()
    entered = asyncio.Event()

    @cacheable
    async def get(item: int) -> Any:
        return source.one(item)

    async def load(_: list[int]) -> list[Any]:
        entered.set()
        await asyncio.sleep(3600)
        raise AssertionError

    async def main() -> None:
        many = asyncio.create_task(get.get_many([1, 2], load=load))
        await entered.wait()
        single = asyncio.create_task(get(2))
        while zoocache.stats().flights_joined < 1:
            await asyncio.sleep(0)
        many.cancel()
        with pytest.raises(asyncio.CancelledError):
            await many
        assert await single == Source.value(2)
        assert await get(1) == Source.value(1)

    run(main())


@pytest.mark.usefixtures("none_open")
def test_an_async_batch_that_is_dropped_leaves_nobody_behind() -> None:
    @cacheable
    async def get(item: int) -> Any:
        return Source.value(item)

    async def load(_: list[int]) -> list[Any]:
        await asyncio.sleep(0)
        raise AssertionError

    async def main() -> None:
        many = get.get_many([1, 2], load=load)
        many.send(None)
        many.close()
        assert await get(1) == Source.value(1)
        never = get.get_many([3], load=load)
        never.close()
        assert await get(3) == Source.value(3)

    run(main())


@pytest.mark.usefixtures("none_open")
def test_the_load_is_not_the_current_one_while_it_waits() -> None:
    @cacheable(deps=["item:{item}"])
    async def get(item: int) -> Any:
        return Source.value(item)

    async def load(items: list[int]) -> list[Any]:
        await Suspend()
        return of(*items)

    class Suspend:
        def __await__(self) -> Iterator[None]:
            yield

    many = get.get_many([1], load=load)
    many.send(None)
    add_deps("other")  # of whoever runs in this context meanwhile
    with pytest.raises(StopIteration) as ended:
        many.send(None)
    assert ended.value.value == of(1)
    invalidate("other")
    assert get.peek(1) == Source.value(1)


def test_the_loader_of_an_async_function_is_async() -> None:
    @cacheable
    async def get(item: int) -> Any:
        return Source.value(item)

    with pytest.raises(TypeError, match="returned no awaitable"):
        run(get.get_many([1], load=lambda items: of(*items)))

    async def load(items: list[int]) -> list[Any]:
        return of(*items)

    sync = cacheable(Source.value)
    with pytest.raises(TypeError, match="is not async"):
        sync.get_many([1], load=load)  # type: ignore[arg-type]


def test_an_async_loader_gets_what_is_thrown_into_it() -> None:
    @cacheable
    async def get(item: int) -> Any:
        return Source.value(item)

    async def load(items: list[int]) -> list[Any]:
        try:
            await asyncio.wait_for(asyncio.sleep(3600), 0.001)
        except asyncio.TimeoutError:
            add_deps("late")
        return of(*items)

    assert run(get.get_many([1], load=load)) == of(1)
    invalidate("late")
    assert get.peek(1) is None
