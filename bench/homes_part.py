"""The homes: what invalidations, stored values and hits cost where processes share them.

A server of its own and a folder of its own for everything; processes of measure/homes_worker.py do
the work, several at once where that is what is measured. How one server's costs grow with what it
carries is in scaling_part.py.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import server
from environments import BENCH, Interpreter, say
from python_part import add_up
from server import Server

sys.path.insert(0, str(BENCH / "measure"))
from homes_peers import SETTLED_S

PROCESS_TIMEOUT_S = 300
PEERS = (
    *("zoocache", "zoocache-lmdb", "zoocache-published", "cashews", "aiocache"),
    *("dogpile.cache", "diskcache"),
)
HOMES = ("lmdb", "redis")
HERD_PROCESSES, HERD_CALLERS = 2, 50

Line = dict[str, Any]


class Absent(Exception):  # noqa: N818 - a finding, not an error
    """A cache cannot do something; the text says why."""


class Worker:
    """A process that was started, and says lines."""

    def __init__(self, command: list[str]) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        self._timer = threading.Timer(PROCESS_TIMEOUT_S, self._process.kill)
        self._timer.start()
        self._errors: list[str] = []
        # Read, so that who writes much of it does not wait for ever.
        self._reader = threading.Thread(target=self._read_errors, daemon=True)
        self._reader.start()

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        self._errors += self._process.stderr.read().strip().splitlines()[-3:]

    def line(self) -> Line:
        """The next one; raises Absent if there is none or it is about what cannot be."""
        assert self._process.stdout is not None
        text = self._process.stdout.readline()
        if not text:
            self._process.wait()
            self._reader.join()
            last = (self._errors or ["no message"])[-1]
            raise Absent(f"ended with {self._process.returncode}: {last}"[:200])
        found: Line = json.loads(text)
        if "absent_peer" in found:
            raise Absent(found["absent_peer"])
        for why in found.get("absent", {}).values():
            raise Absent(why)
        return found

    def tell(self, what: float) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # why it ended is in its last line
            self._process.stdin.write(f"{what}\n")
            self._process.stdin.flush()

    def end(self) -> None:
        self._timer.cancel()
        if self._process.poll() is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()


class Bench:
    """An interpreter, a server and a folder, and what was measured with them."""

    def __init__(self, interpreter: Interpreter, folder: Path, quick: bool) -> None:
        self.interpreter = interpreter
        self.quick = quick
        self._folder = folder
        (folder / "server").mkdir()
        self.server = Server(folder / "server") if server.is_there() else None
        self.board = folder / "board"
        self.versions: dict[str, str] = {}
        self.absent: dict[str, str] = dict(interpreter.absent)
        if not self.server:
            self.absent["redis"] = "redis-server is not there"
        self._raw: dict[str, list[Line]] = defaultdict(list)
        self._fresh = 0

    def homes(self) -> list[str]:
        return [home for home in HOMES if home == "lmdb" or self.server]

    def can(self, peer: str) -> bool:
        """Whether a cache is there, and what it keeps its values in."""
        there = peer in self.interpreter.pythons
        return there and bool(self.server or peer in ("zoocache-lmdb", "diskcache"))

    def forget(self) -> None:
        """Nothing of what was before is in the way: another folder, an empty server."""
        self._fresh += 1
        shutil.rmtree(self._folder / f"cache{self._fresh - 1}", ignore_errors=True)
        if self.server:
            self.server.ask("FLUSHALL")
            self.server.ask("CONFIG", "RESETSTAT")

    def places(self) -> dict[str, str]:
        folder = self._folder / f"cache{self._fresh}"
        folder.mkdir(mode=0o700, exist_ok=True)
        made = {"lmdb": f"lmdb://{folder}"}
        return {**made, "redis": self.server.url} if self.server else made

    @contextlib.contextmanager
    def worker(self, peer: str, task: str, *options: str) -> Iterator[Worker]:
        if peer not in self.interpreter.pythons:
            raise Absent(self.interpreter.absent.get(peer, "not wanted"))
        command = [self.interpreter.pythons[peer], str(BENCH / "measure" / "homes_worker.py")]
        command += ["--peer", peer, "--task", task, "--places", json.dumps(self.places())]
        command += ["--board", str(self.board), *options]
        command += ["--quick"] if self.quick else []
        started = Worker(command)
        try:
            yield started
        finally:
            started.end()

    def run(self, peer: str, task: str, *options: str) -> Line:
        """One process by itself; its results."""
        with self.worker(peer, task, *options) as worker:
            found = worker.line()
            self.versions[peer] = found["version"]
            results: Line = found["results"]
            return results

    @contextlib.contextmanager
    def together(
        self, workers: list[tuple[str, str, list[str]]], folder: bool = False
    ) -> Iterator[list[Worker]]:
        """Several, all of which are ready to begin; `folder`: and theirs is settled."""
        with contextlib.ExitStack() as stack:
            started = [
                stack.enter_context(self.worker(peer, task, *options))
                for peer, task, options in workers
            ]
            for one in started:
                one.line()
            if folder:
                time.sleep(SETTLED_S)
            yield started

    def add(self, name: str, result: Line) -> None:
        self._raw[name].append(result)

    def results(self) -> dict[str, Line]:
        return {name: add_up(name, raw) for name, raw in self._raw.items()}

    @contextlib.contextmanager
    def finding(self, name: str) -> Iterator[None]:
        """What cannot be done once is noted, and the rest goes on."""
        try:
            yield
        except (Absent, OSError, RuntimeError) as why:
            self.absent[name] = str(why)


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure_alone(bench: Bench) -> None:
    """Hits and invalidations of our homes; stored values of every cache."""
    for task in ("hits", "invalidations"):
        bench.forget()
        with bench.finding(task):
            for name, result in bench.run("zoocache", task).items():
                bench.add(name, result)
    for peer in PEERS:
        if peer == "diskcache" or not bench.can(peer):
            continue  # diskcache is what the folder is compared with
        bench.forget()
        with bench.finding(f"stored values, {peer}"):
            for name, result in bench.run(peer, "stored").items():
                bench.add(f"{name}/{peer}", result)


def propagate(bench: Bench, home: str, seed: int) -> Line:
    """One process invalidates, another one calls without a pause."""
    bench.forget()
    bench.board.write_bytes(bytes(64))
    rounds = str(100 if bench.quick else 2000)
    tell_options = ["--home", home, "--count", rounds, "--key", str(seed)]
    pair = [("zoocache", "watch", ["--home", home]), ("zoocache", "tell", tell_options)]
    with bench.together(pair, home == "lmdb") as (watcher, teller):
        watcher.tell(0)
        teller.tell(0)
        try:
            found: Line = teller.line()["results"]
        finally:
            bench.board.open("r+b").write(b"\1" * 64)  # whatever came of it, the watcher ends
        return found


def measure_propagation(bench: Bench, repeats: int) -> dict[str, Line]:
    made = {}
    for home in bench.homes():
        seen: list[float] = []
        returned: list[float] = []
        with bench.finding(f"propagation, {home}"):
            for turn in range(min(repeats, 3)):
                found = propagate(bench, home, turn)
                seen += found["seen_us"]
                returned += found["returned_us"]
            made[f"propagation_{home}"] = {
                "us_median": round(statistics.median(seen), 1),
                "us_p99": round(percentile(seen, 0.99), 1),
                "us_max": round(max(seen), 1),
                "returned_us_median": round(statistics.median(returned), 1),
                "samples": len(seen),
            }
    return made


def herd(bench: Bench, peer: str, key: int, guarded: bool) -> Line:
    """Executions of two processes with fifty callers each of one cold key."""
    bench.forget()
    options = ["--count", str(HERD_CALLERS), "--key", str(key)]
    options += ["--guarded"] if guarded else []
    with bench.together([(peer, "herd", options)] * HERD_PROCESSES) as workers:
        for worker in workers:
            worker.tell(0)
        lines = [worker.line() for worker in workers]
    bench.versions[peer] = lines[0]["version"]
    found = [line["results"] for line in lines]
    return {"executions": sum(one["loads"] for one in found), "callers": found[0]["kind"]}


# What is given besides the ordinary decorator: an option that is not the default.
GUARDED = {
    "cashews": "lock=True", "aiocache": "cached_stampede(lease=2)",
    "dogpile.cache": "distributed_lock=True", "diskcache": "barrier",
}  # fmt: skip


def measure_herds(bench: Bench, repeats: int) -> dict[str, Line]:
    made: dict[str, Line] = {}
    for peer in PEERS:
        if not bench.can(peer):
            continue
        for guarded in (False, True) if peer in GUARDED else (False,):
            name = f"herd/{peer}" + (f"/{GUARDED[peer]}" if guarded else "")
            with bench.finding(name):
                found = [herd(bench, peer, 7 + n, guarded) for n in range(min(repeats, 3))]
                most = max(one["executions"] for one in found)
                made[name] = {"executions": most, "callers": found[0]["callers"]}
    return made


@contextlib.contextmanager
def opened(interpreter: Interpreter, quick: bool) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="zoocache-bench-") as folder:
        bench = Bench(interpreter, Path(folder), quick)
        try:
            yield bench
        finally:
            if bench.server:
                bench.server.kill()


def measure(interpreter: Interpreter, repeats: int, quick: bool) -> dict[str, Any]:
    import scaling_part  # it measures with what is here

    with opened(interpreter, quick) as bench:
        about = bench.server.info()["redis_version"] if bench.server else ""
        for turn in range(repeats):
            say(f"homes: hits, invalidations, stored values, repeat {turn + 1} of {repeats}")
            measure_alone(bench)
        say("homes: propagation")
        several = measure_propagation(bench, repeats)
        say("homes: one cold key, many callers in two processes")
        several.update(measure_herds(bench, repeats))
        scaling = scaling_part.measure(bench)
        return {
            "interpreter": interpreter.name,
            "version": interpreter.about["version"],
            "compiler": interpreter.about["compiler"],
            "server": f"Redis {about}" if about else "no Redis server",
            "versions": {k: v for k, v in bench.versions.items() if k != "zoocache-lmdb"},
            "results": {**bench.results(), **several},
            "scaling": scaling,
            "absent": bench.absent,
        }
