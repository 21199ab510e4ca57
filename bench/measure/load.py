"""Scenarios that need many entries: invalidation of a parent, bytes per entry.

Each runs in a process of its own, so that one does not inherit the memory of another.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from pathlib import Path
from typing import Any

import functions
from calls import NotApplicableError, Result, Scenario, wanted
from harness import Effort, Sampler, fill, fill_async
from peers import Peer

SLOW_FILL_S = 40.0


def _filled(peer: Peer, effort: Effort, tags: Any, entries: int, loop: Any) -> Any:
    """A cached function with so many entries that depend on `tags`; no tags if None."""
    seconds = SLOW_FILL_S if effort.entries >= 100_000 else effort.fill_s
    if tags is not None:
        tagged = wanted(peer.tagged)
        decorate, is_async = tagged.decorate(tags), tagged.is_async
    else:
        is_async = peer.sync is None
        decorate = wanted(peer.is_async if is_async else peer.for_misses)
    f = decorate(functions.async_constant() if is_async else functions.constant())
    if is_async:
        fill_async(effort, loop, f, functions.entry_keys(entries), seconds)
    else:
        fill(effort, f, functions.entry_keys(entries), seconds)
    return f


def _invalidate(entries: int) -> Scenario:
    def run(peer: Peer, effort: Effort) -> Result:
        """`first_ns`: the one call that kills them all; `ns`: calls after it, everything dead."""
        tagged = wanted(peer.tagged)
        if entries > tagged.largest or (effort.entries < 100_000 and entries > 1_000):
            raise NotApplicableError
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            if tagged.is_async:
                f = _filled(peer, effort, ["parent"], entries, loop)
            else:
                f = _filled(peer, effort, _below_parent(peer), entries, loop)
            started = time.perf_counter()
            done = tagged.invalidate("parent")
            if tagged.is_async:
                loop.run_until_complete(done)
            first_ns = (time.perf_counter() - started) * 1e9
            names = {"invalidate": tagged.invalidate}
            statement = "await invalidate('parent')" if tagged.is_async else "invalidate('parent')"
            sampler = Sampler(
                effort, statement, names, unrolled=10, loop=loop if tagged.is_async else None
            )
            samples = [sampler.sample() for _ in range(effort.pairs)]
            del f
            return {"ns": samples, "first_ns": first_ns}
        finally:
            loop.close()

    return run


def _below_parent(peer: Peer) -> Any:
    """Each entry depends on a tag of its own below the parent, where there is such a thing."""
    if wanted(peer.tagged).one_tag:
        return ["parent"]
    return lambda x: [f"parent:{x}"]


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def bytes_per_entry(peer: Peer, effort: Effort, tags: Any, wanted_entries: int = 0) -> Result:
    """Growth of resident memory over the fill. Keys are ints that only the cache may hold on to.

    A million entries, or a tenth or a hundredth of that where a store takes long; or as many as
    are wanted.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        started = time.perf_counter()
        first = _filled(peer, effort, tags, 1_000, loop)  # what is made once is not an entry's
        each_s = (time.perf_counter() - started) / 1_000
        sizes = [10**6, 10**5, 10**4] if effort.entries >= 100_000 else [20_000, 2_000]
        entries = next((n for n in sizes if n * each_s < SLOW_FILL_S / 2), sizes[-1])
        entries = wanted_entries or entries
        gc.collect()
        before = resident_bytes()
        f = _filled(peer, effort, tags, entries, loop)
        gc.collect()
        grown = resident_bytes() - before
        del first, f
        return {"bytes": grown / entries, "entries": entries}
    finally:
        loop.close()


def _memory(tags: Any) -> Scenario:
    def run(peer: Peer, effort: Effort) -> Result:
        if peer.name == "diskcache":
            raise NotApplicableError  # its entries are on disk
        if tags is not None and peer.tagged is None:
            raise NotApplicableError
        return bytes_per_entry(peer, effort, tags)

    return run


def _memory_at(entries: int) -> Scenario:
    def run(peer: Peer, effort: Effort) -> Result:
        if peer.sync is None or (effort.entries < 100_000 and entries > 10**4):
            raise NotApplicableError
        return bytes_per_entry(peer, effort, None, entries)

    return run


INVALIDATE: dict[str, Scenario] = {
    f"invalidate_{entries}": _invalidate(entries) for entries in (10**3, 10**4, 10**5, 10**6)
}
MEMORY: dict[str, Scenario] = {
    "bytes_no_tag": _memory(None),
    "bytes_shared_tag": _memory(["shared"]),
    "bytes_own_tag": _memory(lambda x: [f"item:{x}"]),
    **{f"bytes_at_{entries}": _memory_at(entries) for entries in (10**4, 10**5, 10**6, 10**7)},
}
