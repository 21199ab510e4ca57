"""What the parts about homes measure with: processes, a server and a folder, and what was found."""

from __future__ import annotations

import contextlib
import json
import shutil
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
from environments import BENCH, Interpreter
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


@contextlib.contextmanager
def opened(interpreter: Interpreter, quick: bool) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="zoocache-bench-") as folder:
        bench = Bench(interpreter, Path(folder), quick)
        try:
            yield bench
        finally:
            if bench.server:
                bench.server.kill()
