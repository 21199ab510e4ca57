"""Breaks a copy of the engine in every way of the lists and demands that a test notices.

Usage: run.py [--quick] [--only WORD] [--seconds N] [--seed N] [--table FILE] [--check]
    --quick      only the mutants that are marked as quick
    --seconds N  begins none after N seconds, and takes them in a random order
    --seed N     the random order's, printed; default: another one each time
    --only WORD  only mutants whose name contains it; may be given several times
    --table FILE writes the table as Markdown; rows of mutants that are not tried stay as they are
    --check      builds and runs nothing: says which mutants do not fit the sources

Before the first mutant of a program its tests have to pass on an unbroken copy. Exit status: 0 if
they do and every mutant tried was caught, 1 if one survived or does not fit the sources.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from counter_mutants import COUNTER_MUTANTS
from home_mutants import HOME_MUTANTS
from level_mutants import LEVEL_MUTANTS
from mutants import MUTANTS, Mutant
from redis_mutants import REDIS_MUTANTS
from server_mutants import SERVER_MUTANTS
from structure_mutants import STRUCTURE_MUTANTS

ROOT = Path(__file__).resolve().parents[3]
FLAGS = ["-std=c++20", "-O1", "-w", "-Isrc", "-Iinclude", "-Itests/cpp"]
LIBRARIES = ["-lgtest", "-lgtest_main", "-lrapidcheck", "-llmdb", "-llz4", "-lcrypto", "-lpthread"]
EVERY = [
    *(MUTANTS + STRUCTURE_MUTANTS + HOME_MUTANTS + LEVEL_MUTANTS + REDIS_MUTANTS),
    *(COUNTER_MUTANTS + SERVER_MUTANTS),
]
# Programs whose own code has to be quick. The others are mostly templates: not optimised.
BUSY = (
    *("linearizability_test", "redis_log_simulation_test", "front_async_threads_test"),
    *("lmdb_processes_test", "lmdb_level_processes_test"),
    *("core_log_test", "core_ring_test", "core_reclaim_test"),
)
PRELUDE = "#include <chrono>\n#include <thread>\n"
TRIES = 4
# As scripts/fetch_boost leaves it, or the system's.
BOOST = Path(os.environ.get("ZOOCACHE_BOOST_DIR", ROOT / "build" / "boost")) / "include"
BOOST_FLAGS = ["-DBOOST_ASIO_DISABLE_CO_AWAIT", "-DZOOCACHE_HAS_REDIS", f"-isystem{BOOST}"]
# Programs that need no Boost, and what they need of src/redis: the log, without the connection.
VIRTUAL_LOG = tuple(
    f"redis_log_{name}_test"
    for name in ("simulation", "lease", "intent_rules", "status", "version")
)
VIRTUAL_LEVEL = ("redis_level_told_test",)
REDIS_LOG = (
    *("follower", "follower_calls", "follower_holds", "follower_inspect", "follower_intents"),
    *("follower_looks", "follower_nodes", "follower_replicas", "follower_writer", "fork_guard"),
    *("inspector", "intents", "journal", "protocol"),
    *("redis_log", "script", "scripts", "server_check", "transport"),
)
# And of its values, besides the files with that in their names.
REDIS_LEVEL = ("fork_guard", "protocol", "script", "transport")


def compiler() -> list[str]:
    ccache = shutil.which("ccache")
    return ([ccache] if ccache else []) + [os.environ.get("CXX", "g++")]


class NoFitError(Exception):
    """A mutant's text is not in the sources, or more than once."""


def broken(mutant: Mutant, text: str) -> str:
    for old, new in ((mutant.old, mutant.new), *mutant.also):
        if text.count(old) != 1:
            raise NoFitError(f"its text is {text.count(old)} times in {mutant.file}")
        text = text.replace(old, new)
    return text


def apply(mutant: Mutant, copy: Path) -> str | None:
    """Breaks the copy; what is wrong with the mutant, if anything."""
    path = copy / mutant.file
    try:
        changed = broken(mutant, path.read_text(encoding="utf-8"))
    except NoFitError as error:
        return str(error)
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
    flags = FLAGS
    libraries = LIBRARIES
    if program in VIRTUAL_LEVEL:
        sources += [*copy.glob("src/codec/*.cpp"), *copy.glob("src/redis/*level*.cpp")]
        sources += [copy / "src" / "redis" / f"{name}.cpp" for name in REDIS_LEVEL]
    elif program in VIRTUAL_LOG:
        sources += [copy / "src" / "redis" / f"{name}.cpp" for name in REDIS_LOG]
    elif program.startswith("redis_"):
        sources += [*copy.glob("src/redis/*.cpp"), *copy.glob("src/codec/*.cpp")]
        sources += copy.glob("src/lmdb/*.cpp")  # pairs of both are among the tests
        flags = FLAGS + BOOST_FLAGS
        libraries = [*LIBRARIES, "-lssl"]
    sources.append(copy / "tests" / "cpp" / f"{program}.cpp")

    def compile_one(source: Path) -> subprocess.CompletedProcess[str]:
        name = source.relative_to(copy).as_posix()
        plain = ["-O0"] if source.stem == program and program not in BUSY else []
        command = [*compiler(), *flags, *plain, "-c", name, "-o", name.replace("/", "_") + ".o"]
        return subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in pool.map(compile_one, sources):
            if done.returncode != 0:
                return done.stderr[-2000:]
    link: list[str | Path] = [compiler()[-1], *copy.glob("*.o"), *libraries, "-o", copy / program]
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


