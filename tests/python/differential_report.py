"""Runs the differential tests at length and writes what they counted to docs/DIFFERENTIAL.md.

Usage: differential_report.py [--seeds N] [--steps N] [--out FILE]    (make differential)
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from differential import RESULTS, SEEDS, STEPS

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "DIFFERENTIAL.md"
TESTS = (
    "test_django_differential.py",
    "test_sqlalchemy_differential.py",
    "test_sqlalchemy_generated.py",
)
HEAD = """\
# Cached answers beside the database's

`make differential` runs what is below and writes this page; `make test` runs a bounded part of it.

Two connections to one database take turns with random reads and writes, in autocommit, in
transactions and in savepoints, half of which are rolled back. The reads are cached functions
without a tag. Each answer is compared with what the same connection reads at the same moment
without the cache; a **difference** is an answer that the database would not have given. The schemas
of *generated* runs come out of the seed as well: three to five tables, with integer, text and UUID
keys, columns that may be NULL, foreign keys that cascade or are set to NULL, relations of many to
many, and a table that inherits from another one.

After each commit every entry that is gone is compared with what the database gives at that moment.
If that is the same, the entry **died without need**. The tables are tiny: five keys, and columns
of four values, so that writes meet what was read more often than in a real database.

A seed is run again by `pytest` with `ZOOCACHE_SEEDS=7 ZOOCACHE_STEPS={steps}` in its environment.
"""
NOTES = """
What is read by the keys of its rows depends on these rows. All else depends on its tables: it dies
with every write to one of them, whether or not the write meets what was read. Rows with keys of
text count as the latter, as a database may hold two spellings equal; and a write that does not name
its rows by their keys kills all of the table.
"""


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "–"


def run_tests(seeds: int, steps: int) -> tuple[list[dict[str, Any]], int]:
    """A line for each run that came to its end, and how many did not."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        results.touch()
        environment = {**os.environ, SEEDS: f"1-{seeds}", STEPS: str(steps), RESULTS: str(results)}
        command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider"]
        junit = Path(folder) / "junit.xml"
        command += ["-o", "timeout=900", "--junitxml", str(junit)]
        environment["ZOOCACHE_WATCHDOG_S"] = "900"
        command += [str(HERE / name) for name in TESTS]
        subprocess.run(command, cwd=HERE.parents[1], env=environment, check=False)
        lines = [json.loads(line) for line in results.read_text("utf-8").splitlines()]
        return lines, junit.read_text("utf-8").count("<failure")


def totals(lines: list[dict[str, Any]]) -> str:
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        groups[line["suite"], line["database"]].append(line)
    rows = []
    for (suite, database), runs in groups.items():
        deaths = sum(sum(run["deaths"].values()) for run in runs)
        needless = sum(sum(run["needless"].values()) for run in runs)
        counted = [sum(run[name] for run in runs) for name in ("steps", "comparisons", "loads")]
        rows.append(
            [suite, database, str(len(runs)), *(f"{one:,}" for one in counted), "0", f"{deaths:,}",
             f"{needless:,}", share(needless, deaths)]
        )  # fmt: skip
    head = ["reads and writes", "database", "seeds", "steps", "answers compared", "loads"]
    return table([*head, "differences", "entries that died", "without need", "share"], rows)


def kinds(lines: list[dict[str, Any]]) -> str:
    """A row for each kind of read, a column for each suite."""
    suites = list(dict.fromkeys(line["suite"] for line in lines))
    deaths: dict[str, Counter[str]] = defaultdict(Counter)
    needless: dict[str, Counter[str]] = defaultdict(Counter)
    for line in lines:
        deaths[line["suite"]].update(line["deaths"])
        needless[line["suite"]].update(line["needless"])
    names = sorted({kind for one in deaths.values() for kind in one})
    rows = []
    for kind in names:
        cells = []
        for suite in suites:
            died, vain = deaths[suite][kind], needless[suite][kind]
            cells.append(f"{vain:,} of {died:,}, {share(vain, died)}" if died else "–")
        rows.append([kind, *cells])
    return table(["kind of read", *suites], rows)


def versions() -> str:
    names = ("django", "sqlalchemy", "sqlglot", "psycopg")
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=40, help="of each test, from 1 on")
    parser.add_argument("--steps", type=int, default=100, help="of each seed")
    parser.add_argument("--out", type=Path, default=PAGE)
    given = parser.parse_args()
    made_with = versions()
    lines, failed = run_tests(given.seeds, given.steps)
    if failed or not lines:
        raise SystemExit(f"{failed} runs failed, see above; {given.out} stays as it is")
    page = HEAD.format(steps=given.steps)
    page += f"\nWith Python {sys.version.split()[0]}, {made_with}; seeds 1 to {given.seeds}.\n\n"
    page += totals(lines) + "\n## Died without need\n\n" + kinds(lines) + NOTES
    given.out.write_text(page, "utf-8")
    print(page)


if __name__ == "__main__":
    main()
