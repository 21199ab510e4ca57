"""Tables in Markdown, made of the results and of nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from figures import Figure, Results, interpreters, python_figure, standings
from published import runs_of

START = "<!-- benchmarks: made by bench/report/write.py -->"
END = "<!-- /benchmarks -->"
NOTHING = "–"
QUICK = "**From a quick run, which shows that everything runs: the figures mean little.**\n\n"

# In the order of the tables.
PEERS = (
    *("zoocache", "zoocache-published", "lru_cache", "cachebox", "cachetools", "moka-py", "theine"),
    *("async-lru", "aiocache", "cashews", "dogpile.cache", "diskcache"),
)
TITLES = {"zoocache": "**zoocache** (this)", "zoocache-published": "zoocache (published)"}


def number(value: float) -> str:
    """Counts as they are, measured values with three digits."""
    if isinstance(value, int):
        return f"{value:,}"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def duration(ns: float) -> str:
    for limit, unit in ((1e3, "ns"), (1e6, "us"), (1e9, "ms")):
        if abs(ns) < limit:
            return f"{number(ns * 1e3 / limit)} {unit}"
    return f"{number(ns / 1e9)} s"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


@dataclass(frozen=True)
class Column:
    title: str
    scenario: str
    value: str
    show: Callable[[float], str]


def whole(value: float) -> str:
    return f"{value:,.0f}"


def milliseconds(value: float) -> str:
    return f"{max(value, 0):.0f} ms"


README_COLUMNS = (
    Column("hit", "hit_int", "ratio", number),
    Column("keyword", "hit_keyword", "ratio", number),
    Column("100k keys", "hit_random", "ratio", number),
    Column("async hit", "hit_async", "ratio", number),
    Column("miss", "miss", "ratio", number),
    Column("bytes", "bytes_no_tag", "bytes", whole),
    Column("herd", "herd", "executions_threads", whole),
    Column("kill 10^4", "invalidate_10000", "first_ns", duration),
)

PAGE_COLUMNS = (
    ("Hits, x `lru_cache(None)`", (
        Column("int", "hit_int", "ratio", number),
        Column("str", "hit_str", "ratio", number),
        Column("2 arguments", "hit_two_args", "ratio", number),
        Column("keyword", "hit_keyword", "ratio", number),
        Column("method", "hit_method", "ratio", number),
        Column("100,000 keys", "hit_random", "ratio", number),
        Column("same, key objects reused", "hit_random_same_objects", "ratio", number),
        Column("2 threads", "hit_two_threads", "ratio", number),
        Column("int, time", "hit_int", "ns", duration),
    )),
    ("Hits with dependencies, x `lru_cache(None)`", (
        Column("1", "hit_1_dep", "ratio", number),
        Column("10", "hit_10_deps", "ratio", number),
        Column("10,000", "hit_10k_deps", "ratio", number),
        Column("1, clock moved", "hit_moved_1_dep", "ratio", number),
        Column("10, clock moved", "hit_moved_10_deps", "ratio", number),
        Column("10,000, clock moved", "hit_moved_10k_deps", "ratio", number),
    )),
    ("Misses and async", (
        Column("miss + store, x `lru_cache(2**20)`", "miss", "ratio", number),
        Column("time", "miss", "ns", duration),
        Column("with a new tag", "miss_own_tag", "ns", duration),
        Column("async hit, x bare `await`", "hit_async", "ratio", number),
        Column("time", "hit_async", "ns", duration),
        Column("async miss", "miss_async", "ns", duration),
    )),
    ("The call that kills all entries below a parent", tuple(
        Column(f"10^{power}", f"invalidate_{10**power}", "first_ns", duration)
        for power in (3, 4, 5, 6)
    )),
    ("Memory, herds, import", (
        Column("bytes an entry", "bytes_no_tag", "bytes", whole),
        Column("one shared tag", "bytes_shared_tag", "bytes", whole),
        Column("a tag of its own", "bytes_own_tag", "bytes", whole),
        Column("executions, 100 threads", "herd", "executions_threads", whole),
        Column("executions, 100 tasks", "herd", "executions_tasks", whole),
        Column("import", "import", "ms", milliseconds),
    )),
)  # fmt: skip


def peer_cell(results: Results, interpreter: str, peer: str, column: Column) -> str:
    figure = python_figure(results, interpreter, peer, column.scenario, column.value)
    return column.show(figure.median) if figure else NOTHING


def peer_rows(results: Results, interpreter: str, columns: tuple[Column, ...]) -> list[list[str]]:
    """A row for each cache that has a figure, and for each that is absent."""
    there = results["python"][interpreter]
    rows = []
    for peer in PEERS:
        title = TITLES.get(peer, peer)
        if peer in there["absent"]:
            rows.append([title, "absent", *[NOTHING] * (len(columns) - 1)])
        elif peer in there["peers"]:
            cells = [peer_cell(results, interpreter, peer, column) for column in columns]
            if any(cell != NOTHING for cell in cells):
                rows.append([title, *cells])
    return rows


def peer_table(results: Results, interpreter: str, columns: tuple[Column, ...]) -> str:
    rows = peer_rows(results, interpreter, columns)
    return table(["", *(column.title for column in columns)], rows) if rows else ""


def main_interpreter(results: Results) -> str:
    return interpreters(results)[0]


def quick_text(results: Results) -> str:
    return QUICK if results.get("quick") else ""


def readme_block(results: Results) -> str:
    """What stands between START and END in README.md, both included."""
    interpreter = main_interpreter(results)
    version = results["python"][interpreter]["version"]
    run = runs_of(results)["calls"]
    machine = run["machine"]
    text = (
        f"Measured {run['date'][:10]} with CPython {version} ({interpreter}) on "
        f"{machine['cpu']}, {machine['cores']} cores. Times are multiples: of a hit of "
        "`functools.lru_cache(None)`, of a bare `await` (async hit), of `lru_cache(2**20)` (miss). "
        "Bytes are per entry, herd is how often a function runs that 100 threads call at once, "
        "the last column is the time to kill 10,000 entries by a tag.\n"
    )
    found = peer_table(results, interpreter, README_COLUMNS)
    return f"{START}\n{quick_text(run)}{text}\n{found}{END}"


def with_block(document: str, name: str, block: str, ends: tuple[str, str]) -> str:
    """The document with another block in place of what stands between two marks."""
    start, end = ends
    before, found, rest = document.partition(start)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise SystemExit(f"{name} lacks {start} or {end}")
    return before + block + after


def with_readme_block(readme: str, results: Results) -> str:
    return with_block(readme, "README.md", readme_block(results), (START, END))


def reached_text(figure: Figure | None) -> str:
    if figure is None:
        return NOTHING
    best = f" ({number(figure.best)})" if figure.best is not None else ""
    return number(figure.median) + best


def targets_table(results: Results) -> str:
    places = interpreters(results)
    rows = []
    for standing in standings(results):
        sign = "<=" if standing.at_most else ">="
        limits = list(dict.fromkeys(standing.limits.values()))
        target = " / ".join(f"{limit:g}" for limit in limits)
        cells = [reached_text(standing.reached.get(place)) for place in places]
        if "" in standing.reached:  # no Python in it: said once
            cells = [reached_text(standing.reached[""]), *[""] * (len(places) - 1)]
        met = [
            "yes" if standing.is_met(place) else "no"
            for place in (*places, "") if place in standing.reached
        ]  # fmt: skip
        said = " / ".join(met) if len(set(met)) > 1 else (met or [NOTHING])[0]
        what = f"{standing.what}, {standing.unit}"
        rows.append([what, f"{sign} {target}", *cells, said, standing.bound])
    return table(["what", "target", *places, "met", "what bounds it"], rows)


def cpp_tables(results: Results) -> str:
    """Rows are maps, columns what is done; nanoseconds of one thread for one operation."""
    found = results.get("cpp")
    if not found:
        return ""
    maps, columns = [], []
    cells: dict[tuple[str, str], Any] = {}
    for name, one in found.items():
        if not name.startswith(("hit/", "insert/", "invalidate/first/")):
            continue
        head, map_name, tail = split_cpp_name(name)
        maps += [map_name] if map_name not in maps else []
        columns += [(head, tail)] if (head, tail) not in columns else []
        cells[map_name, f"{head} {tail}"] = duration(one["ns_median"])
    maps.sort(key=lambda name: (name != "zoocache", name))
    order = {"hit/visit": 0, "hit/get": 1, "insert": 2, "invalidate/first": 3}
    made = ""
    for kind in order:
        mine = sorted(column for column in columns if column[0].startswith(kind))
        titles = [f"{head.removeprefix(kind).strip('/')} {tail}".strip() for head, tail in mine]
        rows = [
            [name, *(cells.get((name, f"{head} {tail}"), NOTHING) for head, tail in mine)]
            for name in maps
            if any((name, f"{head} {tail}") in cells for head, tail in mine)
        ]
        if mine:
            made += f"\n**{kind.replace('/', ', ')}**\n\n" + table(["", *titles], rows)
    return made


def split_cpp_name(name: str) -> tuple[str, str, str]:
    """hit/visit/zipf/MAP/100000/threads:2 -> (hit/visit/zipf, MAP, '2 threads')."""
    parts = name.split("/")
    at = {"hit": 3, "insert": 1, "invalidate": 2}[parts[0]]
    head, map_name, rest = "/".join(parts[:at]), parts[at], parts[at + 1 :]
    if parts[0] == "hit":
        threads = rest[1].removeprefix("threads:")
    elif parts[0] == "insert":
        threads = rest[1]
    else:
        return head, map_name, f"10^{len(rest[0]) - 1}"
    return head, map_name, f"{threads} thread{'s' if threads != '1' else ''}"
