"""One process of a fault test: reads and writes records until it is told to end, or killed.

    fault_worker.py <board> <slot> <seed> <bound> <options of the cache, as JSON>

A read demands
  - of a record of its own: the newest version that it has declared itself, acknowledged or not;
  - of every record: the newest version that was acknowledged more than the bound before the
    read began; that the value is whole, and that there was such a version.
What is not so is counted on the board and printed. Troubles of the home are printed when they
change.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import zoocache
from fault_board import COUNTERS, FORK, RECORDS, WRITERS, Board, now_ns, tag_of, writer_of

Value = tuple[int, int, str]
COLD = 0.9  # of the changes, those to the first half of the records


def digest(record: int, version: int) -> str:
    return hashlib.sha256(f"{record} {version}".encode()).hexdigest() * (1 + version % 20)


class Worker:
    def __init__(self, board: Board, slot: int, seed: int, bound_s: float, options: Any) -> None:
        self.board = board
        self.slot = slot
        self.chance = random.Random(seed)
        self.bound_ns = int(bound_s * 1e9)
        self.cache = zoocache.Cache(**options)
        self.mine = [one for one in range(RECORDS) if writer_of(one) == slot]
        self.unfinished = list(self.mine)
        self.generation = self.was_reachable = 0
        self.counters = dict.fromkeys(COUNTERS, 0)
        self.trouble = self.error = ""

        @self.cache.cacheable(
            namespace="record", version="1", deps=["writer:{writer}:record:{record}"]
        )
        def load(writer: int, record: int) -> Value:
            self.board.add(self.slot, "loads")
            version = self.board.version(record)
            if self.chance.random() < 0.1:
                time.sleep(0.002)  # an invalidation may overtake it
            return record, version, digest(record, version)

        self.load = load

    def read(self, record: int) -> None:
        own = self.board.declared(record) if writer_of(record) == self.slot else 0
        start_ns = now_ns()
        needed = max(own, self.board.needed(record, start_ns - self.bound_ns))
        found, version, text = self.load(writer_of(record), record)
        self.board.add(self.slot, "reads")
        took_ns = now_ns() - start_ns
        if took_ns > self.board.count(self.slot, "longest_ns"):
            self.board.set_count(self.slot, "longest_ns", took_ns)
        self.board.see(self.slot, record, version)
        if version < needed:
            self.board.add(self.slot, "stale")
            late_ms = (start_ns - self.acknowledged_ns(record, version + 1)) / 1e6
            self.say(f"STALE record {record}: {version}, needed {needed} (own {own}), {late_ms} ms")
        if found != record or version > self.board.version(record):
            self.board.add(self.slot, "wrong")
            self.say(f"WRONG record {record}: got {found} version {version}")
        elif text != digest(record, version):
            self.board.add(self.slot, "wrong")
            self.say(f"WRONG record {record}: the text of version {version}")

    def acknowledged_ns(self, record: int, version: int) -> int:
        """When the oldest version from this one on was acknowledged; 0 if none was."""
        newest = self.board.acknowledged(record)
        times = (self.board.acknowledged_ns(record, one) for one in range(version, newest + 1))
        return next((one for one in times if one), 0)

    def change(self, records: list[int], tag: str) -> bool:
        """Whether it was acknowledged."""
        records = [one for one in records if self.board.can_change(one)]
        versions = [self.board.change(record) for record in records]
        start_ns, acknowledged = now_ns(), False
        try:
            acknowledged = self.cache.invalidate(tag) > 0
            self.board.add(self.slot, "acknowledged" if acknowledged else "kept")
        except zoocache.HomeUnreachable as error:
            self.board.add(self.slot, "raised")
            if str(error) != self.error:
                self.error = str(error)
                self.say(f"raised: {error}")
        end_ns = now_ns()
        if end_ns - start_ns > self.board.count(self.slot, "longest_ns"):
            self.board.set_count(self.slot, "longest_ns", end_ns - start_ns)
        for record, version in zip(records, versions, strict=True):
            self.board.note_declared(record, version)
            if acknowledged:
                self.board.note_acknowledged(record, version, end_ns)
        return acknowledged

    def write(self) -> None:
        half = len(self.mine) // 2
        if self.chance.random() < 0.05:
            self.change(self.mine, f"writer:{self.slot}")
            return
        often = self.chance.random() < COLD
        record = self.chance.choice(self.mine[:half] if often else self.mine[half:])
        self.change([record], tag_of(record))

    def finish(self) -> None:
        """Once more each of its records, until it is acknowledged."""
        self.unfinished = [
            record for record in self.unfinished if not self.change([record], tag_of(record))
        ]
        if not self.unfinished:
            self.board.set_count(self.slot, "finished", 1)

    def look_at_home(self) -> None:
        home = self.cache.home()
        assert home is not None
        told = dict(home["counters"])
        storage = self.cache.storage() or {"counters": {}}
        told |= {f"storage_{name}": count for name, count in storage["counters"].items()}
        for name, before in self.counters.items():
            now = told.get(name, 0)
            self.board.add_counter(self.slot, name, now - before)
            self.counters[name] = now
        if home["generation"] != self.generation:
            self.generation = home["generation"]
            self.board.add(self.slot, "generations")
        reachable = int(home["reachable"])
        if self.was_reachable and not reachable:
            self.board.add(self.slot, "losses")
        self.was_reachable = reachable
        self.board.set_count(self.slot, "reachable", reachable)
        if home["trouble"] != self.trouble:
            self.trouble = home["trouble"]
            self.say(f"trouble: {self.trouble}")

    def say(self, text: str) -> None:
        print(f"{now_ns() / 1e9:.3f} {text}", flush=True)

    def round(self) -> None:
        for _ in range(20):
            self.read(self.chance.randrange(RECORDS))
        phase = self.board.phase
        if self.mine and phase == "run" and self.chance.random() < 0.15:
            self.write()
        if self.mine and phase == "finish" and not self.board.count(self.slot, "finished"):
            self.finish()
        self.look_at_home()
        self.board.add(self.slot, "rounds")

    def run(self) -> None:
        parent = os.getppid()
        while os.getppid() == parent:
            self.round()
            if self.board.count(self.slot, "command") == FORK:
                self.board.set_count(self.slot, "command", 0)
                if os.fork() == 0:
                    self.become_child()
                    parent = os.getppid()
            time.sleep(0.002)

    def become_child(self) -> None:
        """The same caches, in another process."""
        self.slot, self.mine = WRITERS, []
        self.counters = dict.fromkeys(COUNTERS, 0)
        self.chance.seed(self.chance.random() + 1)
        self.board.set_count(self.slot, "pid", os.getpid())


def main() -> None:
    path, slot, seed, bound_s, options = sys.argv[1:]
    warnings.simplefilter("ignore")
    board = Board(Path(path))
    board.set_count(int(slot), "pid", os.getpid())
    with contextlib.suppress(KeyboardInterrupt):
        Worker(board, int(slot), int(seed), float(bound_s), json.loads(options)).run()


if __name__ == "__main__":
    main()
