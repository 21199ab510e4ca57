"""Tasks of which several processes do a part each at once; bench/homes_part.py leads them.

A task says {"ready": true} when it has opened its home, and begins when a line comes on standard
input; {"ready": ...} is followed by what it counted. Times are of CLOCK_MONOTONIC, which is one
for all processes of a machine.
"""

from __future__ import annotations

import argparse
import asyncio
import mmap
import os
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

from harness import Effort, Sampler
from homes_peers import PATIENCE_S, HomePeer, new_cache, settle
from load import resident_bytes

Result = dict[str, Any]
Given = argparse.Namespace

BOARD_WORDS = 8
ROUND, SEEN_ROUND, SEEN_NS, END = range(4)  # words of a board
READS_TO_AN_INVALIDATION = 100
KEYS = 1_000
LOAD_S = 0.05
TAGS_AT_ONCE = 1_000


def now_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def go(given: Given) -> float:
    """Waits for the start; returns the seconds that it is to take."""
    given.say({"ready": True})
    line = sys.stdin.readline()
    if not line:
        sys.exit("nobody leads")
    return float(line)


class Board:
    """Words that two processes share; each is written and read at once."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR)
        self.words = memoryview(mmap.mmap(descriptor, 8 * BOARD_WORDS)).cast("Q")
        os.close(descriptor)


def watch(_: HomePeer, given: Given) -> Result:
    """Calls without a pause, and notes when it first finds the value of a round dead."""
    cache = new_cache(given.home, given.places[given.home])
    words = Board(given.board).words

    def load() -> int:
        at = now_ns()
        if words[SEEN_ROUND] != words[ROUND]:
            words[SEEN_NS] = at
            words[SEEN_ROUND] = words[ROUND]
        return 0

    f = cache.cacheable(deps=["watched"])(load)
    f()
    go(given)
    while not words[END]:
        for _ in range(100):
            f()
    return {}


def tell(_: HomePeer, given: Given) -> Result:
    """From the call of `invalidate` until the other process found the value dead, and its end."""
    cache = new_cache(given.home, given.places[given.home])
    words = Board(given.board).words
    chance = random.Random(given.key)
    seen, returned = [], []
    go(given)
    for number in range(1, given.count + 1):
        time.sleep(chance.uniform(0.0005, 0.002))  # it has loaded anew, and calls again
        words[ROUND] = number
        begun = now_ns()
        cache.invalidate("watched")
        returned.append((now_ns() - begun) / 1e3)
        until = begun + PATIENCE_S * 1e9
        while words[SEEN_ROUND] != number:
            if now_ns() > until:
                raise RuntimeError("the other process does not hear of it")
            time.sleep(0.0001)
        seen.append((words[SEEN_NS] - begun) / 1e3)
    words[END] = 1
    return {"seen_us": seen, "returned_us": returned}


def herd(peer: HomePeer, given: Given) -> Result:
    """So many threads, or tasks, call one cold key; another process does the same."""
    loads: list[int] = []

    def herd_load(x: int) -> str:
        loads.append(x)
        time.sleep(LOAD_S)
        return "v"

    async def herd_load_async(x: int) -> str:
        loads.append(x)
        await asyncio.sleep(LOAD_S)
        return "v"

    decorate = peer.guarded if given.guarded else peer.view()
    assert decorate is not None
    function: Any = herd_load_async if peer.is_async else herd_load
    function.__qualname__ = function.__name__  # the same in both processes
    f = decorate(function)

    async def gather() -> None:
        await asyncio.gather(*(f(given.key) for _ in range(given.count)))

    gate = threading.Barrier(given.count + 1)

    def one() -> None:
        gate.wait()
        f(given.key)

    callers = 0 if peer.is_async else given.count
    threads = [threading.Thread(target=one, daemon=True) for _ in range(callers)]
    for thread in threads:
        thread.start()
    go(given)
    if peer.is_async:
        asyncio.run(gather())
    else:
        gate.wait()
    for thread in threads:
        thread.join()
    return {"loads": len(loads), "kind": "tasks" if peer.is_async else "threads"}


def reads(_: HomePeer, given: Given) -> Result:
    """Hits of a thousand keys, and an invalidation of one of them after each hundred."""
    cache = new_cache(given.home, given.places[given.home])
    f = cache.cacheable(deps=lambda x: [f"item:{x}"])(lambda x: x)
    keys = list(range(KEYS))
    for key in keys:
        f(key)
    chance = random.Random(os.getpid())
    turns = 0
    seconds = go(given)
    begun = time.perf_counter()
    until = begun + seconds
    while time.perf_counter() < until:
        at = chance.randrange(KEYS - READS_TO_AN_INVALIDATION)
        for key in keys[at : at + READS_TO_AN_INVALIDATION]:
            f(key)
        cache.invalidate(f"item:{chance.randrange(KEYS)}")
        turns += 1
    taken = time.perf_counter() - begun
    stats = cache.stats()
    return {
        "per_second": turns * READS_TO_AN_INVALIDATION / taken,
        "hit_share": stats.hits / (stats.hits + stats.misses),
    }


def writes(_: HomePeer, given: Given) -> Result:
    """Invalidations by so many threads, each of one of a thousand tags."""
    cache = new_cache(given.home, given.places[given.home])
    counts = [0] * given.count
    gate = threading.Barrier(given.count + 1)
    ends: list[float] = []

    def one(number: int) -> None:
        gate.wait()
        until = ends[0]
        chance = random.Random(number)
        while time.perf_counter() < until:
            cache.invalidate(f"item:{chance.randrange(KEYS)}")
            counts[number] += 1

    threads = [
        threading.Thread(target=one, args=(number,), daemon=True) for number in range(given.count)
    ]
    for thread in threads:
        thread.start()
    seconds = go(given)
    begun = time.perf_counter()
    ends.append(begun + seconds)
    gate.wait()
    for thread in threads:
        thread.join()
    return {"per_second": sum(counts) / (time.perf_counter() - begun), "count": sum(counts)}


def beats(_: HomePeer, given: Given) -> Result:
    """So many caches that do nothing but ask the server every third of the shortest lease."""
    caches = [
        new_cache("redis", given.places["redis"], lease=0.3, prefix="beats")
        for _ in range(given.count)
    ]
    time.sleep(go(given))
    del caches
    return {}


def grow(_: HomePeer, given: Given) -> Result:
    """Fills the log with ever more tags; each line that comes is a number of them."""
    options = {"prefix": "grow"}
    cache = new_cache(given.home, given.places[given.home], **options)
    effort = Effort.of(given.quick)
    there = 0
    empty = resident_bytes()
    wanted = int(go(given))
    while wanted:
        while there < wanted:
            upto = min(there + TAGS_AT_ONCE, wanted)
            cache.invalidate(*(f"org:{tag % 100}:user:{tag}" for tag in range(there, upto)))
            there = upto
        settle(given.places[given.home])
        sampler = Sampler(
            effort, "invalidate('org:1:user:1')", {"invalidate": cache.invalidate}, unrolled=10
        )
        samples = [sampler.sample() for _ in range(2 * effort.pairs)]
        given.say({"ns": samples, "bytes": resident_bytes() - empty})
        wanted = int(sys.stdin.readline() or 0)
    return {}


def doze(_: HomePeer, given: Given) -> Result:
    """Calls once for each line that comes, and nothing between."""
    cache = new_cache(given.home, given.places[given.home], prefix="grow")
    f = cache.cacheable(deps=["other:1"])(lambda: 0)
    f(), f()
    go(given)
    while True:
        begun = time.perf_counter()
        f()
        given.say({"us": (time.perf_counter() - begun) * 1e6})
        if not float(sys.stdin.readline() or 0):
            return {}


def join(_: HomePeer, given: Given) -> Result:
    """A fresh process: from making the cache until a call is answered from memory."""
    import zoocache

    zoocache.Cache().cacheable(lambda: None)()  # what is needed with any home
    before = resident_bytes()
    begun = time.perf_counter()
    cache = new_cache(given.home, given.places[given.home], prefix="grow")
    loads = []
    f = cache.cacheable(deps=["org:1:user:1"])(lambda: loads.append(1))
    while True:
        known = len(loads)
        f()
        if len(loads) == known:
            break
    taken_ms = (time.perf_counter() - begun) * 1e3
    return {"ms": taken_ms, "bytes": resident_bytes() - before}


TASKS = {
    "watch": watch,
    "tell": tell,
    "herd": herd,
    "reads": reads,
    "writes": writes,
    "beats": beats,
    "grow": grow,
    "doze": doze,
    "join": join,
}
