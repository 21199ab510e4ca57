"""How everything is timed: the same loops for every cache.

A statement such as `f(7)` is unrolled UNROLLED times in a generated function, with every name a
local, as `timeit` does; the cost of the loop round it is measured by itself and subtracted. A
sample is as many rounds as take about `Effort.sample_s`. Garbage collection is off during it.
Samples of a cache and of its baseline alternate, so that both meet the same disturbances.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from typing import Any

UNROLLED = 50
MAX_ROUNDS = 1 << 24

# Seconds for so many rounds.
Loop = Callable[[int], float]


@dataclass(frozen=True)
class Effort:
    """How long to measure. `pairs` samples of each side are taken in one process."""

    pairs: int
    sample_s: float
    entries: int  # of the scenarios with many keys
    fill_s: float  # a cache that takes longer to fill is left out of a scenario

    @classmethod
    def of(cls, quick: bool) -> Effort:
        return cls(2, 0.0005, 2_000, 2.0) if quick else cls(3, 0.012, 100_000, 5.0)


class TooSlowError(Exception):
    """A cache cannot be brought into the state that a scenario needs in reasonable time."""


@contextmanager
def no_collection() -> Iterator[None]:
    gc.collect()
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def compile_loop(statement: str, names: dict[str, Any], unrolled: int, is_async: bool) -> Any:
    """`loop(rounds, timer)`: seconds of `rounds` times `unrolled` times the statement."""
    parameters = "".join(f", {name}" for name in names)
    kind = "async def" if is_async else "def"
    body = f"\n{' ' * 8}".join([statement] * unrolled)
    source = (
        f"{kind} loop(rounds, timer{parameters}):\n"
        f"    start = timer()\n"
        f"    for _ in rounds:\n"
        f"        {body}\n"
        f"    return timer() - start\n"
    )
    space: dict[str, Any] = {}
    exec(compile(source, f"<{statement}>", "exec"), space)
    return space["loop"]


class Sampler:
    """Times a statement. `sample()` is nanoseconds for one execution of it, divided by `per`."""

    def __init__(
        self,
        effort: Effort,
        statement: str,
        names: dict[str, Any],
        per: int = 1,
        minus: Sampler | None = None,
        unrolled: int = UNROLLED,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._effort = effort
        self._per = per
        self._minus = minus
        self._unrolled = unrolled
        self._names = names
        self._run = self._runner(statement, names, loop)
        empty = compile_loop("pass", {}, 1, False)
        self._empty = lambda rounds: empty(repeat(None, rounds), time.perf_counter)
        self._rounds = self._calibrate()

    def _runner(
        self, statement: str, names: dict[str, Any], loop: asyncio.AbstractEventLoop | None
    ) -> Loop:
        timed = compile_loop(statement, names, self._unrolled, loop is not None)
        values = tuple(names.values())
        if loop is None:
            return lambda rounds: timed(repeat(None, rounds), time.perf_counter, *values)
        return lambda rounds: loop.run_until_complete(
            timed(repeat(None, rounds), time.perf_counter, *values)
        )

    def _calibrate(self) -> int:
        """At least three loops run before: the interpreter has specialised the code by then."""
        rounds, warmed = 1, 0
        while rounds < MAX_ROUNDS:
            taken = self._run(rounds)
            warmed += 1
            if taken >= self._effort.sample_s:
                if warmed >= 3 or taken >= 10 * self._effort.sample_s:
                    break
                continue
            rounds = max(rounds + 1, int(rounds * min(8.0, self._effort.sample_s / (taken + 1e-9))))
        return rounds

    def sample(self) -> float:
        with no_collection():
            empty = self._empty(self._rounds)
            taken = self._run(self._rounds) - empty
        ns = taken * 1e9 / (self._rounds * self._unrolled)
        if self._minus is not None:
            ns -= self._minus.sample()
        return ns / self._per


class KeysSampler:
    """Times `call(key)` for each key once; walking the keys is measured and subtracted.

    `call_of()` makes the callable anew for each sample if a sample uses it up, as a miss does.
    """

    def __init__(
        self,
        keys_of: Callable[[], Iterable[Any]],
        call_of: Callable[[], Callable[[Any], Any]],
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._keys_of = keys_of
        self._call_of = call_of
        self._loop = loop

    @staticmethod
    def _walk(keys: list[Any]) -> float:
        start = time.perf_counter()
        for _key in keys:
            pass
        return time.perf_counter() - start

    @staticmethod
    def _calls(call: Callable[[Any], Any], keys: list[Any]) -> float:
        start = time.perf_counter()
        for key in keys:
            call(key)
        return time.perf_counter() - start

    @staticmethod
    async def _awaits(call: Callable[[Any], Any], keys: list[Any]) -> float:
        start = time.perf_counter()
        for key in keys:
            await call(key)
        return time.perf_counter() - start

    def sample(self) -> float:
        keys = list(self._keys_of())
        call = self._call_of()
        with no_collection():
            walk = min(self._walk(keys) for _ in range(3))
            if self._loop is None:
                taken = self._calls(call, keys)
            else:
                taken = self._loop.run_until_complete(self._awaits(call, keys))
        return (taken - walk) * 1e9 / len(keys)


class ThreadsSampler:
    """Wall time of `threads` threads that call `f(7)` at once, by the number of all calls.

    From the first thread's first call to the last one's last; long enough for the interpreter to
    switch between them many times (it does every 5 ms).
    """

    SWITCHES_WANTED = 8

    def __init__(self, effort: Effort, f: Callable[[Any], Any], threads: int) -> None:
        self._f = f
        self._threads = threads
        self._timed = compile_loop("f(7)", {"f": f}, UNROLLED, False)
        least_s = min(1.0, effort.sample_s / 0.012) * self.SWITCHES_WANTED * sys.getswitchinterval()
        self._rounds = 16
        while self._wall() < least_s and self._rounds < MAX_ROUNDS:
            self._rounds *= 2

    def _wall(self) -> float:
        barrier = threading.Barrier(self._threads)
        started, ended = [], []

        def work() -> None:
            barrier.wait()
            started.append(time.perf_counter())
            self._timed(repeat(None, self._rounds), time.perf_counter, self._f)
            ended.append(time.perf_counter())

        workers = [threading.Thread(target=work) for _ in range(self._threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return max(ended) - min(started)

    def sample(self) -> float:
        with no_collection():
            taken = self._wall()
        return taken * 1e9 / (self._rounds * UNROLLED * self._threads)


def compare(effort: Effort, subject: Any, baseline: Any) -> dict[str, Any]:
    """Alternates samples of both. Both lists are in order, so that they pair up."""
    ns, base_ns = [], []
    for turn in range(effort.pairs):
        for one, into in ((subject, ns), (baseline, base_ns))[:: 1 if turn % 2 else -1]:
            into.append(one.sample())
    return {"ns": ns, "base_ns": base_ns}


def fill(
    effort: Effort, call: Callable[[Any], Any], keys: Iterable[Any], seconds: float = 0
) -> None:
    """Calls for each key once. Raises TooSlowError when that takes longer than allowed."""
    allowed = seconds or effort.fill_s
    deadline = time.perf_counter() + allowed
    for number, key in enumerate(keys):
        call(key)
        if number % 256 == 0 and time.perf_counter() > deadline:
            raise TooSlowError(f"filling takes longer than {allowed:g} s")


def fill_async(
    effort: Effort,
    loop: asyncio.AbstractEventLoop,
    call: Callable[[Any], Any],
    keys: Iterable[Any],
    seconds: float = 0,
) -> None:
    """As `fill`, awaiting."""
    allowed = seconds or effort.fill_s

    async def run() -> None:
        deadline = time.perf_counter() + allowed
        for number, key in enumerate(keys):
            await call(key)
            if number % 256 == 0 and time.perf_counter() > deadline:
                raise TooSlowError(f"filling takes longer than {allowed:g} s")

    loop.run_until_complete(run())
