"""One process of test_storage_processes.py: reads and writes until it is told to end, or killed.

    storage_worker.py <folder> <source> <number> <seed>

The source is a file of numbers, two for each record: its version, and the newest version whose
invalidation has returned. Each record has one process that writes it.
"""

from __future__ import annotations

import mmap
import os
import random
import struct
import sys
from pathlib import Path

import zoocache

RECORDS = 24
WORKERS = 3
NUMBER = struct.Struct("<Q")
SIZE = RECORDS * 2 * NUMBER.size


class Source:
    """The records. A number is written and read at once: it lies within one word."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR)
        self._words = memoryview(mmap.mmap(descriptor, SIZE)).cast("Q")
        os.close(descriptor)

    def version(self, record: int) -> int:
        return self._words[2 * record]

    def acknowledged(self, record: int) -> int:
        return self._words[2 * record + 1]

    def change(self, record: int) -> None:
        self._words[2 * record] += 1

    def acknowledge(self, record: int, version: int) -> None:
        self._words[2 * record + 1] = version


def main() -> None:
    folder, path, number, seed = sys.argv[1:]
    source = Source(Path(path))
    chance = random.Random(int(seed))
    cache = zoocache.Cache(storage_url=f"lmdb://{folder}")

    @cache.cacheable(namespace="record", version="1", deps=["record:{record}"])
    def load(record: int) -> tuple[int, str]:
        return source.version(record), "x" * chance.randrange(3000)

    @cache.cacheable(namespace="pair", version="1")
    def pair(record: int) -> tuple[int, int]:
        other = (record + 1) % RECORDS
        return load(record)[0], load(other)[0]

    reads = 0
    print("ready", flush=True)
    while os.getppid() != 1:
        record = chance.randrange(RECORDS)
        if chance.random() < 0.03 and record % WORKERS == int(number):
            source.change(record)
            version = source.version(record)
            cache.invalidate(f"record:{record}")
            source.acknowledge(record, version)
        elif chance.random() < 0.01:
            (load if chance.random() < 0.5 else pair).invalidate(record)
        elif chance.random() < 0.3:
            other = (record + 1) % RECORDS
            needed = source.acknowledged(record), source.acknowledged(other)
            found = pair(record)
            if found[0] < needed[0] or found[1] < needed[1]:
                sys.exit(f"STALE pair({record}): {found}, acknowledged before it: {needed}")
        else:
            needed_one = source.acknowledged(record)
            version, _ = load(record)
            if version < needed_one:
                sys.exit(f"STALE load({record}): {version}, acknowledged before it: {needed_one}")
        reads += 1
        if reads % 500 == 0:
            stats = cache.stats()
            told = f"{reads} {stats.loads} {stats.l2_hits} {stats.l2_stores} {stats.l2_refusals}"
            print(told, flush=True)


if __name__ == "__main__":
    main()
