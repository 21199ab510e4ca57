"""What one server carries, and how costs grow: with processes, tags in the log and listeners.

A server's costs are its own CPU time (INFO) by the number of what it did, so that they say what a
machine carries that has cores enough for its clients; throughputs are what this machine does with
clients and server together.
"""

from __future__ import annotations

from typing import Any

import fanout
from environments import say
from homes_bench import Bench, percentile
from server import Monitor, Use, repeat

Line = dict[str, Any]

PROCESSES = (1, 2, 4)
MANY_THREADS = 8
LISTENERS = (0, 10, 100, 1_000)
CHANNEL = "{zoocache}:log:0"
LOG_KEY = "{grow}:log"
BEATING_CACHES = 100
BEATS_S = 0.1  # every third of the shortest lease


def seconds_of(bench: Bench) -> float:
    return 0.4 if bench.quick else 3.0


def throughput(bench: Bench, home: str, task: str, processes: int, threads: int = 1) -> Line:
    """Of all processes together, and the share of one core that the server took."""
    bench.forget()
    options = ["--home", home, "--count", str(threads)]
    folder = home == "lmdb" and not bench.quick
    with bench.together([("zoocache", task, options)] * processes, folder) as workers:
        use = Use(bench.server) if home == "redis" and bench.server else None
        for worker in workers:
            worker.tell(seconds_of(bench))
        found = [worker.line()["results"] for worker in workers]
        made: Line = {"per_second": round(sum(one["per_second"] for one in found))}
        if "hit_share" in found[0]:
            made["hit_share"] = round(min(one["hit_share"] for one in found), 4)
        if use:
            cpu_s, _, _ = use.so_far()
            made["server_share"] = round(cpu_s / seconds_of(bench), 3)
            if "count" in found[0]:
                made["server_us"] = round(1e6 * cpu_s / sum(one["count"] for one in found), 2)
        return made


def measure_throughput(bench: Bench) -> dict[str, Line]:
    made = {}
    for home in bench.homes():
        for task in ("reads", "writes"):
            for processes in PROCESSES:
                name = f"{task}/{home}/{processes}"
                with bench.finding(name):
                    made[name] = throughput(bench, home, task, processes)
    if bench.server:
        name = f"writes/redis/{PROCESSES[-1]}x{MANY_THREADS}"
        with bench.finding(name):
            made[name] = throughput(bench, "redis", "writes", PROCESSES[-1], MANY_THREADS)
    return made


def log_sizes(bench: Bench) -> tuple[int, ...]:
    return (10**3, 10**4) if bench.quick else (10**3, 10**4, 10**5, 10**6)


def measure_tags(bench: Bench, home: str) -> dict[str, Line]:
    """By tags in the log: an invalidation, a fresh process, memory of server and client."""
    bench.forget()
    made: dict[str, Line] = {}
    empty = int(bench.server.info()["used_memory"]) if bench.server else 0
    both = [("zoocache", task, ["--home", home]) for task in ("grow", "doze")]
    with bench.together(both) as (worker, dozing):
        for size in log_sizes(bench):
            worker.tell(size)
            found = worker.line()
            dozing.tell(1)
            awoken = dozing.line()
            joined = [bench.run("zoocache", "join", "--home", home) for _ in range(3)]
            line = {
                "invalidate_us": round(percentile(found["ns"], 0.5) / 1e3, 2),
                "awoken_us": round(awoken["us"], 1),
                "join_ms": round(percentile([one["ms"] for one in joined], 0.5), 2),
                "joined_bytes": round(percentile([one["bytes"] for one in joined], 0.5)),
                "writer_bytes": found["bytes"],
            }
            if home == "redis" and bench.server:
                line["server_bytes"] = int(bench.server.info()["used_memory"]) - empty
                line["log_bytes"] = bench.server.number("MEMORY", "USAGE", LOG_KEY, "SAMPLES", "0")
            made[str(size)] = line
        worker.tell(0)
        dozing.tell(0)
    return made


