"""Random reads and writes: cached answers beside uncached ones, and what died without need.

Two connections to one database take turns, inside and outside of transactions, with savepoints and
rollbacks. Reads are asked twice, from the cache and from the database on the same connection, and
the answers have to be equal. After each commit every entry that is gone is compared with what an
uncached read gives at that moment: equal, it died without need.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KEYS = range(1, 6)
READS = 16
RESULTS = "ZOOCACHE_DIFFERENTIAL_RESULTS"  # a file that gets a line of JSON for each run
SEEDS = "ZOOCACHE_SEEDS"  # in place of the tests' own: 17 or 1,2,3 or 1-50
STEPS = "ZOOCACHE_STEPS"
ABSENT = object()

Place = tuple[str, int]


def seeds(default: int) -> list[int]:
    """Those of the environment, else as many."""
    given = os.environ.get(SEEDS, f"1-{default}")
    found: list[int] = []
    for part in given.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def steps(default: int) -> int:
    return int(os.environ.get(STEPS, default))


@dataclass
class Tally:
    """What one run has counted; `deaths` and `needless` by kind of read."""

    suite: str
    database: str
    seed: int
    steps: int = 0
    comparisons: int = 0
    loads: int = 0
    deaths: Counter[str] = field(default_factory=Counter)
    needless: Counter[str] = field(default_factory=Counter)

    def write(self) -> None:
        print(json.dumps(vars(self)))  # pytest -rP
        where = os.environ.get(RESULTS)
        if where:
            with Path(where).open("a", encoding="utf-8") as file:
                file.write(json.dumps(vars(self)) + "\n")


class Watch:
    """The entries for some reads and keys.

    Args:
        peek: what is cached for a read's name and a key, else `default`.
        plain: asks the database itself for the same.
        names: of the reads; the first word is the kind.
        keys: that they are asked for.
    """

    def __init__(
        self,
        peek: Callable[..., Any],
        plain: Callable[[str, int], Any],
        names: list[str],
        tally: Tally,
        keys: Iterable[int] = KEYS,
    ) -> None:
        self._peek, self._plain, self._tally = peek, plain, tally
        self._places = [(name, key) for name in names for key in keys]
        self._live: dict[Place, Any] = {}

    def look(self) -> None:
        """After each commit, outside of transactions."""
        live = self._there()
        for (name, key), value in self._live.items():
            if (name, key) not in live:
                kind = name.split()[0]
                self._tally.deaths[kind] += 1
                self._tally.needless[kind] += self._plain(name, key) == value
        self._live = live

    def note(self) -> None:
        """What was stored since the last look is watched, too."""
        self._live |= self._there()

    def _there(self) -> dict[Place, Any]:
        found = {place: self._peek(*place, default=ABSENT) for place in self._places}
        return {place: value for place, value in found.items() if value is not ABSENT}


class Run:
    """One seed's steps.

    Args:
        tally: what is counted.
        reads: what is asked, by a name whose first word is its kind.
        writes: what changes something; each is given the random numbers and a key. First those
            that fill the tables, then all.
        atomic: a transaction, or a savepoint within one.
        turns: contexts of the two connections.
        errors: what the database may refuse writes with.
        cacheable: the decorator.
        around: where the queries of reads are cached by themselves.
    """

    def __init__(
        self,
        tally: Tally,
        reads: Mapping[str, Callable[[int], Any]],
        writes: tuple[list[Callable[[random.Random, int], Any]], ...],
        *,
        atomic: Callable[[], AbstractContextManager[Any]],
        turns: list[Callable[[], AbstractContextManager[Any]]],
        errors: tuple[type[Exception], ...],
        cacheable: Callable[[Any], Any],
        around: Callable[[], AbstractContextManager[Any]] | None = None,
    ) -> None:
        self.around = around
        self.tally, self.reads = tally, reads
        self.fill, self.writes = writes
        self.atomic, self.turns, self.errors = atomic, turns, errors
        self.numbers = random.Random(tally.seed)
        # Some of them, so that what was asked is asked again.
        self.names = self.numbers.sample(list(reads), min(len(reads), READS))
        self.read = cacheable(self.load)
        self.watch = Watch(self.read.peek, self.plain, self.names, tally)

    def load(self, name: str, key: int) -> Any:
        self.tally.loads += 1
        return self.plain(name, key)

    def plain(self, name: str, key: int) -> Any:
        return self.reads[name](key)

    def key(self) -> int:
        return self.numbers.choice(KEYS)

    def compare(self, count: int) -> None:
        for _ in range(count):
            name, key = self.numbers.choice(self.names), self.key()
            self.tally.comparisons += 1
            cached, plain = self.read(name, key), self.plain(name, key)
            where = f"{SEEDS}={self.tally.seed} {self.tally.suite}: {name}({key})"
            assert cached == plain, f"{where}, step {self.tally.steps}"
            if self.around is not None:
                with self.around():
                    assert self.plain(name, key) == plain, f"{where}, step {self.tally.steps}"

    def write(self) -> None:
        """One that the database refuses leaves the transaction around it as it was."""
        write, key = self.numbers.choice(self.writes), self.key()
        within = self.atomic if self.is_within or self.numbers.random() < 0.5 else None
        with contextlib.suppress(*self.errors), within() if within else contextlib.nullcontext():
            write(self.numbers, key)

    is_within = False

    def block(self, depth: int = 0) -> None:
        """Some writes and reads in a transaction or a savepoint, half of them rolled back."""
        outer, self.is_within = self.is_within, True
        try:
            with contextlib.suppress(ZeroDivisionError, *self.errors), self.atomic():
                for _ in range(self.numbers.randrange(1, 4)):
                    if depth < 2 and self.numbers.random() < 0.3:
                        self.block(depth + 1)
                    else:
                        self.write()
                    self.compare(3)
                if self.numbers.random() < 0.5:
                    raise ZeroDivisionError
        finally:
            self.is_within = outer
        if outer:
            self.compare(3)

    def step(self) -> None:
        self.tally.steps += 1
        with self.numbers.choice(self.turns)():
            self.watch.note()
            if self.numbers.random() < 0.4:
                self.block()
            else:
                self.write()
            self.watch.look()
            self.compare(8)
        with self.numbers.choice(self.turns)():
            self.compare(4)

    def fill_tables(self) -> None:
        for write in self.fill:
            for key in KEYS:
                with contextlib.suppress(*self.errors):
                    write(self.numbers, key)

    def go(self, count: int) -> None:
        self.fill_tables()
        for _ in range(count):
            self.step()
        self.tally.write()
        assert self.tally.loads < self.tally.comparisons, "nothing was ever cached"
