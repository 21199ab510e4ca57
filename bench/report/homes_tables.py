"""Tables of the homes: for the page, and for docs/SCALING.md. Made of the results and of nothing
else."""

from __future__ import annotations

from typing import Any

from figures import Results
from published import runs_of
from tables import NOTHING, QUICK, TITLES, duration, number, table, with_block

START = "<!-- scaling: made by bench/report/write.py -->"
END = "<!-- /scaling -->"
HOME_TITLES = {"memory": "none", "lmdb": "LMDB", "redis": "Redis"}
# result -> what it is
STORED = {
    "stored/zoocache": "**zoocache** (this), stored while the reader listened",
    "stored_later/zoocache": "**zoocache** (this), stored before the reader came",
    "stored_async/zoocache": "**zoocache** (this), an async function",
    "stored/zoocache-published": "zoocache (published)",
    "stored/dogpile.cache": "dogpile.cache",
    "stored/cashews": "cashews",
    "stored/aiocache": "aiocache",
}
OUTPUT_BUFFER_BYTES = 8 << 20  # client-output-buffer-limit pubsub 32mb 8mb 60
MBIT = 1e6 / 8

Line = dict[str, Any]


def us(value: float) -> str:
    return f"{number(value)} us"


def results_of(results: Results) -> Line:
    found: Line = results["homes"]["results"]
    return found


def home_table(results: Results) -> str:
    """A row for each home: a hit, an invalidation, propagation."""
    found = results_of(results)
    rows = []
    for home, title in HOME_TITLES.items():
        hit, invalidate = found.get(f"hit_{home}"), found.get(f"invalidate_{home}")
        if not hit and not invalidate:
            continue
        cells = [NOTHING] * 6
        if hit:
            cells[0] = duration(hit["ns_median"])
            cells[1] = number(hit["ratio_median"])
            cells[2] = f"{hit['more_ns_median']:+.1f} ns" if home != "memory" else NOTHING
        if invalidate:
            cells[3] = duration(invalidate["ns_median"])
        propagation = found.get(f"propagation_{home}")
        if propagation:
            cells[4] = us(propagation["us_median"])
            cells[5] = us(propagation["us_p99"])
        rows.append([title, *cells])
    young = found.get("invalidate_lmdb_young")
    if young:
        title = "LMDB, just after a process came or went"
        rows.append([title, *[NOTHING] * 3, duration(young["ns_median"]), *[NOTHING] * 2])
    head = ["home", "hit", "x `lru_cache`", "over no home", "`invalidate`"]
    return table([*head, "another process knows, median", "p99"], rows)


def beside_set(results: Results) -> str:
    found = results_of(results)
    raw, client = found.get("set_raw"), found.get("set_redis_py")
    ours, over = found.get("invalidate_redis"), found.get("invalidate_redis_over_raw")
    if not (raw and ours and over):
        return ""
    rows = [["`invalidate`, Redis", duration(ours["ns_median"]), ratio(ours), ratio(over)]]
    if client:
        rows.append(["SET by redis-py", duration(client["ns_median"]), "1", NOTHING])
    rows.append(["SET on a bare socket", duration(raw["ns_median"]), ratio(raw), "1"])
    return table(["", "time", "x redis-py", "x bare socket"], rows)


def ratio(line: Line) -> str:
    return number(line["ratio_median"]) if "ratio_median" in line else NOTHING


def stored_table(results: Results) -> str:
    """Reads of a stored value: on the server beside a GET, in a folder beside diskcache."""
    found = results_of(results)
    rows = [
        [title, duration(found[name]["ns_median"]), duration(found[name]["base_ns_median"]),
         ratio(found[name])]
        for name, title in STORED.items() if name in found
    ]  # fmt: skip
    made = table(["on a Redis server", "read", "a GET", "ratio"], rows) if rows else ""
    folder = found.get("stored/zoocache-lmdb")
    if folder:
        cells = [duration(folder["ns_median"]), duration(folder["base_ns_median"]), ratio(folder)]
        head = ["in a folder", "zoocache, LMDB", "diskcache", "ratio"]
        made += "\n" + table(head, [["a read", *cells]])
    return made


