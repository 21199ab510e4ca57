"""Loads in the background: where they run and how a caller waits for one.

A sync function is loaded by a worker thread, in a copy of its caller's context; an async one by a
task of its caller's event loop. Worker threads are daemons, made when they are needed and ended
when they have been idle for a while: a program that asks for no background loads has none, and one
that ends does not wait for them. Where no loop of asyncio runs (under trio), async functions have
no background.
"""

from __future__ import annotations

import asyncio
import collections
import contextvars
import logging
import os
import threading
from collections.abc import Callable, Coroutine, Generator
from typing import Any

__all__ = [
    "job_workers",
    "load_softly",
    "load_softly_async",
    "start_refresh",
    "start_refresh_async",
]

MOST_WORKERS = 8
MOST_JOBS = 64  # which mostly wait
IDLE_S = 10.0

_log = logging.getLogger("zoocache")

Job = Callable[[], None]


class Workers:
    """Daemon threads that run jobs, at most `most` at once. Thread-safe."""

    def __init__(self, most: int, idle_s: float) -> None:
        self._most = most
        self._idle_s = idle_s
        self._changed = threading.Condition()  # guards everything below
        self._jobs: collections.deque[Job] = collections.deque()
        self._count = 0
        self._idle = 0

    def submit(self, job: Job) -> bool:
        """Runs the job as soon as a worker is free. False: the interpreter is ending."""
        with self._changed:
            if self._idle <= len(self._jobs) and self._count < self._most:
                try:
                    threading.Thread(target=self._work, name="zoocache", daemon=True).start()
                except RuntimeError:
                    return False
                self._count += 1
            self._jobs.append(job)
            self._changed.notify()
        return True

    def _work(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                found = self._changed.wait_for(lambda: self._jobs, self._idle_s)
                self._idle -= 1
                if not found:
                    self._count -= 1
                    return
                job = self._jobs.popleft()
            job()


_workers = Workers(MOST_WORKERS, IDLE_S)
_job_workers = Workers(MOST_JOBS, IDLE_S)
_tasks: set[asyncio.Task[Any]] = set()


def _after_fork() -> None:
    global _workers, _job_workers  # noqa: PLW0603 - the parent's threads do not exist here
    _workers = Workers(MOST_WORKERS, IDLE_S)
    _job_workers = Workers(MOST_JOBS, IDLE_S)
    _tasks.clear()


os.register_at_fork(after_in_child=_after_fork)


def job_workers() -> Workers:
    """The threads in which async functions deal with the second level."""
    return _job_workers


def _name(fn: Any) -> str:
    return getattr(fn, "__qualname__", None) or repr(fn)


def _reload(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    try:
        fn._reload(*args, **kwargs)  # noqa: SLF001 - its own other half
    except Exception:  # noqa: BLE001 - nobody waits for it; it is told in the log
        _log.warning("loading %s in the background failed", _name(fn), exc_info=True)


def start_refresh(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Starts a load of a sync function. False: it cannot run."""
    context = contextvars.copy_context()
    return _workers.submit(lambda: context.run(_reload, fn, args, kwargs))


def load_softly(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any], timeout_s: float) -> bool:
    """Starts a load of a sync function and waits for its end, at most so long.

    Returns:
        False: it cannot run.
    """
    ended = threading.Event()
    context = contextvars.copy_context()

    def job() -> None:
        try:
            context.run(_reload, fn, args, kwargs)
        finally:
            ended.set()

    if not _workers.submit(job):
        return False
    ended.wait(timeout_s)
    return True


def _start_task(coroutine: Coroutine[Any, Any, Any], fn: Any) -> asyncio.Task[Any] | None:
    try:
        task = asyncio.get_running_loop().create_task(coroutine)
    except RuntimeError:
        coroutine.close()
        return None
    _tasks.add(task)

    def ended(task: asyncio.Task[Any]) -> None:
        _tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("loading %s in the background failed", _name(fn), exc_info=error)

    task.add_done_callback(ended)
    return task


def start_refresh_async(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Starts a load of an async function. False: no event loop of asyncio runs here."""
    return _start_task(fn._reload(*args, **kwargs), fn) is not None  # noqa: SLF001


def load_softly_async(
    fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any], timeout_s: float
) -> Generator[Any, Any, bool] | bool:
    """Starts a load of an async function.

    Returns:
        What the caller's own task has to drive to wait for its end, at most so long. False: no
        event loop of asyncio runs here.
    """
    task = _start_task(fn._reload(*args, **kwargs), fn)  # noqa: SLF001
    return False if task is None else _until(task, timeout_s).__await__()


async def _until(task: asyncio.Task[Any], timeout_s: float) -> bool:
    await asyncio.wait({task}, timeout=timeout_s)
    return True
