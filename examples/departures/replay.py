"""Replays real New York departures through no cache, two TTL caches and zoocache.

Run `python examples/departures/replay.py --help` for the options; README.md beside this file says
what is shown and how answers are checked. Exit status: 0, or 1 if zoocache gave a stale answer.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from clock import ReplayClock
from database import copy_database, load
from dataset import DataMissing, Dataset, LocalTime, read_dataset
from events import events_between
from modes import NAMES, TAGS, make_mode
from plot import write_plot
from report import LiveReport, print_examples, print_findings, score_table, write_json
from rich.console import Console
from runs import Setting, run_async, run_single, run_threads
from score import Score
from timeline import Timeline
from workload import Workload

import zoocache

ASYNC_TASKS = 32
ASYNC_THREADS = 2
BREAK_EVERY = 20
PLAIN_WIDTH = 100
LAST_DAY = date(2013, 12, 31)


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=3, help="days to replay (default 3)")
    parser.add_argument(
        "--start", type=date.fromisoformat, default=date(2013, 2, 7), metavar="DATE",
        help="first day, in 2013 (default 2013-02-07, the day before a blizzard)",
    )  # fmt: skip
    parser.add_argument(
        "--hours", type=float, metavar=("FROM", "TO"), nargs=2, default=(0, 24),
        help="only these hours of a single day, as in --hours 6 9.5",
    )  # fmt: skip
    parser.add_argument(
        "--readers-per-minute", type=float, default=15, metavar="N",
        help="questions per minute of the replay, on a day's average (default 15)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=2013, help="of the readers' questions")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="N reader threads")
    parser.add_argument("--async", dest="use_async", action="store_true", help="asyncio readers")
    parser.add_argument(
        "--modes", default=",".join(NAMES), help=f"which ways to compare, from {', '.join(NAMES)}"
    )
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", default=Path("departures.png"),
        help="write the picture here (default departures.png)",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here")
    parser.add_argument(
        "--break", dest="broken", action="store_true",
        help=f"leave out every {BREAK_EVERY}th invalidation: the check must notice",
    )  # fmt: skip
    parser.add_argument(
        "--forget", choices=TAGS,
        help="leave out the invalidations of these tags, in zoocache alone, which loads every hit "
        "anew: its report must name what depends on them",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    if options.forget:
        if options.broken:
            parser.error("--forget and --break do not go together")
        options.modes = "zoocache"
    options.modes = options.modes.split(",")
    unknown = [name for name in options.modes if name not in NAMES]
    if unknown:
        parser.error(f"unknown mode {unknown[0]!r}; choose from {', '.join(NAMES)}")
    if options.start.year != 2013 or not 1 <= options.days <= (LAST_DAY - options.start).days + 1:
        parser.error("the data covers 2013, and --days from --start must stay inside it")
    if options.readers_per_minute <= 0 or options.threads < 0:
        parser.error("--readers-per-minute must be above 0 and --threads at least 0")
    first, last = options.hours
    if not 0 <= first < last <= 24 or (tuple(options.hours) != (0, 24) and options.days != 1):
        parser.error("--hours takes two numbers, 0 to 24 in order, and goes with --days 1")
    return options


def make_timeline(data: Dataset, local: LocalTime, options: argparse.Namespace) -> Timeline:
    last = options.start + timedelta(days=options.days - 1)
    start = local.midnight(options.start) + int(options.hours[0] * 60)
    end = local.midnight(last) + int(options.hours[1] * 60)
    workload = Workload(data, local, options.readers_per_minute, options.seed)
    return Timeline(events_between(data, local, start, end), workload, start, end)


def replay(
    timeline: Timeline, loaded: Path, folder: Path, options: argparse.Namespace, live: LiveReport
) -> list[Score]:
    """Every chosen mode over its own copy of the loaded database."""
    scores = []
    for name in options.modes:
        path = folder / f"{name}.sqlite"
        copy_database(loaded, path)
        clock, score = ReplayClock(), Score(name, timeline.start * 60.0)
        clock.now_s = score.start_s
        drop_every = BREAK_EVERY if options.broken else 0
        mode = make_mode(name, clock, drop_every=drop_every, forget=options.forget)
        setting = Setting(path, timeline, mode, clock, score, live.update)
        live.begin(score)
        if options.use_async:
            run_async(setting, ASYNC_TASKS, options.threads or ASYNC_THREADS)
        elif options.threads:
            run_threads(setting, options.threads)
        else:
            run_single(setting)
        live.end(score)
        scores.append(score)
        path.unlink()
    return scores


def describe(options: argparse.Namespace) -> str:
    if options.use_async:
        return f"{ASYNC_TASKS} asyncio readers and a writer, overlapping"
    if options.threads:
        return f"{options.threads} reader threads and a writer, overlapping"
    return "one thread"


def conclude(console: Console, local: LocalTime, scores: list[Score], broken: bool) -> int:
    """Says what zoocache did; the exit status."""
    ours = next((score for score in scores if score.name == "zoocache"), None)
    if ours is None:
        return 0
    if ours.stale == 0:
        console.print(f"zoocache: {ours.answers:,} answers, not one of them stale.")
        if broken:
            console.print("[red]Invalidations were left out, and no stale answer was found.[/red]")
        return 0
    console.print(f"[red]zoocache gave {ours.stale:,} stale answers[/red], the first of them:")
    print_examples(console, local, ours)
    if broken:
        console.print("(invalidations were left out on purpose, and the check has noticed)")
    return 1


def conclude_forgetting(console: Console, forgotten: str) -> int:
    """Says what verifying has found; the exit status."""
    found = zoocache.findings(now=True)
    console.print(f"verifying every hit found {len(found)} calls that changed unseen:")
    print_findings(console, found)
    is_named = any(tag.split(":")[0] == forgotten for one in found for tag in one.deps)
    if not is_named:
        console.print(f"[red]The tags {forgotten}:… were left out, and it names none.[/red]")
    return 0 if is_named else 1


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)
    logging.getLogger("zoocache.verify").disabled = True  # what it finds is printed at the end
    console = Console()
    if not console.is_terminal:
        console = Console(width=PLAIN_WIDTH)
    began = time.perf_counter()
    try:
        data = read_dataset()
    except DataMissing as missing:
        console.print(f"departures: {missing}", markup=False)
        return 2
    local = LocalTime(data.offsets)
    timeline = make_timeline(data, local, options)
    with tempfile.TemporaryDirectory(prefix="departures-") as folder:
        loaded = Path(folder) / "loaded.sqlite"
        load(loaded, data, local, timeline.start)
        took_s = time.perf_counter() - began
        console.print(
            f"{len(data.flights):,} flights loaded in {took_s:.1f} s; replaying "
            f"{local.text(timeline.start)} to {local.text(timeline.end)}: "
            f"{len(timeline.events):,} changes, {describe(options)}",
            highlight=False,
        )
        with LiveReport(console, local, timeline.start, timeline.end) as live:
            scores = replay(timeline, loaded, Path(folder), options, live)
    console.print(score_table(scores))
    title = f"New York departures, {local.text(timeline.start)} to {local.text(timeline.end)}, 2013"
    write_plot(options.plot, title, local, timeline.events, scores)
    settings = {
        "start": options.start.isoformat(), "days": options.days, "hours": list(options.hours),
        "seed": options.seed, "readers_per_minute": options.readers_per_minute,
        "readers": describe(options), "changes": len(timeline.events), "broken": options.broken,
        "forgotten": options.forget,
    }  # fmt: skip
    if options.json:
        write_json(options.json, settings, scores)
    console.print(f"every answer was checked against the database; picture: {options.plot}")
    if options.forget:
        return conclude_forgetting(console, options.forget)
    return conclude(console, local, scores, options.broken)


if __name__ == "__main__":
    sys.exit(main())
