"""Writes the replay for another program: the loaded database, and all that happens in it.

Usage: prepare.py FOLDER [options of replay.py]

FOLDER/loaded.sqlite is the database as it stood before the first minute. FOLDER/timeline.sqlite
tells what happens and what is asked, the same as in replay.py for the same options:

    settings    name, value
    facts       name, now, as_of, changes, scope (columns, joined by ",")
    events      sequence, at_s, update_sql, tags (joined by "|")
    parameters  sequence, name, value             of an event's UPDATE
    questions   at_s, kind, first, second, third  arguments from the left, NULL where there are none
    minutes     minute, label                     New York's clock, once an hour
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from database import load
from dataset import DataMissing, Dataset, LocalTime, read_dataset
from events import Event
from facts import FACTS
from replay import BREAK_EVERY, describe, make_timeline, parse_arguments
from timeline import Timeline

DEFAULT_THREADS = 4
LABEL_EVERY_MINUTES = 60

TABLES = """
CREATE TABLE settings (name PRIMARY KEY, value);
CREATE TABLE facts (name PRIMARY KEY, now, as_of, changes, scope);
CREATE TABLE events (sequence INTEGER PRIMARY KEY, at_s, update_sql, tags);
CREATE TABLE parameters (sequence, name, value);
CREATE TABLE questions (at_s, kind, first, second, third);
CREATE TABLE minutes (minute INTEGER PRIMARY KEY, label);
"""


def update_of(event: Event, sequence: int) -> tuple[str, dict[str, Any]]:
    """The statement that database.apply_event runs, and its parameters."""
    sets = ", ".join(f"{column} = :{column}" for column in event.changes)
    rows = " AND ".join(f"{column} = :where_{column}" for column in event.where)
    values = {**event.changes, "since": sequence}
    values.update({f"where_{column}": value for column, value in event.where.items()})
    return f"UPDATE {event.table} SET {sets}, since = :since WHERE {rows}", values


def settings_of(timeline: Timeline, options: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    yield "start", timeline.start
    yield "end", timeline.end
    yield "threads", options.threads
    yield "modes", ",".join(options.modes)
    yield "drop_every", BREAK_EVERY if options.broken else 0
    yield "describe", describe(options)


def write_timeline(
    path: Path, timeline: Timeline, local: LocalTime, options: argparse.Namespace
) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = OFF")
    connection.executescript(TABLES)
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO settings VALUES (?, ?)", settings_of(timeline, options))
    connection.executemany(
        "INSERT INTO facts VALUES (?, ?, ?, ?, ?)",
        (
            (name, fact.now, fact.as_of, fact.changes, ",".join(fact.scope))
            for name, fact in FACTS.items()
        ),
    )
    for items in timeline.minutes():
        for item in items:
            if item.question is not None:
                padded = (*item.question.args, None, None, None)[:3]
                row = (item.at_s, item.question.kind, *padded)
                connection.execute("INSERT INTO questions VALUES (?, ?, ?, ?, ?)", row)
                continue
            assert item.event is not None
            update, values = update_of(item.event, item.sequence)
            connection.execute(
                "INSERT INTO events VALUES (?, ?, ?, ?)",
                (item.sequence, item.at_s, update, "|".join(item.event.tags)),
            )
            connection.executemany(
                "INSERT INTO parameters VALUES (?, ?, ?)",
                ((item.sequence, name, value) for name, value in values.items()),
            )
    connection.executemany(
        "INSERT INTO minutes VALUES (?, ?)",
        (
            (minute, local.text(minute))
            for minute in range(timeline.start, timeline.end + 1, LABEL_EVERY_MINUTES)
        ),
    )
    connection.execute("COMMIT")
    connection.close()


def read_options(arguments: Sequence[str]) -> tuple[Path, argparse.Namespace]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="an existing folder; the files go there")
    known, others = parser.parse_known_args(arguments)
    options = parse_arguments(others)
    if options.use_async or options.json:
        parser.error("--async and --json are for replay.py alone")
    options.threads = options.threads or DEFAULT_THREADS
    return known.folder, options


def main(arguments: Sequence[str]) -> int:
    folder, options = read_options(arguments)
    began = time.perf_counter()
    try:
        data: Dataset = read_dataset()
    except DataMissing as missing:
        print(f"departures: {missing}", file=sys.stderr)
        return 2
    local = LocalTime(data.offsets)
    timeline = make_timeline(data, local, options)
    loaded, told = folder / "loaded.sqlite", folder / "timeline.sqlite"
    for path in (loaded, told):
        path.unlink(missing_ok=True)
    load(loaded, data, local, timeline.start)
    write_timeline(told, timeline, local, options)
    print(f"{len(data.flights):,} flights loaded in {time.perf_counter() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
