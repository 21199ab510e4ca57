"""The numbers of a cache as monitoring wants them, for `zoocache.contrib` and `zoocache.telemetry`.

A counter must not fall, though functions go and `reset()` begins anew. The engine tells the counts
of functions that live, and the sums of all that ever did. So each name has an account, to which is
added what its living functions counted since the last look; what the sums have beyond the accounts
is of nobody who can be named any more and belongs to "other", as do names beyond a bound.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from zoocache import _zoocache
from zoocache._errors import InvalidOption, shown

if TYPE_CHECKING:
    from zoocache._cache import Cache
    from zoocache._told import FunctionInfo, Stats

__all__ = [
    "FAMILIES",
    "LOAD_SECONDS",
    "OTHER",
    "Family",
    "Histogram",
    "Sample",
    "Sampler",
    "caches_by_name",
    "name_of",
]

OTHER = "other"

Label = Literal["function", "reason"]


class Family(NamedTuple):
    """One metric: what all samples of one name have in common.

    Attributes:
        name: in snake case, without "zoocache", unit and "total".
        kind: what it is.
        unit: "seconds", "bytes" or what is counted, in the singular.
        labels: names of the labels of its samples.
        help: one sentence without its dot.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    labels: tuple[Label, ...]
    help: str


class Histogram(NamedTuple):
    """Counts of the buckets, one more than `bounds`, and the sum of what was counted."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float


class Sample(NamedTuple):
    """A value of a family; the labels' values in the order of the family's."""

    family: Family
    labels: tuple[str, ...]
    value: float | Histogram


def _counter(name: str, unit: str, text: str, labels: tuple[Label, ...] = ("function",)) -> Family:
    return Family(name, "counter", unit, labels, text)


def _gauge(name: str, unit: str, text: str, labels: tuple[Label, ...] = ()) -> Family:
    return Family(name, "gauge", unit, labels, text)


HITS = _counter("hits", "call", "Calls that were answered from the cache")
MISSES = _counter(
    "misses",
    "call",
    "Calls that were not: they loaded, or waited for a load",
    ("function", "reason"),
)
LOADS = _counter("loads", "load", "Loader runs that ended, those that raised included")
LOAD_SECONDS = Family(
    "load", "histogram", "seconds", ("function",), "How long loader runs took, waiting included"
)
ENTRIES = _gauge(
    "entries", "entry", "Entries, invalid ones that nobody has met yet included", ("function",)
)

# The reasons of misses, and how the engine calls their counts; the rest was never loaded.
_NEVER_LOADED = "never_loaded"
_REASONS = ("invalidated", "expired", "evicted", "not_stored")

_BY_FUNCTION = (
    HITS,
    LOADS,
    _counter("load_errors", "load", "Loader runs that raised an exception"),
    _counter("stores", "value", "Values that were put into the cache"),
    _counter("not_stored", "value", "Loaded values that were not kept"),
    _counter("evictions", "entry", "Entries that went because there was no room"),
    _counter("expirations", "entry", "Entries that were found expired"),
    _counter("dead_entries", "entry", "Entries that were found invalidated"),
    _counter("flights_joined", "call", "Calls that waited for another caller's load"),
    _counter("stale_hits", "call", "Misses that an option answered with a value past its time"),
    _counter("refreshes", "load", "Loads that were started in the background"),
    _counter("l2_hits", "call", "Misses that the storage answered"),
    _counter("l2_stores", "value", "Values that were put into the storage"),
    _counter("l2_refusals", "value", "Values that could not be kept in the storage"),
)

INVALIDATIONS = _counter(
    "invalidations", "invalidation", "Invalidations that this process has heard of", ()
)
_OF_CACHE = (
    _gauge("bytes", "bytes", "Accounted bytes of the entries"),
    _gauge("tags", "tag", "Tags that something depends on, and their ancestors"),
    _gauge("flights", "load", "Loads that run now"),
)

_OF_HOME = (
    _gauge("home_reachable", "", "Whether the shared log answers: 1 or 0"),
    _gauge("home_clock", "epoch", "The newest epoch of the shared log that is known here"),
    _gauge("home_applied", "epoch", "The newest epoch of it that this process reflects"),
    _gauge("home_floor", "epoch", "The newest epoch of the tags that the log has forgotten"),
    _gauge("home_intents", "intent", "Writes that were announced and have not ended"),
)
_HOME_COUNTERS = {
    "fired_intents": ("intent", "Announced writes of dead processes that were invalidated for"),
    "connects": ("connection", "Connections that were made; LMDB: folders that were opened"),
    "disconnects": ("connection", "Connections, or folders, that were lost"),
    "timeouts": ("reply", "Replies, or turns to write, that did not come in time"),
    "errors": ("reply", "Replies or messages that were errors or made no sense"),
    "script_loads": ("script", "Scripts that the server lacked"),
    "gaps": ("gap", "Times that messages were found missing"),
    "catch_ups": ("request", "Requests for what was missed"),
    "flushes": ("flush", "Times that everything was dropped, since something may be missing"),
    "generation_changes": ("change", "Times that the log was another one than before"),
    "replays": ("change", "Changes that were declared again"),
    "unreplicated": ("invalidation", "Invalidations that too few replicas had in time"),
    "breaker_opens": ("opening", "Times that nobody waited for the server any more"),
    "local_checks": ("check", "Stored values that were found to hold without asking the server"),
    "server_checks": ("check", "Stored values that the server was asked about"),
    "map_full": ("time", "LMDB: times that there was no room and the oldest tags went"),
    "corruptions": ("file", "LMDB: damaged files that were begun anew"),
    "duplicates": ("message", "Messages that told what was known"),
    "lease_expirations": ("lease", "Leases that ended before they were renewed"),
}
_OF_STORAGE = (_gauge("storage_reachable", "", "Whether the storage answers: 1 or 0"),)
_STORAGE_COUNTERS = {
    "connects": ("connection", "Connections that were made; LMDB: folders that were opened"),
    "disconnects": ("connection", "Connections, or folders, that were lost"),
    "errors": ("call", "Calls that went on as if nothing were stored"),
    "rejected": ("value", "Stored values that were there and could not be used"),
    "corruptions": ("file", "LMDB: damaged files that were begun anew"),
}


def _counters(place: str, named: Mapping[str, tuple[str, str]]) -> dict[str, Family]:
    return {
        name: _counter(f"{place}_{name}", unit, text, ()) for name, (unit, text) in named.items()
    }


_HOME = _counters("home", _HOME_COUNTERS)
_STORAGE = _counters("storage", _STORAGE_COUNTERS)

FAMILIES: tuple[Family, ...] = (
    MISSES,
    *_BY_FUNCTION,
    LOAD_SECONDS,
    ENTRIES,
    INVALIDATIONS,
    *_OF_CACHE,
    *_OF_HOME,
    *_HOME.values(),
    *_OF_STORAGE,
    *_STORAGE.values(),
)

# What is counted for a function, in one row: each count only grows.
_COUNTED = (
    *(f"misses_{reason}" for reason in (_NEVER_LOADED, *_REASONS)),
    *(family.name for family in _BY_FUNCTION),
)
# Of these none is ever taken back, so that one which falls means that the cache began anew.
_CERTAIN = ("hits", "loads", "stores", "evictions")

_Row = list[float]


def _row(counts: Mapping[str, int]) -> _Row:
    told = {
        **counts,
        f"misses_{_NEVER_LOADED}": counts["misses"]
        - sum(counts[f"misses_{reason}"] for reason in _REASONS),
    }
    return [told[name] for name in _COUNTED]


def _add(row: _Row, more: Iterable[float]) -> _Row:
    return [one + another for one, another in zip(row, more, strict=True)]


class _Account:
    """What a name has counted: `total` never falls, whatever its functions do."""

    def __init__(self, size: int) -> None:
        self.total: _Row = [0] * size
        self.last: _Row = [0] * size
        self.entries = 0

    def advance(self, now: _Row) -> None:
        """Adds what was counted since the last time; of what went meanwhile nothing is known."""
        grown = (max(0, new - old) for new, old in zip(now, self.last, strict=True))
        self.total = _add(self.total, grown)
        self.last = now


class _Growing:
    """A count that begins at 0 again when its owner does, as one that does not."""

    def __init__(self) -> None:
        self._base = 0
        self._last = 0

    def value(self, now: int) -> int:
        if now < self._last:
            self._base += self._last
        self._last = now
        return self._base + now


class Sampler:
    """Makes samples of a cache's numbers. Thread-safe.

    In a child of `fork()` everything begins at 0, as the cache does.

    Args:
        cache: whose numbers they are.
        max_functions: names of functions that have samples of their own, those included that are
            gone; the rest has the label "other".
        ask_storage: whether a storage is asked if it is there, which may take a round trip.
    """

    def __init__(self, cache: Cache, *, max_functions: int = 1000, ask_storage: bool = True):
        if type(max_functions) is not int or max_functions < 0:
            raise InvalidOption(
                f"max_functions={shown(max_functions)} is not allowed: a whole number, 0 or more"
            )
        self._cache = cache
        self._max_functions = max_functions
        self._ask_storage = ask_storage
        self._bounds = _zoocache.load_bounds()
        self._size = len(_COUNTED) + len(self._bounds) + 2
        self._lock = threading.Lock()  # guards everything below
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._accounts: dict[str, _Account] = {}
        self._nameless = _Account(self._size)  # living functions beyond the bound
        self._other: _Row = [0] * len(_COUNTED)
        self._base: _Row = [0] * len(_COUNTED)
        self._sums: _Row = [0] * len(_COUNTED)
        self._growing: dict[Family, _Growing] = {}

    def samples(self) -> list[Sample]:
        """Everything as it is now; nothing of a cache that nobody has used yet.

        To ask that one would be to use it, and then it could not be configured any more.
        """
        if not self._cache.core.used():
            return []
        # A home and a storage may take their time, others' samples need not wait for it.
        home = self._cache.home()
        storage = self._cache.storage() if self._ask_storage else None
        with self._lock:
            if os.getpid() != self._pid:
                self._begin()
            # In this order: what is called in between is nobody's rather than "other"'s.
            stats = self._cache.stats()
            functions = self._cache.functions()
            made = list(self._of_functions(stats, functions))
            made.append(self._grown(INVALIDATIONS, stats.invalidations))
            made += [Sample(family, (), getattr(stats, family.name)) for family in _OF_CACHE]
            made += self._of_place("home", home, _OF_HOME, _HOME)
            made += self._of_place("storage", storage, _OF_STORAGE, _STORAGE)
        return made

    def label(self, name: str) -> str:
        """The label of a function: its name, or "other" when too many have one."""
        with self._lock:
            return name if self._account(name) is not self._nameless else OTHER

    def _account(self, name: str) -> _Account:
        account = self._accounts.get(name)
        if account is None:
            if len(self._accounts) >= self._max_functions:
                return self._nameless
            account = self._accounts[name] = _Account(self._size)
        return account

    def _of_functions(self, stats: Stats, functions: list[FunctionInfo]) -> Iterator[Sample]:
        sums = _row(stats.as_dict())
        before = dict(zip(_COUNTED, self._sums, strict=True))
        if any(getattr(stats, name) < before[name] for name in _CERTAIN):
            self._forget_last()
        self._sums = sums

        living: dict[int, tuple[_Account, _Row, int]] = {}
        for info in functions:
            account = self._account(info.name)
            row = [*_row(info.counts), *info.load_times.counts, info.load_times.sum_s]
            _, known, entries = living.get(id(account), (account, [0] * self._size, 0))
            living[id(account)] = (account, _add(known, row), entries + info.entries)
        nobody: tuple[_Row, int] = [0] * self._size, 0
        for account in (*self._accounts.values(), self._nameless):
            now, account.entries = living[id(account)][1:] if id(account) in living else nobody
            account.advance(now)

        rest = _add(self._base, sums)
        for account in self._accounts.values():
            rest = [one - own for one, own in zip(rest, account.total, strict=False)]
        self._other = [max(*both) for both in zip(self._other, rest, strict=True)]

        for name, account in self._accounts.items():
            yield from self._of_function(name, account.total, account.entries)
        if any(self._other) or self._nameless.entries:
            times = self._nameless.total[len(_COUNTED) :]
            yield from self._of_function(OTHER, [*self._other, *times], self._nameless.entries)

    def _forget_last(self) -> None:
        self._base = _add(self._base, self._sums)
        for account in (*self._accounts.values(), self._nameless):
            account.last = [0] * self._size

    def _of_function(self, name: str, row: _Row, entries: int) -> Iterator[Sample]:
        counts = dict(zip(_COUNTED, row, strict=False))
        for reason in (_NEVER_LOADED, *_REASONS):
            yield Sample(MISSES, (name, reason), counts[f"misses_{reason}"])
        for family in _BY_FUNCTION:
            yield Sample(family, (name,), counts[family.name])
        buckets = tuple(int(loads) for loads in row[len(_COUNTED) : -1])
        yield Sample(LOAD_SECONDS, (name,), Histogram(self._bounds, buckets, row[-1]))
        yield Sample(ENTRIES, (name,), entries)

    def _grown(self, family: Family, now: int) -> Sample:
        return Sample(family, (), self._growing.setdefault(family, _Growing()).value(now))

    def _of_place(
        self,
        place: str,
        told: dict[str, Any] | None,
        gauges: Iterable[Family],
        counters: dict[str, Family],
    ) -> Iterator[Sample]:
        """Of a home or a storage; nothing if there is none."""
        if told is None:
            return
        for family in gauges:
            yield Sample(family, (), float(told[family.name.removeprefix(f"{place}_")]))
        for name, family in counters.items():
            now = told[name] if name in told else told["counters"][name]
            yield self._grown(family, now)


def caches_by_name(cache: Cache | Mapping[str, Cache] | None) -> dict[str, Cache]:
    """The caches that are meant, the default one for None; "" names one that has no name.

    Raises:
        TypeError: it is anything else.
    """
    from zoocache import Cache, _default  # noqa: PLC0415  # pyright: ignore[reportPrivateUsage]

    given: Any = cache if isinstance(cache, Mapping) else {"": _default if cache is None else cache}
    for name, one in given.items():
        if not isinstance(name, str) or not isinstance(one, Cache):
            raise TypeError(
                f"cache={shown(cache)}: a zoocache.Cache is wanted, a dict of such by their names, "
                "or None for the default one"
            )
    return dict(given)


def name_of(fn: Any) -> str:
    """A function's name as the engine tells it: its module's and its own, else its type's."""
    parts = (getattr(fn, part, None) or getattr(type(fn), part) for part in _NAME)
    return ".".join(map(str, parts))


_NAME = ("__module__", "__qualname__")
