"""The tags of one moment as a tree of which any part can be had without the rest.

One sorted list, with ":" as the least of all characters, so that what is below a tag follows it at
once; sums over any stretch of it are a difference of two running totals:

    paths   a   a:b   a:b:c   a:d   a-b        a tag's own entries   1  0  2  1  5
            |<---- below a --->|               running totals      0  1  1  3  4  9
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate
from typing import TypedDict, TypeVar

__all__ = ["Page", "TagRow", "TagTree"]

_Key = TypeVar("_Key")

_LEAST = "\0"  # no tag has it
_NEXT = "\1"
_KEPT_PREFIXES = 64
_KEPT_SEARCHES = 8


class TagRow(TypedDict):
    """A tag, or a part that tags share.

    `entries` depend on it or on something below it, and count once for each such dependency; `own`
    on exactly it; `version` is the epoch of its newest invalidation, 0 if there was none.
    """

    tag: str
    segment: str
    entries: int
    own: int
    version: int
    children: bool


class Page(TypedDict):
    """A part of a list: rows from `offset` on, of `total`."""

    total: int
    offset: int
    rows: list[TagRow]


class TagTree:
    """Made of (tag, version, entries) in any order.

    Thread-safety: one thread at a time.
    """

    def __init__(self, rows: Iterable[tuple[str, int, int]]) -> None:
        ordered = sorted((tag.replace(":", _LEAST), version, own) for tag, version, own in rows)
        self._paths = [path for path, _, _ in ordered]
        self._versions = [version for _, version, _ in ordered]
        self._totals = [0, *accumulate(own for _, _, own in ordered)]
        self._starts: dict[tuple[str, bool], array[int]] = {}
        self._found: dict[str, array[int]] = {}
        self._folded: list[str] | None = None

    def __len__(self) -> int:
        return len(self._paths)

    def children(self, prefix: str, offset: int, limit: int, *, largest_first: bool) -> Page:
        """What is directly below a tag; below nothing, the first segments."""
        base = prefix.replace(":", _LEAST) + _LEAST if prefix else ""
        starts = self._starts_of(base, largest_first)
        rows = [self._row(index, len(base)) for index in starts[offset : offset + limit]]
        return {"total": len(starts), "offset": offset, "rows": rows}

    def search(self, text: str, offset: int, limit: int) -> Page:
        """Tags that have the text in them, in whatever case."""
        wanted = text.casefold().replace(":", _LEAST)
        found = self._found.get(wanted)
        if found is None:
            if self._folded is None:
                self._folded = [path.casefold() for path in self._paths]
            hits = (index for index, path in enumerate(self._folded) if wanted in path)
            found = _keep(self._found, wanted, array("Q", hits), _KEPT_SEARCHES)
        rows = [self._leaf(index) for index in found[offset : offset + limit]]
        return {"total": len(found), "offset": offset, "rows": rows}

    def one(self, tag: str) -> TagRow:
        """A tag, whether somebody depends on it or not."""
        path = tag.replace(":", _LEAST)
        index = bisect_left(self._paths, path)
        return self._make(path, index, path.rpartition(_LEAST)[2])

    def _starts_of(self, base: str, largest_first: bool) -> array[int]:
        """Where each child's stretch begins."""
        key = (base, largest_first)
        if key in self._starts:
            return self._starts[key]
        paths = self._paths
        at = bisect_left(paths, base) if base else 0
        end = bisect_left(paths, base[:-1] + _NEXT) if base else len(paths)
        starts: array[int] = array("Q")
        while at < end:
            starts.append(at)
            at = self._end_of(self._child(at, len(base)), at)
        if largest_first:
            weights = {
                start: self._entries(start, self._end_of(self._child(start, len(base)), start))
                for start in starts
            }
            starts = array("Q", sorted(starts, key=lambda start: -weights[start]))
        return _keep(self._starts, key, starts, _KEPT_PREFIXES)

    def _child(self, index: int, base_length: int) -> str:
        path = self._paths[index]
        cut = path.find(_LEAST, base_length)
        return path if cut < 0 else path[:cut]

    def _end_of(self, path: str, start: int) -> int:
        """Behind the stretch that begins there: the path, if it is a tag, and what is below it."""
        after = start + 1
        if after == len(self._paths) or not self._paths[after].startswith(path + _LEAST):
            return after
        return bisect_left(self._paths, path + _NEXT, after)

    def _entries(self, start: int, end: int) -> int:
        return self._totals[end] - self._totals[start]

    def _row(self, index: int, base_length: int) -> TagRow:
        path = self._child(index, base_length)
        return self._make(path, index, path[base_length:])

    def _leaf(self, index: int) -> TagRow:
        path = self._paths[index]
        return self._make(path, index, path.replace(_LEAST, ":"))

    def _make(self, path: str, index: int, segment: str) -> TagRow:
        is_tag = index < len(self._paths) and self._paths[index] == path
        end = bisect_left(self._paths, path + _NEXT, index)
        return {
            "tag": path.replace(_LEAST, ":"),
            "segment": segment,
            "entries": self._entries(index, end),
            "own": self._entries(index, index + 1) if is_tag else 0,
            "version": self._versions[index] if is_tag else 0,
            "children": end - index > is_tag,
        }


def _keep(kept: dict[_Key, array[int]], key: _Key, made: array[int], most: int) -> array[int]:
    """Remembers it in place of the oldest one."""
    if len(kept) >= most:
        del kept[next(iter(kept))]
    kept[key] = made
    return made
