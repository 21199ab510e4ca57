"""Builds and runs the C++ benchmarks, repetitions interleaved, and adds up what they print."""

from __future__ import annotations

import json
import statistics
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

from environments import ROOT, run, run_each, say

PROGRAMS = ("hit_bench", "insert_bench", "invalidate_bench")
FOLDER = ROOT / "build" / "release" / "bench"


def boost_headers() -> Path | None:
    """Boost's headers: the distribution's may be too old. None if there are none."""
    done = run([str(ROOT / "scripts" / "fetch_boost")])
    if done.returncode:
        say(f"no boost::concurrent_flat_map: {done.stderr.strip()[-200:]}")
        return None
    return Path(done.stdout.strip())


def build(beside_others: bool) -> str:
    """Returns why it could not be built, empty if it could."""
    configure = ["cmake", "--preset", "release", "-DZOOCACHE_EXAMPLES=OFF"]
    boost = boost_headers() if beside_others else None
    if boost:
        configure.append(f"-DZOOCACHE_BENCH_BOOST={boost}")
    say("building the C++ benchmarks")
    return run_each([configure, ["cmake", "--build", "--preset", "release"]])


def run_program(name: str, repeats: int, quick: bool) -> list[dict[str, Any]]:
    say(f"{name}, {repeats} repetitions")
    command = [str(FOLDER / name), "--benchmark_format=json", f"--benchmark_repetitions={repeats}"]
    command += [f"--benchmark_min_time={0.002 if quick else 0.1}"]
    command += ["--benchmark_enable_random_interleaving=true"]
    # An iteration of these is a whole fill of a store; the largest take seconds.
    command += ["--benchmark_filter=-/1000+0$"] if quick and name == "invalidate_bench" else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr.strip()[-500:]}")
    found: list[dict[str, Any]] = json.loads(done.stdout)["benchmarks"]
    return [one for one in found if one["run_type"] == "iteration"]


NS_IN = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}


def add_up(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """name -> nanoseconds of one thread for one operation, and operations a second of all."""
    raw: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for one in runs:
        name = one["run_name"].replace("/real_time", "").replace("/manual_time", "")
        rate = one.get("items_per_second")
        threads = threads_of(name)
        ns = threads * 1e9 / rate if rate else one["real_time"] * NS_IN[one["time_unit"]]
        raw[name.replace("/iterations:1", "")].append((ns, rate or 1e9 / ns))
    return {
        name: {
            "ns_min": round(min(ns for ns, _ in found), 2),
            "ns_median": round(statistics.median(ns for ns, _ in found), 2),
            "per_second_median": round(statistics.median(rate for _, rate in found)),
            "samples": len(found),
        }
        for name, found in raw.items()
    }


def threads_of(name: str) -> int:
    if name.startswith("insert/"):
        return int(name.rpartition("/")[2])
    return int(name.rpartition("threads:")[2]) if "threads:" in name else 1


def measure(repeats: int, quick: bool) -> dict[str, Any]:
    runs = [one for name in PROGRAMS for one in run_program(name, repeats, quick)]
    return add_up(runs)
