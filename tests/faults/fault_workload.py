"""Processes at work while a fault is injected, and the verdict after it.

    workload = Workload(folder, url);  workload.start()
    workload.run(0.5)         # traffic
    ...inject, run, repair...
    workload.settle()         # bounded wait until everybody is well again; asserts the guarantees

Settling has two phases, so that nothing hides what was lost:
  quiet    nobody writes. Everything that was acknowledged or kept must become effective in every
           process.
  finish   each writer changes each of its records once more, until it is acknowledged, and
           everybody must see that: the log works again.
The time to recover is the longest wait after a repair, this one or an earlier one of the test.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fault_board as board_module
from fault_board import COUNTERS, FORK, RECORDS, WRITERS, Board, writer_of
from support import HANG_S

LEASE_S = 0.6
PATIENCE_S = 20.0  # what takes longer never comes
SCRIPT = Path(board_module.__file__).with_name("fault_worker.py")


class Workload:
    """REQUIRES: `end` is called."""

    def __init__(self, folder: Path, *urls: str, bound_s: float = LEASE_S) -> None:
        """A URL for each worker, or one for all. What another process acknowledged must be seen
        within the bound. With a log on Redis two of the workers share values in a folder.
        """
        self._folder = folder
        self._urls = urls if len(urls) == WRITERS else urls * WRITERS
        self._bound_s = bound_s
        self.seed = random.SystemRandom().randrange(2**32)
        print(f"seed {self.seed}")
        self.board = Board.create(folder / "board")
        self._workers: list[subprocess.Popen[bytes]] = []
        self._progress: dict[int, tuple[int, float]] = {}
        self._stopped: set[int] = set()
        self._slots = list(range(WRITERS))
        self._counters: dict[str, int] = {}
        self.recovery_s = 0.0
        self.lost = 0

    def start(self) -> None:
        before = [self.board.count(slot, "rounds") for slot in self._slots]
        self._workers = [self._spawn(slot) for slot in self._slots]
        self.wait(lambda: all(map(int.__gt__, self._rounds(), before)), "the workers")
        recovery_s = self.recovery_s
        self.wait_reachable()
        self.recovery_s = recovery_s  # to begin is none
        if not self._counters:
            self._counters = {name: self.board.counter(name) for name in COUNTERS}

    def _rounds(self) -> list[int]:
        return [self.board.count(slot, "rounds") for slot in self._slots]

    def kill_all(self) -> None:
        """`start` begins them anew."""
        for slot, worker in enumerate(self._workers):
            self._kill(slot, worker)
        self._workers = []

    def _kill(self, slot: int, worker: subprocess.Popen[bytes]) -> None:
        worker.kill()
        worker.wait(HANG_S)
        for record in range(RECORDS):
            if writer_of(record) == slot:
                self.board.note_declared(record, self.board.acknowledged(record))

    def _spawn(self, slot: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-X", "faulthandler", str(SCRIPT), str(self._folder / "board")]
        command += [str(slot), str(self.seed + slot), str(self._bound_s)]
        command.append(json.dumps(self._options_of(slot)))
        with (self._folder / f"worker-{slot}").open("ab") as output:
            return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)

    def _options_of(self, slot: int) -> dict[str, Any]:
        url = self._urls[slot]
        if url.startswith("lmdb"):
            return {"storage_url": url}
        options: dict[str, Any] = {"bus_url": url, "lease": LEASE_S, "command_timeout": 0.25}
        options["connect_timeout"] = 0.5
        options["on_unreachable"] = "journal" if slot == 1 else "raise"
        if slot != 2:
            options["storage_url"] = f"lmdb://{self._folder}/values"
        return options

    def output(self, slot: int) -> str:
        return (self._folder / f"worker-{slot}").read_text(errors="replace")

    def said(self, text: str) -> bool:
        """Whether a worker told of such a trouble."""
        return any(text in self.output(slot) for slot in range(WRITERS))

    def check(self) -> None:
        """Everybody runs and gets on, and nobody has seen what must not be."""
        now = time.monotonic()
        for slot, worker in enumerate(self._workers):
            text = self.output(slot)[-3000:]
            assert worker.poll() is None, f"worker {slot} ended ({worker.poll()}): {text}"
            rounds = self.board.count(slot, "rounds")
            before, since = self._progress.get(slot, (-1, now))
            if rounds != before or slot in self._stopped:
                self._progress[slot] = (rounds, now)
            else:
                assert now - since < HANG_S, f"worker {slot} stands still: {text}"
        for name in ("stale", "wrong"):
            assert self.board.total(name) == 0, f"{name} reads (seed {self.seed}): {self._bad()}"

    def _bad(self) -> str:
        lines = [line for slot in range(WRITERS) for line in self.output(slot).splitlines()]
        return "\n".join([line for line in lines if "STALE" in line or "WRONG" in line][:20])

    def run(self, seconds: float) -> None:
        """Traffic for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(0.02)
            self.check()

    def wait(
        self, condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S
    ) -> None:
        deadline = time.monotonic() + patience_s
        while not condition():
            if time.monotonic() > deadline:
                told = "\n".join(self.output(slot)[-1500:] for slot in range(WRITERS))
                raise AssertionError(f"{what}: never came (seed {self.seed}):\n{told}")
            time.sleep(0.005)
            self.check()

    def wait_recovery(
        self, condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S
    ) -> None:
        """REQUIRES: the fault is over, just now. The longest of these waits is reported."""
        began = time.monotonic()
        self.wait(condition, what, patience_s)
        self.recovery_s = max(self.recovery_s, time.monotonic() - began)

    def wait_reachable(self, *slots: int) -> None:
        among = slots or self._slots
        what = f"workers {list(among)} reach the server"
        self.wait_recovery(lambda: all(self.board.count(one, "reachable") for one in among), what)

    def wait_unreachable(self, *slots: int) -> None:
        among = slots or self._slots
        what = f"workers {list(among)} know that the server is gone"
        self.wait(lambda: not any(self.board.count(one, "reachable") for one in among), what)

    def wait_counted(self, *names: str) -> None:
        """What was injected has left its trace in these counters of `home()` and `storage()`,
        since the first `start`.
        """
        for name in names:
            before = self._counters[name]
            self.wait(lambda: self.board.counter(name) > before, f"a trace in {name}")  # noqa: B023

    def generations(self) -> int:
        """How many every process has seen at least."""
        return min(self.board.count(slot, "generations") for slot in self._slots)

    def wait_generation(self, after: int) -> None:
        self.wait_recovery(lambda: self.generations() > after, "another generation")

    def wait_round(self, slot: int) -> None:
        rounds = self.board.count(slot, "rounds")
        self.wait_recovery(
            lambda: self.board.count(slot, "rounds") > rounds, f"calls of worker {slot}"
        )

    def signal(self, slot: int, number: int) -> None:
        if number == signal.SIGSTOP:
            self._stopped.add(slot)
        os.kill(self.board.count(slot, "pid"), number)
        if number == signal.SIGCONT:
            self._stopped.discard(slot)

    def kill_worker(self, slot: int) -> None:
        """It is killed and begun anew. What it did not see acknowledged is not promised."""
        self._kill(slot, self._workers[slot])
        rounds = self.board.count(slot, "rounds")
        self._workers[slot] = self._spawn(slot)
        self.wait(lambda: self.board.count(slot, "rounds") > rounds, f"worker {slot} anew")

    def fork_worker(self, slot: int) -> None:
        """Its child reads on in a slot of its own."""
        self.board.set_count(slot, "command", FORK)
        self._slots.append(WRITERS)
        self.wait(lambda: self.board.count(WRITERS, "rounds") > 0, "the child")

    def settle(self, patience_s: float = PATIENCE_S) -> None:
        """REQUIRES: the fault is over."""
        self.board.phase = "quiet"
        try:
            self.wait_recovery(
                lambda: not self._behind() and self._all_reachable(), "recovery", patience_s
            )
        finally:
            self.lost = self._behind()
        self.board.phase = "finish"
        writers = range(WRITERS)
        self.wait(lambda: all(self.board.count(one, "finished") for one in writers), "writers")
        self.wait(lambda: not self._behind(), "what was declared at the end")
        assert self.board.total("acknowledged") > 0

    def _all_reachable(self) -> bool:
        return all(self.board.count(slot, "reachable") for slot in self._slots)

    def _behind(self) -> int:
        """How many records are not seen as they were declared, over all processes."""
        return sum(
            self.board.seen(slot, record) < self.board.declared(record)
            for slot in self._slots
            for record in range(RECORDS)
        )

    def end(self) -> None:
        pids = [self.board.count(WRITERS, "pid")] if WRITERS in self._slots else []
        for worker in self._workers:
            worker.kill()
            worker.wait(HANG_S)
        for pid in filter(None, pids):
            os.kill(pid, signal.SIGKILL)

    def result(self) -> dict[str, float]:
        names = ("reads", "stale", "wrong", "loads", "acknowledged", "raised", "kept", "losses")
        found: dict[str, float] = {name: self.board.total(name) for name in names}
        longest_ns = max(self.board.count(slot, "longest_ns") for slot in range(WRITERS))
        return {
            **found,
            "generations": self.board.total("generations"),
            "longest_s": longest_ns / 1e9,
            "lost": self.lost,
            "recovery_s": self.recovery_s,
        }
