"""The SQLite database: tables, loading, and the history that lets the checker look back.

Every UPDATE of the replay has a sequence number, from 1. Triggers keep the previous version of each
changed row together with the sequence number that replaced it, and count the sequence in the same
transaction; so the database can answer any question as of any moment of the replay.

    flights       id ... state delay_min departed landed arr_delay on_board | since
    flights_past  the same                                                  | since  until

A version was current for since <= sequence < until; rows in `flights` have no until yet.
"""

from __future__ import annotations

import itertools
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from dataset import Dataset, LocalTime
from events import Event, FlightState, plan_minute, state_at
from facts import FACTS

FLIGHT_COLUMNS = (
    "id", "day", "carrier", "number", "tail", "origin", "dest", "distance_miles", "sched",
    *FlightState._fields, "since",
)  # fmt: skip
WEATHER_COLUMNS = ("origin", "observed", "temp_f", "wind_mph", "visibility_miles", "since")
BUSY_TIMEOUT_S = 60.0

TABLES = f"""
CREATE TABLE flights (id INTEGER PRIMARY KEY, {", ".join(FLIGHT_COLUMNS[1:])});
CREATE TABLE flights_past ({", ".join(FLIGHT_COLUMNS)}, until);
CREATE TABLE weather (origin PRIMARY KEY, {", ".join(WEATHER_COLUMNS[1:])});
CREATE TABLE weather_past ({", ".join(WEATHER_COLUMNS)}, until);
CREATE TABLE airlines (carrier PRIMARY KEY, name);
CREATE TABLE airports (faa PRIMARY KEY, name);
CREATE TABLE planes (tail PRIMARY KEY, manufacturer, model, seats);
CREATE TABLE progress (sequence INTEGER);
INSERT INTO progress VALUES (0);
"""

INDEXES = """
CREATE INDEX flights_board ON flights (origin, sched) WHERE on_board = 1;
CREATE INDEX flights_number ON flights (day, carrier, number);
CREATE INDEX flights_route ON flights (origin, dest, day);
CREATE INDEX flights_tail ON flights (tail, departed) WHERE departed IS NOT NULL;
CREATE INDEX past_board ON flights_past (origin, until);
CREATE INDEX past_number ON flights_past (day, carrier, number, until);
CREATE INDEX past_route ON flights_past (origin, dest, day, until);
CREATE INDEX past_tail ON flights_past (tail, until);
CREATE INDEX past_weather ON weather_past (origin, until);
ANALYZE;
"""


def _history_trigger(table: str, columns: tuple[str, ...]) -> str:
    old = ", ".join(f"OLD.{column}" for column in columns)
    return f"""
    CREATE TRIGGER {table}_history AFTER UPDATE ON {table} BEGIN
        INSERT INTO {table}_past VALUES ({old}, NEW.since);
        UPDATE progress SET sequence = NEW.since;
    END;
    """


def open_database(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode that any one thread at a time may use."""
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA mmap_size = 1000000000")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    return connection


def load(path: Path, data: Dataset, local: LocalTime, start: int) -> None:
    """Writes the database as it stood just before the minute `start`."""
    connection = open_database(path)
    connection.execute("PRAGMA journal_mode = OFF")
    connection.executescript(TABLES)
    connection.execute("BEGIN")
    _insert(connection, "airlines", data.airlines)
    _insert(connection, "airports", [(airport.faa, airport.name) for airport in data.airports])
    _insert(connection, "planes", data.planes)
    _insert(connection, "flights", _flight_rows(data, local, start))
    _insert(connection, "weather", _weather_rows(data, start))
    connection.execute("COMMIT")
    connection.executescript(INDEXES)
    for table, columns in (("flights", FLIGHT_COLUMNS), ("weather", WEATHER_COLUMNS)):
        connection.executescript(_history_trigger(table, columns))
    connection.close()


def copy_database(loaded: Path, target: Path) -> None:
    """A fresh copy for one replay, ready for readers beside a writer."""
    shutil.copyfile(loaded, target)
    connection = open_database(target)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()


def _insert(connection: sqlite3.Connection, table: str, rows) -> None:
    rows = iter(rows)
    first = next(rows)
    marks = ", ".join("?" * len(first))
    insert = f"INSERT INTO {table} VALUES ({marks})"
    connection.executemany(insert, itertools.chain([first], rows))


def _flight_rows(data: Dataset, local: LocalTime, start: int) -> Iterator[tuple]:
    published = {}
    for flight in data.flights:
        if flight.day not in published:
            day, _ = local.day_and_minute(flight.sched)
            published[flight.day] = plan_minute(local, day)
        state = state_at(flight, start, published[flight.day])
        yield (*flight[:9], *state, 0)


def _weather_rows(data: Dataset, start: int) -> Iterator[tuple]:
    latest = {}
    for seen in data.weather:
        if seen.minute < start or seen.origin not in latest:
            latest[seen.origin] = seen
    for origin in sorted(latest):
        seen = latest[origin]
        known = (seen.minute, *seen[2:]) if seen.minute < start else (None,) * 4
        yield (origin, *known, 0)


def apply_event(connection: sqlite3.Connection, event: Event, sequence: int) -> None:
    """One UPDATE, committed when this returns."""
    sets = ", ".join(f"{column} = :{column}" for column in event.changes)
    rows = " AND ".join(f"{column} = :where_{column}" for column in event.where)
    values = {**event.changes, "since": sequence}
    values.update({f"where_{column}": value for column, value in event.where.items()})
    changed = connection.execute(
        f"UPDATE {event.table} SET {sets}, since = :since WHERE {rows}", values
    ).rowcount
    if changed < 1:
        raise LookupError(f"the event {event} changes no row")


class Source:
    """Answers facts for the pages and counts the statements.

    Thread-safe: every thread gets a connection of its own.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._lock = threading.Lock()
        self._connections: list[sqlite3.Connection] = []
        self._counters: list[list[int]] = []

    def ask(self, name: str, *args: str | int) -> tuple:
        """The rows of the fact `name`, as of now."""
        try:
            connection, counter = self._local.pair
        except AttributeError:
            connection, counter = self._connect()
        counter[0] += 1
        fact = FACTS[name]
        return tuple(connection.execute(fact.now, fact.bind(args)).fetchall())

    def _connect(self) -> tuple[sqlite3.Connection, list[int]]:
        connection, counter = open_database(self._path, read_only=True), [0]
        self._local.pair = connection, counter
        with self._lock:
            self._connections.append(connection)
            self._counters.append(counter)
        return connection, counter

    @property
    def statements(self) -> int:
        return sum(counter[0] for counter in self._counters)

    def close(self) -> None:
        """REQUIRES: no thread is using this source."""
        for connection in self._connections:
            connection.close()