def herd_table(results: Results) -> str:
    rows = []
    for name, line in results_of(results).items():
        if name.startswith("herd/"):
            _, peer, *option = name.split("/")
            title = TITLES.get(peer, peer)
            if peer.startswith("zoocache") and peer != "zoocache-published":
                title = "**zoocache** (this), " + ("LMDB" if "lmdb" in peer else "Redis")
            how = f"`{option[0]}`" if option else "as it is"
            rows.append([title, how, line["callers"], f"{line['executions']:,}"])
    head = ["", "decorator", "50 in each of 2 processes", "executions"]
    rows.sort(key=lambda row: (int(row[3].replace(",", "")), row))
    return table(head, rows)


def homes_section(results: Results) -> str:
    """Of docs/benchmarks/README.md."""
    homes = results.get("homes")
    if not homes:
        return ""
    versions = ", ".join(f"{peer} {v}" for peer, v in homes["versions"].items())
    made = (
        f"\n## Homes\n\n{quick(results)}With {homes['interpreter']}, {homes['server']} on "
        f"loopback, {versions}. Values are strings of 100 characters. How costs grow, and what one "
        "server carries: [SCALING.md](../SCALING.md).\n\n"
    )
    made += home_table(results)
    beside = beside_set(results)
    made += f"\n**An invalidation beside a SET**\n\n{beside}" if beside else ""
    stored = stored_table(results)
    made += f"\n**Reading a stored value**\n\n{stored}" if stored else ""
    made += f"\n**One cold key, a hundred callers in two processes**\n\n{herd_table(results)}"
    absent = [f"- {what}: {why}" for what, why in homes["absent"].items()]
    return made + ("\nAbsent:\n\n" + "\n".join(absent) + "\n" if absent else "")


def quick(results: Results) -> str:
    return QUICK if runs_of(results)["homes"]["quick"] else ""


def throughput_table(results: Results) -> str:
    found: Line = results["homes"]["scaling"]["throughput"]
    rows = []
    for name, line in found.items():
        task, home, processes = name.split("/")
        who = processes.replace("x", " x ") + (" threads" if "x" in processes else "")
        share = f"{100 * line['server_share']:.0f} %" if "server_share" in line else NOTHING
        each = us(line["server_us"]) if "server_us" in line else NOTHING
        what = {"reads": "reads", "writes": "invalidations"}[task]
        rows.append([HOME_TITLES[home], what, who, f"{line['per_second']:,}", share, each])
    head = ["home", "what", "processes", "a second, of all", "server's CPU, of one core"]
    return table([*head, "for each invalidation"], rows)


def size(count: float) -> str:
    for limit, unit in ((1e3, "B"), (1e6, "kB"), (1e9, "MB")):
        if abs(count) < limit:
            return f"{number(count * 1e3 / limit)} {unit}"
    return f"{number(count / 1e9)} GB"


def tags_table(results: Results) -> str:
    rows = []
    for home, sizes in results["homes"]["scaling"]["tags"].items():
        for tags in sorted(sizes, key=int):
            line = sizes[tags]
            log = size(line["log_bytes"]) if "log_bytes" in line else NOTHING
            server = size(line["server_bytes"]) if "server_bytes" in line else NOTHING
            rows.append(
                [HOME_TITLES[home], f"{int(tags):,}", us(line["invalidate_us"]),
                 f"{number(line['join_ms'])} ms", us(line["awoken_us"]), log, server,
                 size(line["joined_bytes"]), size(line["writer_bytes"])]
            )  # fmt: skip
    head = ["home", "tags", "`invalidate`", "a fresh process hits after"]
    head += [
        "one that slept calls again",
        "log's key",
        "server, in all",
        "fresh process",
        "process that wrote them all",
    ]
    return table(head, rows)


def costs_table(results: Results) -> str:
    scaling = results["homes"]["scaling"]
    costs = scaling["fanout"]["costs"]
    by = scaling["listeners"]
    most = max(by, key=int)
    beat = scaling["heartbeat"]
    rows = [
        ["a heartbeat", us(beat["us"]), us(costs["heartbeat_us"]), size(beat["reply_bytes"])],
        ["an invalidation, no other process listening", us(by["0"]["us"]),
         us(costs["invalidation_us"]), size(by["0"]["bytes"])],
        [f"the same, {int(most):,} connections listening", us(by[most]["us"]), NOTHING,
         size(by[most]["bytes"])],
        ["each connection that listens", us(costs["push_us"]), us(costs["push_us"]),
         size(costs["push_bytes"])],
    ]  # fmt: skip
    head = ["the server's part of", "CPU, one after the other", "CPU, when it is busy"]
    return table([*head, "bytes sent"], rows)


