"""What a home costs within one process: hits, invalidations, reads of stored values.

A scenario gives several results, by name; samples of all that are compared alternate.
"""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Callable
from typing import Any

import functions
from calls import NotApplicableError
from harness import Effort, KeysSampler, Sampler, compare
from homes_peers import VALUE, HomePeer, new_cache, settle

Result = dict[str, Any]
Places = dict[str, str]  # home -> URL
HOMES = ("memory", "lmdb", "redis")


def in_turns(effort: Effort, samplers: dict[str, Any], turns: int) -> dict[str, list[float]]:
    """Samples of all, in an order that turns: the n-th of each belong together."""
    names = list(samplers)
    found: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(turns):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            found[name].append(samplers[name].sample())
    return found


def redis_py(places: Places) -> Any:
    """The usual client, with its parser in C; it says so if it has not."""
    try:
        import hiredis  # noqa: F401
        import redis
    except ImportError as error:
        raise NotApplicableError from error
    return redis.Redis.from_url(places["redis"])


class RawSet:
    """A SET that was encoded beforehand, on a socket: a round trip and nothing else."""

    def __init__(self, places: Places) -> None:
        host, port = places["redis"].removeprefix("redis://").split(":")
        self._socket = socket.create_connection((host, int(port)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __call__(self) -> None:
        self._socket.sendall(b"*3\r\n$3\r\nSET\r\n$5\r\nbench\r\n$1\r\nv\r\n")
        if self._socket.recv(16) != b"+OK\r\n":
            raise RuntimeError("the server did not answer a SET")


def hits(places: Places, effort: Effort) -> dict[str, Result]:
    """In memory, nothing having changed; with a home the log's clock is looked at."""
    samplers = {}
    kept = []
    plain = functions.plain_lru()
    plain(7)
    for home in HOMES:
        if home != "memory" and home not in places:
            continue
        cache = new_cache(home, places.get(home, ""))
        f = cache.cacheable(deps=["item:7"])(functions.identity())
        f(7), f(7)
        kept.append((cache, f))
        samplers[home] = Sampler(effort, "f(7)", {"f": f})
    samplers["lru_cache"] = Sampler(effort, "f(7)", {"f": plain})
    found = in_turns(effort, samplers, 4 * effort.pairs)
    made = {}
    for home in samplers:
        pairs = zip(found[home], found["memory"], strict=True)
        made[f"hit_{home}"] = {
            "ns": found[home], "base_ns": found["lru_cache"],
            "more_ns": [ns - memory for ns, memory in pairs],
        }  # fmt: skip
    return made


def invalidations(places: Places, effort: Effort) -> dict[str, Result]:
    """Of one tag that nothing here depends on; beside a SET by redis-py and by a bare socket."""
    samplers = {}
    for home in HOMES:
        if home == "memory" or home in places:
            cache = new_cache(home, places.get(home, ""))
            names = {"invalidate": cache.invalidate}
            samplers[home] = Sampler(effort, "invalidate('unrelated:x')", names, unrolled=10)
    if "redis" in places:
        raw = RawSet(places)
        samplers["raw"] = Sampler(effort, "set()", {"set": raw}, unrolled=10)
        try:
            set_ = functools.partial(redis_py(places).set, "bench", "v")
            samplers["redis_py"] = Sampler(effort, "set()", {"set": set_}, unrolled=10)
        except NotApplicableError:
            pass
    made: dict[str, Result] = {}
    if "lmdb" in places:
        made["invalidate_lmdb_young"] = {
            "ns": [samplers["lmdb"].sample() for _ in range(effort.pairs)]
        }
        settle(places["lmdb"])
    found = in_turns(effort, samplers, 2 * effort.pairs)
    for name, ns in found.items():
        base = {"base_ns": found["redis_py"]} if "redis_py" in found else {}
        kept = base if name in ("redis", "raw") else {}
        made[f"set_{name}" if name in ("raw", "redis_py") else f"invalidate_{name}"] = {
            "ns": ns, **kept,
        }  # fmt: skip
    if "redis" in places:
        made["invalidate_redis_over_raw"] = {"ns": found["redis"], "base_ns": found["raw"]}
    return made


def _loader(loads: list[int], is_async: bool) -> Callable[..., Any]:
    def load(x: int) -> str:
        loads.append(x)
        return VALUE

    async def load_async(x: int) -> str:
        loads.append(x)
        return VALUE

    return functions.own_name(load_async if is_async else load)


class Ranges:
    """So many keys that nobody has had before, at each call."""

    def __init__(self, each: int) -> None:
        self._each = each
        self._at = 0

    def __call__(self) -> range:
        self._at += self._each
        return range(self._at - self._each, self._at)


def _plain_get(places: Places, keys: range, loop: Any) -> Any:
    """A GET by redis-py of a string as long as the values; async where the cache is."""
    client = redis_py(places)
    for key in keys:
        client.set(key, VALUE)
    if loop is None:
        return client.get
    import redis.asyncio

    return redis.asyncio.Redis.from_url(places["redis"]).get


def stored_reads(
    peer: HomePeer, places: Places, effort: Effort, baseline: HomePeer | None, later: bool
) -> Result:
    """Reads of values that another view has stored; each key once, so that none is in memory.

    `later`: the view that reads is opened when the values are there and something has changed
    since. Beside a plain GET, or another cache's read.
    """
    loop = asyncio.new_event_loop() if peer.is_async else None
    if loop:
        asyncio.set_event_loop(loop)
    each = 2_000 if effort.entries >= 100_000 else 200
    keys = range(each * (effort.pairs + 1))
    loads: list[int] = []
    f = _loader(loads, peer.is_async)
    stores = peer.view()(f)
    reads = stores if later else peer.view()(f)
    for key in keys:
        call = stores(key)
        if loop:
            loop.run_until_complete(call)
    if later:
        peer.reset()
        reads = peer.view()(f)
    if baseline is None:
        other = _plain_get(places, keys, loop)
    else:
        other = baseline.view()(_loader([], False))
        for key in keys:
            other(key)
    settle(places["lmdb"] if baseline else "")
    subject = KeysSampler(Ranges(each), lambda: reads, loop)
    base = KeysSampler(Ranges(each), lambda: other, loop)
    subject.sample(), base.sample()
    made = compare(effort, subject, base)
    if len(loads) != len(keys):
        raise RuntimeError(f"{len(loads)} loads of {len(keys)} keys: not all were found there")
    return made
