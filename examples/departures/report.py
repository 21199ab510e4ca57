"""The live table, the final table and the JSON file."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dataset import LocalTime
from modes import LABELS
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from score import Score

import zoocache

REFRESH_S = 0.5


def duration_text(seconds: float) -> str:
    """'48s', '4m 10s', '3h 05m'."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02}m"


def latency_text(microseconds: float) -> str:
    if microseconds >= 1000:
        return f"{microseconds / 1000:.2f} ms"
    return f"{microseconds:.1f} µs"


def score_table(scores: Iterable[Score]) -> Table:
    """One row for each run; worst and median are how long stale answers had been wrong."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for column in ("answers", "queries", "p50", "p99", "stale", "worst", "median"):
        table.add_column(column, justify="right", no_wrap=True)
    for score in scores:
        stale = f"{score.stale:,} {score.stale_share:.1%}" if score.stale else "0"
        table.add_row(
            LABELS[score.name],
            f"{score.answers:,}",
            f"{score.statements:,}",
            latency_text(score.percentile_us(0.50)),
            latency_text(score.percentile_us(0.99)),
            f"[red]{stale}[/red]" if score.stale else f"[green]{stale}[/green]",
            duration_text(score.worst_s) if score.stale else "-",
            duration_text(score.median_s) if score.stale else "-",
        )
    return table


class LiveReport:
    """A progress bar above a table that grows; plain lines where the output is not a terminal."""

    def __init__(self, console: Console, local: LocalTime, start: int, end: int) -> None:
        self._console = console
        self._local = local
        self._start, self._minutes = start, end - start
        self._scores: list[Score] = []
        self._shown_at = 0.0
        self._progress = Progress(
            TextColumn("{task.description:<10}"), BarColumn(None), TextColumn("{task.fields[now]}"),
            TimeElapsedColumn(), console=console,
        )  # fmt: skip
        self._task = self._progress.add_task("loading", total=None, now="")
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> LiveReport:  # noqa: PYI034 - Self is not in Python 3.10
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def begin(self, score: Score) -> None:
        self._scores.append(score)
        self._progress.reset(self._task, total=self._minutes, description=LABELS[score.name])
        self.update(score, 0)

    def update(self, score: Score, minutes_done: int) -> None:
        """Cheap enough to be called every minute of the replay."""
        now = time.monotonic()
        if now - self._shown_at < REFRESH_S or not self._console.is_terminal:
            return
        self._shown_at = now
        moment = self._local.text(self._start + min(minutes_done, self._minutes))
        self._progress.update(self._task, completed=minutes_done, now=moment)
        self._live.update(Group(self._progress, score_table(self._scores)), refresh=True)

    def end(self, score: Score) -> None:
        if not self._console.is_terminal:
            self._console.print(
                f"{LABELS[score.name]}: {score.answers:,} answers, {score.statements:,} queries, "
                f"{score.stale:,} stale, {score.elapsed_s:.1f} s"
            )


def print_examples(console: Console, local: LocalTime, score: Score) -> None:
    """The first stale answers of a run, so that one can look into them."""
    for stale in score.examples:
        about = " ".join(str(part) for part in stale.question.args)
        console.print(
            f"  {local.text(int(stale.at_s) // 60)}  {stale.question.kind} {about}: "
            f"its {stale.fact} had been wrong for {duration_text(stale.wrong_s)}"
        )


def print_findings(console: Console, found: list[zoocache.Finding], most: int = 5) -> None:
    """The first calls that changed without an invalidation, and what each depended on."""
    for one in found[:most]:
        function = one.function.rpartition(".")[2]
        console.print(f"  {function}{one.arguments}: {one.parts[0]}", markup=False)
        console.print(f"    nobody invalidated {', '.join(one.deps)}", markup=False)


def write_json(path: Path, settings: dict[str, Any], scores: Iterable[Score]) -> None:
    found = {**settings, "runs": [score.as_dict() for score in scores]}
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
