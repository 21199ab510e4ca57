"""How the cost grows: with entries, dependencies, depth of tags, threads, live tags.

Bytes by entries are in load.py: each size needs a process that has freed nothing yet.
A scenario gives {"x": name of the axis, "points": {line: [[x, value], ...]}}.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import functions
from calls import NotApplicableError, Result, Scenario, moved_sampler, wanted
from harness import Effort, KeysSampler, Sampler, ThreadsSampler, fill
from peers import Peer

BYTES_PER_ENTRY_FEARED = 400
CALLS = 100_000  # random hits in a sample


def memory_available() -> int:
    lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    found = {line.split(":")[0]: line.split()[1] for line in lines}
    return int(found["MemAvailable"]) * 1024


def best(sampler: Any, times: int) -> float:
    return min(sampler.sample() for _ in range(times))


class Lines:
    def __init__(self, x: str) -> None:
        self._x = x
        self._points: dict[str, list[list[float]]] = {}

    def add(self, line: str, x: float, y: float) -> None:
        self._points.setdefault(line, []).append([x, round(y, 3)])

    def result(self) -> Result:
        return {"x": self._x, "points": self._points}


def by_entries(peer: Peer, effort: Effort) -> Result:
    import random

    lines = Lines("entries")
    sizes = [10**3, 10**4, 10**5, 10**6, 10**7] if effort.entries >= 100_000 else [10**3]
    for entries in sizes:
        if entries * BYTES_PER_ENTRY_FEARED > memory_available() // 2:
            break
        if peer.reset:
            peer.reset()
        f = wanted(peer.sync)(functions.identity())
        store = KeysSampler(lambda n=entries: functions.entry_keys(n), lambda f=f: f)
        lines.add("store, ns", entries, store.sample())
        chosen = random.Random(entries)
        keys = [chosen.randrange(entries) + 1_000_000 for _ in range(CALLS)]
        hits = KeysSampler(lambda keys=keys: keys, lambda f=f: f)
        lines.add("random hit, ns", entries, best(hits, effort.pairs))
        del f, store, hits
    return lines.result()


def by_dependencies(peer: Peer, effort: Effort) -> Result:
    tagged = wanted(peer.tagged)
    lines = Lines("dependencies of an entry")
    sizes = [1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000]
    for size in sizes if effort.entries >= 100_000 else [1, 100]:
        tags = [f"d:{number}" for number in range(size)]
        f = tagged.decorate(tags)(functions.identity())
        fill(effort, f, range(16))
        lines.add("hit, ns", size, best(Sampler(effort, "f(7)", {"f": f}), effort.pairs))
        moved = moved_sampler(effort, f, tagged.invalidate)
        lines.add("hit after an unrelated invalidation, ns", size, best(moved, effort.pairs))
        stored = tagged.decorate(lambda x, tags=tags: tags)(functions.identity())
        count = max(10, min(1_000, 100_000 // size))
        sampler = KeysSampler(lambda n=count: range(n), lambda f=stored: f)
        lines.add("store, ns", size, sampler.sample())
    return lines.result()


def by_depth(peer: Peer, effort: Effort) -> Result:
    tagged = wanted(peer.tagged)
    lines = Lines("segments of a tag")
    for depth in (1, 2, 4, 8, 16, 32) if effort.entries >= 100_000 else (1, 32):
        above = ":".join(["s"] * (depth - 1))
        tag = f"{above}:leaf" if above else "leaf"
        f = tagged.decorate([tag])(functions.identity())
        fill(effort, f, range(16))
        moved = moved_sampler(effort, f, tagged.invalidate)
        lines.add("hit after an unrelated invalidation, ns", depth, best(moved, effort.pairs))
        names = {"invalidate": tagged.invalidate}
        sampler = Sampler(effort, f"invalidate({tag!r})", names)
        lines.add("invalidate, ns", depth, best(sampler, effort.pairs))
        prefix = f"{above}:" if above else ""
        stored = tagged.decorate(lambda x, prefix=prefix: [f"{prefix}{x}"])(functions.identity())
        sampler = KeysSampler(lambda: range(1_000_000, 1_010_000), lambda f=stored: f)
        lines.add("store, ns", depth, sampler.sample())
    return lines.result()


def by_threads(peer: Peer, effort: Effort) -> Result:
    lines = Lines("threads")
    f = wanted(peer.sync)(functions.identity())
    f(7)
    for threads in (1, 2, 4, 8, 16):
        sampler = ThreadsSampler(effort, f, threads)
        lines.add("hit, ns", threads, best(sampler, effort.pairs))
    return lines.result()


def by_live_tags(peer: Peer, effort: Effort) -> Result:
    tagged = wanted(peer.tagged)
    if tagged.is_async:
        raise NotApplicableError
    lines = Lines("live tags")
    sizes = [10**2, 10**3, 10**4, 10**5, 10**6] if effort.entries >= 100_000 else [10**2]
    for size in sizes:
        if peer.reset:
            peer.reset()
        f = tagged.decorate(lambda x: [f"live:{x}"])(functions.identity())
        fill(effort, f, range(size), 60.0)
        names = {"invalidate": tagged.invalidate}
        sampler = Sampler(effort, "invalidate('live:7')", names)
        lines.add("invalidate, ns", size, best(sampler, effort.pairs))
        moved = moved_sampler(effort, f, tagged.invalidate)
        lines.add("hit after an unrelated invalidation, ns", size, best(moved, effort.pairs))
        stored = KeysSampler(lambda: range(10**7, 10**7 + 10_000), lambda f=f: f)
        lines.add("store, ns", size, stored.sample())
    return lines.result()


SCENARIOS: dict[str, Scenario] = {
    "entries": by_entries,
    "dependencies": by_dependencies,
    "depth": by_depth,
    "threads": by_threads,
    "live_tags": by_live_tags,
}
