"""Async functions in flight: one execution for many tasks, loops and threads, and no hang."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import warnings
from typing import Any

import pytest

import zoocache
from support import (
    Gate,
    Versions,
    join_all,
    run,
    spawn,
    wait_joined,
    wait_joined_async,
    wait_until_async,
)
from zoocache import cacheable


def test_a_hundred_tasks_run_the_function_once() -> None:
    source = Versions()

    @cacheable
    async def load() -> int:
        await wait_joined_async(99)
        return source.next()

    async def main() -> list[int]:
        return await asyncio.gather(*(load() for _ in range(100)))

    assert run(main()) == [1] * 100
    assert source.loads == 1


def test_tasks_on_loops_of_several_threads_run_the_function_once() -> None:
    source = Versions()

    @cacheable
    async def load() -> int:
        await wait_joined_async(39)
        return source.next()

    async def main() -> list[int]:
        return await asyncio.gather(*(load() for _ in range(10)))

    results = join_all([spawn(lambda: run(main())) for _ in range(4)])
    assert results == [[1] * 10] * 4
    assert source.loads == 1


def test_a_waiting_task_does_not_block_its_loop() -> None:
    gate = Gate()
    load = cacheable(Versions(gate).next_async)
    leader = spawn(lambda: run(load()))
    gate.wait_entered()

    async def main() -> int:
        follower = asyncio.create_task(load())
        await wait_joined_async(1)
        ticks = 0
        for _ in range(20):
            await asyncio.sleep(0)
            ticks += 1
        assert ticks == 20
        assert not follower.done()
        gate.release()
        return await follower

    assert run(main()) == 1
    assert leader.result() == 1


def test_a_follower_whose_loop_is_gone_does_not_disturb_the_leader() -> None:
    gate = Gate()
    load = cacheable(Versions(gate).next_async)
    leader = spawn(lambda: run(load()))
    gate.wait_entered()

    async def abandoned() -> None:
        awaitable = load()
        awaitable.send(None)
        kept.append(awaitable)

    kept: list[Any] = []
    run(abandoned())
    survivor = spawn(lambda: run(load()))
    wait_joined(2)
    gate.release()
    assert leader.result() == 1
    assert survivor.result() == 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kept.clear()
        gc.collect()


def async_crossing(size: int, *, child_tasks: bool) -> list[Any]:
    """Async functions in a ring, each awaiting the next one, twice round."""
    arrived: list[int] = []
    depth: contextvars.ContextVar[int] = contextvars.ContextVar("depth", default=0)
    functions: list[Any] = []

    def member(i: int) -> Any:
        @cacheable
        async def load() -> int:
            level = depth.get() + 1
            depth.set(level)
            if level == 1:
                arrived.append(i)
                await wait_until_async(lambda: len(arrived) >= size)
            if level > size:
                return i
            following = functions[(i + 1) % size]()
            if child_tasks:
                value, _ = await asyncio.gather(following, asyncio.sleep(0))
                return value * 10 + i
            return await following * 10 + i

        return load

    functions.extend(member(i) for i in range(size))
    return functions


@pytest.mark.parametrize("size", [2, 3, 7])
@pytest.mark.parametrize("child_tasks", [False, True], ids=["awaits", "gathers"])
def test_a_ring_of_waiting_tasks_is_broken(size: int, child_tasks: bool) -> None:
    async def main() -> None:
        functions = async_crossing(size, child_tasks=child_tasks)
        tasks = [asyncio.create_task(function()) for function in functions]
        assert len(await asyncio.gather(*tasks)) == size

    run(main())


@pytest.mark.parametrize("size", [2, 3])
def test_a_ring_across_loops_of_several_threads_is_broken(size: int) -> None:
    functions = async_crossing(size, child_tasks=False)
    threads = [spawn(lambda f=function: run(f())) for function in functions]
    assert len(join_all(threads)) == size


def test_async_recursion_into_the_same_call_loads_unshared() -> None:
    calls = []

    @cacheable
    async def load() -> int:
        calls.append(1)
        await asyncio.sleep(0)
        if len(calls) > 3:
            return 1
        return 1 + (await asyncio.gather(load()))[0]

    assert run(load()) == 4


def test_async_recursion_with_other_arguments() -> None:
    calls = []

    @cacheable(deps=["fib:{n}"])
    async def fib(n: int) -> int:
        calls.append(n)
        await asyncio.sleep(0)
        return n if n < 2 else sum(await asyncio.gather(fib(n - 1), fib(n - 2)))

    assert run(fib(15)) == 610
    assert sorted(set(calls)) == list(range(16))
    assert run(fib(15)) == 610


def test_children_that_share_a_leaf() -> None:
    source = Versions()

    @cacheable
    async def leaf() -> int:
        await wait_joined_async(9)
        return source.next()

    @cacheable
    async def child(i: int) -> int:
        return await leaf() + i

    @cacheable
    async def parent() -> int:
        return sum(await asyncio.gather(*(child(i) for i in range(10))))

    assert run(parent()) == 10 + 45
    assert source.loads == 1


def test_an_async_wait_that_cannot_be_seen_ends_after_the_flight_timeout() -> None:
    zoocache.configure(flight_timeout=1)
    calls = []

    @cacheable
    async def load() -> int:
        calls.append(1)
        if len(calls) > 1:
            return 2
        context = contextvars.Context()
        task = context.run(asyncio.get_running_loop().create_task, load())
        return await task + 10

    assert run(load()) == 12
