"""Cancelled leaders and followers: nobody else notices."""

from __future__ import annotations

import asyncio
import ctypes
import threading
from typing import Any

import pytest

import zoocache
from support import (
    Gate,
    Versions,
    run,
    spawn,
    wait_joined,
    wait_joined_async,
    wait_until,
    wait_until_async,
)
from zoocache import cacheable, invalidate


class Stage:
    """An async cached function whose executions report and wait; the first may be cancelled."""

    def __init__(self, **options: Any) -> None:
        self.source = Versions()
        self.inside = asyncio.Event()
        self.release = asyncio.Event()
        self.cancelled = 0
        self.leaders: list[Any] = []

        @cacheable(**options)
        async def load() -> int:
            value = self.source.next()
            self.leaders.append(asyncio.current_task())
            self.inside.set()
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            return value

        self.load = load


def test_a_cancelled_leader_promotes_a_follower() -> None:
    async def main() -> None:
        stage = Stage()
        leader = asyncio.create_task(stage.load())
        await stage.inside.wait()
        followers = [asyncio.create_task(stage.load()) for _ in range(5)]
        await wait_joined_async(5)
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        stage.release.set()
        assert await asyncio.gather(*followers) == [2] * 5, "one execution for all who are left"
        assert stage.source.loads == 2
        assert stage.cancelled == 1
        assert await stage.load() == 2

    run(main())


def test_a_cancelled_follower_leaves_the_load_alone() -> None:
    async def main() -> None:
        stage = Stage()
        leader = asyncio.create_task(stage.load())
        await stage.inside.wait()
        followers = [asyncio.create_task(stage.load()) for _ in range(3)]
        await wait_joined_async(3)
        followers[1].cancel()
        with pytest.raises(asyncio.CancelledError):
            await followers[1]
        stage.release.set()
        assert [await leader, await followers[0], await followers[2]] == [1, 1, 1]
        assert stage.cancelled == 0
        assert stage.source.loads == 1

    run(main())


def test_every_leader_in_a_row_is_cancelled() -> None:
    async def main() -> None:
        stage = Stage()
        tasks = [asyncio.create_task(stage.load()) for _ in range(5)]
        await wait_joined_async(4)
        for turn in range(1, 5):
            await wait_until_async(lambda: len(stage.leaders) == turn)  # noqa: B023
            leader = stage.leaders[-1]
            leader.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leader
            tasks.remove(leader)
        stage.release.set()
        assert [await task for task in tasks] == [5]

    run(main())


def test_all_are_cancelled_and_the_next_caller_loads() -> None:
    async def main() -> None:
        stage = Stage()
        tasks = [asyncio.create_task(stage.load()) for _ in range(5)]
        await stage.inside.wait()
        await wait_joined_async(4)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        stage.release.set()
        before = stage.source.loads
        assert await stage.load() == before + 1

    run(main())


def test_a_timeout_around_the_leader() -> None:
    async def main() -> None:
        stage = Stage()
        leader = asyncio.create_task(asyncio.wait_for(stage.load(), 0.05))
        await stage.inside.wait()
        follower = asyncio.create_task(stage.load())
        await wait_joined_async(1)
        with pytest.raises(asyncio.TimeoutError):
            await leader
        stage.release.set()
        assert await follower == 2

    run(main())


def test_a_timeout_around_a_follower() -> None:
    async def main() -> None:
        stage = Stage()
        leader = asyncio.create_task(stage.load())
        await stage.inside.wait()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(stage.load(), 0.05)
        assert not leader.done()
        stage.release.set()
        assert await leader == 1
        assert await asyncio.wait_for(stage.load(), 0.05) == 1

    run(main())


def test_a_loader_that_swallows_its_cancellation() -> None:
    async def main() -> None:
        inside = asyncio.Event()

        @cacheable
        async def load() -> str:
            inside.set()
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                return "finished anyway"
            return "never"

        leader = asyncio.create_task(load())
        await inside.wait()
        follower = asyncio.create_task(load())
        await wait_joined_async(1)
        leader.cancel()
        assert await leader == "finished anyway"
        assert await follower == "finished anyway"

    run(main())


