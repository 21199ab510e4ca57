"""docs/benchmarks/README.md: everything a run has found."""

from __future__ import annotations

from typing import Any

from django_tables import django_section
from figures import GENERATED, Results, eviction_gain, interpreters, traces
from homes_tables import homes_section
from published import runs_of
from tables import PAGE_COLUMNS, PEERS, cpp_tables, peer_table, quick_text, table, targets_table
from web_tables import web_section

POLICIES = ("s3fifo", "fifo", "lru", "sieve", "opt")
HEAD = """# Benchmarks

`make bench` makes this page, its plots and the table in the README out of
[results.json](results.json). What is measured and how: [bench/README.md](../../bench/README.md).
"""


def run_text(run: Results) -> str:
    """What a run says about itself."""
    machine = run["machine"]
    pythons = "; ".join(
        f"{name}: CPython {version}, {compiler}" for name, version, compiler in run["pythons"]
    )
    return (
        f"{run['date']}. {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} "
        f"GiB, {machine['system']}, Linux {machine['kernel']}, {machine['compiler']}. "
        f"{pythons}. {run['repeats']} repeats; load of the machine before the run "
        f"{machine['load_before']}.\n"
    )


def machine_text(results: Results) -> str:
    """One text, or one for each run that parts are of."""
    runs = runs_of(results)
    parts: dict[str, list[str]] = {}
    for part, run in runs.items():
        parts.setdefault(quick_text(run) + run_text(run), []).append(part)
    if len(parts) == 1:
        return next(iter(parts))
    return "\n".join(f"*{', '.join(names)}*: {text}" for text, names in parts.items())


def ordered(results: Results) -> list[tuple[str, dict[str, Any]]]:
    there = results.get("python", {})
    return [(name, there[name]) for name in interpreters(results) if name in there]


def versions_text(results: Results) -> str:
    versions: dict[str, str] = {}
    for _, one in ordered(results):
        for peer, found in one["peers"].items():
            versions.setdefault(peer, found["version"])
    named = [f"{peer} {versions[peer]}" for peer in PEERS if peer in versions]
    return f"Versions: {', '.join(named)}.\n"


def absent_text(results: Results) -> str:
    """What was not measured, and why."""
    lines = []
    for name, one in ordered(results):
        for peer, why in one["absent"].items():
            lines.append(f"- {peer} ({name}): {why}")
        for peer, found in one["peers"].items():
            lines += [f"- {peer}, {what} ({name}): {why}" for what, why in found["absent"].items()]
    return "\n## Absent\n\n" + "\n".join(lines) + "\n" if lines else ""


def eviction_table(results: Results) -> str:
    rows = []
    for name in [*traces(results), GENERATED]:
        trace = results["eviction"].get(name)
        if trace is None:
            continue
        rates = [float(trace["hit_rates"][policy][trace["tenth"]]) for policy in POLICIES]
        gain = eviction_gain(results, name, "lru")
        head = [name, f"{trace['requests']:,}", f"{trace['keys']:,}"]
        rows.append([*head, *(f"{100 * rate:.1f}" for rate in rates), f"{gain:+.1f}"])
    head = ["trace", "requests", "keys", "S3-FIFO (the engine)", "FIFO", "LRU", "SIEVE", "OPT"]
    return table([*head, "over LRU"], rows)


def instructions_text(results: Results) -> str:
    """Where the instructions of an operation go."""
    found = results.get("instructions")
    if not found:
        return ""
    made = (
        f"\n## Instructions\n\nOf one operation by callgrind, on {found['interpreter']}: the loop "
        "around it and the interpreter's part included, the garbage collector off; a build with "
        "symbols and without link-time optimisation. Hits are compared with `lru_cache(None)`, the "
        "async one with a bare `await`, a miss with `lru_cache(2**20)`.\n\n"
    )
    rows = []
    for what, one in found["scenarios"].items():
        base = one.get("baseline")
        compared = [f"{base:,}", f"{one['instructions'] / base:.2f}"] if base else ["–", "–"]
        where = ", ".join(f"{name} {n:,}" for name, n in one["functions"])
        rows.append([what, f"{one['instructions']:,}", *compared, where])
    return made + table(["operation", "instructions", "baseline", "ratio", "most of it"], rows)


def picture(name: str, plots: set[str], says: str) -> str:
    return f"\n![{says}]({name})\n" if name in plots else ""


def page(results: Results, plots: set[str]) -> str:
    """`plots`: the names of the files that lie beside the page."""
    made = HEAD + "\n" + machine_text(results)
    if "python" in results:
        made += "\n" + versions_text(results)
    made += (
        "\n## Targets\n\nMedians of ratios within the run, in brackets of minima. The columns are "
        "interpreters.\n\n" + targets_table(results)
    )
    if "python" in results:
        made += "\n## Beside other caches\n"
        made += picture("calls.svg", plots, "hits, async hits and misses beside other caches")
        for name, _ in ordered(results):
            made += f"\n### {name}\n"
            for title, columns in PAGE_COLUMNS:
                found = peer_table(results, name, columns)
                made += f"\n**{title}**\n\n{found}" if found else ""
    if "cpp" in results:
        made += (
            "\n## C++\n\nOne thread's time for one operation, 100,000 keys; of invalidations the "
            "time of the call that kills so many entries.\n" + cpp_tables(results)
        )
        made += picture("cpp.svg", plots, "C++ hits beside concurrent maps")
    made += homes_section(results)
    made += web_section(results)
    made += django_section(results)
    made += instructions_text(results)
    made += picture("growth.svg", plots, "cost by entries, dependencies, depth, threads, tags")
    if "eviction" in results:
        made += (
            "\n## Eviction\n\nHit rates in per cent with room for 10 % of the keys.\n\n"
            + eviction_table(results)
            + picture("eviction.svg", plots, "hit rates by size of the cache")
        )
    return made + absent_text(results)
