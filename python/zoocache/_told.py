"""What the cache tells about itself.

`repr()` leaves out what is zero or absent, `str()` makes sentences and lines, `as_dict()` and
`to_json()` are for programs; rich prints tables of it, and is not imported before it does.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from rich.table import Table

__all__ = [
    "CacheInfo",
    "Explanation",
    "FunctionInfo",
    "InvalidationInfo",
    "LoadTimes",
    "Stats",
    "TagInfo",
    "Told",
]


class _Record:
    """What the dataclasses here have in common."""

    def __repr__(self) -> str:
        given = ((one.name, getattr(self, one.name)) for one in _fields(self))
        shown = ", ".join(f"{name}={value!r}" for name, value in given if value)
        return f"{type(self).__name__}({shown})"

    def as_dict(self) -> dict[str, Any]:
        """The same as a dict of what JSON has."""
        return dataclasses.asdict(self)  # type: ignore[call-overload,no-any-return]  # pyright: ignore[reportArgumentType]

    def to_json(self) -> str:
        """The same as a JSON object in one line."""
        return json.dumps(self.as_dict())


class _Row(Protocol):
    def as_dict(self) -> dict[str, Any]: ...


_R = TypeVar("_R", bound=_Row)


class Told(list[_R]):
    """A list that `str()` gives a line for each element and rich a table."""

    __slots__ = ()

    def as_dict(self) -> list[dict[str, Any]]:
        """Each element as a dict."""
        return [row.as_dict() for row in self]

    def to_json(self) -> str:
        """The same as a JSON array in one line."""
        return json.dumps(self.as_dict())

    def __str__(self) -> str:
        return "\n".join(map(str, self))

    def __rich__(self) -> Table:
        return _table([_cells(row) for row in self])


class CacheInfo(NamedTuple):
    """What `functools.lru_cache` tells, in the same order.

    Attributes:
        hits: calls that were answered from the cache.
        misses: calls that were not.
        maxsize: the bound of the function's entries; None: its own is none; 0: nothing is kept.
        currsize: its entries, invalid ones that nobody has met yet included.
    """

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

    def as_dict(self) -> dict[str, Any]:
        """The same as a dict."""
        return self._asdict()

    def to_json(self) -> str:
        """The same as a JSON object in one line."""
        return json.dumps(self.as_dict())


@dataclasses.dataclass(frozen=True, repr=False)
class Stats(_Record):
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

    @property
    def misses_never_loaded(self) -> int:
        """Misses of what was never loaded, or so long ago that it is forgotten."""
        known = self.misses_invalidated + self.misses_expired + self.misses_evicted
        return self.misses - known - self.misses_not_stored

    @property
    def hit_ratio(self) -> float:
        """The share of calls that were hits, 0 to 1; 0 if there was no call."""
        calls = self.hits + self.misses
        return self.hits / calls if calls else 0.0

    def __str__(self) -> str:
        return "\n".join(f"{name:<18} {value:>12,}" for name, value in self.as_dict().items())

    def __rich__(self) -> Table:
        return _table([{"what": name, "count": count} for name, count in self.as_dict().items()])


@dataclasses.dataclass(frozen=True, repr=False)
class LoadTimes(_Record):
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

    def __repr__(self) -> str:
        return f"LoadTimes({sum(self.counts)} loads, mean_s={self.mean_s:.3g})"


@dataclasses.dataclass(frozen=True, repr=False)
class FunctionInfo(_Record):
    """One cached function that lives. A snapshot.

    Attributes:
        name: its namespace, or its module and qualified name.
        entries: its entries, invalid ones that nobody has met yet included.
        counts: as the attributes of `Stats` of the same names: "hits" to "l2_refusals".
        load_times: of its loader, waiting included.
    """

    name: str
    entries: int
    counts: dict[str, int]
    load_times: LoadTimes

    def __repr__(self) -> str:
        counts = ", ".join(f"{name}={count}" for name, count in self.counts.items() if count)
        return f"FunctionInfo({self.name!r}, entries={self.entries}, {counts or 'never called'})"

    def __str__(self) -> str:
        counts = self.counts
        return (
            f"{self.name}: {_count(counts['hits'], 'hit')}, "
            f"{_count(counts['misses'], 'miss', 'misses')}, {_count(counts['loads'], 'load')} "
            f"of {_time(self.load_times.mean_s)}, {_count(self.entries, 'entry', 'entries')}"
        )


@dataclasses.dataclass(frozen=True, repr=False)
class InvalidationInfo(_Record):
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
        where = f"at {self.origin}" if self.origin else "in another process"
        died = _count(self.died, "entry", "entries")
        return f"{self.what()}, {_time(self.age_s)} ago {where}: {died} died"

    def cause(self) -> str:
        """What was invalidated, and where if that is known: "'user:42' at shop.py:17"."""
        return f"{self.what()} at {self.origin}" if self.origin else self.what()

    def what(self) -> str:
        """What was invalidated, in a few words."""
        names = ["everything"] if self.everything else [repr(tag) for tag in self.tags]
        names += [f"calls of {name or 'a function that is gone'}" for name in self.functions]
        names += [f"{self.more:,} more"] if self.more else []
        return ", ".join(names)


_HIDDEN = {
    "clear": "clear()",
    "function": "cache_clear()",
    "inner key": "the invalidation of an inner call",
    "own key": "the invalidate() or refresh() of this call",
}


@dataclasses.dataclass(frozen=True, repr=False)
class Explanation(_Record):
    """Why a call would be answered from the cache, or not. `str()` makes a sentence of it.

    Attributes:
        reason: "hit", "never loaded", "evicted", "expired", "invalidated", "not stored",
            "home unreachable", "disabled".
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
        if self.reason == "home unreachable":
            return f"miss: the home is unreachable, everything was dropped{age}: {self.detail}"
        return f"miss: {self.reason}{age}"

    def __rich__(self) -> Table:
        told = self.as_dict()
        told["age_s"] = None if self.age_s is None else _time(self.age_s)
        told["deps"] = "\n".join(self.deps) or None
        rows = [("", str(self)), *((name, told[name]) for name in told if told[name] is not None)]
        return _table([{"what": name, "": str(value)} for name, value in rows], show_header=False)


