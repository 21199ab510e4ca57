"""Scenarios of single calls: hits, hits with dependencies, misses, two threads."""

from __future__ import annotations

import asyncio
import functools
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import functions
from harness import Effort, KeysSampler, Sampler, ThreadsSampler, compare, fill
from peers import Peer

Result = dict[str, Any]
Scenario = Callable[[Peer, Effort], "Result | None"]

# Calls of different keys between two invalidations, where the clock moves.
AFTER_INVALIDATION = 16


def wanted(decorate: Any) -> Any:
    """Says why a scenario does not apply."""
    if decorate is None:
        raise NotApplicableError
    return decorate


class NotApplicableError(Exception):
    """A cache has no such thing."""


def _same_statement(peer: Peer, effort: Effort, statement: str, function: Any) -> Result:
    cached = wanted(peer.sync)(function())
    plain = functools.lru_cache(None)(function())
    for f in (cached, plain):
        first = eval(statement, {"f": f})  # loads
        assert first == eval(statement, {"f": f})
    subject = Sampler(effort, statement, {"f": cached})
    return compare(effort, subject, Sampler(effort, statement, {"f": plain}))


def hit_int(peer: Peer, effort: Effort) -> Result:
    return _same_statement(peer, effort, "f(7)", functions.identity)


def hit_str(peer: Peer, effort: Effort) -> Result:
    return _same_statement(peer, effort, "f('user-7')", functions.identity)


def hit_two_args(peer: Peer, effort: Effort) -> Result:
    return _same_statement(peer, effort, "f(7, 8)", functions.first_of_two)


def hit_keyword(peer: Peer, effort: Effort) -> Result:
    return _same_statement(peer, effort, "f(7, y=8)", functions.first_of_two)


def hit_method(peer: Peer, effort: Effort) -> Result:
    holder = functions.instance_with(wanted(peer.for_methods))
    plain = functions.instance_with(functools.lru_cache(None))
    assert holder.m(7) == plain.m(7) == holder.m(7)
    subject = Sampler(effort, "o.m(7)", {"o": holder})
    return compare(effort, subject, Sampler(effort, "o.m(7)", {"o": plain}))


def _random_hits(peer: Peer, effort: Effort, keys_of: Callable[[int], list[Any]]) -> Result:
    cached, plain = wanted(peer.sync)(functions.identity()), functions.plain_lru()
    entries = functions.entry_keys(effort.entries)
    for f in (cached, plain):
        fill(effort, f, entries)
    seeds = iter(range(1000))
    subject = KeysSampler(lambda: keys_of(next(seeds)), lambda: cached)
    return compare(effort, subject, KeysSampler(lambda: keys_of(next(seeds)), lambda: plain))


def hit_random(peer: Peer, effort: Effort) -> Result:
    return _random_hits(peer, effort, lambda seed: functions.random_keys(effort.entries, seed))


def hit_random_same_objects(peer: Peer, effort: Effort) -> Result:
    """As hit_random, but the keys of the calls are scattered objects, used again and again."""
    objects = list(functions.entry_keys(effort.entries))
    return _random_hits(
        peer, effort, lambda seed: random.Random(seed).sample(objects, len(objects))
    )


def _dependent(peer: Peer, dependencies: int) -> Any:
    tagged = wanted(peer.tagged)
    if tagged.is_async or (tagged.one_tag and dependencies > 1):
        raise NotApplicableError
    tags = [f"dependency:{number}" for number in range(dependencies)]
    f = tagged.decorate(tags)(functions.identity())
    for key in range(AFTER_INVALIDATION):
        f(key)
    return f


def _hit_still(dependencies: int) -> Scenario:
    def run(peer: Peer, effort: Effort) -> Result:
        f, plain = _dependent(peer, dependencies), functions.plain_lru()
        plain(7)
        subject = Sampler(effort, "f(7)", {"f": f})
        return compare(effort, subject, Sampler(effort, "f(7)", {"f": plain}))

    return run


def moved_sampler(effort: Effort, f: Any, invalidate: Any) -> Sampler:
    """Calls of AFTER_INVALIDATION keys, each the first after an invalidation of something else."""
    names = {"f": f, "invalidate": invalidate}
    alone = Sampler(effort, "invalidate('unrelated:x')", {"invalidate": invalidate})
    calls = "; ".join(f"f({key})" for key in range(AFTER_INVALIDATION))
    statement = f"invalidate('unrelated:x'); {calls}"
    return Sampler(effort, statement, names, AFTER_INVALIDATION, alone, unrolled=4)


def _hit_moved(dependencies: int) -> Scenario:
    def run(peer: Peer, effort: Effort) -> Result:
        f, plain = _dependent(peer, dependencies), functions.plain_lru()
        plain(7)
        subject = moved_sampler(effort, f, wanted(peer.tagged).invalidate)
        return compare(effort, subject, Sampler(effort, "f(7)", {"f": plain}))

    return run


