"""What the cache tells about itself."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

__all__ = [
    "CacheInfo",
    "Explanation",
    "FunctionInfo",
    "InvalidationInfo",
    "LoadTimes",
    "Stats",
    "TagInfo",
]


class CacheInfo(NamedTuple):
    """What `functools.lru_cache` tells, in the same order; a `maxsize` of 0: nothing is kept."""

    hits: int
    misses: int
    maxsize: int | None
    currsize: int


class TagInfo(NamedTuple):
    """One tag that something depends on.

    Attributes:
        tag: the whole tag.
        version: the epoch of the newest invalidation that named exactly this tag; 0 if none did.
        entries: how many entries (and running loads) depend on exactly this tag.
    """

    tag: str
    version: int
    entries: int


@dataclasses.dataclass(frozen=True)
class Stats:
    """Counts since the cache was made, and what it holds now. A snapshot.

    Attributes:
        hits: calls that were answered from the cache.
        misses: calls that were not: they loaded, or waited for a load.
        misses_invalidated: those of them whose entry had been invalidated.
        misses_expired: those of them whose entry had expired.
        misses_evicted: those of them whose entry went because there was no room.
        misses_not_stored: those of them whose last load was not kept. The remaining misses were
            never loaded, or so long ago that it is forgotten (`explain_records`).
        loads: loader runs that ended, those that raised included.
        load_errors: loader runs that raised an Exception.
        stores: values that were put into the cache.
        not_stored: loaded values that were not kept.
        evictions: entries that went because there was no room.
        expirations: entries that were found expired.
        dead_entries: entries that were found invalidated.
        flights_joined: calls that waited for another caller's load.
        stale_hits: misses that an option answered with a value past its time.
        refreshes: loads that were started in the background.
        l2_hits: misses that the storage answered.
        l2_stores: values that were put into the storage.
        l2_refusals: values that could not be kept there: of a type that cannot leave the process,
            too large, or for want of room.
        invalidations: invalidations, `clear()` and those of single functions included.
        entries: entries in the cache, invalid ones that nobody has met yet included.
        bytes: accounted bytes of the entries.
        tags: tags that something depends on, and their ancestors.
        clock: the newest epoch.
        flights: loads that run now.
    """

    hits: int
    misses: int
    misses_invalidated: int
    misses_expired: int
    misses_evicted: int
    misses_not_stored: int
    loads: int
    load_errors: int
    stores: int
    not_stored: int
    evictions: int
    expirations: int
    dead_entries: int
    flights_joined: int
    stale_hits: int
    refreshes: int
    l2_hits: int
    l2_stores: int
    l2_refusals: int
    invalidations: int
    entries: int
    bytes: int
    tags: int
    clock: int
    flights: int

    def as_dict(self) -> dict[str, int]:
        """The same as a dict."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class LoadTimes:
    """How long the loads of a function took: a histogram.

    Attributes:
        bounds_s: upper bounds of the buckets but the last, in seconds, rising.
        counts: loads in each bucket; one more than there are bounds.
        sum_s: seconds of all loads together.
    """

    bounds_s: tuple[float, ...]
    counts: tuple[int, ...]
    sum_s: float

    @property
    def mean_s(self) -> float:
        """Seconds of a load; 0 if there was none."""
        loads = sum(self.counts)
        return self.sum_s / loads if loads else 0.0


@dataclasses.dataclass(frozen=True)
class FunctionInfo:
    """One cached function that lives. A snapshot.

    Attributes:
        name: its module and qualified name.
        entries: its entries, invalid ones that nobody has met yet included.
        counts: as the attributes of `Stats` of the same names: "hits" to "l2_refusals".
        load_times: of its loader, waiting included.
    """

    name: str
    entries: int
    counts: dict[str, int]
    load_times: LoadTimes


@dataclasses.dataclass(frozen=True)
class InvalidationInfo:
    """One invalidation that this cache has heard of.

    Attributes:
        epoch: its epoch in this process.
        tags: what was invalidated, with everything below each.
        functions: the cached functions of which all calls or one were; "" for one that is gone.
        everything: whether it was `clear()`.
        more: tags and functions that were too many to be remembered.
        age_s: seconds since it happened, or came here from another process.
        died: entries that were found dead of it so far. One is found when somebody asks for it, or
            by the sweep: the number grows for a while.
        origin: where it was called, "file.py:41"; None if it came from another process.
    """

    epoch: int
    tags: tuple[str, ...]
    functions: tuple[str, ...]
    everything: bool
    more: int
    age_s: float
    died: int
    origin: str | None

    def __str__(self) -> str:
        named = [*self.tags, *(f"calls of {name or 'a function'}" for name in self.functions)]
        more = f" and {self.more} more" if self.more else ""
        what = "everything" if self.everything else ", ".join(named)
        return f"{what}{more}" if self.origin is None else f"{what}{more} at {self.origin}"


_HIDDEN = {
    "clear": "clear()",
    "function": "cache_clear()",
    "inner key": "the invalidation of an inner call",
    "own key": "the invalidate() or refresh() of this call",
}


@dataclasses.dataclass(frozen=True)
class Explanation:
    """Why a call would be answered from the cache, or not. `str()` makes a sentence of it.

    Attributes:
        reason: "hit", "never loaded", "evicted", "expired", "invalidated", "not stored",
            "disabled".
        tag: what was invalidated, if it was a tag.
        epoch: of the invalidation.
        age_s: seconds since it happened.
        origin: where it was invalidated, "file.py:41".
        deps: the tags that the entry depends on, while there is one.
        born: the epoch that the entry was loaded at, while there is one.
        detail: more words where there are some.
    """

    reason: str
    tag: str | None = None
    epoch: int | None = None
    age_s: float | None = None
    origin: str | None = None
    deps: tuple[str, ...] = ()
    born: int | None = None
    detail: str | None = None

    @classmethod
    def from_raw(cls, raw: dict[str, Any]) -> Explanation:
        """From what the extension tells."""
        hidden = raw.pop("hidden", None)
        why = raw.pop("why", None)
        return cls(**raw, detail=_HIDDEN.get(hidden, hidden) if hidden else why)

    def __str__(self) -> str:
        age = "" if self.age_s is None else f" {self.age_s:.3g} s ago"
        origin = "" if self.origin is None else f" at {self.origin}"
        if self.reason == "hit":
            on = f"; it depends on {', '.join(self.deps)}" if self.deps else ""
            return f"hit: the entry is valid{on}"
        if self.reason == "invalidated":
            by = repr(self.tag) if self.tag is not None else self.detail or "its function"
            return f"miss: invalidated by {by}{age}{origin}"
        if self.reason == "disabled":
            return "miss: the cache is off, by configure(enabled=False) or ZOOCACHE_DISABLED"
        if self.reason == "never loaded":
            return "miss: never loaded, or forgotten long ago"
        if self.reason == "not stored":
            return f"miss: loaded{age} and not stored: {self.detail}"
        return f"miss: {self.reason}{age}"
