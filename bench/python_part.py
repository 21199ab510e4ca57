"""Runs the workers of bench/measure, interleaved, and adds up what they measured.

A round starts one process for each cache, in an order that turns from round to round; in it,
samples of the cache and of its baseline alternate. So a ratio compares what was measured side by
side, and no cache profits from a lucky layout of memory or a quiet minute.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from typing import Any

from environments import BENCH, Interpreter, say

sys.path.insert(0, str(BENCH / "measure"))
from peers import MODULES

PROCESS_TIMEOUT_S = 400
SIZES = (10**3, 10**4, 10**5, 10**6)
MEMORY_KINDS = ("bytes_no_tag", "bytes_shared_tag", "bytes_own_tag")
MEMORY_SIZES = tuple(f"bytes_at_{10**power}" for power in (4, 5, 6, 7))
GROWTH = ("entries", "dependencies", "depth", "threads", "live_tags")


class Peers:
    """What has been measured with one interpreter."""

    def __init__(self, interpreter: Interpreter, quick: bool) -> None:
        self.interpreter = interpreter
        self._quick = quick
        self._raw: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
        self._absent: dict[str, dict[str, str]] = defaultdict(dict)
        self._versions: dict[str, str] = {}
        self._gone: dict[str, str] = dict(interpreter.absent)

    def work(self, peer: str, part: str, only: str = "") -> None:
        """One process. What a cache could not do once it is not asked for again."""
        if peer in self._gone or peer not in self.interpreter.pythons:
            return
        if only and only in self._absent[peer]:
            return
        command = [self.interpreter.pythons[peer], str(BENCH / "measure" / "worker.py")]
        command += ["--peer", peer, "--part", part, "--only", only]
        command += ["--quick"] if self._quick else []
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=PROCESS_TIMEOUT_S
            )
        except subprocess.TimeoutExpired:
            self._absent[peer][only or part] = f"takes longer than {PROCESS_TIMEOUT_S} s"
            return
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            self._absent[peer][only or part] = f"ended with {done.returncode}: {last}"[:200]
            return
        found = json.loads(done.stdout)
        if "absent_peer" in found:
            self._gone[peer] = found["absent_peer"]
            return
        self._versions[peer] = found["version"]
        self._absent[peer].update(found["absent"])
        for scenario, result in found["results"].items():
            self._raw[peer][scenario].append(result)

    def is_too_much(self, peer: str, scenario: str) -> bool:
        return scenario in self._absent[peer]

    def add(self, peer: str, scenario: str, result: Any) -> None:
        self._raw[peer][scenario].append(result)

    def peers(self) -> list[str]:
        return [peer for peer in self.interpreter.pythons if peer not in self._gone]

    def result(self) -> dict[str, Any]:
        about = self.interpreter.about
        peers = {
            peer: {
                "version": self._versions.get(peer, ""),
                "results": {name: add_up(name, raw) for name, raw in scenarios.items()},
                "absent": self._absent[peer],
            }
            for peer, scenarios in self._raw.items()
        }
        kept = {key: about[key] for key in ("version", "compiler")}
        return {**kept, "peers": peers, "absent": self._gone}


def add_up(name: str, raw: list[dict[str, Any]]) -> dict[str, Any]:
    """Of the processes' results: minimum and median, and of ratios of samples that pair up."""
    first = raw[0]
    if "points" in first:
        return add_up_points(raw)
    made: dict[str, Any] = {}
    for key in first:
        values = [
            v for one in raw for v in (one[key] if isinstance(one[key], list) else [one[key]])
        ]
        if key == "entries" or key.startswith("executions"):
            made[key] = max(values)
        else:
            made[f"{key}_min"] = round(min(values), 2)
            made[f"{key}_median"] = round(statistics.median(values), 2)
    if "base_ns" in first:
        pairs = [pair for one in raw for pair in zip(one["ns"], one["base_ns"], strict=True)]
        made["ratio_min"] = round(made["ns_min"] / made["base_ns_min"], 4)
        made["ratio_median"] = round(statistics.median(ns / base for ns, base in pairs), 4)
    made["samples"] = len(first["ns"]) * len(raw) if "ns" in first else len(raw)
    return made


