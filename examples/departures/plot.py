"""Draws what the runs found: wrong or costly, when it went wrong, and how long readers waited.

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
    grid = figure.add_gridspec(2, 2, height_ratios=(1.15, 1))
    _draw_trade(figure.add_subplot(grid[0, 0]), scores)
    _draw_latency(figure.add_subplot(grid[0, 1]), scores)
    _draw_hours(figure.add_subplot(grid[1, :]), local, events, scores)
    figure.suptitle(title, fontsize=14, fontweight="bold", x=0.01, ha="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _tidy(axes: Any, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_trade(axes: Any, scores: list[Score]) -> None:
    """Every way is a point; the corner at the lower left is where one wants to be."""
    _tidy(axes, "Stale or slow: the lower left corner is neither")
    costs = [100 * score.statements / max(score.answers, 1) for score in scores]
    shares = [100 * score.stale_share for score in scores]
    for score, cost, share in zip(scores, costs, shares, strict=True):
        axes.scatter(cost, share, s=170, color=COLOURS[score.name], zorder=3, clip_on=False)
        said = f"wrong for up to {duration_text(score.worst_s)}" if score.stale else "never wrong"
        axes.annotate(
            f"{LABELS[score.name]}: {cost:.0f} queries\n{share:.1f} % stale, {said}",
            (cost, share), xytext=(2, 11), textcoords="offset points", ha="left", va="bottom",
            fontsize=9, color=COLOURS[score.name], fontweight="bold", linespacing=1.3,
        )  # fmt: skip
    axes.set_xlim(0, max(costs) * 1.45)
    axes.set_ylim(0, max([*shares, 1.0]) * 1.25)
    axes.set_xlabel("database queries per 100 answers")
    axes.set_ylabel("stale answers, %")


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
    axes.set_ylim(0, 100)
    axes.set_xlabel("microseconds, checking time excluded")
    axes.set_ylabel("answers at least this fast, %")
    axes.grid(axis="both", color=QUIET, linewidth=0.5)
    axes.legend(frameon=False, fontsize=9, loc="lower right")


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
