"""What the dashboard shows of a home that is seen from outside, as docs/DASHBOARD.md has it.

Two things are put together: the log and its nodes, which are looked at for every overview, and the
newest picture of the stored values. What only the memory of processes knows is what they tell, in
all, and None where nobody does.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from zoocache import Cache
from zoocache._options import CONFIGURE_DEFAULTS
from zoocache._told import Stats
from zoocache.cli._home import check_tag
from zoocache.cli._inspect import name_in_memory
from zoocache.cli._pictures import Pictures
from zoocache.cli._survey import HIDDEN
from zoocache.cli._watch import Watcher
from zoocache.cli._words import memory_note
from zoocache.dashboard._history import History
from zoocache.dashboard._nodes import Nodes
from zoocache.dashboard._tree import Page, TagTree

if TYPE_CHECKING:
    from zoocache.cli._home import Home
    from zoocache.cli._inspect import FunctionSum, Memory
    from zoocache.cli._survey import Bounds
    from zoocache.cli._watch import Seen, Snapshot

__all__ = ["HomeView"]

_PATIENCE_S = 0.5  # most homes are small: what is shown is of now
_HISTORY_S = 3600.0
_MOST_FUNCTIONS = 100
_OF_MEMORY = (
    *("hits", "misses", "loads", "load_errors", "load_mean_s", "load_sum_s", "load_p95_s"),
    "in_memory",
)


class HomeView:
    """A `Source` of the dashboard. Thread-safe; its methods may wait for the home.

    Args:
        home: what is shown.
        bounds: of each survey of the stored values.
        interval_s: seconds between two looks of a page that is open.
    """

    def __init__(self, home: Home, bounds: Bounds, interval_s: float) -> None:
        self._home = home
        self._interval_s = interval_s
        self._watcher = Watcher(home, None)
        self._pictures = Pictures(home, bounds, self._watcher.memories, interval_s / 2)
        self._nodes = Nodes()
        self._history = History(_HISTORY_S)
        self._newest: list[dict[str, Any]] | None = None  # invalidations, as last seen
        self._moments: dict[int, float] = {}
        self._lock = threading.Lock()  # of the overview, held while the home is asked
        self._overview: dict[str, Any] = {}
        self._overview_until = 0.0
        self._tree_lock = threading.Lock()  # a TagTree is for one thread at a time

    def close(self) -> None:
        """Waits until nothing is asked of the home any more."""
        self._pictures.close()

    def overview(self) -> dict[str, Any]:
        """Everything but the tags. A home that does not answer is part of it, and no error."""
        with self._lock:
            if time.monotonic() >= self._overview_until:
                self._overview = self._look()
                self._overview_until = time.monotonic() + self._interval_s / 2
            return self._overview

    def children(self, prefix: str, offset: int, limit: int, *, largest_first: bool) -> Page:
        """As `TagTree.children`, of the newest picture."""
        self._pictures.ask(_PATIENCE_S)
        with self._tree_lock:
            return self._tree().children(prefix, offset, limit, largest_first=largest_first)

    def search(self, text: str, offset: int, limit: int) -> Page:
        """As `TagTree.search`, of the newest picture."""
        self._pictures.ask(_PATIENCE_S)
        with self._tree_lock:
            return self._tree().search(text, offset, limit)

    def preview(self, tag: str) -> dict[str, Any]:
        """A tag, and how many stored values of which functions its invalidation would kill.

        Raises:
            InvalidTag: it is none.
        """
        check_tag(tag)
        self._pictures.ask(_PATIENCE_S)
        picture = self._pictures.newest
        dying = {} if picture is None else picture.would_die(tag)
        with self._tree_lock:
            row = (TagTree(()) if picture is None else picture.tree).one(tag)
        return {
            **row,
            "would_die": None if picture is None else sum(dying.values()),
            "functions": dying,
            "in_memory": self._home.inspect(tag).dying if self._has_memory() else None,
            "as_of": None if picture is None else picture.as_of,
        }

    def invalidate(self, tag: str) -> int:
        """As any process would; the next look and the next picture are new ones.

        Raises:
            InvalidTag: it is none.
            HomeUnreachable: it was not acknowledged; it is tried again while this process lives.
        """
        check_tag(tag)
        try:
            return self._home.invalidate([tag], wait=False).epoch
        finally:
            self._pictures.expire()
            with self._lock:
                self._overview_until = 0.0

    def _has_memory(self) -> bool:
        return bool(self._watcher.memories.newest.processes)

    def _tree(self) -> TagTree:
        picture = self._pictures.newest
        return TagTree(()) if picture is None else picture.tree

    def _look(self) -> dict[str, Any]:
        """With the lock."""
        snapshot = self._watcher.snapshot()
        if snapshot.look is None:
            self._pictures.expire()  # as soon as it answers again
        else:
            self._newest = self._invalidations(snapshot.seen)
            self._pictures.ask(_PATIENCE_S)
        memory = snapshot.memory
        stats = _stats(memory)
        if stats["hits"] is not None and stats["misses"] is not None:
            self._history.add(round(time.time(), 1), stats["hits"], stats["misses"])
        functions = self._functions(memory)
        return {
            "version": Cache.version(),
            "pid": None,
            "where": self._home.where,
            "cannot_see": memory_note(memory),
            "processes": _processes(memory),
            "interval_s": self._interval_s,
            "stats": stats,
            "history": self._history.rows(),
            "functions": functions[:_MOST_FUNCTIONS],
            "functions_total": len(functions),
            "invalidations": self._newest,
            "home": self._home_now(snapshot),
            "storage": self._storage(snapshot),
            "values": self._values(),
        }

    def _functions(self, memory: Memory) -> list[dict[str, Any]]:
        """With the most bytes first; all versions of a function together."""
        unknown: dict[str, Any] = dict.fromkeys(_OF_MEMORY)
        none = {"entries": 0, "valid": 0, "bytes": 0, "versions": 0}
        rows: dict[str, dict[str, Any]] = {
            name: {"name": name, **none, **unknown, **_calls(count)}
            for name, count in memory.functions.items()
        }
        picture = self._pictures.newest
        for function, count in () if picture is None else picture.values.functions.items():
            name = name_in_memory(function.name)
            if name not in rows:
                name = function.name
            row = rows.setdefault(name, {"name": function.name, **none, **unknown})
            row["entries"] += count.entries
            row["valid"] += count.valid
            row["bytes"] += count.size_bytes
            row["versions"] += 1
        return sorted(rows.values(), key=lambda row: (-row["bytes"], row["name"]))

    def _invalidations(self, seen: tuple[Seen, ...]) -> list[dict[str, Any]]:
        """The newest first; what has one epoch was one."""
        now_s = time.time()
        before, self._moments = self._moments, {}
        rows: dict[int, dict[str, Any]] = {}
        for one in seen:
            if one.age_s is not None:
                first = before.get(one.epoch, round(now_s - one.age_s, 1))
                self._moments[one.epoch] = first
            row = rows.setdefault(
                one.epoch,
                {
                    "epoch": one.epoch,
                    "at": self._moments.get(one.epoch),
                    "tags": [],
                    "functions": [],
                    "everything": False,
                    "more": 0,
                    "died": None,
                    "origin": None,
                },
            )
            if not one.text:
                row["everything"] = True
            elif one.text.startswith(HIDDEN):
                row["functions"] = [None]  # one, or a call of one: the log does not say of which
            else:
                row["tags"].append(one.text)
        return list(rows.values())

    def _home_now(self, snapshot: Snapshot) -> dict[str, Any]:
        look = snapshot.look
        told: dict[str, Any] = {
            "kind": self._home.kind,
            "reachable": look is not None,
            "trouble": snapshot.trouble,
            "generation": None if look is None else look.generation,
            "clock": None if look is None else look.clock,
            "applied": None,
            "floor": None if look is None else look.floor,
            "intents": None,
            "counters": {},
            "nodes": None,
        }
        if self._home.kind == "redis":
            told["lease_s"] = float(self._home.place.lease or CONFIGURE_DEFAULTS["lease"])
        if look is not None:
            nodes = [
                (node.name, node.applied or 0, node.beat or 0)
                for node in snapshot.nodes
                if "log" in node.uses
            ]
            told["nodes"] = self._nodes.judge(nodes, self._home.kind, round(time.time(), 1))
        return told

    def _storage(self, snapshot: Snapshot) -> dict[str, Any] | None:
        """By what came of the last look at it: to ask it would make this process a node."""
        kind = self._home.values_kind
        if kind is None:
            return None
        trouble = self._pictures.trouble
        if snapshot.look is None:  # a folder beside a server is none the worse for it
            is_apart = kind != self._home.kind
            trouble = "" if is_apart else trouble or "the home does not answer"
        return {"kind": kind, "reachable": not trouble, "trouble": trouble, "counters": {}}

    def _values(self) -> dict[str, Any] | None:
        picture = self._pictures.newest
        if picture is None:
            return None
        return {
            "entries": picture.values.entries,
            "valid": picture.values.valid,
            "bytes": picture.values.size_bytes,
            "states": picture.values.states,
            "unreadable": picture.values.unreadable,
            "complete": picture.values.is_complete,
            "tags": len(picture.tree),
            "log_complete": picture.log_complete,
            "as_of": picture.as_of,
        }


def _stats(memory: Memory) -> dict[str, int | None]:
    """By the names of `Stats`; None: nobody told."""
    stats: dict[str, int | None] = dict.fromkeys(Stats.__annotations__)
    if memory.processes:
        stats |= memory.counts
        stats["entries"] = sum(one.entries for one in memory.processes)
        stats["bytes"] = sum(one.size_bytes for one in memory.processes)
    return stats


def _calls(count: FunctionSum) -> dict[str, float | None]:
    return {
        "hits": count.hits,
        "misses": count.misses,
        "loads": count.loads,
        "load_errors": count.load_errors,
        "load_mean_s": round(count.load_s / count.loads, 9) if count.loads else 0.0,
        "load_sum_s": round(count.load_s, 9),
        "in_memory": count.entries,
    }


def _processes(memory: Memory) -> dict[str, Any] | None:
    """Who told; None: nobody could be asked."""
    if not memory.asked:
        return None
    rows = [
        one.as_dict()
        for one in sorted(memory.processes, key=lambda one: (one.host, one.pid, one.node))
    ]
    return {"asked": memory.asked, "answered": len(rows), "rows": rows}
