"""What readers ask and when: a seeded mix, weighted by the data's own traffic of the day.

- How many: `per_minute` on the day's average, spread over the day as its scheduled departures are
  spread over its hours (never below a tenth of the average).
- About what: an airport, a route, a carrier in proportion to its flights of that day, a plane to
  its legs of that day; a single flight in proportion to its seats, among those scheduled between
  three hours ago and six hours ahead.
- Of which kind: MIX below. The data knows no readers, so these shares are ours.

The questions of a minute depend on the seed and on that minute alone, so every run sees the same.
"""

from __future__ import annotations

import bisect
import itertools
import random
from collections import Counter
from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

from dataset import Dataset, Flight, LocalTime

MIX = {"board": 35, "flight": 30, "route": 15, "carrier": 10, "plane": 10}
AVERAGE_SEATS = 130
FLIGHT_PAST_MINUTES = 180
FLIGHT_AHEAD_MINUTES = 360
QUIET_SHARE = 0.1


class Question(NamedTuple):
    kind: str
    args: tuple


class Weighted:
    """Draws items in proportion to their weights, reproducibly."""

    def __init__(self, weights: Iterable[tuple[tuple, int]]) -> None:
        pairs = sorted(weights)
        self.items = [item for item, _ in pairs]
        self._sums = list(itertools.accumulate(weight for _, weight in pairs))

    def draw(self, rng: random.Random, first: int = 0, last: int | None = None) -> tuple:
        """One of items[first:last]."""
        low = self._sums[first - 1] if first else 0
        high = self._sums[-1 if last is None else last - 1]
        return self.items[bisect.bisect_right(self._sums, low + rng.random() * (high - low))]


class DayTraffic:
    """The weights of one day."""

    def __init__(self, day: str, flights: list[Flight], seats: dict[str, int]) -> None:
        self._scheduled = sorted(flight.sched for flight in flights)
        # Sorting by weight key puts flights in order of time, which `draw` by a window needs.
        self._flights = Weighted(
            ((flight.sched, flight.id, flight.carrier, flight.number),
             seats.get(flight.tail, AVERAGE_SEATS))
            for flight in flights
        )  # fmt: skip
        tails = Counter((flight.tail,) for flight in flights if flight.tail)
        routes = Counter((flight.origin, flight.dest, day) for flight in flights)
        self._day = day
        self._by_kind = {
            "board": Weighted(Counter((flight.origin,) for flight in flights).items()),
            "route": Weighted(routes.items()),
            "carrier": Weighted(Counter((day, flight.carrier) for flight in flights).items()),
            "plane": Weighted(tails.items()),
        }

    def intensity(self, minute: int) -> float:
        """Readers at this time of day, relative to the day's average."""
        hour = minute - minute % 60
        found = bisect.bisect_left(self._scheduled, hour + 60) - bisect.bisect_left(
            self._scheduled, hour
        )
        return max(QUIET_SHARE, found * 24 / len(self._scheduled))

    def question(self, kind: str, minute: int, rng: random.Random) -> Question:
        if kind != "flight":
            return Question(kind, self._by_kind[kind].draw(rng))
        first = bisect.bisect_left(self._scheduled, minute - FLIGHT_PAST_MINUTES)
        last = bisect.bisect_right(self._scheduled, minute + FLIGHT_AHEAD_MINUTES)
        if first == last:
            first, last = 0, len(self._scheduled)
        _, _, carrier, number = self._flights.draw(rng, first, last)
        return Question(kind, (self._day, carrier, number))


class Workload:
    """The questions of every minute. Not thread-safe; it is asked by the timeline alone."""

    def __init__(self, data: Dataset, local: LocalTime, per_minute: float, seed: int) -> None:
        self._local = local
        self._per_minute = per_minute
        self._seed = seed
        self._seats = {tail: seats for tail, _, _, seats in data.planes}
        self._flights: dict[str, list[Flight]] = {}
        for flight in data.flights:
            self._flights.setdefault(flight.day, []).append(flight)
        self._days: dict[date, DayTraffic] = {}
        self._kinds = list(MIX)
        self._shares = list(itertools.accumulate(MIX.values()))

    def questions(self, minute: int) -> list[tuple[float, Question]]:
        """(second within the minute, question), oldest first."""
        traffic = self._traffic(self._local.day_and_minute(minute)[0])
        rng = random.Random(f"{self._seed}:{minute}")
        expected = self._per_minute * traffic.intensity(minute)
        count = int(expected) + (rng.random() < expected % 1)
        seconds = sorted(rng.random() * 60 for _ in range(count))
        kinds = rng.choices(self._kinds, cum_weights=self._shares, k=count)
        return [
            (second, traffic.question(kind, minute, rng))
            for second, kind in zip(seconds, kinds, strict=True)
        ]

    def _traffic(self, day: date) -> DayTraffic:
        if day not in self._days:
            name = day.isoformat()
            self._days[day] = DayTraffic(name, self._flights[name], self._seats)
        return self._days[day]
