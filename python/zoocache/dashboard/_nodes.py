"""The processes that share the home, and whether they were heard within their lease.

A server's nodes are told apart by their heartbeats, which only grow: one that stands still for
longer than a lease is silent. That is seen by whoever looks, with a clock of his own.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypedDict

from zoocache import _zoocache

if TYPE_CHECKING:
    from zoocache._cache import Cache

__all__ = ["NodeRow", "Nodes"]

_MOST = 500


class NodeRow(TypedDict):
    """A process, or a node of a server.

    `applied`: the epoch up to which it has heard, as it said last, 0 where nothing is said;
    `heard_at`: when it was seen to have been heard, in seconds since 1970; None where processes
    that are listed live.
    """

    name: str
    is_self: bool
    applied: int
    heard_at: float | None


class Nodes:
    """What is remembered of the heartbeats. Thread-safety: one thread at a time."""

    def __init__(self) -> None:
        self._heard: dict[str, tuple[int, float]] = {}

    def look(self, cache: Cache, kind: str, now_s: float) -> list[NodeRow] | None:
        """Asks the home; None where it does not say who uses it.

        Raises:
            HomeUnreachable: it does not answer.
        """
        if kind == "memory":
            return None
        nodes = [
            (raw_name.decode("utf-8", "replace"), applied, beat)
            for raw_name, applied, beat, uses_log, _ in _zoocache.home_nodes(cache.core)
            if uses_log
        ]
        return self.judge(nodes, kind, now_s)

    def judge(self, nodes: list[tuple[str, int, int]], kind: str, now_s: float) -> list[NodeRow]:
        """The same of what the home has said: name, applied, beat."""
        heard: dict[str, tuple[int, float]] = {}
        rows: list[NodeRow] = []
        for name, applied, beat in sorted(nodes)[:_MOST]:
            before = self._heard.get(name)
            heard[name] = before if before is not None and before[0] == beat else (beat, now_s)
            rows.append(
                {
                    "name": name,
                    "is_self": kind == "lmdb" and name == str(os.getpid()),
                    "applied": applied,
                    "heard_at": heard[name][1] if kind == "redis" else None,
                }
            )
        self._heard = heard
        return rows
