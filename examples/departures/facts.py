"""The facts that pages are made of: one SELECT each, for now and for any moment of the replay.

A fact reads rows of one changing table, chosen by columns that no UPDATE ever touches (`scope`).
That is what makes the checker's search exact: only an UPDATE of a row inside the scope can change
the fact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

BOARD_ROWS = 20
PLANE_LEGS = 8
LATE_FROM_MINUTES = 15


class Fact(NamedTuple):
    """`now` reads the live rows; `as_of` those of :sequence; `changes` the scope's sequences."""

    now: str
    as_of: str
    changes: str | None  # None: nothing of it ever changes
    scope: tuple[str, ...]

    def bind(self, args: tuple[str | int, ...]) -> dict[str, str | int]:
        return dict(zip(self.scope, args, strict=True))


def _fact(table: str | None, scope: tuple[str, ...], select: str) -> Fact:
    if table is None:
        return Fact(select, select, None, scope)
    rows = " AND ".join(f"{column} = :{column}" for column in scope)
    past = f"""(SELECT id, {_COLUMNS[table]} FROM {table} AS live
        WHERE since <= :sequence
        UNION ALL SELECT id, {_COLUMNS[table]} FROM {table}_past AS past
        WHERE since <= :sequence AND until > :sequence)"""
    if table == "weather":
        past = past.replace("SELECT id, ", "SELECT ")
    changes = f"""SELECT DISTINCT until FROM {table}_past
        WHERE {rows} AND until > :after AND until <= :upto ORDER BY until DESC"""
    return Fact(
        select.format(rows=rows, source=table),
        select.format(rows=rows, source=past),
        changes,
        scope,
    )


_COLUMNS = {
    "flights": "day, carrier, number, tail, origin, dest, sched, state, delay_min, departed, "
    "landed, arr_delay, on_board",
    "weather": "origin, observed, temp_f, wind_mph, visibility_miles",
}

FACTS: Mapping[str, Fact] = {
    "airlines": _fact(None, (), "SELECT carrier, name FROM airlines"),
    "aircraft": _fact(
        None, ("tail",), "SELECT manufacturer, model, seats FROM planes WHERE tail = :tail"
    ),
    "weather": _fact(
        "weather",
        ("origin",),
        "SELECT observed, temp_f, wind_mph, visibility_miles FROM {source} WHERE {rows}",
    ),
    "board": _fact(
        "flights",
        ("origin",),
        f"""SELECT carrier, number, sched, state, delay_min, dest, airports.name
        FROM {{source}} LEFT JOIN airports ON faa = dest
        WHERE {{rows}} AND on_board = 1 ORDER BY sched, id LIMIT {BOARD_ROWS}""",
    ),
    "route": _fact(
        "flights",
        ("origin", "dest", "day"),
        """SELECT carrier, number, sched, state, delay_min, arr_delay
        FROM {source} WHERE {rows} ORDER BY sched, id""",
    ),
    "carrier": _fact(
        "flights",
        ("day", "carrier"),
        f"""SELECT state, count(*), sum(delay_min), sum(delay_min >= {LATE_FROM_MINUTES}),
            sum(arr_delay)
        FROM {{source}} WHERE {{rows}} AND state NOT IN ('planned', 'scheduled')
        GROUP BY state ORDER BY state""",
    ),
    "plane": _fact(
        "flights",
        ("tail",),
        f"""SELECT day, carrier, number, origin, dest, departed, landed
        FROM {{source}} WHERE {{rows}} AND departed IS NOT NULL
        ORDER BY departed DESC, id LIMIT {PLANE_LEGS}""",
    ),
    "flight": _fact(
        "flights",
        ("day", "carrier", "number"),
        """SELECT origin, dest, tail, sched, state, delay_min, departed, landed, arr_delay
        FROM {source} WHERE {rows} ORDER BY sched, id""",
    ),
}