Row = tuple[Mutant, str, float]


def read_table(path: Path) -> dict[str, tuple[str, float]]:
    """What a table says of each mutant, by name."""
    found: dict[str, tuple[str, float]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[3].replace(".", "").isdigit():
            found[cells[0]] = (cells[2], float(cells[3]))
    return found


def write_table(path: Path, tried: list[Row]) -> None:
    known = read_table(path)
    known.update({mutant.name: (outcome, seconds) for mutant, outcome, seconds in tried})
    rows = [(one, *known[one.name]) for one in EVERY if one.name in known]
    path.write_text(table(rows), encoding="utf-8")


def misfits() -> list[str]:
    """Which mutants no longer fit the sources, or look like another one."""
    texts: dict[str, str] = {}
    wrong = []
    for mutant in EVERY:
        if mutant.file not in texts:
            texts[mutant.file] = (ROOT / mutant.file).read_text(encoding="utf-8")
        try:
            if broken(mutant, texts[mutant.file]) == texts[mutant.file]:
                wrong.append(f"{mutant.name}: breaks nothing")
        except NoFitError as error:
            wrong.append(f"{mutant.name}: {error}")
        if not (ROOT / "tests" / "cpp" / f"{mutant.program}.cpp").exists():
            wrong.append(f"{mutant.name}: there is no {mutant.program}")
    names = [mutant.name for mutant in EVERY]
    wrong += [f"{name}: is there twice" for name in sorted(set(names)) if names.count(name) > 1]
    return wrong


def table(rows: list[Row]) -> str:
    lines = [
        "# Mutants of the engine and its homes",
        "",
        "Written by `scripts/mutants`. Each row breaks a copy of the sources on purpose, as",
        "the lists in `tests/cpp/mutants` say; a test has to fail. The seconds are those until it",
        "did, without the build. `redis server` names those that need a server to be noticed.",
        "",
        "| what is broken | Spin model, mutant | what happened | s |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {mutant.name} | {mutant.model or '-'} | {outcome} | {seconds:.1f} |"
        for mutant, outcome, seconds in rows
    ]
    return "\n".join(lines) + "\n"


def chosen_by(options: argparse.Namespace) -> list[Mutant]:
    words = options.only or [""]
    chosen = [one for one in EVERY if any(word in one.name for word in words)]
    if options.quick:
        chosen = [mutant for mutant in chosen if mutant.quick]
    if options.seconds is not None:
        seed = random.randrange(2**32) if options.seed is None else options.seed
        print(f"mutants: at most {options.seconds} seconds, --seed {seed}", flush=True)
        random.Random(seed).shuffle(chosen)
    return chosen


def try_all(chosen: list[Mutant], options: argparse.Namespace) -> tuple[list[Row], int]:
    """What became of each one that there was time for, and how many programs fail unbroken."""
    rows: list[Row] = []
    sound: dict[str, bool] = {}
    begun = time.monotonic()
    for mutant in chosen:
        if options.seconds is not None and time.monotonic() - begun > options.seconds:
            print(f"mutants: {len(chosen) - len(rows)} left to another run")
            break
        if mutant.program not in sound:
            wrong = unbroken(mutant.program)
            sound[mutant.program] = wrong is None
            if wrong:
                print(f"{mutant.program} fails on the unbroken sources: {wrong}")
        if not sound[mutant.program]:
            continue
        outcome, seconds = try_mutant(mutant)
        rows.append((mutant, outcome, seconds))
        print(f"{mutant.name}: {outcome} ({seconds:.1f} s)", flush=True)
        if options.table:
            write_table(options.table, rows)
    return rows, list(sound.values()).count(False)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.check:
        wrong = misfits()
        print("\n".join([*wrong, f"mutants: {len(EVERY)} looked at, {len(wrong)} wrong"]))
        return 1 if wrong else 0
    rows, unsound = try_all(chosen_by(options), options)
    good = sum(outcome.startswith("caught") for _, outcome, _ in rows)
    failed = len(rows) - good + unsound
    print(f"mutants: {good} passed, {failed} failed")
    return 0 if rows and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
