"""Every value that anybody got was current at some moment of the call.

Writers count a version up and then invalidate; `committed` is the version whose invalidation has
returned. A call that starts when `committed` is c and returns when `written` is w may return any
version from c to w, and no other.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import zoocache
from support import join_all, run, spawn
from zoocache import add_deps, cacheable, invalidate, invalidating

DURATION_S = 3.0
ROWS = 12


class Failure(Exception):
    """A loader that did not work out."""


class Source:
    """Versioned rows below one parent tag, and what a reader may see of them."""

    def __init__(self) -> None:
        self.written = [0] * ROWS
        self.committed = [0] * ROWS
        self.locks = [threading.Lock() for _ in range(ROWS)]
        self.checked = 0

    def write_one(self, row: int, how: str) -> None:
        with self.locks[row]:
            version = self.written[row] + 1
            if how == "block":
                with invalidating(f"rows:{row % 3}:{row}"):
                    self.written[row] = version
            else:
                self.written[row] = version
                invalidate(f"rows:{row % 3}:{row}")
            self.committed[row] = version

    def write_group(self, group: int, tag: str | None) -> None:
        """Changes all rows of a group with one invalidation of their parent (or of everything)."""
        rows = [row for row in range(ROWS) if tag != f"rows:{group}" or row % 3 == group]
        for row in rows:
            self.locks[row].acquire()
        try:
            for row in rows:
                self.written[row] += 1
            if tag is None:
                zoocache.clear()
            else:
                invalidate(tag)
            for row in rows:
                self.committed[row] = self.written[row]
        finally:
            for row in rows:
                self.locks[row].release()

    def write(self, rng: random.Random) -> None:
        choice = rng.random()
        if choice < 0.8:
            self.write_one(rng.randrange(ROWS), rng.choice(("plain", "plain", "block")))
        elif choice < 0.9:
            group = rng.randrange(3)
            self.write_group(group, f"rows:{group}")
        elif choice < 0.97:
            self.write_group(0, "rows")
        else:
            self.write_group(0, None)

    def check(self, row: int, low: int, value: int) -> None:
        high = self.written[row]
        assert low <= value <= high, f"row {row}: got {value}, current were {low} to {high}"
        self.checked += 1


def sync_functions(source: Source, options: dict[str, Any]) -> dict[str, Callable[..., Any]]:
    rng = random.Random(1)

    @cacheable(deps=lambda row: [f"rows:{row % 3}:{row}"], **options)
    def plain(row: int) -> int:
        return source.written[row]

    @cacheable(deps=["rows:{group}:{row}"], **options)
    def slow(row: int, group: int) -> int:
        value = source.written[row]
        time.sleep(0.001)
        return value

    @cacheable(**options)
    def failing(row: int) -> int:
        value = source.written[row]
        add_deps([f"rows:{row % 3}:{row}"])
        if rng.random() < 0.3:
            raise Failure
        return value

    @cacheable(**options)
    def nested(row: int) -> int:
        return plain(row)

    @cacheable(**options)
    def deep(row: int) -> tuple[int, int]:
        return nested(row), slow((row + 1) % ROWS, (row + 1) % ROWS % 3)

    @cacheable(deps=[f"rows:{row % 3}:{row}" for row in range(ROWS)], **options)
    def everything() -> tuple[int, ...]:
        return tuple(source.written)

    return {
        "plain": plain,
        "slow": slow,
        "failing": failing,
        "nested": nested,
        "deep": deep,
        "everything": everything,
    }


def read_once(source: Source, functions: dict[str, Any], rng: random.Random) -> None:
    row = rng.randrange(ROWS)
    low = list(source.committed)
    kind = rng.choice(("plain", "plain", "slow", "failing", "nested", "deep", "everything"))
    function = functions[kind]
    if kind == "slow":
        source.check(row, low[row], function(row, row % 3))
    elif kind == "deep":
        first, second = function(row)
        following = (row + 1) % ROWS
        source.check(row, low[row], first)
        source.check(following, low[following], second)
    elif kind == "everything":
        for i, value in enumerate(function()):
            source.check(i, low[i], value)
    else:
        try:
            value = function(row)
        except Failure:
            return
        source.check(row, low[row], value)


BOUNDS = pytest.mark.parametrize(
    "options", [{}, {"max_entries": 3}, {"ttl": 0.005}], ids=["unbounded", "tiny", "short lives"]
)


@BOUNDS
def test_threads_never_see_what_was_not_current(options: dict[str, Any]) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    source = Source()
    functions = sync_functions(source, options)
    end = time.monotonic() + DURATION_S

    def read(number: int) -> None:
        rng = random.Random(seed + number)
        while time.monotonic() < end:
            read_once(source, functions, rng)

    def write(number: int) -> None:
        rng = random.Random(seed - 1 - number)
        while time.monotonic() < end:
            source.write(rng)
            if rng.random() < 0.5:
                time.sleep(rng.random() * 0.004)

    threads = [spawn(read, i) for i in range(5)] + [spawn(write, i) for i in range(2)]
    join_all(threads)
    now = zoocache.stats()
    assert source.checked > 1000
    assert now.hits > 500, "most reads were hits, or this shows nothing"
    assert now.not_stored > 0, "some loads were overtaken by an invalidation"
    for row in range(ROWS):
        assert functions["plain"](row) == source.written[row]


async def read_async(source: Source, functions: Any, rng: random.Random, end: float) -> None:
    while time.monotonic() < end:
        row = rng.randrange(ROWS)
        low = source.committed[row]
        try:
            value = await functions[rng.randrange(len(functions))](row)
        except Failure:
            continue
        source.check(row, low, value)
        if rng.random() < 0.2:
            await asyncio.sleep(0)


@BOUNDS
def test_tasks_never_see_what_was_not_current(options: dict[str, Any]) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    source = Source()
    chance = random.Random(1)

    @cacheable(deps=lambda row: [f"rows:{row % 3}:{row}"], **options)
    async def plain(row: int) -> int:
        value = source.written[row]
        await asyncio.sleep(0)
        return value

    @cacheable(**options)
    async def slow(row: int) -> int:
        value = source.written[row]
        await asyncio.sleep(0.001)
        add_deps([f"rows:{row % 3}:{row}"])
        if chance.random() < 0.2:
            raise Failure
        return value

    @cacheable(**options)
    async def nested(row: int) -> int:
        value, _ = await asyncio.gather(plain(row), asyncio.sleep(0))
        return value

    functions = [plain, plain, slow, nested]
    end = time.monotonic() + DURATION_S

    async def write(rng: random.Random) -> None:
        while time.monotonic() < end:
            source.write(rng)
            await asyncio.sleep(rng.random() * 0.004)

    async def cancel(rng: random.Random) -> None:
        """Callers that give up in the middle of their calls."""
        while time.monotonic() < end:
            task = asyncio.create_task(slow(rng.randrange(ROWS)))
            await asyncio.sleep(rng.random() * 0.002)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def main(number: int) -> None:
        rngs = [random.Random(seed + number * 100 + i) for i in range(12)]
        await asyncio.gather(
            *(read_async(source, functions, rng, end) for rng in rngs[:8]),
            write(rngs[8]),
            write(rngs[9]),
            cancel(rngs[10]),
        )

    join_all([spawn(lambda i=i: run(main(i))) for i in range(2)])
    assert source.checked > 500
    assert zoocache.stats().hits > 200
    for row in range(ROWS):
        assert run(plain(row)) == source.written[row]
