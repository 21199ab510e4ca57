"""Results of several runs in one file: a part that is measured anew replaces its own alone.

What a run says about itself (date, machine, interpreters, repeats, whether it was quick) is kept
for each part in results["runs"] as soon as there are two of them; until then it is at the top.
"""

from __future__ import annotations

from typing import Any

Results = dict[str, Any]

ABOUT = ("date", "machine", "quick", "repeats")
PYTHON_PARTS = ("calls", "import", "invalidate", "memory", "growth")
OTHERS = ("instructions", "homes", "web", "django", "cpp", "eviction")
GROWTH = ("entries", "dependencies", "depth", "threads", "live_tags")


def part_of(scenario: str) -> str:
    """Of a scenario of a cache in Python."""
    if scenario == "import" or scenario in GROWTH:
        return "import" if scenario == "import" else "growth"
    for part, start in (("invalidate", "invalidate_"), ("memory", "bytes_")):
        if scenario.startswith(start) or scenario == part:
            return part
    return "calls"


def parts_in(results: Results) -> list[str]:
    """Those that there are results of."""
    found = [part for part in OTHERS if results.get(part)]
    scenarios = {
        scenario
        for one in results.get("python", {}).values()
        for peer in one["peers"].values()
        for scenario in peer["results"]
    }
    return [*(part for part in PYTHON_PARTS if part in set(map(part_of, scenarios))), *found]


def about(results: Results) -> Results:
    """What a run says about itself, with its interpreters."""
    made = {name: results[name] for name in ABOUT if name in results}
    pythons = results.get("python", {})
    order = results.get("python_order", [])
    made["pythons"] = [[n, pythons[n]["version"], pythons[n]["compiler"]] for n in order]
    homes = results.get("homes") or results.get("web") or results.get("django")
    if homes and not order:
        made["pythons"] = [[homes["interpreter"], homes["version"], homes["compiler"]]]
    return made


def runs_of(results: Results) -> dict[str, Results]:
    """part -> its run."""
    kept: dict[str, Results] = results.get("runs") or {
        part: about(results) for part in parts_in(results)
    }
    return kept


def _merged_python(old: Results, new: Results, parts: list[str]) -> None:
    """In place: the scenarios of these parts are the new ones', those of the others stay."""
    for name, one in new.get("python", {}).items():
        there = old.setdefault("python", {}).setdefault(name, {**one, "peers": {}})
        there.update({key: one[key] for key in one if key != "peers"})
        for peer, found in one["peers"].items():
            mine = there["peers"].setdefault(peer, {"results": {}, "absent": {}})
            mine["version"] = found["version"] or mine.get("version", "")
            for kind in ("results", "absent"):
                others = {n: r for n, r in mine[kind].items() if part_of(n) not in parts}
                mine[kind] = {**others, **found[kind]}
    order = old.setdefault("python_order", [])
    order += [name for name in new.get("python_order", []) if name not in order]


def merged(old: Results, new: Results, parts: list[str]) -> Results:
    """The old results with these parts of the new ones."""
    if set(parts_in(old)) <= set(parts):
        return new
    runs = {**runs_of(old)}
    made = {**old}
    _merged_python(made, new, parts)
    for part in OTHERS:
        if part in parts and part in new:
            made[part] = new[part]
    of_python = about({**new, "homes": None, "web": None})
    of_homes = about({**new, "python_order": []})
    for part in parts_in(new):
        runs[part] = of_homes if part in ("homes", "web") else of_python
    made["runs"] = runs
    return made
