"""What `zoocache top` shows: snapshots of a home, one after another.

The log and its nodes are looked at each time; the stored values, which take longer, now and then:
a survey never takes more than a fifth of the time.
"""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

from zoocache import HomeUnreachable
from zoocache.cli._inspect import Memories, Memory
from zoocache.cli._survey import Bounds, Survey, survey
from zoocache.cli._text import text_of

if TYPE_CHECKING:
    from zoocache.cli._home import Home, Look, Node

__all__ = ["SURVEY_SHARE", "Seen", "Snapshot", "Watcher"]

SURVEY_SHARE = 5  # a survey takes this part of the time, at the most


@dataclasses.dataclass(frozen=True)
class Seen:
    """An invalidation in the log.

    Attributes:
        text: what was invalidated; "" is everything.
        epoch: its newest epoch.
        age_s: seconds since it was first seen here; None: it was there before.
    """

    text: str
    epoch: int
    age_s: float | None


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """A home at one moment.

    Attributes:
        look: the log; None where the home does not answer.
        trouble: why not, or what should be changed about it.
        epochs_per_s: invalidations in a second, since the snapshot before; None: there is none.
        seen: the newest invalidations, the newest first.
        nodes: the processes that use it.
        values: what is stored, as of a moment ago; None: not looked at yet, or refused.
        values_trouble: why nothing of it is known.
        memory: what processes tell of theirs.
    """

    look: Look | None
    trouble: str
    epochs_per_s: float | None
    seen: tuple[Seen, ...]
    nodes: tuple[Node, ...]
    values: Survey | None
    values_trouble: str
    memory: Memory

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "reachable": self.look is not None,
            "trouble": self.trouble,
            "generation": None if self.look is None else f"{self.look.generation:x}",
            "clock": None if self.look is None else self.look.clock,
            "floor": None if self.look is None else self.look.floor,
            "log_tags": None if self.look is None else self.look.tags,
            "invalidations_per_s": self.epochs_per_s,
            "invalidations": [dataclasses.asdict(one) for one in self.seen],
            "nodes": [dataclasses.asdict(one) for one in self.nodes],
            "values": None if self.values is None else values_dict(self.values),
            "values_trouble": self.values_trouble,
            "memory": self.memory.as_dict() if self.memory.asked else None,
        }


def values_dict(found: Survey) -> dict[str, Any]:
    """A survey for JSON, without its tags."""
    return {
        "entries": found.entries,
        "valid": found.valid,
        "bytes": found.size_bytes,
        "states": found.states,
        "unreadable": found.unreadable,
        "complete": found.is_complete,
        "functions": [
            {
                "function": function.name,
                "version": function.version,
                "entries": count.entries,
                "valid": count.valid,
                "bytes": count.size_bytes,
            }
            for function, count in sorted(
                found.functions.items(), key=lambda row: (-row[1].size_bytes, row[0].name)
            )
        ],
    }


class Watcher:
    """Makes the snapshots. For one thread, but for `stop`.

    Args:
        home: what is watched.
        bounds: of each survey; None: the stored values are not looked at.
        rows: newest invalidations that are shown.

    Attributes:
        memories: what the processes tell.
    """

    def __init__(self, home: Home, bounds: Bounds | None, rows: int = 50) -> None:
        self._home = home
        self._bounds = bounds
        self._rows = rows
        self._before: tuple[int, int, float] | None = None  # generation, clock, when
        self._first: dict[tuple[str, int], float | None] = {}
        self._values: Survey | None = None
        self._values_trouble = ""
        self._survey_due = 0.0
        self.memories = Memories(lambda: home.inspect(tries=1))

    def stop(self) -> None:
        """Lets a snapshot that is being made come to an end. From any thread."""
        if self._bounds is not None:
            self._bounds.stop.set()

    def snapshot(self) -> Snapshot:
        """The home now. A home that does not answer is part of the picture, and no error."""
        now = time.monotonic()
        try:
            look = self._home.look()
            seen = self._newest(look, now)
            nodes = tuple(self._home.nodes())
        except HomeUnreachable as error:
            self._before = None
            return Snapshot(
                *(None, str(error), None, (), (), None, "the home does not answer"), Memory()
            )
        speed = None
        if self._before is not None and self._before[0] == look.generation:
            speed = (look.clock - self._before[1]) / max(now - self._before[2], 1e-3)
        self._before = (look.generation, look.clock, now)
        if self._bounds is not None and now >= self._survey_due:
            self._survey(now, self._bounds)
        trouble = str(self._home.status().get("trouble", ""))
        return Snapshot(
            *(look, trouble, speed, seen, nodes, self._values, self._values_trouble),
            self.memories.look(),
        )

    def _newest(self, look: Look, now: float) -> tuple[Seen, ...]:
        had_some = self._before is not None and self._before[0] == look.generation
        known, self._first = self._first, {}
        found: list[Seen] = []
        for raw, epoch in self._home.rows(self._rows):
            key = (text_of(raw), epoch)
            first = known.get(key, now if had_some else None)
            self._first[key] = first
            found.append(Seen(*key, None if first is None else now - first))
        return tuple(found)

    def _survey(self, now: float, bounds: Bounds) -> None:
        try:
            self._values = survey(self._home, bounds)
            self._values_trouble = "" if self._home.has_values else "no values beside the log"
        except HomeUnreachable as error:
            self._values, self._values_trouble = None, str(error)
        self._survey_due = now + SURVEY_SHARE * (time.monotonic() - now)