def test_a_loader_that_raises_cancelled_error_itself() -> None:
    """A library's stray CancelledError belongs to the one who ran the loader."""

    async def main() -> None:
        source = Versions()

        @cacheable
        async def load() -> int:
            value = source.next()
            await wait_joined_async(1)
            if value == 1:
                raise asyncio.CancelledError
            return value

        results = await asyncio.gather(load(), load(), return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert results[1] == 2

    run(main())


def test_cancellation_across_loops() -> None:
    gate, joined = Gate(), threading.Event()
    load = cacheable(Versions(gate).next_async)

    async def leading() -> None:
        task = asyncio.create_task(load())
        while not joined.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    leader = spawn(lambda: run(leading()))
    gate.wait_entered()
    follower = spawn(lambda: run(load()))
    wait_joined(1)
    joined.set()
    leader.result()
    assert follower.result() == 2


def test_a_loop_that_dies_with_its_leader_promotes_a_follower_elsewhere() -> None:
    gate, joined = Gate(), threading.Event()
    load = cacheable(Versions(gate).next_async)

    async def leading() -> None:
        background.append(asyncio.create_task(load()))
        while not joined.is_set():
            await asyncio.sleep(0.001)

    background: list[Any] = []
    leader = spawn(lambda: asyncio.run(leading()))  # its end cancels what is left
    gate.wait_entered()
    follower = spawn(lambda: run(load()))
    wait_joined(1)
    joined.set()
    leader.result()
    assert follower.result() == 2


def test_a_cancelled_outer_load_frees_inner_flights() -> None:
    async def main() -> None:
        stage = Stage()

        @cacheable
        async def outer() -> int:
            return await stage.load() + 10

        task = asyncio.create_task(outer())
        await stage.inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        stage.release.set()
        assert await outer() == 12

    run(main())


def test_cancelling_one_child_of_a_gather() -> None:
    async def main() -> None:
        stage = Stage()
        children = [asyncio.create_task(stage.load()) for _ in range(3)]
        await stage.inside.wait()
        await wait_joined_async(2)

        async def together() -> list[int]:
            return await asyncio.gather(*children, return_exceptions=True)

        group = asyncio.create_task(together())
        await asyncio.sleep(0)
        children[0].cancel()
        stage.release.set()
        results = await group
        assert isinstance(results[0], asyncio.CancelledError)
        assert results[1:] == [2, 2]

    run(main())


def test_invalidation_while_leaders_are_cancelled() -> None:
    async def main() -> None:
        stage = Stage(deps=["t"])
        leader = asyncio.create_task(stage.load())
        await stage.inside.wait()
        follower = asyncio.create_task(stage.load())
        await wait_joined_async(1)
        invalidate("t")
        leader.cancel()
        stage.release.set()
        assert await follower == 2
        assert await stage.load() == 2, "its load began after the invalidation"

    run(main())


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interrupted_sync_leader_promotes_a_follower(
    interruption: type[BaseException],
) -> None:
    source = Versions()

    @cacheable
    def load() -> int:
        value = source.next()
        if value == 1:
            wait_joined(3)
            raise interruption
        return value

    threads = [spawn(load) for _ in range(4)]
    for thread in threads:
        thread.join()
    errors = [thread.error for thread in threads if thread.error is not None]
    assert [type(error) for error in errors] == [interruption]
    assert [thread.value for thread in threads if thread.error is None] == [2, 2, 2]
    assert load() == 2


def test_a_custom_base_exception_is_not_shared() -> None:
    class Stop(BaseException):
        pass

    source = Versions()

    @cacheable
    def load() -> int:
        value = source.next()
        if value == 1:
            wait_joined(1)
            raise Stop
        return value

    leader = spawn(load)
    wait_until(lambda: source.loads == 1)
    follower = spawn(load)
    with pytest.raises(Stop):
        leader.result()
    assert follower.result() == 2


def test_a_leader_killed_by_an_asynchronous_exception() -> None:
    """An exception injected into the leader's thread is somebody else's to nobody."""

    class Killed(BaseException):
        pass

    source = Versions()
    stop = threading.Event()

    @cacheable
    def load() -> int:
        value = source.next()
        if value == 1:
            while not stop.wait(0.001):
                pass
        return value

    leader = spawn(load)
    wait_until(lambda: source.loads == 1)
    follower = spawn(load)
    wait_joined(1)
    identifier = ctypes.c_ulong(leader.thread.ident or 0)
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(identifier, ctypes.py_object(Killed)) == 1
    with pytest.raises(Killed):
        leader.result()
    assert follower.result() == 2
    assert zoocache.stats().entries == 1