def add_up_points(raw: list[dict[str, Any]]) -> dict[str, Any]:
    """The smallest of each point."""
    lines: dict[str, dict[float, float]] = defaultdict(dict)
    for one in raw:
        for line, points in one["points"].items():
            for x, y in points:
                lines[line][x] = min(y, lines[line].get(x, y))
    points = {line: sorted(map(list, found.items())) for line, found in lines.items()}
    return {"x": raw[0]["x"], "points": points, "samples": len(raw)}


def measure_calls(all_peers: list[Peers], repeats: int) -> None:
    for turn in range(repeats):
        for measured in all_peers:
            peers = measured.peers()
            shift = turn % max(1, len(peers))
            say(f"calls, repeat {turn + 1} of {repeats}, {measured.interpreter.name}")
            for peer in peers[shift:] + peers[:shift]:
                measured.work(peer, "calls")


def measure_invalidate(all_peers: list[Peers], repeats: int, quick: bool) -> None:
    for measured in all_peers:
        for size in SIZES[:1] if quick else SIZES:
            for turn in range(repeats):
                say(f"invalidate, {size} entries, repeat {turn + 1}, {measured.interpreter.name}")
                for peer in measured.peers():
                    smaller = f"invalidate_{size // 10}"
                    enough = peer != "zoocache" and turn >= (1 if size == SIZES[-1] else 3)
                    if enough or measured.is_too_much(peer, smaller):
                        continue
                    measured.work(peer, "invalidate", f"invalidate_{size}")


def measure_memory(all_peers: list[Peers], repeats: int) -> None:
    for measured in all_peers:
        for turn in range(min(repeats, 3)):
            for peer in measured.peers():
                say(f"memory, repeat {turn + 1}, {measured.interpreter.name}, {peer}")
                for kind in (*MEMORY_KINDS, *MEMORY_SIZES):
                    if kind in MEMORY_SIZES and peer not in ("zoocache", "lru_cache"):
                        continue
                    measured.work(peer, "memory", kind)


def measure_growth(all_peers: list[Peers], repeats: int) -> None:
    measured = all_peers[0]
    for turn in range(min(repeats, 3)):
        for curve in GROWTH:
            say(f"growth by {curve}, repeat {turn + 1}")
            for peer in ("zoocache", "lru_cache"):
                measured.work(peer, "growth", curve)


def wall_ms(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return (time.perf_counter() - started) * 1e3


def measure_imports(all_peers: list[Peers], repeats: int) -> None:
    """Wall time of a process that imports, over one that does not."""
    for measured in all_peers:
        say(f"import time, {measured.interpreter.name}")
        for turn in range(max(repeats, 3) + 1):
            for peer in measured.peers():
                python = measured.interpreter.pythons[peer]
                try:
                    bare = wall_ms([python, "-I", "-c", "pass"])
                    with_import = wall_ms([python, "-I", "-c", f"import {MODULES[peer]}"])
                except subprocess.CalledProcessError:
                    continue
                if turn:  # the first one reads the files from the disk
                    measured.add(peer, "import", {"ms": with_import, "bare_ms": bare})


def measure(
    interpreters: list[Interpreter], parts: set[str], repeats: int, quick: bool
) -> dict[str, Any]:
    all_peers = [Peers(interpreter, quick) for interpreter in interpreters]
    if "calls" in parts:
        measure_calls(all_peers, repeats)
    if "import" in parts:
        measure_imports(all_peers, repeats)
    if "invalidate" in parts:
        measure_invalidate(all_peers, repeats, quick)
    if "memory" in parts:
        measure_memory(all_peers, repeats)
    if "growth" in parts:
        measure_growth(all_peers, repeats)
    return {measured.interpreter.name: measured.result() for measured in all_peers}
