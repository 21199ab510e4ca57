"""What one run achieved: answers, latencies, database statements, stale answers."""

from __future__ import annotations

import statistics
from array import array
from collections import Counter
from typing import Any, NamedTuple

from workload import Question

EXAMPLES_KEPT = 5
HOUR_S = 3600


class Stale(NamedTuple):
    at_s: float
    wrong_s: float  # how long the shown value had been wrong, in seconds of the replay
    question: Question
    fact: str


class Score:
    """Not thread-safe: threads collect on their own and hand over between the timed phases."""

    def __init__(self, name: str, start_s: float) -> None:
        self.name = name
        self.start_s = start_s
        self.latencies_ns: array[int] = array("q")
        self.wrong_s: array[float] = array("d")
        self.examples: list[Stale] = []
        self.answers_by_hour: Counter[int] = Counter()
        self.stale_by_hour: Counter[int] = Counter()
        self.statements = 0
        self.elapsed_s = 0.0
        self._sorted_ns: list[int] = []

    def add_answer(self, at_s: float, latency_ns: int) -> None:
        self.latencies_ns.append(latency_ns)
        self.answers_by_hour[int(at_s - self.start_s) // HOUR_S] += 1

    def add_stale(self, stale: Stale) -> None:
        self.wrong_s.append(stale.wrong_s)
        self.stale_by_hour[int(stale.at_s - self.start_s) // HOUR_S] += 1
        if len(self.examples) < EXAMPLES_KEPT:
            self.examples.append(stale)

    @property
    def answers(self) -> int:
        return len(self.latencies_ns)

    @property
    def stale(self) -> int:
        return len(self.wrong_s)

    @property
    def stale_share(self) -> float:
        return self.stale / self.answers if self.answers else 0.0

    @property
    def worst_s(self) -> float:
        return max(self.wrong_s, default=0.0)

    @property
    def median_s(self) -> float:
        return statistics.median(self.wrong_s) if self.wrong_s else 0.0

    def percentile_us(self, share: float) -> float:
        """The latency that `share` of the answers do not exceed, in microseconds."""
        if len(self._sorted_ns) != len(self.latencies_ns):
            self._sorted_ns = sorted(self.latencies_ns)
        if not self._sorted_ns:
            return 0.0
        place = min(len(self._sorted_ns) - 1, int(share * len(self._sorted_ns)))
        return self._sorted_ns[place] / 1000

    def as_dict(self) -> dict[str, Any]:
        return {
            "mode": self.name,
            "answers": self.answers,
            "database_queries": self.statements,
            "p50_us": round(self.percentile_us(0.50), 2),
            "p99_us": round(self.percentile_us(0.99), 2),
            "stale_answers": self.stale,
            "worst_stale_s": round(self.worst_s, 1),
            "median_stale_s": round(self.median_s, 1),
            "elapsed_s": round(self.elapsed_s, 2),
        }
