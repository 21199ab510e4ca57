"""How an async follower waits: a future of the running event loop, woken from any thread.

Works under asyncio and, when trio runs the caller, under trio. Imported by the first call of a
cached async function, so that synchronous programs never load asyncio.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

__all__ = ["in_thread", "in_thread_or_undo", "make_waiter", "run_job"]

# A job ends by itself, within its own time-outs: this is for one that was lost with its thread.
_JOB_TIMEOUT_S = 3600.0

T = TypeVar("T")

# What the extension drives, and what ends its waiting.
Waiter = tuple[Generator[Any, Any, bool], Callable[[], None]]


async def in_thread(call: Callable[[], T]) -> T:
    """Runs the call in a worker thread of asyncio or trio, whichever runs the caller."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        trio = sys.modules.get("trio")
        if trio is None:
            return call()
        return await trio.to_thread.run_sync(call)  # type: ignore[no-any-return]
    return await loop.run_in_executor(None, call)


async def in_thread_or_undo(call: Callable[[], object], undo: Callable[[], None]) -> None:
    """As `in_thread`. A caller that is cancelled meanwhile has what was done undone, there too."""
    lock = threading.Lock()
    is_done = is_given_up = False

    def run() -> None:
        nonlocal is_done
        call()
        with lock:
            is_done = True
            must_undo = is_given_up
        if must_undo:
            undo()

    try:
        await in_thread(run)
    except asyncio.CancelledError:
        with lock:
            is_given_up = True
            must_undo = is_done
        if must_undo:
            run_job(undo, waits=False)
        raise


def make_waiter(timeout_s: float) -> Waiter:
    """Makes what one follower waits on.

    Args:
        timeout_s: how long it waits at the most, in seconds.

    Returns:
        An iterator to be driven by the follower's own task; it returns True once woken and False
        after the time-out. And a function that wakes it, from any thread, any number of times.

    Raises:
        RuntimeError: neither asyncio nor trio runs the caller.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return _make_trio_waiter(timeout_s)
    future: asyncio.Future[bool] = loop.create_future()

    def wake() -> None:
        if asyncio._get_running_loop() is loop:  # noqa: SLF001 - the call that never raises
            _settle(future, True)
            return
        try:
            loop.call_soon_threadsafe(_settle, future, True)
        except RuntimeError:
            return  # the loop is closed: nobody waits there any more

    return _await(_wait(loop, future, timeout_s)), wake


def run_job(job: Callable[[], None], waits: bool = True) -> Generator[Any, Any, bool] | None:
    """Runs what waits for a file or a network in a worker thread.

    Args:
        job: what to run; it raises nothing.
        waits: whether somebody waits for it.

    Returns:
        An iterator to be driven by the task that waits, as of `make_waiter`; None if nobody does.
    """
    from zoocache._background import job_workers  # noqa: PLC0415 - few programs need it

    if not waits:
        if not job_workers().submit(job):
            job()
        return None
    waiter, wake = make_waiter(_JOB_TIMEOUT_S)

    def run() -> None:
        try:
            job()
        finally:
            wake()

    if not job_workers().submit(run):
        run()
    return waiter


def _settle(future: asyncio.Future[bool], woken: bool) -> None:
    if not future.done():
        future.set_result(woken)


async def _wait(
    loop: asyncio.AbstractEventLoop, future: asyncio.Future[bool], timeout_s: float
) -> bool:
    handle = loop.call_later(timeout_s, _settle, future, False)
    try:
        return await future
    finally:
        handle.cancel()


def _await(coroutine: Coroutine[Any, Any, bool]) -> Generator[Any, Any, bool]:
    return coroutine.__await__()


def _make_trio_waiter(timeout_s: float) -> Waiter:
    trio = sys.modules.get("trio")
    try:
        token = None if trio is None else trio.lowlevel.current_trio_token()
    except RuntimeError:
        token = None
    if trio is None or token is None:
        raise RuntimeError(
            "a cached async function waits for another caller's load, and neither asyncio nor "
            "trio runs this one; run it under one of them"
        )
    event = trio.Event()

    async def wait() -> bool:
        with trio.move_on_after(timeout_s):
            await event.wait()
        return bool(event.is_set())

    def wake() -> None:
        try:
            token.run_sync_soon(event.set)
        except trio.RunFinishedError:
            return  # nobody waits there any more

    return _await(wait()), wake
