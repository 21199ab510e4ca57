"""Figures out of the results of a run, and how they stand to the targets."""

from __future__ import annotations

import fnmatch
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TARGETS = Path(__file__).with_name("targets.json")
GENERATED = "zipf (generated)"

Results = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """The median decides; `best` is the minimum, or the quotient of minima."""

    median: float
    best: float | None = None


def interpreters(results: Results) -> list[str]:
    """In the order of measurement: the first one is the system's own."""
    homes = results.get("homes")
    alone = [homes["interpreter"]] if homes else []
    return list(results.get("python_order") or alone)


def python_result(results: Results, interpreter: str, peer: str, scenario: str) -> dict[str, Any]:
    peers = results.get("python", {}).get(interpreter, {}).get("peers", {})
    found: dict[str, Any] = peers.get(peer, {}).get("results", {}).get(scenario, {})
    return found


def python_figure(
    results: Results, interpreter: str, peer: str, scenario: str, value: str
) -> Figure | None:
    found = python_result(results, interpreter, peer, scenario)
    if value.startswith("executions"):
        return Figure(found[value]) if value in found else None
    if scenario == "import" and found:
        over = ("median", "min")
        median, best = (found[f"ms_{kind}"] - found[f"bare_ms_{kind}"] for kind in over)
        return Figure(median, best)
    if f"{value}_median" not in found:
        return None
    return Figure(found[f"{value}_median"], found[f"{value}_min"])


def cpp_figure(results: Results, name: str, value: str) -> Figure | None:
    found = results.get("cpp", {}).get(name)
    if found is None:
        return None
    return Figure(found[f"{value}_median"], found.get(f"{value}_min"))


def homes_figure(results: Results, scenario: str, value: str, interpreter: str) -> Figure | None:
    """Homes are measured with one interpreter."""
    homes = results.get("homes")
    if not homes or interpreter not in (homes["interpreter"], ""):
        return None
    found = homes["results"].get(scenario, {})
    if value in found:
        return Figure(found[value])
    if f"{value}_median" not in found:
        return None
    return Figure(found[f"{value}_median"], found.get(f"{value}_min"))


def quotient(above: Figure | None, below: Figure | None) -> Figure | None:
    if above is None or below is None:
        return None
    best = above.best / below.best if above.best and below.best else None
    return Figure(above.median / below.median, best)


def traces(results: Results) -> list[str]:
    """Real ones; the generated one is not in the mean."""
    return [name for name in results.get("eviction", {}) if name != GENERATED]


def eviction_gain(results: Results, name: str, over: str) -> float:
    """Points of hit rate of the engine above another policy, with room for 10 % of the keys."""
    trace = results["eviction"][name]
    rates, tenth = trace["hit_rates"], trace["tenth"]
    return 100 * (float(rates["s3fifo"][tenth]) - float(rates[over][tenth]))


def figure_of(results: Results, of: dict[str, str], interpreter: str) -> Figure | None:
    if "eviction" in of:
        gains = [eviction_gain(results, name, of["eviction"]) for name in traces(results)]
        return Figure(sum(gains) / len(gains)) if gains else None
    if "cpp" in of:
        above = cpp_figure(results, of["cpp"], of["value"])
        return (
            quotient(above, cpp_figure(results, of["over"], of["value"])) if "over" in of else above
        )
    if "homes" in of:
        return homes_figure(results, of["homes"], of["value"], interpreter)
    above = python_figure(results, interpreter, "zoocache", of["python"], of["value"])
    if "over" not in of:
        return above
    below = python_figure(results, interpreter, "zoocache", of["over"], of["value"])
    return quotient(above, below)


@dataclass(frozen=True)
class Standing:
    """One target with what was reached, by interpreter; by "" where there is no Python in it."""

    what: str
    unit: str
    bound: str
    at_most: bool
    limits: dict[str, float]
    reached: dict[str, Figure]

    def is_met(self, interpreter: str) -> bool:
        reached, limit = self.reached[interpreter].median, self.limits[interpreter]
        return reached <= limit if self.at_most else reached >= limit


def limit_of(limits: dict[str, float], interpreter: str) -> float:
    return next(limit for pattern, limit in limits.items() if fnmatch.fnmatch(interpreter, pattern))


def standings(results: Results) -> list[Standing]:
    made = []
    for row in json.loads(TARGETS.read_text("utf-8"))["rows"]:
        of, limits = row["of"], row.get("most") or row["least"]
        places = interpreters(results) if {"python", "homes"} & set(of) else [""]
        found = {place: figure_of(results, of, place) for place in places}
        reached = {place: figure for place, figure in found.items() if figure is not None}
        made.append(
            Standing(
                row["what"], row["unit"], row["bound"], "most" in row,
                {place: limit_of(limits, place) for place in places}, reached,
            )
        )  # fmt: skip
    return made
