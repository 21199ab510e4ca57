"""What the cache tells, as the JSON that the page is made of, and how often it is asked.

However many look, the cache is asked at most twice per interval, and for its tags so seldom that
listing them takes a twentieth of the time.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from zoocache._errors import HomeUnreachable
from zoocache._options import CONFIGURE_DEFAULTS
from zoocache.dashboard._history import History
from zoocache.dashboard._nodes import Nodes
from zoocache.dashboard._tree import Page, TagTree

if TYPE_CHECKING:
    from zoocache._cache import Cache
    from zoocache._told import FunctionInfo, LoadTimes

__all__ = ["View"]

_TREE_SHARE = 0.05
_SHOWN_PERCENTILE = 0.95


class View:
    """Of one cache. Thread-safe; its methods may wait for the home and the storage."""

    def __init__(
        self, cache: Cache, interval_s: float, history_s: float, max_functions: int
    ) -> None:
        self.cache = cache
        self.interval_s = interval_s
        self._max_functions = max_functions
        self._history = History(history_s)
        self._lock = threading.Lock()  # of the overview, held while home and storage are asked
        self._overview: dict[str, Any] = {}
        self._overview_until = 0.0
        self._tree_lock = threading.Lock()
        self._tree = TagTree(())
        self._tree_until = 0.0
        self._moments: dict[int, float] = {}
        self._nodes = Nodes()

    def overview(self) -> dict[str, Any]:
        """Everything but the tags."""
        with self._lock:
            if time.monotonic() >= self._overview_until:
                self._overview = self._look()
                self._overview_until = time.monotonic() + self.interval_s / 2
            return self._overview

    def children(self, prefix: str, offset: int, limit: int, *, largest_first: bool) -> Page:
        """As `TagTree.children`."""
        with self._tree_lock:
            tree = self._fresh_tree()
            return tree.children(prefix, offset, limit, largest_first=largest_first)

    def search(self, text: str, offset: int, limit: int) -> Page:
        """As `TagTree.search`."""
        with self._tree_lock:
            return self._fresh_tree().search(text, offset, limit)

    def preview(self, tag: str) -> dict[str, Any]:
        """A tag, and how many entries of which functions its invalidation would kill here.

        Raises:
            InvalidTag: it is none.
        """
        entries = self.cache.entries_below(tag)
        with self._tree_lock:
            row = self._fresh_tree().one(tag)
        told = {"would_die": sum(entries.values()), "functions": entries}
        return {**row, **told, "as_of": None, "in_memory": None}

    def invalidate(self, tag: str) -> int:
        """As `Cache.invalidate`; the next look is a new one."""
        try:
            return self.cache.invalidate(tag)
        finally:
            with self._lock:
                self._overview_until = 0.0
            with self._tree_lock:
                self._tree_until = 0.0

    def _fresh_tree(self) -> TagTree:
        """With its lock."""
        start = time.monotonic()
        if start >= self._tree_until:
            self._tree = TagTree(self.cache.tags())
            end = time.monotonic()
            self._tree_until = end + max(self.interval_s / 2, (end - start) / _TREE_SHARE)
        return self._tree

    def _look(self) -> dict[str, Any]:
        """With the lock."""
        stats = self.cache.stats()
        self._history.add(round(time.time(), 1), stats.hits, stats.misses)
        functions = self.cache.functions()
        return {
            "version": self.cache.version(),
            "pid": os.getpid(),
            "where": None,
            "cannot_see": None,
            "processes": None,
            "interval_s": self.interval_s,
            "stats": stats.as_dict(),
            "history": self._history.rows(),
            "functions": [_function(info) for info in self._worst(functions)],
            "functions_total": len(functions),
            "invalidations": self._invalidations(),
            "home": self._home(),
            "storage": self._told(self.cache.storage),
            "values": None,
        }

    def _worst(self, functions: list[FunctionInfo]) -> Iterable[FunctionInfo]:
        """Those of the longest loads, and those that loaded for the longest time in all."""
        if len(functions) <= self._max_functions:
            return functions
        kept: dict[int, FunctionInfo] = {}
        by_mean = sorted(functions, key=lambda info: -info.load_times.mean_s)
        by_sum = sorted(functions, key=lambda info: -info.load_times.sum_s)
        for pair in zip(by_mean, by_sum, strict=True):
            for info in pair:
                if len(kept) < self._max_functions:
                    kept[id(info)] = info
        return kept.values()

    def _invalidations(self) -> list[dict[str, Any]]:
        """The newest first. Each keeps the moment at which it was first seen to have happened."""
        now_s = time.time()
        found = self.cache.invalidations()
        self._moments = {
            one.epoch: self._moments.get(one.epoch, round(now_s - one.age_s, 1)) for one in found
        }
        return [
            {
                "epoch": one.epoch,
                "at": self._moments[one.epoch],
                "tags": one.tags,
                "functions": one.functions,
                "everything": one.everything,
                "more": one.more,
                "died": one.died,
                "origin": one.origin,
            }
            for one in found
        ]

    def _home(self) -> dict[str, Any] | None:
        told = self._told(self.cache.home)
        if told is None:
            return None
        if told["kind"] == "redis":
            told["lease_s"] = float(self.cache.options.get("lease") or CONFIGURE_DEFAULTS["lease"])
        try:
            told["nodes"] = self._nodes.look(self.cache, told["kind"], round(time.time(), 1))
        except HomeUnreachable:
            told["nodes"] = None  # and it says itself that it is not reachable
        return told

    def _told(self, ask: Any) -> dict[str, Any] | None:
        """What a home or a storage says; that it cannot be asked is told in its own words."""
        try:
            told: dict[str, Any] | None = ask()
        except HomeUnreachable as error:
            return {"kind": "unknown", "reachable": False, "trouble": str(error), "counters": {}}
        return told


def _function(info: FunctionInfo) -> dict[str, Any]:
    counts = info.counts
    return {
        "name": info.name,
        "entries": info.entries,
        "hits": counts["hits"],
        "misses": counts["misses"],
        "loads": counts["loads"],
        "load_errors": counts["load_errors"],
        "load_mean_s": round(info.load_times.mean_s, 9),
        "load_sum_s": round(info.load_times.sum_s, 9),
        "load_p95_s": _percentile(info.load_times),
    }


def _percentile(times: LoadTimes) -> float | None:
    """The bound of the bucket that it falls into; None: beyond all of them, or there were none."""
    loads = sum(times.counts)
    wanted = _SHOWN_PERCENTILE * loads
    for bound, count in zip(times.bounds_s, accumulate(times.counts), strict=False):
        if loads and count >= wanted:
            return bound
    return None
