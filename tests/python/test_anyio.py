"""Under anyio: asyncio works, trio works or says clearly that it does not."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

import zoocache
from support import HANG_S, Versions
from zoocache import cacheable, invalidate


def clear_refusal(error: BaseException) -> bool:
    """Whether the exception tells a reader that the event loop is not supported."""
    pending = [error]
    while pending:
        current = pending.pop()
        if isinstance(current, (RuntimeError, zoocache.ZoocacheError)) and (
            "asyncio" in str(current) or "trio" in str(current)
        ):
            return True
        pending.extend(getattr(current, "exceptions", ()))
    return False


def run_on(backend: str, main: Any) -> None:
    """Runs to the end on asyncio; on trio to the end or to a refusal that names the reason."""

    async def bounded() -> None:
        with anyio.fail_after(HANG_S):
            await main()

    if backend == "asyncio":
        anyio.run(bounded, backend=backend)
        return
    try:
        anyio.run(bounded, backend=backend)
    except BaseException as error:
        if not clear_refusal(error):
            raise


BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@BACKENDS
def test_misses_and_hits(backend: str) -> None:
    source = Versions()

    @cacheable(deps=["t"])
    async def load() -> int:
        await anyio.sleep(0)
        return source.next()

    async def main() -> None:
        assert [await load(), await load()] == [1, 1]
        invalidate("t")
        assert [await load(), await load()] == [2, 2]

    run_on(backend, main)


@BACKENDS
def test_tasks_of_one_group_share_a_load(backend: str) -> None:
    source = Versions()

    @cacheable
    async def load() -> int:
        while zoocache.stats().flights_joined < 9:
            await anyio.sleep(0.001)
        return source.next()

    results: list[int] = []

    async def one() -> None:
        results.append(await load())

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(one)
        assert results == [1] * 10

    run_on(backend, main)


@BACKENDS
def test_a_cancelled_scope_around_the_leader_promotes_a_follower(backend: str) -> None:
    source = Versions()

    async def main() -> None:
        inside, release = anyio.Event(), anyio.Event()
        results: list[int] = []

        @cacheable
        async def load() -> int:
            value = source.next()
            inside.set()
            await release.wait()
            return value

        async def lead(scope: anyio.CancelScope) -> None:
            with scope:
                await load()

        async def follow() -> None:
            results.append(await load())

        scope = anyio.CancelScope()
        async with anyio.create_task_group() as group:
            group.start_soon(lead, scope)
            await inside.wait()
            group.start_soon(follow)
            while zoocache.stats().flights_joined < 1:
                await anyio.sleep(0.001)
            scope.cancel()
            await anyio.sleep(0)
            release.set()
        assert results == [2]

    run_on(backend, main)


@BACKENDS
def test_a_timeout_around_a_follower(backend: str) -> None:
    async def main() -> None:
        inside, release = anyio.Event(), anyio.Event()

        @cacheable
        async def load() -> int:
            inside.set()
            await release.wait()
            return 1

        async with anyio.create_task_group() as group:
            group.start_soon(load)
            await inside.wait()
            with anyio.move_on_after(0.05) as scope:
                await load()
            assert scope.cancelled_caught
            release.set()
        assert await load() == 1

    run_on(backend, main)


@BACKENDS
def test_sync_functions_in_worker_threads_are_inherited(backend: str) -> None:
    leaf = cacheable(deps=["leaf"])(Versions().next)

    @cacheable
    async def outer() -> int:
        return await anyio.to_thread.run_sync(leaf)

    async def main() -> None:
        assert [await outer(), await outer()] == [1, 1]
        invalidate("leaf")
        assert await outer() == 2

    run_on(backend, main)
