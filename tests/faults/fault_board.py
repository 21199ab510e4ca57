"""What the processes of a fault test share: the records, and what each process saw of them.

One file of 64-bit words, mapped by all. A word is written and read at once. Each record has one
process that writes it:

    head      | phase
    record    | version  declared  acknowledged | at[1] at[2] ... (one record after the other)
    process   | counts and states, see COUNTS; a command; seen[record]; COUNTERS of its home

`version` is the record's content. `declared` is the newest version whose invalidation has returned
or raised, `acknowledged` the newest one whose invalidation has returned; `at[v]` is when it did,
on the clock that all processes of a machine share and that suspend does not stop.
"""

from __future__ import annotations

import mmap
import os
import time
from pathlib import Path

RECORDS = 12
WRITERS = 3
SLOTS = WRITERS + 1  # of processes: the last one is a child of fork(), which writes nothing
MOST_VERSIONS = 4096
PHASES = ("run", "quiet", "finish")

COUNTS = (
    *("rounds", "reads", "stale", "wrong", "loads", "acknowledged", "raised", "kept"),
    *("generations", "losses", "longest_ns", "reachable", "finished", "command", "pid"),
)
# Of the homes' counters those that faults move; counted over all lives of a process.
COUNTERS = (
    *("connects", "disconnects", "timeouts", "errors", "script_loads", "gaps", "catch_ups"),
    *("flushes", "generation_changes", "replays", "breaker_opens", "corruptions", "duplicates"),
    "lease_expirations",
    # Of the storage's, by the names that they have there.
    *("storage_disconnects", "storage_errors", "storage_rejected", "storage_corruptions"),
)
FORK = 1  # a command

_HEAD_WORDS = 8
_RECORD_WORDS = 3 + MOST_VERSIONS
_SLOT_WORDS = len(COUNTS) + RECORDS + len(COUNTERS)
SIZE = 8 * (_HEAD_WORDS + RECORDS * _RECORD_WORDS + SLOTS * _SLOT_WORDS)


def now_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def writer_of(record: int) -> int:
    return record % WRITERS


def tag_of(record: int) -> str:
    return f"writer:{writer_of(record)}:record:{record}"


class Board:
    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR)
        self._words = memoryview(mmap.mmap(descriptor, SIZE)).cast("Q")
        os.close(descriptor)

    @classmethod
    def create(cls, path: Path) -> Board:
        path.write_bytes(bytes(SIZE))
        return cls(path)

    @property
    def phase(self) -> str:
        return PHASES[self._words[0]]

    @phase.setter
    def phase(self, name: str) -> None:
        self._words[0] = PHASES.index(name)

    def version(self, record: int) -> int:
        return self._words[self._record(record)]

    def declared(self, record: int) -> int:
        return self._words[self._record(record) + 1]

    def acknowledged(self, record: int) -> int:
        return self._words[self._record(record) + 2]

    def acknowledged_ns(self, record: int, version: int) -> int:
        return self._words[self._record(record) + 2 + version]

    def change(self, record: int) -> int:
        at = self._record(record)
        self._words[at] += 1
        return self._words[at]

    def can_change(self, record: int) -> bool:
        return self.version(record) + 1 < MOST_VERSIONS

    def note_declared(self, record: int, version: int) -> None:
        self._words[self._record(record) + 1] = version

    def note_acknowledged(self, record: int, version: int, at_ns: int) -> None:
        at = self._record(record)
        self._words[at + 2 + version] = at_ns
        self._words[at + 2] = version

    def needed(self, record: int, before_ns: int) -> int:
        """The newest version whose invalidation had returned before that moment."""
        at = self._record(record) + 2
        version = self._words[at]
        while version > 0 and not 0 < self._words[at + version] < before_ns:
            version -= 1
        return version

    def count(self, slot: int, name: str) -> int:
        return self._words[self._slot(slot) + COUNTS.index(name)]

    def set_count(self, slot: int, name: str, value: int) -> None:
        self._words[self._slot(slot) + COUNTS.index(name)] = value

    def add(self, slot: int, name: str, more: int = 1) -> None:
        self._words[self._slot(slot) + COUNTS.index(name)] += more

    def total(self, name: str) -> int:
        return sum(self.count(slot, name) for slot in range(SLOTS))

    def seen(self, slot: int, record: int) -> int:
        return self._words[self._slot(slot) + len(COUNTS) + record]

    def see(self, slot: int, record: int, version: int) -> None:
        self._words[self._slot(slot) + len(COUNTS) + record] = version

    def counter(self, name: str) -> int:
        """Of all processes' homes."""
        return sum(self._words[self._counter(slot, name)] for slot in range(SLOTS))

    def add_counter(self, slot: int, name: str, more: int) -> None:
        self._words[self._counter(slot, name)] += more

    @classmethod
    def _counter(cls, slot: int, name: str) -> int:
        return cls._slot(slot) + len(COUNTS) + RECORDS + COUNTERS.index(name)

    @staticmethod
    def _record(record: int) -> int:
        return _HEAD_WORDS + record * _RECORD_WORDS

    @staticmethod
    def _slot(slot: int) -> int:
        return _HEAD_WORDS + RECORDS * _RECORD_WORDS + slot * _SLOT_WORDS
