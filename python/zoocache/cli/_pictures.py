"""Pictures of what is stored in a home, taken in the background when somebody asks for one.

Taking one may last: all stored values and the whole log are looked at. So it is done no more than
a fifth of the time, not at all while nobody asks, and who asks gets the newest one there is:

    asked      v     v  v    v                 v
    taken      |==A==|.......................  |==B==|.......    . at least four times as long
    told       -     A  A    A                 A     B
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from zoocache import HomeUnreachable
from zoocache.cli._survey import HIDDEN, Bounds, Entry, Survey, is_at_or_below, survey
from zoocache.cli._text import text_of
from zoocache.cli._watch import SURVEY_SHARE
from zoocache.dashboard._tree import TagTree

if TYPE_CHECKING:
    from zoocache.cli._home import Home
    from zoocache.cli._inspect import Memories, Memory

__all__ = ["Picture", "Pictures"]

_NO_TAG_HAS = "\0"  # TagTree relies on it, and anybody may have written to the log


@dataclasses.dataclass(frozen=True)
class Picture:
    """What is stored, and what the log remembers, as of a moment.

    Attributes:
        as_of: that moment, in seconds since 1970.
        values: the counts.
        calls: how many valid values a function has that depend on just these tags.
        tree: tags that valid values depend on or that the log remembers, with both; if nothing is
            stored, with the entries in the memory of processes.
        log_complete: whether all that the log remembers was looked at.
    """

    as_of: float
    values: Survey
    calls: Counter[tuple[str, tuple[str, ...]]]
    tree: TagTree
    log_complete: bool

    def would_die(self, tag: str) -> dict[str, int]:
        """How many valid values of which functions an invalidation would kill, most first."""
        dying: Counter[str] = Counter()
        for (name, tags), count in self.calls.items():
            if any(is_at_or_below(one, tag) for one in tags):
                dying[name] += count
        return dict(dying.most_common())


def _take(home: Home, bounds: Bounds, memory: Memory) -> Picture:
    """Raises HomeUnreachable."""
    as_of = time.time()
    calls: Counter[tuple[str, tuple[str, ...]]] = Counter()

    def visit(entry: Entry) -> None:
        if entry.is_valid:
            calls[entry.function.name, entry.tags] += 1

    values = survey(home, bounds, visit)
    epochs = {text_of(text): epoch for text, epoch in home.rows(bounds.most)}
    is_all = len(epochs) < bounds.most or home.look().tags <= bounds.most
    # Dead entries that nobody has met yet count there: not beside valid stored values.
    depend = values.depend if values.entries else memory.tags
    rows = (
        (tag, epochs.get(tag, 0), depend.get(tag, 0))
        for tag in {*epochs, *depend}
        if tag and not tag.startswith(HIDDEN) and _NO_TAG_HAS not in tag
    )
    return Picture(round(as_of, 1), values, calls, TagTree(rows), is_all)


class Pictures:
    """Of one home. Thread-safe.

    Args:
        home: whose.
        bounds: of each picture.
        memories: what processes told last.
        least_s: seconds between the beginning of one and that of the next, at the least.

    Attributes:
        newest: the last one that could be taken; None: there is none yet.
        trouble: why there is no newer one; "": there is no reason.
    """

    def __init__(self, home: Home, bounds: Bounds, memories: Memories, least_s: float) -> None:
        self.newest: Picture | None = None
        self.trouble = ""
        self._home = home
        self._bounds = bounds
        self._memories = memories
        self._least_s = least_s
        self._lock = threading.Lock()
        self._due = 0.0
        self._thread: threading.Thread | None = None  # which takes one
        self._is_old = False  # something was changed since it began

    def ask(self, patience_s: float) -> None:
        """Lets one be taken if it is time for it, and waits for it, but not longer than that."""
        with self._lock:
            if (
                self._thread is not None
                or time.monotonic() < self._due
                or self._bounds.stop.is_set()
            ):
                return
            self._is_old = False
            thread = threading.Thread(target=self._run, name="zoocache-survey")
            self._thread = thread
            thread.start()
        thread.join(patience_s)

    def expire(self) -> None:
        """It is time for the next one: something was changed."""
        with self._lock:
            self._due = 0.0
            self._is_old = True

    def close(self) -> None:
        """Ends what is being taken; no other one will be."""
        self._bounds.stop.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        least_s = 0.0  # what fails at once may be tried again at once
        try:
            self.newest = _take(self._home, self._bounds, self._memories.newest)
            self.trouble = ""
            least_s = self._least_s
        except HomeUnreachable as error:
            self.trouble = str(error)
        finally:
            with self._lock:
                pause = max(least_s, SURVEY_SHARE * (time.monotonic() - began))
                self._due = 0.0 if self._is_old else began + pause
                self._thread = None
