"""What is wrong with a home, or may go wrong: settings, room, clocks, delays, who uses it."""

from __future__ import annotations

import dataclasses
import platform
import shutil
import statistics
import time
from typing import TYPE_CHECKING

from zoocache import HomeUnreachable, _zoocache
from zoocache.cli._survey import Bounds, survey
from zoocache.cli._text import human_bytes, human_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zoocache.cli._home import Home, Node

__all__ = ["Check", "doctor"]

_TRIPS = 20
_BEATS_IN_LEASE = 3
_FULL = 0.9
_CLOCK_APART_S = 5.0
_OLDEST_REDIS = 7
_NO_MORE = 2**62  # a server without maxmemory


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: of what.
        state: "ok", "note" (to be known), "warning", "problem", or "unknown" (not to be seen).
        found: what was found.
        remedy: what to do about it; "" where there is nothing to do.
    """

    name: str
    state: str
    found: str
    remedy: str = ""

    @property
    def is_finding(self) -> bool:
        """Whether somebody should do something."""
        return self.state in ("warning", "problem")


def doctor(home: Home, watch_s: float, bounds: Bounds) -> Iterator[Check]:
    """Looks at one thing after another.

    Args:
        home: the patient.
        watch_s: seconds for which the heartbeats of a server's nodes are watched.
        bounds: of the look at what is stored.

    Raises:
        HomeUnreachable: it does not answer.
    """
    look = home.look()
    yield Check(
        "home",
        "ok" if look.generation else "note",
        f"{home.where}: generation {look.generation:x}, clock {look.clock}, {look.tags:,} tags"
        if look.generation
        else f"{home.where} answers; nobody has begun a log there yet",
    )
    yield Check(
        "versions",
        "ok",
        f"zoocache {_zoocache.__version__}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()}",
    )
    trouble = str(home.status().get("trouble", ""))
    facts = home.facts()
    yield from _latency(home)
    if home.kind == "redis":
        yield from _server(facts)
        yield from _heartbeats(home, watch_s)
    else:
        yield from _folder(facts)
        yield _processes(home.nodes())
    if trouble and home.kind == "lmdb":
        yield Check("trouble", "problem", trouble)
    if look.floor:
        yield Check(
            "memory of the log",
            "note",
            f"epochs up to {look.floor} of {look.clock} may have been forgotten",
            "processes that had not heard of them were emptied; raise max_log_tags if it is often",
        )
    yield from _values(home, bounds)


def _latency(home: Home) -> Iterator[Check]:
    trips: list[float] = []
    for _ in range(_TRIPS):
        began = time.perf_counter()
        home.round_trip()
        trips.append(time.perf_counter() - began)
    median, worst = statistics.median(trips), max(trips)
    found = (
        f"a question takes {human_seconds(median)}, the slowest of {_TRIPS} {human_seconds(worst)}"
    )
    # An invalidation, or the check of a stored value, takes one such round trip.
    if median > 0.05:
        remedy = "calls give up after command_timeout (0.25 s if nothing else is said): " + (
            "put the server nearer" if home.kind == "redis" else "see what keeps the disk busy"
        )
        yield Check("latency", "warning", found, remedy)
    else:
        yield Check("latency", "ok", found)


def _server(facts: dict[str, str]) -> Iterator[Check]:
    yield _version(facts)
    role = facts.get("role", "")
    if role == "master":
        yield Check("role", "ok", "a primary")
    else:
        yield Check(
            "role", "problem", f"it is {role or 'not known what'}", "name the primary, or sentinels"
        )
    policy = facts.get("maxmemory-policy") or facts.get("maxmemory_policy", "")
    yield _policy(policy, _number(facts, "maxmemory"))
    used, most = _number(facts, "used_memory"), _number(facts, "maxmemory") or _NO_MORE
    room = "no bound" if most == _NO_MORE else human_bytes(most)
    found = f"{human_bytes(used)} of {room}"
    if used > _FULL * most:
        yield Check(
            "memory", "warning", found, "raise maxmemory: new values are refused or evicted"
        )
    else:
        yield Check("memory", "ok", found)
    yield from _replicas(facts)
    yield _clock(facts)
    if "settings" in facts:
        yield Check(
            "permissions",
            "unknown",
            f"the settings may not be read: {facts['settings']}",
            "allow +config|get to see min-replicas-to-write",
        )


def _version(facts: dict[str, str]) -> Check:
    version = facts.get("redis_version", "")
    valkey = facts.get("valkey_version", "")
    name = f"Valkey {valkey}" if valkey else f"Redis {version}"
    major = version.partition(".")[0]
    log = f"{name}; its log is of version {facts.get('log_version', '?')}"
    if not major.isdigit():
        return Check("server", "unknown", "it does not say which version it is")
    if int(major) < _OLDEST_REDIS:
        return Check("server", "problem", name, "Redis 7.0, Valkey 7.2 or newer is needed")
    if _number(facts, "log_version") > _number(facts, "known_log_version"):
        remedy = "processes of this version cache nothing there: update zoocache"
        return Check("server", "problem", f"{log}, which a newer zoocache wrote", remedy)
    return Check("server", "ok", log)


def _policy(policy: str, most: int) -> Check:
    if policy.startswith("allkeys-"):
        return Check(
            "eviction",
            "problem",
            f"maxmemory-policy {policy} may evict the log, which empties all caches",
            "set volatile-lru; processes refuse this server unless they say allow_eviction",
        )
    if policy == "noeviction" and most:
        return Check(
            "eviction",
            "warning",
            "maxmemory-policy noeviction: when its memory is full nothing new is stored",
            "set volatile-lru",
        )
    if not policy:
        return Check("eviction", "unknown", "the server does not say its maxmemory-policy")
    return Check("eviction", "ok", f"maxmemory-policy {policy}")


def _replicas(facts: dict[str, str]) -> Iterator[Check]:
    count = _number(facts, "connected_slaves")
    if count == 0:
        yield Check("replicas", "ok", "none: a failover begins with empty caches")
        return
    wanted = (count + 1) // 2
    least, lag = facts.get("min-replicas-to-write"), facts.get("min-replicas-max-lag")
    if least is None:
        yield Check("replicas", "unknown", f"{count}; min-replicas-to-write may not be read")
    elif _number(facts, "min-replicas-to-write") < wanted or lag == "0":
        yield Check(
            "replicas",
            "warning",
            f"{count}, min-replicas-to-write {least}, min-replicas-max-lag {lag}: cut off from "
            "them the primary goes on acknowledging invalidations, which a failover loses",
            f"set min-replicas-to-write {wanted} and min-replicas-max-lag below what a failover "
            "takes to begin",
        )
    else:
        yield Check("replicas", "ok", f"{count}, min-replicas-to-write {least}")


def _clock(facts: dict[str, str]) -> Check:
    apart = _number(facts, "time_s") - time.time()
    found = f"the server's is {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} ours"
    if abs(apart) > _CLOCK_APART_S:
        remedy = "nothing here goes by it, but times in logs do: let both be set by NTP"
        return Check("clock", "warning", found, remedy)
    return Check("clock", "ok", found)


def _heartbeats(home: Home, watch_s: float) -> Iterator[Check]:
    """What the beats say: each process beats three times in a lease."""
    before = {node.name: node for node in home.nodes()}
    if not before:
        yield Check("nodes", "note", "no process is registered: none caches here now")
        return
    began = time.monotonic()
    time.sleep(watch_s)
    look, after = home.look(), {node.name: node for node in home.nodes()}
    watched_s = time.monotonic() - began
    periods: dict[str, float] = {}
    silent: list[str] = []
    for name in before.keys() & after.keys():
        beats = (after[name].beat or 0) - (before[name].beat or 0)
        if beats > 0:
            periods[name] = watched_s / beats
        else:
            silent.append(name)
    behind = [node.name for node in after.values() if _is_behind(node, before, look.clock)]
    found = f"{len(after)} registered, {len(periods)} heard of within {human_seconds(watched_s)}"
    if silent:
        remedy = "they stood still or died: invalidate(wait=True) waits one lease for them"
        shown = ", ".join(sorted(silent)[:8])
        yield Check("nodes", "warning", f"{found}; silent: {shown}", remedy)
    elif behind:
        shown = ", ".join(sorted(behind)[:8])
        yield Check("nodes", "warning", f"{found}; behind the clock: {shown}")
    else:
        yield Check("nodes", "ok", found)
    yield from _lease(home, list(periods.values()), watched_s)


def _is_behind(node: Node, before: dict[str, Node], clock: int) -> bool:
    """Whether it has applied nothing new while there was something."""
    then = before.get(node.name)
    return then is not None and then.applied == node.applied and (node.applied or 0) < clock


def _lease(home: Home, periods: list[float], watched_s: float) -> Iterator[Check]:
    """Beats are counted, so that a period is only known within a beat."""
    if not periods:
        return
    bounds = [
        (
            _BEATS_IN_LEASE * watched_s / (watched_s / period + 1),
            _BEATS_IN_LEASE * watched_s / max(watched_s / period - 1, 0.5),
        )
        for period in periods
    ]
    least, most = max(low for low, _ in bounds), min(high for _, high in bounds)
    told = home.place.lease or 2.0
    if least > most * 1.2:
        yield Check(
            "lease",
            "problem",
            "processes beat at different rates: their leases differ",
            "give all processes the same lease=",
        )
        return
    is_as_told = least / 1.2 <= told <= most * 1.2
    about = told if is_as_told else _BEATS_IN_LEASE * statistics.median(periods)
    found = f"about {human_seconds(about)}, by the heartbeats"
    if not is_as_told:
        yield Check(
            "lease",
            "warning",
            f"{found}; this command was told {human_seconds(told)}",
            "say --lease, so that `invalidate --wait` waits long enough",
        )
    else:
        yield Check("lease", "ok", found)


def _folder(facts: dict[str, str]) -> Iterator[Check]:
    folder = facts.get("folder", "")
    yield Check("permissions", "ok", f"{folder} is ours alone to write, and on a local disk")
    used, most = _number(facts, "log_used_bytes"), _number(facts, "log_map_bytes")
    # Half of the map is kept free for what a transaction changes.
    is_full = used > _FULL * most / 2
    yield Check(
        "room of the log",
        "warning" if is_full else "ok",
        f"it takes {human_bytes(used)}, and may take half of its map of {human_bytes(most)}",
        "the oldest tags are forgotten: raise lmdb_map_size in all processes" if is_full else "",
    )
    if "values_map_bytes" in facts:
        used, most = _number(facts, "values_used_bytes"), _number(facts, "values_map_bytes")
        found = f"they take {human_bytes(used)} of a map of {human_bytes(most)}, which grows"
        yield Check("room of the values", "ok", found)
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        yield Check("disk", "unknown", str(error))
        return
    state, remedy = ("ok", "") if free > 2**28 else ("warning", "make room on the disk")
    yield Check("disk", state, f"{human_bytes(free)} free", remedy)


def _processes(nodes: list[Node]) -> Check:
    others = [node for node in nodes if not node.is_self]
    if not others:
        return Check("processes", "note", "no other process uses the folder now")
    shown = ", ".join(f"{node.name} ({' and '.join(node.uses)})" for node in others[:16])
    return Check("processes", "ok", f"{len(others)}: {shown}")


def _values(home: Home, bounds: Bounds) -> Iterator[Check]:
    if not home.has_values:
        yield Check("values", "note", "none beside the log: they are in each process's memory")
        return
    try:
        found = survey(home, bounds)
    except HomeUnreachable as error:
        yield Check(
            "values", "unknown", str(error), "allow this user +scan +strlen +pttl +getrange"
        )
        return
    more = "" if found.is_complete else " at least"
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(found.states.items()))
    text = f"{found.entries:,}{more}, {human_bytes(found.size_bytes)}"
    text += f": {states}" if states else ""
    if found.unreadable:
        yield Check(
            "values",
            "warning",
            f"{text}; {found.unreadable:,} cannot be read",
            "they are damaged, of another version of zoocache or another program's, and are loaded",
        )
    else:
        yield Check("values", "ok", text)


def _number(facts: dict[str, str], name: str) -> int:
    text = facts.get(name, "")
    return int(text) if text.isdigit() else 0