def measure_heartbeats(bench: Bench) -> Line:
    """The server's CPU for one heartbeat: of caches that do nothing else."""
    assert bench.server is not None
    bench.forget()
    seconds = 2 * seconds_of(bench)
    count = str(BEATING_CACHES)
    with bench.together([("zoocache", "beats", ["--count", count])]) as (worker,):
        monitor = Monitor(bench.server)
        command = monitor.script("-")  # its beat, below 0
        monitor.close()
        use = Use(bench.server)
        worker.tell(seconds)
        worker.line()
        cpu_s, scripts, sent = use.so_far()
    return {
        "us": round(1e6 * cpu_s / scripts, 2), "per_second": round(scripts / seconds),
        "reply_bytes": round(sent / scripts, 1), "busy_us": busy_us(bench, command),
    }  # fmt: skip


def busy_us(bench: Bench, command: list[str]) -> float:
    """The server's CPU for a command of a process when it has always more of them to do."""
    assert bench.server is not None
    use = Use(bench.server)
    repeat(bench.server, command, 2_000 if bench.quick else 20_000)
    cpu_s, scripts, _ = use.so_far()
    return round(1e6 * cpu_s / scripts, 2)


def an_invalidation(bench: Bench) -> list[str]:
    """One, as the server hears it."""
    assert bench.server is not None
    bench.forget()
    with bench.together([("zoocache", "writes", ["--count", "1"])]) as (worker,):
        monitor = Monitor(bench.server)
        worker.tell(0.1)
        command = monitor.script("item:")
        monitor.close()
        worker.line()
    return command


def measure_listeners(bench: Bench, command: list[str]) -> Line:
    """By connections that listen: the server's CPU and bytes for one invalidation, and the time
    until the last of them has read of one."""
    assert bench.server is not None
    made: Line = {}
    for count in LISTENERS:
        bench.forget()
        with fanout.listeners(bench.server.port, CHANNEL, count) as listening:
            told_us = listening.rounds(command, 20 if bench.quick else 200)
            with (
                listening.reading(),
                bench.together([("zoocache", "writes", ["--count", "1"])]) as (worker,),
            ):
                use = Use(bench.server)
                worker.tell(seconds_of(bench))
                done = worker.line()["results"]["count"]
                cpu_s, _, sent = use.so_far()
        made[str(count)] = {
            "invalidations": done, "us": round(1e6 * cpu_s / done, 2),
            "bytes": round(sent / done, 1),
        }  # fmt: skip
        if count:
            made[str(count)]["last_told_us"] = round(percentile(told_us, 0.5), 1)
    return made


def simulated(heartbeat: Line, invalidation_us: float, by_listeners: Line) -> Line:
    """The costs that come of the measurements, and the simulation with them."""
    points = [(float(count), one["us"]) for count, one in by_listeners.items()]
    sizes = [(float(count), one["bytes"]) for count, one in by_listeners.items()]
    push_us, push_bytes = fanout.slope(points), fanout.slope(sizes)
    costs = fanout.Costs(heartbeat["busy_us"], invalidation_us, push_us)
    return {
        "costs": {
            "heartbeat_us": round(costs.heartbeat_us, 2), "push_us": round(push_us, 3),
            "invalidation_us": round(costs.invalidation_us, 2),
            "push_bytes": round(push_bytes, 1), "lease_s": fanout.LEASE_S,
        },
        "runs": fanout.simulate_all(costs),
    }  # fmt: skip


def measure(bench: Bench) -> Line:
    say("homes: throughput of 1, 2 and 4 processes")
    made: Line = {"throughput": measure_throughput(bench)}
    made["tags"] = {}
    for home in bench.homes():
        say(f"homes: tags in the log, {home}")
        with bench.finding(f"tags, {home}"):
            made["tags"][home] = measure_tags(bench, home)
    if bench.server:
        say("homes: heartbeats and listeners")
        with bench.finding("heartbeats and listeners"):
            made["heartbeat"] = measure_heartbeats(bench)
            command = an_invalidation(bench)
            alone_us = busy_us(bench, command)
            made["listeners"] = measure_listeners(bench, command)
            made["fanout"] = simulated(made["heartbeat"], alone_us, made["listeners"])
    return made
