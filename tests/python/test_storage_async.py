"""Async functions whose values processes share; two caches are as two processes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pytest

from support import HANG_S, Gate, Versions, run, spawn
from zoocache import Cache


def async_pair(pair: tuple[Cache, Cache], body: Callable[[], Any]) -> tuple[Any, Any]:
    def build(cache: Cache) -> Any:
        @cache.cacheable(namespace="async", version="1", deps=["t"])
        async def get(x: int) -> Any:
            return await body()

        return get

    return build(pair[0]), build(pair[1])


def test_async_functions_share(pair: tuple[Cache, Cache]) -> None:
    versions, loop_thread = Versions(), threading.get_ident()

    async def body() -> int:
        assert threading.get_ident() == loop_thread
        await asyncio.sleep(0)
        return versions.next()

    one, two = async_pair(pair, body)

    async def main() -> None:
        assert await one(1) == 1
        assert await two(1) == 1
        await pair[0].invalidate_async("t")
        assert await two(1) == 2
        assert await one(1) == 2
        assert await one.refresh(1) == 3
        assert await two(1) == 3
        assert await asyncio.gather(*(f(2) for f in (one, two) * 10)) == [4] * 20

    run(main())
    assert versions.loads == 4


def test_an_async_wait_for_another_process_does_not_block_the_loop(
    pair: tuple[Cache, Cache],
) -> None:
    gate = Gate()

    @pair[0].cacheable(namespace="async", version="1")
    def slow(x: int) -> int:
        gate.hold()
        return 1

    @pair[1].cacheable(namespace="async", version="1")
    async def waiting(x: int) -> int:
        return 2

    first = spawn(slow, 5)
    gate.wait_entered()

    async def main() -> None:
        task = asyncio.create_task(waiting(5))
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert not task.done()
        gate.release()
        assert await task == 1

    run(main())
    assert first.result() == 1


def test_a_cancelled_async_call_frees_its_claim(pair: tuple[Cache, Cache]) -> None:
    calls = []

    async def body() -> int:
        calls.append(1)
        if len(calls) == 1:
            await asyncio.sleep(HANG_S * 10)
        return len(calls)

    one, two = async_pair(pair, body)

    async def main() -> None:
        task = asyncio.create_task(one(1))
        while not calls:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await two(1) == 2
        # Cancelled before it has looked, while it looks, and while it stores.
        for delay in range(40):
            task = asyncio.create_task(one(100 + delay))
            for _ in range(delay % 8):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):  # it may have ended
                await task
            assert await two(100 + delay) > 0

    run(main())


def test_an_error_of_an_async_load_frees_its_claim(pair: tuple[Cache, Cache]) -> None:
    calls = []

    async def body() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise LookupError("first")
        return len(calls)

    one, two = async_pair(pair, body)

    async def main() -> None:
        with pytest.raises(LookupError):
            await one(1)
        assert await two(1) == 2

    run(main())
