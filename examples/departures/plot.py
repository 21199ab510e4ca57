"""Draws what the runs found: how often wrong, at what cost, how slow, and when it went wrong.

Uses matplotlib's file back end; no display is needed.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from dataset import LocalTime
from events import Event
from matplotlib import pyplot as plt  # noqa: E402 (the back end is chosen first)
from modes import LABELS
from report import duration_text, latency_text
from score import Score

COLOURS = {"none": "#6b7280", "ttl-30": "#f59e0b", "ttl-300": "#dc2626", "zoocache": "#059669"}
QUIET = "#d1d5db"


def write_plot(
    path: Path, title: str, local: LocalTime, events: list[Event], scores: list[Score]
) -> None:
    """Writes a PNG (or what the name's ending asks for). REQUIRES: at least one answer."""
    figure = plt.figure(figsize=(13, 8.2), layout="constrained")
    grid = figure.add_gridspec(2, 3, height_ratios=(1, 1), width_ratios=(1, 0.8, 1.25))
    _draw_stale(figure.add_subplot(grid[0, 0]), scores)
    _draw_queries(figure.add_subplot(grid[0, 1]), scores)
    _draw_latency(figure.add_subplot(grid[0, 2]), scores)
    _draw_hours(figure.add_subplot(grid[1, :]), local, events, scores)
    figure.suptitle(title, fontsize=14, fontweight="bold", x=0.01, ha="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _tidy(axes: Any, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_bars(
    axes: Any, scores: list[Score], values: list[float], said: list[str], room: float
) -> None:
    """One bar for each way, in the table's order, with its value said beyond its end.

    The axis is `room` times as long as the longest bar.
    """
    places = range(len(scores))
    colours = [COLOURS[score.name] for score in scores]
    axes.barh(places, values, color=colours, height=0.62)
    axes.set_xlim(0, max([*values, 1.0]) * room)
    for place, value, text, colour in zip(places, values, said, colours, strict=True):
        axes.annotate(
            text, (value, place), xytext=(6, 0), textcoords="offset points", va="center",
            fontsize=9.5, color=colour, fontweight="bold", linespacing=1.3,
        )  # fmt: skip
    axes.set_yticks(places, [LABELS[score.name] for score in scores])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0, labelsize=10)


def _draw_stale(axes: Any, scores: list[Score]) -> None:
    _tidy(axes, "Stale answers, %")
    said = [
        f"{score.stale_share:.1%}\nwrong for up to {duration_text(score.worst_s)}"
        if score.stale
        else "none"
        for score in scores
    ]
    _draw_bars(axes, scores, [100 * score.stale_share for score in scores], said, 1.6)


def _draw_queries(axes: Any, scores: list[Score]) -> None:
    _tidy(axes, "Database queries per 100 answers")
    costs = [100 * score.statements / max(score.answers, 1) for score in scores]
    _draw_bars(axes, scores, costs, [f"{cost:.0f}" for cost in costs], 1.2)
    axes.set_yticklabels([])


def _draw_latency(axes: Any, scores: list[Score]) -> None:
    """The share of answers that came at least as fast as the time on the axis."""
    _tidy(axes, "How long a reader waits for an answer")
    for score in scores:
        ordered = sorted(score.latencies_ns)
        step = max(1, len(ordered) // 1000)
        times = [max(value, 1) / 1000 for value in ordered[::step]]
        shares = [100 * place / len(times) for place in range(1, len(times) + 1)]
        label = f"{LABELS[score.name]}: p50 {latency_text(score.percentile_us(0.5))}"
        width = 3.0 if score.name == "zoocache" else 1.8
        axes.plot(times, shares, color=COLOURS[score.name], label=label, linewidth=width)
    axes.set_xscale("log")
    axes.set_xlim(right=axes.get_xlim()[1] * 30)  # room for the legend
    axes.set_ylim(0, 100)
    axes.set_xlabel("microseconds, checking time excluded")
    axes.set_ylabel("answers at least this fast, %")
    axes.grid(axis="both", color=QUIET, linewidth=0.5)
    axes.legend(frameon=False, fontsize=9, loc="lower right", handlelength=1.2)


def _draw_hours(axes: Any, local: LocalTime, events: list[Event], scores: list[Score]) -> None:
    """Stale answers through the days, over the changes that make them stale."""
    _tidy(axes, "Hour by hour: changes in the data (grey) and the answers that missed them")
    start = int(scores[0].start_s) // 60
    hours = max(max(score.answers_by_hour) for score in scores) + 1
    changes = Counter((event.minute - start) // 60 for event in events)
    behind = axes.twinx()
    behind.bar(
        [hour + 0.5 for hour in range(hours)], [changes[hour] for hour in range(hours)], width=0.9,
        color=QUIET, alpha=0.6,
    )  # fmt: skip
    behind.set_ylabel("changes per hour", color="#9ca3af")
    behind.tick_params(colors="#9ca3af")
    behind.spines[["top", "left"]].set_visible(False)
    axes.set_zorder(behind.get_zorder() + 1)
    axes.patch.set_visible(False)
    top = 1.0
    for score in scores:
        shares = [
            100 * score.stale_by_hour[hour] / max(score.answers_by_hour[hour], 1)
            for hour in range(hours)
        ]
        top = max(top, *shares)
        axes.plot(
            [hour + 0.5 for hour in range(hours)], shares, color=COLOURS[score.name],
            linewidth=3.0 if score.name == "zoocache" else 1.8, marker="o", markersize=3,
            label=LABELS[score.name], clip_on=False, zorder=3 + (score.name == "zoocache"),
        )  # fmt: skip
    every = 1 if hours <= 12 else 3 if hours <= 36 else 6 if hours <= 96 else 24
    ticks = range(0, hours + 1, every)
    axes.set_xticks(ticks, [_hour_label(local, start + 60 * hour) for hour in ticks])
    axes.set_xlim(0, hours)
    axes.set_ylim(0, top * 1.05)
    axes.set_ylabel("stale answers, %")
    axes.legend(
        frameon=False, fontsize=9, loc="lower right", bbox_to_anchor=(1, 0.98), ncols=len(scores)
    )


def _hour_label(local: LocalTime, minute: int) -> str:
    day, of_day = local.day_and_minute(minute)
    clock = f"{of_day // 60:02}:{of_day % 60:02}"
    return f"{clock}\n{day:%a %d %b}" if of_day < 60 else clock
