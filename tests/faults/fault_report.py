"""Runs the fault tests and writes what they counted to docs/RELIABILITY.md.

Usage: fault_report.py [--runs N] [--out FILE]    (make faults)
The table has a row for each test, in the order of the files. Several runs are added up; times are
the longest of them.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "RELIABILITY.md"
RESULTS = "ZOOCACHE_FAULT_RESULTS"
FAULTS = "test_*_faults.py"

HEAD = """\
# What breaks, and what came of it

Each row is a test in [tests/faults](../tests/faults): the fault is injected into a real server, or
on the way to it, or into one of the processes, while three processes read and write. `make faults`
runs them all and writes this page.

**The work.** Twelve records, each written by one process, which changes it and then invalidates
its tag, or one tag for all of its records. Everybody reads all records through cached functions.
Two of the processes share values in a folder. In one of them what is not acknowledged is kept
silently; in the others `invalidate` raises.

**Stale reads.** When an invalidation has returned, the time is written down, on one clock for all
processes that goes on in suspend. A read is stale if it returns less than the newest version whose
invalidation had returned more than a lease (here {lease} s; with LMDB: not at all, or a second
where the folder is taken away) before the read *began*; or less than what the reading process
itself has declared, acknowledged or not. A value that the record never held counts as stale too.

**Lost invalidations.** When the fault is over nobody writes, until every process has returned the
newest version of each record whose invalidation was acknowledged *or kept*. What does not become
effective within 20 s is lost. After that each writer changes each of its records once more, and
everybody has to see it.

**Recovered after** is the longest wait that followed a repair (the server is there again, the way
is open): until everybody trusted the log again, or knew the new generation, or had seen the newest
versions. **Longest call** is the longest read or invalidation, the time in which its own process
was stopped included.

**What it cannot show.** A few seconds of one fault at a time, on one machine; orders of events
that are rarer than that are for the simulation (`tests/cpp/redis_log_simulation_test.cpp`) and the
models. Processes that are killed take with them what was not acknowledged, as
[GUARANTEES.md](GUARANTEES.md) says.
"""


@dataclass(frozen=True)
class Fault:
    test: str
    what: str

    @property
    def name(self) -> str:
        return self.test.removeprefix("test_").replace("_", " ")


def faults() -> Iterator[Fault]:
    """The tests, as the files have them: their docstrings say what is injected."""
    for path in sorted(HERE.glob(FAULTS)):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                what = ast.get_docstring(node)
                assert what is not None, f"{path.name}: {node.name} does not say what it injects"
                yield Fault(node.name, what.splitlines()[0])


def run(results: Path) -> int:
    command = [sys.executable, "-m", "pytest", "-q", str(HERE), "-p", "no:cacheprovider"]
    command += ["--ignore", str(HERE / "test_report.py")]  # it is about the page that is there
    environment = {**os.environ, RESULTS: str(results)}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def read(results: Path) -> dict[str, list[dict[str, float]]]:
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    for line in results.read_text().splitlines():
        result = json.loads(line)
        found[result.pop("test")].append(result)
    return found


COLUMNS = (
    *("fault", "injected", "runs", "reads", "loads", "acknowledged", "not acknowledged"),
    *("stale reads", "lost invalidations", "recovered after, s", "longest call, s"),
)


def row(fault: Fault, results: list[dict[str, float]]) -> str:
    def total(*names: str) -> str:
        return f"{int(sum(one[name] for one in results for name in names)):,}"

    def longest(name: str) -> str:
        return f"{max(one[name] for one in results):.2f}"

    cells = [fault.name, fault.what, str(len(results))]
    if results:
        cells += [total("reads"), total("loads"), total("acknowledged"), total("raised", "kept")]
        cells += [total("stale", "wrong"), total("lost")]
        cells += [longest("recovery_s"), longest("longest_s")]
    else:
        cells += ["-"] * (len(COLUMNS) - len(cells))
    return "| " + " | ".join(cells) + " |"


def versions() -> str:
    server = shutil.which("redis-server")
    assert server is not None
    told = subprocess.run([server, "--version"], capture_output=True, text=True, check=True)
    redis = told.stdout.split("v=")[1].split()[0]
    return f"Redis {redis}, Python {platform.python_version()}, {os.cpu_count()} processors."


def page(found: dict[str, list[dict[str, float]]], lease_s: float) -> str:
    lines = [HEAD.format(lease=lease_s), versions(), ""]
    lines += ["| " + " | ".join(COLUMNS) + " |", "|---|---|" + "---:|" * (len(COLUMNS) - 2)]
    tests = list(faults())
    lines += [row(fault, found.get(fault.test, [])) for fault in tests]
    every = [one for fault in tests for one in found.get(fault.test, [])]
    sums = {name: int(sum(one[name] for one in every)) for name in ("reads", "stale", "lost")}
    lines += ["", f"Together {sums['reads']:,} reads, of which {sums['stale']} were stale,"]
    lines += [
        f"and {sums['lost']} lost invalidations. A row without figures did not run there.",
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=PAGE)
    options = parser.parse_args()
    sys.path[:0] = [str(HERE), str(ROOT / "tests" / "python")]
    from fault_workload import LEASE_S

    status = 0
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        results.touch()
        for _ in range(options.runs):
            status |= run(results)
        options.out.write_text(page(read(results), LEASE_S))
    print(f"written: {options.out}")
    return 1 if status else 0


if __name__ == "__main__":
    sys.exit(main())
