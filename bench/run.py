"""Measures everything, side by side, in one run: `make bench`, or `scripts/bench [OPTIONS]`.

Sets up its environments below build/bench, measures, prints the tables and writes
build/bench/results.json with plots and pages beside it; --publish writes what the repository shows
instead: docs/benchmarks, docs/SCALING.md and the table in README.md. Parts that were not measured
stay there as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(1, str(Path(__file__).parent / "report"))

import cpp_part
import django_part
import eviction_part
import homes_part
import instructions_part
import machine
import published
import python_part
import web_part
from environments import (
    BENCH,
    BUILD,
    PUBLISHED,
    ROOT,
    Interpreter,
    find_interpreters,
    prepare,
    prepare_homes,
    probe,
    report_python,
    say,
)
from published import PYTHON_PARTS
from python_part import MODULES

PARTS = (*PYTHON_PARTS, "instructions", "homes", "web", "django", "cpp", "eviction")


def listed(allowed: tuple[str, ...]) -> Any:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        wrong = [name for name in names if name not in allowed]
        if wrong:
            raise argparse.ArgumentTypeError(f"{wrong[0]!r}; allowed: {', '.join(allowed)}")
        return names

    return parse


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="few repeats of short samples: does it run at all?")
    add("--repeats", type=int, help="rounds over all caches; default 7, with --quick 1")
    add("--parts", type=listed(PARTS), default=list(PARTS), help=f"of {','.join(PARTS)}")
    add("--peers", type=listed(tuple(MODULES)), default=list(MODULES), help="caches to measure")
    add("--python", action="append", default=[], help="an interpreter; may be repeated")
    add("--here", action="store_true", help="use this interpreter as it is, install nothing")
    traces = Path(os.environ.get("ZOOCACHE_TRACES", eviction_part.DEFAULT_TRACES))
    add("--traces", type=Path, default=traces, help="folder of traces; also ZOOCACHE_TRACES")
    add("--output", type=Path, default=BUILD / "results.json", help="where the JSON goes")
    add("--publish", action="store_true", help="write docs, and README.md's table")
    given = parser.parse_args()
    if given.repeats is None:
        given.repeats = 1 if given.quick else 7
    if "lru_cache" not in given.peers:
        given.peers.append("lru_cache")
    return given


def interpreters_of(given: argparse.Namespace) -> list[Interpreter]:
    if given.here:
        about = probe(sys.executable) or {}
        pythons = dict.fromkeys((p for p in given.peers if p != PUBLISHED), sys.executable)
        return [Interpreter("here", sys.executable, str(about["version"]), about, True, pythons)]
    found = find_interpreters(given.python)
    if set(given.parts) & {*PYTHON_PARTS, "instructions"}:
        for interpreter in found:
            prepare(interpreter, given.peers)
    return found


def homes_of(given: argparse.Namespace, first: Interpreter) -> Interpreter:
    """Of the first interpreter alone: most of what is measured is a server and a network."""
    if not given.here:
        return prepare_homes(first, given.peers)
    first.pythons["zoocache-lmdb"] = first.pythons.get("zoocache", first.path)
    return first


def measured(given: argparse.Namespace) -> dict[str, Any]:
    parts = set(given.parts)
    results: dict[str, Any] = {
        "date": machine.today(),
        "quick": given.quick,
        "repeats": given.repeats,
        "machine": machine.describe(),
    }
    compiled = parts & {"cpp", "eviction"}
    why = cpp_part.build("cpp" in parts) if compiled else ""
    if why:
        raise SystemExit(why)
    if parts & {*PYTHON_PARTS, "instructions", "homes", "web", "django"}:
        found = interpreters_of(given)
        if parts & set(PYTHON_PARTS):
            results["python"] = python_part.measure(found, parts, given.repeats, given.quick)
            results["python_order"] = [interpreter.name for interpreter in found]
        if "instructions" in parts and not given.here:
            results["instructions"] = instructions_part.measure(found[0], given.quick)
        if "homes" in parts:
            first = homes_of(given, found[0])
            results["homes"] = homes_part.measure(first, given.repeats, given.quick)
        if "web" in parts:
            web = web_part.measure(found[0], given.repeats, given.quick, given.here)
            results |= {"web": web} if web else {}
        if "django" in parts and not given.here:
            results["django"] = django_part.measure(found[0], given.repeats, given.quick)
    if "cpp" in parts:
        results["cpp"] = cpp_part.measure(given.repeats, given.quick)
    if "eviction" in parts:
        results["eviction"] = eviction_part.measure(given.traces, given.quick)
    return results


def as_json(value: Any, indent: str = "") -> str:
    """Sorted, and a line for whatever holds no further object: a new run is a readable diff."""
    nested = isinstance(value, dict) and any(isinstance(one, dict) for one in value.values())
    if not nested:
        return json.dumps(value, sort_keys=True)
    deeper = indent + " "
    lines = (f"{deeper}{json.dumps(k)}: {as_json(value[k], deeper)}" for k in sorted(value))
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def report(path: Path, publish: bool) -> None:
    """With plots where matplotlib can be had; the tables need nothing."""
    command = [str(BENCH / "report" / "write.py"), str(path)]
    command += ["--root", str(ROOT)] if publish else []
    python = report_python(sys.executable)
    subprocess.run([str(python or sys.executable), *command], check=True)


def main() -> None:
    given = options()
    results = measured(given)
    path = ROOT / "docs" / "benchmarks" / "results.json" if given.publish else given.output
    path.parent.mkdir(parents=True, exist_ok=True)
    if given.publish and path.exists():
        results = published.merged(json.loads(path.read_text("utf-8")), results, given.parts)
    path.write_text(as_json(results) + "\n")
    say(f"results: {path}")
    if not given.here:
        report(path, given.publish)


if __name__ == "__main__":
    main()
