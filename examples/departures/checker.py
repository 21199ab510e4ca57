"""Judges every answer against the database. No false alarm, no missed staleness.

The rule: each fact that a page shows must equal that fact in some state of the database between
`low`, the last change whose invalidation had returned before the call began, and `high`, the last
change that may have been visible when the call returned. With one thread the two are the same and
the page is compared, right after the answer, with one computed without a cache. Otherwise the
database is asked as of each state in the window in which the fact could differ.

Facts are judged one by one: a call that overlaps two changes may show the older state of one row
and the newer of another, as it may without any cache.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from database import open_database
from facts import FACTS
from modes import uncached
from pages import build_pages, facts_of
from score import Score, Stale
from workload import Question

MEMO_LIMIT = 200_000


class Oracle:
    """The database's own answers, for now and for any earlier sequence. Not thread-safe."""

    def __init__(self, path: Path) -> None:
        self._connection: sqlite3.Connection = open_database(path, read_only=True)
        self._memo: dict[tuple, tuple] = {}
        self._pages = build_pages(uncached, self.now)
        self._pages_now: dict[Question, dict[str, Any]] = {}
        self._pages_sequence = -1

    def now(self, name: str, *args: str | int) -> tuple:
        fact = FACTS[name]
        return tuple(self._connection.execute(fact.now, fact.bind(args)).fetchall())

    def page(self, question: Question) -> dict[str, Any]:
        """The whole page as of now, computed without a cache, once per state of the database."""
        sequence = self._connection.execute("SELECT sequence FROM progress").fetchone()[0]
        if sequence != self._pages_sequence:
            self._pages_now.clear()
            self._pages_sequence = sequence
        if question not in self._pages_now:
            self._pages_now[question] = self._pages[question.kind](*question.args)
        return self._pages_now[question]

    def as_of(self, sequence: int, name: str, args: tuple) -> tuple:
        """The fact as it was right after `sequence`. REQUIRES: that change is committed."""
        key = (sequence, name, args)
        if key not in self._memo:
            if len(self._memo) >= MEMO_LIMIT:
                self._memo.clear()
            fact = FACTS[name]
            values = {**fact.bind(args), "sequence": sequence}
            self._memo[key] = tuple(self._connection.execute(fact.as_of, values).fetchall())
        return self._memo[key]

    def changes(self, name: str, args: tuple, after: int, upto: int) -> Iterator[int]:
        """Sequences in (after, upto] that may have changed the fact, newest first."""
        fact = FACTS[name]
        if fact.changes is not None and after < upto:
            values = {**fact.bind(args), "after": after, "upto": upto}
            for (sequence,) in self._connection.execute(fact.changes, values):
                yield sequence

    def close(self) -> None:
        self._connection.close()


class Checker:
    """Not thread-safe: one thread judges, while no other is being timed.

    `done_s[n]` is the replay's time at which change n was done; it grows while the run goes on.
    """

    def __init__(self, oracle: Oracle, done_s: list[float], score: Score) -> None:
        self._oracle = oracle
        self._done_s = done_s
        self._score = score

    def check_now(self, question: Question, page: dict[str, Any], at_s: float, done: int) -> None:
        """REQUIRES: the database stands at the sequence `done` and nothing changes it meanwhile."""
        if page != self._oracle.page(question):
            if not self.check_window(question, page, at_s, done, done):
                raise AssertionError(f"the history disagrees with the live rows on {question}")

    def check_window(
        self, question: Question, page: dict[str, Any], at_s: float, low: int, high: int
    ) -> bool:
        """Scores the answer; True if it is stale. REQUIRES: changes up to `high` are committed."""
        worst: Stale | None = None
        for name, args, value in facts_of(question.kind, question.args, page):
            if not self._was_current(name, args, value, low, high):
                wrong_s = at_s - self._wrong_since_s(name, args, value, low)
                if worst is None or wrong_s > worst.wrong_s:
                    worst = Stale(at_s, wrong_s, question, name)
        if worst is not None:
            self._score.add_stale(worst)
        return worst is not None

    def _was_current(self, name: str, args: tuple, value: Any, low: int, high: int) -> bool:
        if self._oracle.as_of(low, name, args) == value:
            return True
        return any(
            self._oracle.as_of(sequence, name, args) == value
            for sequence in self._oracle.changes(name, args, low, high)
        )

    def _wrong_since_s(self, name: str, args: tuple, value: Any, low: int) -> float:
        """The moment from which the value was wrong; the start of the replay if never right."""
        for sequence in self._oracle.changes(name, args, 0, low):
            if self._oracle.as_of(sequence - 1, name, args) == value:
                return self._done_s[sequence]
        return self._done_s[0]
