"""What happens to flights and weather, in order, and which tags each happening concerns.

The timetable is known beforehand. Everything else is an event: one SQL UPDATE and the tags that a
careful engineer would invalidate after it.

    plan       20:00 the evening before: the day's flights appear on the boards
    late       at the scheduled minute when the flight has not gone, and every 15 minutes after;
               the announced delay is the next quarter of an hour, for more is not known yet
    departed   the flight leaves the board; the true delay is known
    cancelled  60 minutes before the scheduled time (the data does not say when it was announced)
    removed    30 minutes after it: a cancelled flight is taken off the board
    landed     see dataset.py for how arrival times become minutes
    weather    once an hour for each of the three airports

Tags and what depends on them
    board:JFK                    the departure board of an airport
    route:JFK:LAX                a route's flights
    carrier:B6                   a carrier's punctuality
    plane:N593JB                 the legs that a plane has flown
    flight:2013-02-08:B6:725     one flight
    weather:JFK                  the weather there, and through it everything that shows it
`plan` changes hundreds of flights in one statement and names parents: `board`, `route` and
`flight:2013-02-08` reach everything below them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import NamedTuple

from dataset import DAY_MINUTES, Dataset, Flight, LocalTime, Observation

ANNOUNCE_STEP_MINUTES = 15
CANCEL_LEAD_MINUTES = 60
CANCEL_SHOWN_MINUTES = 30
PLAN_MINUTE_OF_DAY = 20 * 60
LONGEST_LIFE_MINUTES = 3 * DAY_MINUTES  # delays reach 22 hours, flights 12

Value = str | int | float | None
Changes = dict[str, Value]


class Event(NamedTuple):
    """One UPDATE of `table`: set `changes` on the rows where the columns of `where` match."""

    minute: int
    order: tuple[int, int]  # within a minute: the row of the data, then the step of that flight
    kind: str
    table: str
    where: Changes
    changes: Changes
    tags: tuple[str, ...]


class FlightState(NamedTuple):
    """The columns of a flight that change while it is operated."""

    state: str
    delay_min: int | None
    departed: int | None
    landed: int | None
    arr_delay: int | None
    on_board: int


PLANNED = FlightState("planned", None, None, None, None, 0)
PUBLISHED = PLANNED._replace(state="scheduled", on_board=1)


def flight_tag(flight: Flight) -> str:
    return f"flight:{flight.day}:{flight.carrier}:{flight.number}"


def life_of(flight: Flight) -> Iterator[Event]:
    """Every event of one flight, oldest first."""
    step = 0

    def event(minute: int, kind: str, changes: Changes, tags: tuple[str, ...]) -> Event:
        nonlocal step
        step += 1
        return Event(
            minute, (flight.id, step), kind, "flights", {"id": flight.id}, changes, tags
        )  # fmt: skip

    status = (
        flight_tag(flight),
        f"route:{flight.origin}:{flight.dest}",
        f"carrier:{flight.carrier}",
    )
    board = f"board:{flight.origin}"
    plane = (f"plane:{flight.tail}",) if flight.tail else ()
    if flight.delay is None:
        announced = flight.sched - CANCEL_LEAD_MINUTES
        yield event(announced, "cancelled", {"state": "cancelled"}, (*status, board))
        removed = flight.sched + CANCEL_SHOWN_MINUTES
        yield event(removed, "removed", {"on_board": 0}, (board,))
        return
    for waited in range(0, flight.delay, ANNOUNCE_STEP_MINUTES):
        changes: Changes = {"state": "late", "delay_min": waited + ANNOUNCE_STEP_MINUTES}
        yield event(flight.sched + waited, "late", changes, (*status, board))
    departed = flight.sched + flight.delay
    changes = {
        "state": "departed", "delay_min": flight.delay, "departed": departed, "on_board": 0,
    }  # fmt: skip
    yield event(departed, "departed", changes, (*status, board, *plane))
    if flight.landed is not None:
        changes = {"state": "landed", "landed": flight.landed, "arr_delay": flight.arr_delay}
        yield event(flight.landed, "landed", changes, (*status, *plane))


def final_state(flight: Flight) -> FlightState:
    """The state after the last event of the flight."""
    if flight.delay is None:
        return FlightState("cancelled", None, None, None, None, 0)
    departed = flight.sched + flight.delay
    if flight.landed is None:
        return FlightState("departed", flight.delay, departed, None, None, 0)
    return FlightState("landed", flight.delay, departed, flight.landed, flight.arr_delay, 0)


def state_at(flight: Flight, minute: int, published: int) -> FlightState:
    """The state just before the events of `minute`; days begin on the boards at `published`."""
    if minute <= published:
        return PLANNED
    if flight.sched + LONGEST_LIFE_MINUTES < minute:
        return final_state(flight)
    state = PUBLISHED
    for event in life_of(flight):
        if event.minute < minute:
            state = state._replace(**event.changes)
    return state


def plan_minute(local: LocalTime, day: date) -> int:
    """When the flights of `day` appear on the boards."""
    return local.midnight(day - timedelta(days=1)) + PLAN_MINUTE_OF_DAY


def _plan_event(local: LocalTime, day: date) -> Event:
    name = day.isoformat()
    return Event(
        plan_minute(local, day), (0, 0), "plan", "flights",
        {"day": name, "state": "planned"}, {"state": "scheduled", "on_board": 1},
        ("board", "route", f"flight:{name}"),
    )  # fmt: skip


def _weather_events(observations: Iterable[Observation]) -> Iterator[Event]:
    for place, seen in enumerate(observations):
        changes: Changes = {
            "observed": seen.minute, "temp_f": seen.temp_f, "wind_mph": seen.wind_mph,
            "visibility_miles": seen.visibility_miles,
        }  # fmt: skip
        yield Event(
            seen.minute, (0, place + 1), "weather", "weather", {"origin": seen.origin}, changes,
            (f"weather:{seen.origin}",),
        )  # fmt: skip


def events_between(data: Dataset, local: LocalTime, start: int, end: int) -> list[Event]:
    """Every event with start <= minute < end, by minute and then by the data's own row order."""
    events = list(_weather_events(data.weather))
    first, _ = local.day_and_minute(start)
    last, _ = local.day_and_minute(end)
    for number in range((last - first).days + 2):
        day = first + timedelta(days=number)
        if day.isoformat() in data.offsets:
            events.append(_plan_event(local, day))
    for flight in data.flights:
        if start - LONGEST_LIFE_MINUTES <= flight.sched <= end + CANCEL_LEAD_MINUTES:
            events.extend(life_of(flight))
    chosen = [event for event in events if start <= event.minute < end]
    chosen.sort(key=lambda event: (event.minute, event.order))
    return chosen
