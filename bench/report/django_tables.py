"""The section on Django's queries with and without a cache."""

from __future__ import annotations

from typing import Any

from tables import NOTHING, number, table

TITLES = {
    "plain": "Django {}, no cache",
    "zoocache": "**zoocache** (this), in one process",
    "zoocache-redis": "**zoocache** (this), invalidations over Redis",
    "cacheops": "django-cacheops {}",
}
WORKLOADS = {
    "instances": "Instances saved, created, deleted and tagged one at a time, as signals tell.",
    "everything": "As above, and `update()`, `bulk_create`, `bulk_update` and SQL text.",
}
TIMES = {
    "uncached_get": "`get()`, not cached",
    "uncached_list": "8 rows, not cached",
    "hit_get": "`get()`, hit",
    "hit_list": "8 rows, hit",
    "hit_count": "`count()`, hit",
    "hit_select_related": "`select_related`, hit",
    "hit_prefetch_related": "`prefetch_related`, hit",
    "miss_get": "`get()`, miss",
    "write_save": "`save()`",
    "write_ten": "10 `save()`, one transaction",
    "write_bulk": "`bulk_create` of 100",
}


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else NOTHING


def workload_table(found: dict[str, Any], versions: dict[str, str]) -> str:
    rows = []
    for peer, one in found.items():
        title = TITLES[peer]
        kinds = sorted(one["stale_in"].items(), key=lambda item: -item[1])
        rows.append(
            [
                title.format(versions[peer]),
                f"{one['reads']:,}",
                share(one["hits"], one["reads"]),
                f"{one['needless']:,} of {one['loads']:,}",
                f"{one['stale']:,}",
                ", ".join(f"{name} {count}" for name, count in kinds[:6]) or NOTHING,
            ]
        )
    head = ["", "reads", "hits", "loads that gave the same again", "stale answers"]
    return table([*head, "most of them by"], rows)


def times_table(found: dict[str, Any], versions: dict[str, str]) -> str:
    rows = []
    for name, title in TIMES.items():
        cells = [f"{number(found['plain'][name]['us'])} us"]
        for peer in [peer for peer in TITLES if peer != "plain"]:
            one = found[peer][name]
            cells.append(f"{number(one['us'])} us ({number(one['ratio'])})")
        rows.append([title, *cells])
    return table(["", *(title.format(versions[peer]) for peer, title in TITLES.items())], rows)


def django_section(results: dict[str, Any]) -> str:
    """Empty where nothing was measured."""
    found = results.get("django")
    if not found:
        return ""
    made = (
        "\n## Django\n\nThe same reads and writes on SQLite, with and without a cache "
        f"({found['interpreter']}). django-cacheops caches each query by itself "
        '(`"*.*": {"ops": "all"}`) in a Redis server on loopback, zoocache the function around it. '
        "A read is a hit if no statement reached the database. An answer is stale if the same "
        "connection reads something else at that moment without the cache; a third of the writes "
        "are in transactions, half of which are rolled back. After each write ten reads are asked, "
        "of twelve kinds and twenty keys. django-cacheops follows conditions on columns, which "
        "keeps more, and says that it does not follow objects loaded by `select_related`, mass "
        "updates, SQL text and inheritance by tables; zoocache follows rows by their keys, and "
        "tables.\n"
    )
    for name, says in WORKLOADS.items():
        made += f"\n{says}\n\n" + workload_table(found["workloads"][name], found["versions"])
    return (
        made
        + "\nTimes of one call, the best of many short samples in all repeats; in brackets by what "
        "Django alone takes.\n\n" + times_table(found["times"], found["versions"])
    )
