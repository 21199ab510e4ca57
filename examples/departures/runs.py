"""One replay through one cache: in one thread, by a pool of threads, or by asyncio tasks.

All three walk the same timeline. In one thread every answer is checked at once. In the other two,
readers and one writer overlap freely; each reader notes which changes were done before its call
and which had begun when it returned, and the answers of a replay hour are judged together while
everybody rests, so that checking does not disturb the latencies.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from checker import Checker, Oracle
from clock import ReplayClock
from database import Source, apply_event, open_database
from modes import Mode
from pages import build_async_pages, build_pages
from score import Score
from timeline import Item, Timeline
from workload import Question

PHASE_MINUTES = 60
WRITER_BACKLOG = 4  # changes that may wait for the writer before readers wait for it
OnProgress = Callable[[Score, int], None]  # (score so far, minutes done)


class Setting(NamedTuple):
    path: Path  # of a database that this run may change
    timeline: Timeline
    mode: Mode
    clock: ReplayClock
    score: Score
    on_progress: OnProgress


class Answer(NamedTuple):
    question: Question
    page: dict[str, Any]
    at_s: float
    latency_ns: int
    low: int
    high: int


class Writer:
    """Applies changes one after the other. `begun` and `done` may be read from any thread.

    `begun` moves before the UPDATE, `done` after its invalidations have returned; a change between
    the two may or may not be visible. `done_s[n]` is the replay's time at which change n was done.
    """

    def __init__(self, path: Path, mode: Mode, clock: ReplayClock) -> None:
        self.begun = 0
        self.done = 0
        self.done_s = [clock.now_s]
        self._connection: sqlite3.Connection = open_database(path)
        self._mode = mode
        self._clock = clock

    def apply(self, item: Item) -> None:
        assert item.event is not None
        self.begun = item.sequence
        apply_event(self._connection, item.event, item.sequence)
        self._mode.invalidate(*item.event.tags)
        self._finish(item)

    async def apply_async(self, item: Item, pool: ThreadPoolExecutor) -> None:
        assert item.event is not None
        loop = asyncio.get_running_loop()
        self.begun = item.sequence
        await loop.run_in_executor(pool, apply_event, self._connection, item.event, item.sequence)
        await self._mode.invalidate_async(*item.event.tags)
        self._finish(item)

    def _finish(self, item: Item) -> None:
        self.done_s.append(self._clock.now_s)
        self.done = item.sequence

    def close(self) -> None:
        self._connection.close()


@contextlib.contextmanager
def _opened(setting: Setting) -> Iterator[tuple[Source, Writer, Checker]]:
    source = Source(setting.path)
    writer = Writer(setting.path, setting.mode, setting.clock)
    oracle = Oracle(setting.path)
    began = time.perf_counter()
    try:
        yield source, writer, Checker(oracle, writer.done_s, setting.score)
    finally:
        setting.score.elapsed_s = time.perf_counter() - began
        setting.score.statements = source.statements
        for part in (source, writer, oracle):
            part.close()


def run_single(setting: Setting) -> None:
    """Everything in the calling thread; each answer is checked before the next question."""
    with _opened(setting) as (source, writer, checker):
        pages = build_pages(setting.mode.cached, source.ask)
        score, clock, now_ns = setting.score, setting.clock, time.perf_counter_ns
        for minutes, items in enumerate(setting.timeline.minutes(), start=1):
            for item in items:
                clock.now_s = item.at_s
                if item.question is None:
                    writer.apply(item)
                    continue
                ask, args = pages[item.question.kind], item.question.args
                begin_ns = now_ns()
                page = ask(*args)
                latency_ns = now_ns() - begin_ns
                score.add_answer(item.at_s, latency_ns)
                checker.check_now(item.question, page, item.at_s, writer.done)
            score.statements = source.statements
            setting.on_progress(score, minutes)


def _phases(timeline: Timeline) -> Iterator[list[Item]]:
    phase: list[Item] = []
    for minutes, items in enumerate(timeline.minutes(), start=1):
        phase += items
        if minutes % PHASE_MINUTES == 0:
            yield phase
            phase = []
    if phase:
        yield phase


def _judge(setting: Setting, checker: Checker, answers: list[Answer]) -> None:
    for answer in answers:
        setting.score.add_answer(answer.at_s, answer.latency_ns)
        checker.check_window(answer.question, answer.page, answer.at_s, answer.low, answer.high)


def run_threads(setting: Setting, threads: int) -> None:
    """`threads` readers and one writer thread."""
    with _opened(setting) as (source, writer, checker):
        pages = build_pages(setting.mode.cached, source.ask)
        with ThreadPoolExecutor(threads + 1) as pool:
            for number, phase in enumerate(_phases(setting.timeline), start=1):
                _judge(
                    setting, checker, _thread_phase(setting, pages, writer, pool, threads, phase)
                )
                setting.score.statements = source.statements
                setting.on_progress(setting.score, number * PHASE_MINUTES)


def _thread_phase(
    setting: Setting, pages: dict, writer: Writer, pool: ThreadPoolExecutor, threads: int,
    phase: list[Item],
) -> list[Answer]:  # fmt: skip
    items = iter(phase)
    turn = threading.Lock()  # guards: items, clock, the order in which changes enter the queue
    changes: queue.Queue[Item | None] = queue.Queue(WRITER_BACKLOG)
    stopped = threading.Event()

    def write() -> None:
        try:
            while (item := changes.get()) is not None:
                writer.apply(item)
        finally:
            stopped.set()

    def next_question() -> Item | None:
        with turn:
            for item in items:
                setting.clock.now_s = item.at_s
                if item.question is not None:
                    return item
                while not stopped.is_set():
                    with contextlib.suppress(queue.Full):
                        changes.put(item, timeout=1)
                        break
        return None

    def read() -> list[Answer]:
        answers = []
        while not stopped.is_set() and (item := next_question()) is not None:
            assert item.question is not None
            ask = pages[item.question.kind]
            low, at_s = writer.done, setting.clock.now_s
            begin_ns = time.perf_counter_ns()
            page = ask(*item.question.args)
            latency_ns, high = time.perf_counter_ns() - begin_ns, writer.begun
            answers.append(Answer(item.question, page, at_s, latency_ns, low, high))
        return answers

    writing = pool.submit(write)
    reading = [pool.submit(read) for _ in range(threads)]
    try:
        answers = [answer for future in reading for answer in future.result()]
    finally:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                changes.put(None, timeout=1)
                break
    writing.result()
    return answers


def run_async(setting: Setting, tasks: int, threads: int) -> None:
    """`tasks` reader tasks and one writer task on one event loop; statements run in `threads`."""
    asyncio.run(_run_async(setting, tasks, threads))


async def _run_async(setting: Setting, tasks: int, threads: int) -> None:
    loop = asyncio.get_running_loop()
    with (
        _opened(setting) as (source, writer, checker),
        ThreadPoolExecutor(threads) as pool,
        ThreadPoolExecutor(1) as writing_pool,
    ):

        def ask(name: str, *args: str | int) -> asyncio.Future[tuple]:
            return loop.run_in_executor(pool, source.ask, name, *args)

        pages = build_async_pages(setting.mode.cached, ask)
        for number, phase in enumerate(_phases(setting.timeline), start=1):
            answers = await _async_phase(setting, pages, writer, writing_pool, tasks, phase)
            _judge(setting, checker, answers)
            setting.score.statements = source.statements
            setting.on_progress(setting.score, number * PHASE_MINUTES)


async def _async_phase(
    setting: Setting, pages: dict, writer: Writer, pool: ThreadPoolExecutor, tasks: int,
    phase: list[Item],
) -> list[Answer]:  # fmt: skip
    items = iter(phase)
    changes: asyncio.Queue[Item | None] = asyncio.Queue()
    answers: list[Answer] = []

    async def write() -> None:
        while (item := await changes.get()) is not None:
            await writer.apply_async(item, pool)
            changes.task_done()

    async def next_question() -> Item | None:
        for item in items:
            setting.clock.now_s = item.at_s
            if item.question is not None:
                return item
            changes.put_nowait(item)
            await changes.join()  # this reader waits for the writer, so the backlog is bounded
        return None

    async def read() -> None:
        while (item := await next_question()) is not None:
            assert item.question is not None
            ask = pages[item.question.kind]
            low, at_s = writer.done, setting.clock.now_s
            begin_ns = time.perf_counter_ns()
            page = await ask(*item.question.args)
            latency_ns, high = time.perf_counter_ns() - begin_ns, writer.begun
            answers.append(Answer(item.question, page, at_s, latency_ns, low, high))
            await asyncio.sleep(0)  # the next question is another reader's

    writing = asyncio.ensure_future(write())
    reading = asyncio.gather(*(read() for _ in range(tasks)))
    await asyncio.wait({writing, reading}, return_when=asyncio.FIRST_COMPLETED)
    if writing.done():  # it failed: only None ends it otherwise
        reading.cancel()
        await writing
    await reading
    await changes.put(None)
    await writing
    return answers