def _fields(record: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(record)


def _count(count: int, one: str, many: str | None = None) -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _time(seconds: float) -> str:
    if seconds >= 1 or seconds == 0:
        return f"{seconds:.3g} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} us"


def _cells(row: Any) -> dict[str, Any]:
    """A row of a table, by the names of its columns."""
    if isinstance(row, FunctionInfo):
        names = ("hits", "misses", "loads", "load_errors", "evictions")
        return {
            "function": row.name,
            "entries": row.entries,
            **{name.replace("_", " "): row.counts[name] for name in names},
            "mean load": _time(row.load_times.mean_s),
        }
    if isinstance(row, InvalidationInfo):
        return {
            "epoch": row.epoch,
            "invalidated": row.what(),
            "ago": _time(row.age_s),
            "entries died": row.died,
            "at": row.origin or "another process",
        }
    cells: dict[str, Any] = row.as_dict()
    return cells


def _table(rows: list[dict[str, Any]], *, show_header: bool = True) -> Table:
    """A table for rich, which is there when this runs: it has called."""
    from rich.table import Table  # noqa: PLC0415 - see the module
    from rich.text import Text  # noqa: PLC0415 - what is in it is no markup

    table = Table(show_header=show_header)
    for name, value in (rows[0] if rows else {"nothing": ""}).items():
        table.add_column(name, justify="right" if isinstance(value, int) else "left")
    for row in rows:
        cells = (f"{one:,}" if isinstance(one, int) else str(one) for one in row.values())
        table.add_row(*(Text(cell, overflow="fold") for cell in cells))
    return table
