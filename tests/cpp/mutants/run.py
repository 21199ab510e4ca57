"""Breaks a copy of the engine in every way of the lists and demands that a test notices.

Usage: run.py [--quick] [--only WORD] [--table FILE]
    --quick      only the mutants that are marked as quick
    --only WORD  only mutants whose name contains it
    --table FILE writes the table as Markdown

First the same tests have to pass on an unbroken copy. Exit status: 0 if they do and every mutant
was caught, 1 if one survived or does not fit the sources.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from home_mutants import HOME_MUTANTS
from level_mutants import LEVEL_MUTANTS
from mutants import MUTANTS, Mutant
from redis_mutants import REDIS_MUTANTS
from structure_mutants import STRUCTURE_MUTANTS

ROOT = Path(__file__).resolve().parents[3]
FLAGS = ["-std=c++20", "-O1", "-w", "-Isrc", "-Iinclude", "-Itests/cpp"]
LIBRARIES = ["-lgtest", "-lgtest_main", "-lrapidcheck", "-llmdb", "-llz4", "-lcrypto", "-lpthread"]
PRELUDE = "#include <chrono>\n#include <thread>\n"
TRIES = 4
# What of src/redis needs no Boost: the log, without the connection.
REDIS_LOG = (
    *("follower", "follower_calls", "follower_holds", "follower_intents", "follower_nodes"),
    *("follower_replicas", "follower_writer", "fork_guard", "intents", "journal", "protocol"),
    *("redis_log", "script", "scripts", "server_check", "transport"),
)


def compiler() -> list[str]:
    ccache = shutil.which("ccache")
    return ([ccache] if ccache else []) + [os.environ.get("CXX", "g++")]


def apply(mutant: Mutant, copy: Path) -> str | None:
    """Breaks the copy; what is wrong with the mutant, if anything."""
    path = copy / mutant.file
    text = path.read_text(encoding="utf-8")
    changed = text
    for old, new in ((mutant.old, mutant.new), *mutant.also):
        if changed.count(old) != 1:
            return f"its text is {changed.count(old)} times in {mutant.file}"
        changed = changed.replace(old, new)
    if changed.startswith("//") and "#pragma once" in changed:
        changed = changed.replace("#pragma once\n", "#pragma once\n" + PRELUDE, 1)
    else:
        changed = PRELUDE + changed
    path.write_text(changed, encoding="utf-8")
    return None


def build(copy: Path, program: str) -> str | None:
    """Compiles what the program needs and links it; the compiler's words if that fails."""
    sources = list(copy.glob("src/core/*.cpp"))
    if not program.startswith("core_"):
        sources += copy.glob("src/cpp/*.cpp")
    if program.startswith(("home_", "level_", "lmdb_")):
        sources += [*copy.glob("src/lmdb/*.cpp"), *copy.glob("src/codec/*.cpp")]
    if program.startswith("redis_log_"):
        sources += [copy / "src" / "redis" / f"{name}.cpp" for name in REDIS_LOG]
    sources.append(copy / "tests" / "cpp" / f"{program}.cpp")

    def compile_one(source: Path) -> subprocess.CompletedProcess[str]:
        name = source.relative_to(copy).as_posix()
        command = [*compiler(), *FLAGS, "-c", name, "-o", name.replace("/", "_") + ".o"]
        return subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in pool.map(compile_one, sources):
            if done.returncode != 0:
                return done.stderr[-2000:]
    link: list[str | Path] = [compiler()[-1], *copy.glob("*.o"), *LIBRARIES, "-o", copy / program]
    done = subprocess.run(link, cwd=copy, capture_output=True, text=True, check=False)
    return done.stderr[-2000:] if done.returncode != 0 else None


def caught_by(copy: Path, mutant: Mutant) -> str | None:
    """The test that failed; None if none did in TRIES runs, each longer than the one before."""
    limit_s = 30 if mutant.program.startswith("core_") else 100
    for attempt in range(TRIES):
        span_ms = 400 * 2**attempt
        command: list[str | Path] = [
            copy / mutant.program,
            f"--gtest_filter={mutant.tests}",
            "--gtest_fail_fast",
        ]
        environment = {
            **os.environ,
            "ZOOCACHE_LINEARIZABILITY_MS": str(span_ms),
            "ZOOCACHE_KILL_MS": str(span_ms),
        }
        try:
            done = subprocess.run(
                command,
                env=environment,
                capture_output=True,
                text=True,
                timeout=limit_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "a hang"
        if done.returncode != 0:
            failed = names(done.stdout, "[  FAILED  ]")
            return failed[0] if failed else f"a crash in {names(done.stdout, '[ RUN      ]')[-1]}"
    return None


def names(output: str, mark: str) -> list[str]:
    """The tests that GoogleTest names behind `mark`."""
    lines = [line.removeprefix(mark) for line in output.splitlines() if line.startswith(mark)]
    return [line.split()[0].rstrip(",") for line in lines if "." in line]


def copy_sources(copy: Path) -> None:
    parts = ("src/core", "src/cpp", "src/lmdb", "src/codec", "src/redis", "include", "tests/cpp")
    for part in parts:
        shutil.copytree(ROOT / part, copy / part)


def unbroken(program: str) -> str | None:
    """What fails without any mutant."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        copy_sources(copy)
        wrong = build(copy, program)
        if wrong:
            return wrong
        done = subprocess.run(
            [copy / program, "--gtest_brief=1"], capture_output=True, text=True, check=False
        )
        return done.stdout[-2000:] if done.returncode != 0 else None


def try_mutant(mutant: Mutant) -> tuple[str, float]:
    """What became of it, and the seconds of running tests."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        copy_sources(copy)
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
        "the lists in `tests/cpp/mutants` say; a test has to fail. The seconds are those until it",
        "did, without the build.",
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
    every = MUTANTS + STRUCTURE_MUTANTS + HOME_MUTANTS + LEVEL_MUTANTS + REDIS_MUTANTS
    chosen = [one for one in every if options.only in one.name]
    if options.quick:
        chosen = [mutant for mutant in chosen if mutant.quick]
    for program in sorted({mutant.program for mutant in chosen}):
        wrong = unbroken(program)
        if wrong:
            print(f"{program} fails on the unbroken sources: {wrong}")
            print(f"mutants: 0 passed, {len(chosen)} failed")
            return 1
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
