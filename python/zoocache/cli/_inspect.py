"""What processes tell of their own memory: asked through the server, and added up.

Every process that caches answers with names of functions, tags and counts, if it is asked no more
often than its `inspect_interval` says. Anybody who can write to the server can answer, too: nothing
of an answer is believed but that it has the right shape.
"""

from __future__ import annotations

import dataclasses
import json
import time
from typing import TYPE_CHECKING, Any

from zoocache.cli._text import text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["FunctionSum", "Memories", "Memory", "Process", "name_in_memory", "parse"]

_FORMAT = 1
_MOST_ROWS = 100_000
_MOST_TEXT = 16_384
_KEPT_S = 10


@dataclasses.dataclass(frozen=True)
class FunctionSum:
    """A function in memory: of one process, or of several together.

    Attributes:
        entries, hits, misses, loads, load_errors: counts.
        load_s: seconds that its loads took in all.
    """

    entries: int
    hits: int
    misses: int
    loads: int
    load_errors: int
    load_s: float

    def __add__(self, other: FunctionSum) -> FunctionSum:
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return FunctionSum(*(one + more for one, more in pairs))


@dataclasses.dataclass(frozen=True)
class Process:
    """One process's answer.

    Attributes:
        node: its name in the home, as of `Node`.
        language: of its front door, "Python" or "C++".
        host, pid: where it runs.
        entries, size_bytes: in its memory.
        counts: as `stats()` has them.
        functions: those that are called most, of one name together.
        functions_told, functions_total: how many found room, and how many there are.
        tags: with the entries that depend on exactly it; there are `tags_total`.
        dying: by function, how many entries an invalidation of the tag would kill that was asked
            for; None: not counted.
    """

    node: str
    language: str
    host: str
    pid: int
    entries: int
    size_bytes: int
    counts: dict[str, int]
    functions: dict[str, FunctionSum]
    functions_told: int
    functions_total: int
    tags: dict[str, int]
    tags_total: int
    dying: dict[str, int] | None

    def as_dict(self) -> dict[str, Any]:
        """Who it is, and how it does, for JSON."""
        return {
            "node": self.node,
            "language": self.language,
            "host": self.host,
            "pid": self.pid,
            "entries": self.entries,
            "bytes": self.size_bytes,
            "hits": self.counts.get("hits", 0),
            "misses": self.counts.get("misses", 0),
        }


@dataclasses.dataclass(frozen=True)
class Memory:
    """What the processes of a home told.

    Attributes:
        asked: how many the question has reached.
        processes: the answers that came in time and make sense.
        trouble: why nobody could be asked.
    """

    asked: int = 0
    processes: tuple[Process, ...] = ()
    trouble: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """Sums of their counts."""
        return _sums(one.counts for one in self.processes)

    @property
    def functions(self) -> dict[str, FunctionSum]:
        """Sums by function."""
        return _sums(one.functions for one in self.processes)

    @property
    def tags(self) -> dict[str, int]:
        """By tag, the entries that depend on exactly it."""
        return _sums(one.tags for one in self.processes)

    @property
    def dying(self) -> dict[str, int]:
        """By function, what would die with the tag that was asked for."""
        return _sums(one.dying or {} for one in self.processes)

    @property
    def is_complete(self) -> bool:
        """Whether all have answered, and none had to leave something out."""
        return len(self.processes) == self.asked and all(
            one.functions_told == one.functions_total and len(one.tags) == one.tags_total
            for one in self.processes
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "asked": self.asked,
            "answered": len(self.processes),
            "complete": self.is_complete,
            "trouble": self.trouble,
            "entries": sum(one.entries for one in self.processes),
            "bytes": sum(one.size_bytes for one in self.processes),
            "counts": self.counts,
            "functions": [
                {"function": name, **dataclasses.asdict(count)}
                for name, count in sorted(self.functions.items())
            ],
            "processes": [one.as_dict() for one in self.processes],
        }


class Memories:
    """The newest answers of a home's processes. For one thread, but for `newest`.

    One that was asked too often, by whomever, is as it was the last time.

    Args:
        inspect: asks them.

    Attributes:
        newest: what was found last.
    """

    def __init__(self, inspect: Callable[[], Memory]) -> None:
        self.newest = Memory()
        self._inspect = inspect
        self._told: dict[str, tuple[float, Process]] = {}

    def look(self) -> Memory:
        """Asks them again."""
        found = self._inspect()
        now = time.monotonic()
        self._told |= {one.node: (now, one) for one in found.processes}
        kept = sorted(self._told.items(), key=lambda row: -row[1][0])[: found.asked]
        self._told = {node: told for node, told in kept if now - told[0] < _KEPT_S}
        processes = tuple(one for _, one in self._told.values())
        self.newest = dataclasses.replace(found, processes=processes)
        return self.newest


def name_in_memory(stored: str) -> str:
    """What a function that is stored under this name is called by processes."""
    return stored.replace(":", ".", 1)


def _sums(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    sums: dict[str, Any] = {}
    for row in rows:
        for name, count in row.items():
            sums[name] = sums[name] + count if name in sums else count
    return sums


def parse(node: bytes, raw: bytes) -> Process | None:
    """An answer, or None where it makes no sense."""
    try:
        told = json.loads(raw.decode("utf-8", "replace"))
        return _process(text_of(node), told)
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return None


def _process(node: str, told: dict[str, Any]) -> Process:
    if told["format"] != _FORMAT:
        raise ValueError("a version that is not known here")
    rows = [_function(*_list(row)) for row in _list(told["functions"])]
    return Process(
        node,
        _text(told["language"]),
        _text(told["host"]),
        _count(told["pid"]),
        _count(told["entries"]),
        _count(told["bytes"]),
        {_text(name): _count(count) for name, count in dict(told["counts"]).items()},
        _sums(rows),
        len(rows),
        _count(told["functions_total"]),
        _pairs(told["tags"]),
        _count(told["tags_total"]),
        None if told["dying"] is None else _pairs(told["dying"]),
    )


def _function(name: Any, *numbers: Any) -> dict[str, FunctionSum]:
    entries, hits, misses, loads, load_errors = (_count(one) for one in numbers[:-1])
    load_s = _seconds(numbers[-1])
    return {_text(name): FunctionSum(entries, hits, misses, loads, load_errors, load_s)}


def _pairs(rows: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, count in _list(rows):
        found[_text(name)] = found.get(name, 0) + _count(count)
    return found


def _checked(allowed: type, most: Callable[[Any], bool]) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if type(value) is not allowed or not most(value):
            raise ValueError("it has not the right shape")
        return value

    return check


_count = _checked(int, lambda value: 0 <= value < 2**63)
_text = _checked(str, lambda value: len(value) <= _MOST_TEXT)
_list = _checked(list, lambda value: len(value) <= _MOST_ROWS)


def _seconds(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value < 2**63:
        raise ValueError("it has not the right shape")
    return float(value)