def told_table(results: Results) -> str:
    """What the arithmetic says of one invalidation, and what was seen."""
    scaling = results["homes"]["scaling"]
    costs = scaling["fanout"]["costs"]
    rows = []
    for count, line in sorted(scaling["listeners"].items(), key=lambda one: int(one[0])):
        if "last_told_us" in line:
            said_us = costs["invalidation_us"] + int(count) * costs["push_us"]
            rows.append([f"{int(count):,}", us(line["last_told_us"]), us(said_us)])
    return table(["listening", "the last one has read of it after", "by these costs"], rows)


def capacity_table(results: Results) -> str:
    """Arithmetic: what processes of the default lease cost one core of the server."""
    costs = results["homes"]["scaling"]["fanout"]["costs"]
    rows = []
    for processes in (10, 100, 1_000, 10_000):
        beats = processes / (costs["lease_s"] / 3)
        beats_share = beats * costs["heartbeat_us"] / 1e6
        each_us = costs["invalidation_us"] + processes * costs["push_us"]
        pushed = processes * costs["push_bytes"]
        left = max(0.0, 1 - beats_share) * 1e6 / each_us
        rows.append(
            [f"{processes:,}", f"{beats:,.0f}", f"{100 * beats_share:.1f} %",
             duration(each_us * 1e3), size(pushed), f"{left:,.0f}",
             f"{left * pushed / MBIT:,.0f} Mbit/s"]
        )  # fmt: skip
    head = ["processes", "heartbeats a second", "of one core", "an invalidation takes"]
    head += ["and sends", "invalidations a second that are left", "which send"]
    return table(head, rows)


def simulation_table(results: Results) -> str:
    rows = []
    for run in results["homes"]["scaling"]["fanout"]["runs"]:
        cells = [f"{run['processes']:,}", f"{run['rate']:,}", f"{100 * run['busy']:.1f} %"]
        if "push_us_median" in run:
            kinds = [(what, share) for what in ("push", "heartbeat") for share in ("median", "p99")]
            cells += [duration(1e3 * run[f"{what}_us_{share}"]) for what, share in kinds]
        else:
            cells += ["too much", *[NOTHING] * 3]
        rows.append(cells)
    head = ["processes", "invalidations a second", "server busy", "last one is told, median", "p99"]
    return table([*head, "heartbeat answered, median", "p99"], rows)


def buffer_text(results: Results) -> str:
    each = results["homes"]["scaling"]["fanout"]["costs"]["push_bytes"]
    messages = OUTPUT_BUFFER_BYTES / each if each else 0
    return (
        f"A process that reads nothing for a minute is disconnected once {messages:,.0f} messages "
        f"of {each:,.0f} bytes wait for it (8 MiB, the default of `client-output-buffer-limit "
        "pubsub`).\n"
    )


def scaling_block(results: Results) -> str:
    homes = results.get("homes")
    if not homes:
        return f"{START}\nNothing was measured yet.\n{END}"
    run = runs_of(results)["homes"]
    machine = run["machine"]
    made = (
        f"{START}\n{quick(results)}Measured {run['date'][:10]} on {machine['cpu']}, "
        f"{machine['cores']} cores, with {homes['server']} on loopback and CPython "
        f"{homes['version']} ({homes['interpreter']}); load before the run "
        f"{machine['load_before']}.\n"
    )
    scaling = homes["scaling"]
    made += f"\n### Processes\n\n{throughput_table(results)}"
    made += f"\n### Tags in the log\n\n{tags_table(results)}"
    if "fanout" in scaling:
        made += f"\n### What one server carries\n\n{costs_table(results)}"
        made += f"\n{told_table(results)}"
        made += (
            "\nThe arithmetic of it, with a lease of "
            f"{scaling['fanout']['costs']['lease_s']:g} s:\n\n{capacity_table(results)}"
        )
        made += f"\n{buffer_text(results)}"
        made += f"\n### Simulated\n\n{simulation_table(results)}"
    return made + END


def with_scaling_block(text: str, results: Results) -> str:
    return with_block(text, "docs/SCALING.md", scaling_block(results), (START, END))
