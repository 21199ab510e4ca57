"""Real processes that share values, and are killed: nothing is stale and nobody stands still.

ZOOCACHE_KILL_S says how long; a short time by default.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

import storage_worker
from support import HANG_S

SCRIPT = Path(storage_worker.__file__)


class Worker:
    """A process that runs until it is killed; what it prints is read by nobody else."""

    def __init__(self, folder: Path, source: Path, number: int, seed: int) -> None:
        self._number = number
        self.output = folder.parent / f"output-{number}-{seed}"
        command = [sys.executable, str(SCRIPT), str(folder), str(source), str(number), str(seed)]
        with self.output.open("w") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        self.started = time.monotonic()
        self._seen = (0, self.started)

    def check(self) -> None:
        """It runs, and gets on."""
        text = self.output.read_text()
        assert self._process.poll() is None, f"worker {self._number} ended: {text[-2000:]}"
        now = time.monotonic()
        if len(text) != self._seen[0]:
            self._seen = (len(text), now)
        assert now - self._seen[1] < HANG_S, f"worker {self._number} stands still"

    def kill(self) -> list[int]:
        """Its last counts: reads, loads, hits in, stores to and refusals of the storage."""
        self._process.kill()
        self._process.wait(HANG_S)
        lines = [line for line in self.output.read_text().splitlines()[1:] if line.count(" ") == 4]
        return [int(word) for word in lines[-1].split()] if lines else [0] * 5


@pytest.mark.slow
def test_processes_are_killed_at_any_moment(tmp_path: Path) -> None:
    seconds = float(os.environ.get("ZOOCACHE_KILL_S", "12"))
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    source = tmp_path / "source"
    source.write_bytes(bytes(storage_worker.SIZE))
    folder = tmp_path / "cache"
    begun = 0

    def start(number: int) -> Worker:
        nonlocal begun
        begun += 1
        return Worker(folder, source, number, begun)

    workers = [start(number) for number in range(storage_worker.WORKERS)]
    totals = [0] * 5
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(chance.uniform(0.1, 0.6))
        for worker in workers:
            worker.check()
        number = chance.randrange(len(workers))
        if time.monotonic() - workers[number].started < 1.0:
            continue  # it should have done something
        totals = [sum(pair) for pair in zip(totals, workers[number].kill(), strict=True)]
        workers[number] = start(number)
    for worker in workers:
        worker.check()
        totals = [sum(pair) for pair in zip(totals, worker.kill(), strict=True)]
    reads, loads, hits, stores, refusals = totals
    print(f"{begun} processes: {reads} reads, {loads} loads, {hits} hits in the storage,", end=" ")
    print(f"{stores} stores, {refusals} refused")
    assert begun > storage_worker.WORKERS
    assert reads > 1000
    assert hits > 50, "what is loaded in one process is found in the others"
    assert stores > 50