def hit_async(peer: Peer, effort: Effort) -> Result:
    """The baseline is the bare await of an async function that returns its argument."""
    cached = wanted(peer.is_async)(functions.async_identity())
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        assert loop.run_until_complete(cached(7)) == 7
        subject = Sampler(effort, "await f(7)", {"f": cached}, loop=loop)
        bare = Sampler(effort, "await f(7)", {"f": functions.async_identity()}, loop=loop)
        return compare(effort, subject, bare)
    finally:
        loop.close()


class FreshKeys:
    """Keys that no call has had before."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._next = 1_000_000

    def __call__(self) -> range:
        self._next += self._count
        return range(self._next - self._count, self._next)


def affordable(effort: Effort, call: Callable[[Any], Any]) -> int:
    """How many misses a sample has: all, or a tenth and a hundredth for the slow ones."""
    keys = FreshKeys(64)
    start = time.perf_counter()
    for key in keys():
        call(key)
    each = (time.perf_counter() - start) / 64
    most = effort.entries
    return next((n for n in (most, most // 10) if n * each < effort.fill_s / 8), most // 100)


def miss(peer: Peer, effort: Effort) -> Result:
    """The function's own work, returning its argument, is part of both sides."""
    decorate = wanted(peer.for_misses)
    count = affordable(effort, decorate(functions.identity()))
    subject = KeysSampler(FreshKeys(count), lambda: decorate(functions.identity()))
    return compare(effort, subject, KeysSampler(FreshKeys(count), functions.bounded_lru))


def miss_own_tag(peer: Peer, effort: Effort) -> Result:
    tagged = wanted(peer.tagged)
    if tagged.is_async or tagged.one_tag:
        raise NotApplicableError

    def make() -> Any:
        if peer.reset:
            peer.reset()  # new tags are new: those of the sample before are gone
        return tagged.decorate(lambda x: [f"item:{x}"])(functions.identity())

    count = affordable(effort, make())
    subject = KeysSampler(FreshKeys(count), make)
    return compare(effort, subject, KeysSampler(FreshKeys(count), functions.bounded_lru))


def miss_async(peer: Peer, effort: Effort) -> Result:
    """The baseline is the bare await."""
    decorate = wanted(peer.is_async)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        probe = decorate(functions.async_identity())
        count = affordable(effort, lambda key: loop.run_until_complete(probe(key)))
        subject = KeysSampler(FreshKeys(count), lambda: decorate(functions.async_identity()), loop)
        bare = KeysSampler(FreshKeys(count), functions.async_identity, loop)
        return compare(effort, subject, bare)
    finally:
        loop.close()


def hit_two_threads(peer: Peer, effort: Effort) -> Result:
    cached, plain = wanted(peer.sync)(functions.identity()), functions.plain_lru()
    cached(7), plain(7)
    return compare(effort, ThreadsSampler(effort, cached, 2), ThreadsSampler(effort, plain, 2))


def herd(peer: Peer, effort: Effort) -> Result:
    """A hundred threads, or tasks, call one cold key at once: how often does the function run?"""
    executions = []
    callers = 100
    barrier = threading.Barrier(callers)

    def load(x: Any) -> Any:
        executions.append(x)
        time.sleep(0.05)
        return x

    async def load_async(x: Any) -> Any:
        executions.append(x)
        await asyncio.sleep(0.05)
        return x

    async def gather(f: Any) -> None:
        await asyncio.gather(*(f(7) for _ in range(callers)))

    def one(f: Any) -> None:
        barrier.wait()
        f(7)

    result: Result = {}
    if peer.sync:
        f = peer.sync(functions.own_name(load))
        threads = [threading.Thread(target=one, args=(f,)) for _ in range(callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        result["executions_threads"] = len(executions)
        executions.clear()
    if peer.is_async:
        asyncio.run(gather(peer.is_async(functions.own_name(load_async))))
        result["executions_tasks"] = len(executions)
    return result


SCENARIOS: dict[str, Scenario] = {
    "hit_int": hit_int,
    "hit_str": hit_str,
    "hit_two_args": hit_two_args,
    "hit_keyword": hit_keyword,
    "hit_method": hit_method,
    "hit_random": hit_random,
    "hit_random_same_objects": hit_random_same_objects,
    "hit_1_dep": _hit_still(1),
    "hit_10_deps": _hit_still(10),
    "hit_10k_deps": _hit_still(10_000),
    "hit_moved_1_dep": _hit_moved(1),
    "hit_moved_10_deps": _hit_moved(10),
    "hit_moved_10k_deps": _hit_moved(10_000),
    "hit_async": hit_async,
    "hit_two_threads": hit_two_threads,
    "miss": miss,
    "miss_own_tag": miss_own_tag,
    "miss_async": miss_async,
    "herd": herd,
}
