"""A long run of everything at once: does memory stay flat, and do the numbers add up?

Usage: soak.py [--minutes M] [--seed N]. Threads, tasks, short-lived threads and short-lived
functions call cached functions with ever new keys and ever new tags while writers invalidate;
loaders fail now and then. Every second the cache and the process are looked at. Exit status 1, and
the reasons, if

  - a value is older than the source was when its call began;
  - hits + misses is not the number of calls;
  - entries, bytes, tags or loads in flight exceed what the bounds allow;
  - the process grows between the second quarter of the run and its last, or holds much more than
    the cache accounts for (the values are bytes, whose size is known);
  - anything is left once everybody has gone and the cache was cleared.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zoocache

MAX_ENTRIES = 20_000
MAX_BYTES = 24 * 2**20
GROUPS = 64
READERS = 3
TASKS = 20
WINDOW = 30_000  # keys in use at a time; the window moves on
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


class LoaderError(Exception):
    """What the source throws now and then."""


class Source:
    """A version for each group of keys; values carry the version that they were made from."""

    def __init__(self) -> None:
        self.versions = [0] * GROUPS
        self.moves = 0

    def value(self, key: int) -> bytes:
        version = self.versions[key % GROUPS]
        self.moves += 1
        if key % 101 == 0:
            raise LoaderError(key)
        return version.to_bytes(8, "big") + bytes(100 + key * 7919 % 1500)


@dataclass
class Counts:
    """What one caller did."""

    calls: int = 0
    failures: int = 0
    stale: list[str] = field(default_factory=list)


@dataclass
class Sample:
    rss: int
    entries: int
    bytes: int
    tags: int
    flights: int


class Soak:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.cache = zoocache.Cache(max_entries=MAX_ENTRIES, max_bytes=MAX_BYTES)
        self.source = Source()
        self.stop = threading.Event()
        self.counts: list[Counts] = []
        self.lock = threading.Lock()
        self.inner = itertools.count()  # calls that a loader made
        source, cacheable = self.source, self.cache.cacheable

        @cacheable(deps=["group:{group}:key:{key}"])
        def by_template(key: int, group: int) -> bytes:
            return source.value(key)

        @cacheable(max_entries=500, ttl=1.0, jitter=0.5)
        def bounded(key: int, group: int) -> bytes:
            self.cache.add_deps([f"group:{group}", f"seen:{key}"])
            return source.value(key)

        @cacheable
        def nested(key: int, group: int) -> bytes:
            next(self.inner)
            return by_template(key, group)

        @cacheable(deps=["group:{group}"], ttl=2, refresh_ahead=1)
        def refreshed(key: int, group: int) -> bytes:
            return source.value(key)

        @cacheable(deps=lambda key, group: [f"group:{group}:key:{key}"])
        async def awaited(key: int, group: int) -> bytes:
            await asyncio.sleep(0)
            return source.value(key)

        self.functions: list[Callable[[int, int], bytes]] = [
            by_template,
            bounded,
            nested,
            refreshed,
        ]
        self.awaited = awaited

    def new_counts(self) -> Counts:
        counts = Counts()
        with self.lock:
            self.counts.append(counts)
        return counts

    def key(self, dice: random.Random) -> int:
        base = int((time.monotonic() - self.began) * 2000)
        return base + int(dice.paretovariate(0.6)) % WINDOW

    def judge(self, counts: Counts, known: int, key: int, value: bytes) -> None:
        if int.from_bytes(value[:8], "big") < known:
            counts.stale.append(f"key {key}: {value[:8].hex()} after version {known}")

    def call(self, counts: Counts, function: Callable[[int, int], bytes], key: int) -> None:
        known = self.source.versions[key % GROUPS]
        counts.calls += 1
        try:
            self.judge(counts, known, key, function(key, key % GROUPS))
        except LoaderError:
            counts.failures += 1

    def read(self, number: int) -> None:
        dice = random.Random(f"{self.seed} reader {number}")
        counts = self.new_counts()
        while not self.stop.is_set():
            for _ in range(50):
                self.call(counts, dice.choice(self.functions), self.key(dice))
            time.sleep(0.001)

    def read_async(self) -> None:
        async def task(number: int) -> None:
            dice = random.Random(f"{self.seed} task {number}")
            counts = self.new_counts()
            while not self.stop.is_set():
                key = self.key(dice)
                known = self.source.versions[key % GROUPS]
                counts.calls += 1
                try:
                    value = await self.awaited(key, key % GROUPS)
                    self.judge(counts, known, key, value)
                except LoaderError:
                    counts.failures += 1
                await asyncio.sleep(0.002)

        async def main() -> None:
            await asyncio.gather(*(task(number) for number in range(TASKS)))

        asyncio.run(main())

    def come_and_go(self) -> None:
        """Functions and threads that live for a moment."""
        dice = random.Random(f"{self.seed} passer-by")
        while not self.stop.is_set():
            brief = self.cache.cacheable(deps=["group:{group}"])(self.brief_loader())
            counts = self.new_counts()
            keys = [self.key(dice) for _ in range(100)]

            def visit(
                function: Any = brief, mine: Counts = counts, these: list[int] = keys
            ) -> None:
                for key in these:
                    self.call(mine, function, key)

            thread = threading.Thread(target=visit)
            thread.start()
            thread.join()
            time.sleep(0.01)

    def brief_loader(self) -> Callable[[int, int], bytes]:
        return lambda key, group: self.source.value(key)

    def write(self) -> None:
        dice = random.Random(f"{self.seed} writer")
        while not self.stop.is_set():
            group = dice.randrange(GROUPS)
            with self.cache.invalidating(f"group:{group}"):
                self.source.versions[group] += 1
            if dice.random() < 0.0005:
                self.cache.clear()
            self.cache.invalidate(f"seen:{dice.randrange(10**6)}", f"nobody:{dice.random()}")
            time.sleep(0.005)

    def sample(self) -> Sample:
        told = self.cache.stats()
        return Sample(rss_bytes(), told.entries, told.bytes, told.tags, told.flights)

    def run(self, seconds: float) -> list[Sample]:
        self.began = time.monotonic()
        work: list[Callable[[], None]] = [self.read_async, self.come_and_go, self.write]
        work += [lambda number=number: self.read(number) for number in range(READERS)]  # type: ignore[misc]
        threads = [threading.Thread(target=one) for one in work]
        for thread in threads:
            thread.start()
        samples = []
        while time.monotonic() - self.began < seconds and all(t.is_alive() for t in threads):
            time.sleep(min(1.0, seconds / 20))
            samples.append(self.sample())
        self.stop.set()
        for thread in threads:
            thread.join()
        return samples


def grown(samples: list[Sample]) -> str | None:
    quarter = len(samples) // 4
    before = max(sample.rss for sample in samples[quarter : 2 * quarter])
    after = max(sample.rss for sample in samples[-quarter:])
    allowed = before * 1.05 + 12 * 2**20
    if after > allowed:
        return f"the process grew from {before / 2**20:.1f} to {after / 2**20:.1f} MiB"
    return None


def faults(soak: Soak, samples: list[Sample], start_rss: int) -> list[str]:
    found = []
    told = soak.cache.stats()
    calls = sum(counts.calls for counts in soak.counts) + next(soak.inner)
    if told.hits + told.misses != calls:
        found.append(f"{calls} calls, {told.hits} hits and {told.misses} misses")
    stale = [line for counts in soak.counts for line in counts.stale]
    if stale:
        found.append(f"{len(stale)} stale values, first: {stale[0]}")
    limits = {
        "entries": MAX_ENTRIES,
        "bytes": MAX_BYTES,
        "tags": 4 * MAX_ENTRIES,
        "flights": READERS + TASKS + 16,
    }
    for name, limit in limits.items():
        most = max(getattr(sample, name) for sample in samples)
        if most > limit:
            found.append(f"{most} {name}, and {limit} are allowed")
    growth = grown(samples)
    if growth:
        found.append(growth)
    held = max(sample.rss for sample in samples) - start_rss
    if held > 2 * MAX_BYTES + 64 * 2**20:
        found.append(f"{held / 2**20:.0f} MiB held for at most {MAX_BYTES / 2**20:.0f} accounted")
    return found


def left_over(soak: Soak) -> list[str]:
    deadline = time.monotonic() + 20
    while soak.cache.stats().flights and time.monotonic() < deadline:
        time.sleep(0.05)  # loads in the background end by themselves
    soak.cache.clear()
    gc.collect()
    told = soak.cache.stats()
    names = ("entries", "bytes", "tags", "flights")
    return [
        f"{getattr(told, name)} {name} are left over" for name in names if getattr(told, name) != 0
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="see the module's docstring")
    parser.add_argument("--minutes", type=float, default=2.0, help="how long (default 2)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    print(f"soak: {options.minutes:g} minutes, --seed {options.seed}", flush=True)
    soak = Soak(options.seed)
    start_rss = rss_bytes()
    samples = soak.run(options.minutes * 60)
    found = faults(soak, samples, start_rss)
    told = soak.cache.stats()
    found += left_over(soak)
    last = samples[-1]
    print(
        f"soak: {told.hits + told.misses:,} calls, {told.hits:,} hits, {told.loads:,} loads, "
        f"{told.load_errors:,} failures, {told.invalidations:,} invalidations, "
        f"{told.evictions:,} evictions, {told.refreshes:,} refreshes; at the end "
        f"{last.entries:,} entries, {last.bytes / 2**20:.1f} MiB accounted, "
        f"{(last.rss - start_rss) / 2**20:.1f} MiB more than at the start"
    )
    for fault in found:
        print(f"soak: FAULT: {fault}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
