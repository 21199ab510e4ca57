"""Breaks a copy of the engine in every way of mutants.py and demands that a test notices.

Usage: run.py [--quick] [--only WORD] [--table FILE]
    --quick      the first build of each mutant gets one try, and only every third mutant is tried
    --only WORD  only mutants whose name contains it
    --table FILE writes the table as Markdown

Exit status: 0 if every mutant was caught, 1 if one survived or does not fit the sources.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mutants import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[3]
FLAGS = ["-std=c++20", "-O1", "-w", "-Isrc", "-Iinclude", "-Itests/cpp"]
LIBRARIES = ["-lgtest", "-lgtest_main", "-lrapidcheck", "-lpthread"]
PRELUDE = "#include <chrono>\n#include <thread>\n"
TRIES = 4


def compiler() -> list[str]:
    ccache = shutil.which("ccache")
    return ([ccache] if ccache else []) + [os.environ.get("CXX", "g++")]


def apply(mutant: Mutant, copy: Path) -> str | None:
    """Breaks the copy; what is wrong with the mutant, if anything."""
    path = copy / mutant.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        return f"its text is {text.count(mutant.old)} times in {mutant.file}"
    changed = text.replace(mutant.old, mutant.new)
    if changed.startswith("//") and "#pragma once" in changed:
        changed = changed.replace("#pragma once\n", "#pragma once\n" + PRELUDE, 1)
    else:
        changed = PRELUDE + changed
    path.write_text(changed, encoding="utf-8")
    return None


def build(copy: Path, program: str) -> str | None:
    """Compiles everything and links the program; the compiler's words if that fails."""
    sources = [*copy.glob("src/core/*.cpp"), *copy.glob("src/cpp/*.cpp")]
    sources.append(copy / "tests" / "cpp" / f"{program}.cpp")
    objects = []
    for source in sources:
        target = copy / (source.relative_to(copy).as_posix().replace("/", "_") + ".o")
        command = [*compiler(), *FLAGS, "-c", source.relative_to(copy).as_posix(), "-o", target]
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return done.stderr[-2000:]
        objects.append(target)
    link = [compiler()[-1], *objects, *LIBRARIES, "-o", copy / program]
    done = subprocess.run(link, cwd=copy, capture_output=True, text=True, check=False)
    return done.stderr[-2000:] if done.returncode != 0 else None


def caught_by(copy: Path, mutant: Mutant) -> str | None:
    """The test that failed; None if none did in TRIES runs, each longer than the one before."""
    for attempt in range(TRIES):
        span_ms = 400 * 2**attempt
        command = [copy / mutant.program, f"--gtest_filter={mutant.tests}", "--gtest_brief=1"]
        environment = {**os.environ, "ZOOCACHE_LINEARIZABILITY_MS": str(span_ms)}
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=100, check=False
            )
        except subprocess.TimeoutExpired:
            return "a hang"
        if done.returncode != 0:
            failed = [
                line.split()[3].rstrip(",")
                for line in done.stdout.splitlines()
                if line.startswith("[  FAILED  ]") and "." in line
            ]
            return failed[0] if failed else f"a crash ({done.returncode})"
    return None


def try_mutant(mutant: Mutant) -> tuple[str, float]:
    """What became of it, and the seconds of running tests."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for part in ("src/core", "src/cpp", "include", "tests/cpp"):
            shutil.copytree(ROOT / part, copy / part)
        wrong = apply(mutant, copy) or build(copy, mutant.program)
        if wrong:
            return f"does not fit: {wrong}", 0.0
        begun = time.monotonic()
        test = caught_by(copy, mutant)
        return (f"caught by {test}" if test else "SURVIVED"), time.monotonic() - begun


def table(rows: list[tuple[Mutant, str, float]]) -> str:
    lines = [
        "# Mutants of the engine",
        "",
        "Written by `scripts/mutants`. Each row breaks a copy of the sources on purpose, as",
        "`tests/cpp/mutants/mutants.py` says; a test has to fail.",
        "",
        "| what is broken | Spin model, mutant | what happened | s |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {mutant.name} | {mutant.model or '-'} | {outcome} | {seconds:.1f} |"
        for mutant, outcome, seconds in rows
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--table")
    options = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if options.only in mutant.name]
    if options.quick:
        chosen = chosen[::3]
    rows = []
    for mutant in chosen:
        outcome, seconds = try_mutant(mutant)
        rows.append((mutant, outcome, seconds))
        print(f"{mutant.name}: {outcome} ({seconds:.1f} s)", flush=True)
        if options.table:
            Path(options.table).write_text(table(rows), encoding="utf-8")
    good = sum(outcome.startswith("caught") for _, outcome, _ in rows)
    print(f"mutants: {good} passed, {len(rows) - good} failed")
    return 0 if good == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
