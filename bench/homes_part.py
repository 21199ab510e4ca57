"""The homes: what invalidations, stored values and hits cost where processes share them.

A server of its own and a folder of its own for everything; processes of measure/homes_worker.py do
the work, several at once where that is what is measured. How one server's costs grow with what it
carries is in scaling_part.py.
"""

from __future__ import annotations

import statistics
from typing import Any

import scaling_part
from environments import Interpreter, say
from homes_bench import PEERS, Bench, Line, opened, percentile

HERD_PROCESSES, HERD_CALLERS = 2, 50


def measure_alone(bench: Bench) -> None:
    """Hits and invalidations of our homes; stored values of every cache."""
    for task in ("hits", "invalidations"):
        bench.forget()
        with bench.finding(task):
            for name, result in bench.run("zoocache", task).items():
                bench.add(name, result)
    for peer in PEERS:
        if peer == "diskcache" or not bench.can(peer):
            continue  # diskcache is what the folder is compared with
        bench.forget()
        with bench.finding(f"stored values, {peer}"):
            for name, result in bench.run(peer, "stored").items():
                bench.add(f"{name}/{peer}", result)


def propagate(bench: Bench, home: str, seed: int) -> Line:
    """One process invalidates, another one calls without a pause."""
    bench.forget()
    bench.board.write_bytes(bytes(64))
    rounds = str(100 if bench.quick else 2000)
    tell_options = ["--home", home, "--count", rounds, "--key", str(seed)]
    pair = [("zoocache", "watch", ["--home", home]), ("zoocache", "tell", tell_options)]
    with bench.together(pair, home == "lmdb") as (watcher, teller):
        watcher.tell(0)
        teller.tell(0)
        try:
            found: Line = teller.line()["results"]
        finally:
            bench.board.open("r+b").write(b"\1" * 64)  # whatever came of it, the watcher ends
        return found


def measure_propagation(bench: Bench, repeats: int) -> dict[str, Line]:
    made = {}
    for home in bench.homes():
        seen: list[float] = []
        returned: list[float] = []
        with bench.finding(f"propagation, {home}"):
            for turn in range(min(repeats, 3)):
                found = propagate(bench, home, turn)
                seen += found["seen_us"]
                returned += found["returned_us"]
            made[f"propagation_{home}"] = {
                "us_median": round(statistics.median(seen), 1),
                "us_p99": round(percentile(seen, 0.99), 1),
                "us_max": round(max(seen), 1),
                "returned_us_median": round(statistics.median(returned), 1),
                "samples": len(seen),
            }
    return made


def herd(bench: Bench, peer: str, key: int, guarded: bool) -> Line:
    """Executions of two processes with fifty callers each of one cold key."""
    bench.forget()
    options = ["--count", str(HERD_CALLERS), "--key", str(key)]
    options += ["--guarded"] if guarded else []
    with bench.together([(peer, "herd", options)] * HERD_PROCESSES) as workers:
        for worker in workers:
            worker.tell(0)
        lines = [worker.line() for worker in workers]
    bench.versions[peer] = lines[0]["version"]
    found = [line["results"] for line in lines]
    return {"executions": sum(one["loads"] for one in found), "callers": found[0]["kind"]}


# What is given besides the ordinary decorator: an option that is not the default.
GUARDED = {
    "cashews": "lock=True", "aiocache": "cached_stampede(lease=2)",
    "dogpile.cache": "distributed_lock=True", "diskcache": "barrier",
}  # fmt: skip


def measure_herds(bench: Bench, repeats: int) -> dict[str, Line]:
    made: dict[str, Line] = {}
    for peer in PEERS:
        if not bench.can(peer):
            continue
        for guarded in (False, True) if peer in GUARDED else (False,):
            name = f"herd/{peer}" + (f"/{GUARDED[peer]}" if guarded else "")
            with bench.finding(name):
                found = [herd(bench, peer, 7 + n, guarded) for n in range(min(repeats, 3))]
                most = max(one["executions"] for one in found)
                made[name] = {"executions": most, "callers": found[0]["callers"]}
    return made


def measure(interpreter: Interpreter, repeats: int, quick: bool) -> dict[str, Any]:
    with opened(interpreter, quick) as bench:
        about = bench.server.info()["redis_version"] if bench.server else ""
        for turn in range(repeats):
            say(f"homes: hits, invalidations, stored values, repeat {turn + 1} of {repeats}")
            measure_alone(bench)
        say("homes: propagation")
        several = measure_propagation(bench, repeats)
        say("homes: one cold key, many callers in two processes")
        several.update(measure_herds(bench, repeats))
        scaling = scaling_part.measure(bench)
        return {
            "interpreter": interpreter.name,
            "version": interpreter.about["version"],
            "compiler": interpreter.about["compiler"],
            "server": f"Redis {about}" if about else "no Redis server",
            "versions": {k: v for k, v in bench.versions.items() if k != "zoocache-lmdb"},
            "results": {**bench.results(), **several},
            "scaling": scaling,
            "absent": bench.absent,
        }
