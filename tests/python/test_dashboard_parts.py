"""The dashboard's tree beside a naive one, its history, its nodes."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

import zoocache
from redis_server import RedisServer
from zoocache import _zoocache
from zoocache.dashboard._history import History
from zoocache.dashboard._nodes import Nodes
from zoocache.dashboard._tree import TagTree

Rows = list[tuple[str, int, int]]


def random_rows(rng: random.Random) -> Rows:
    """Segments that sort around ":", and some that are one another's beginning."""
    segments = ["a", "a-", "a!", "ab", "A", "é", "\U0001f98e", "0", "~"]
    tags = {
        ":".join(rng.choice(segments) for _ in range(rng.randrange(1, 5)))
        for _ in range(rng.randrange(0, 60))
    }
    return [(tag, rng.randrange(9), rng.randrange(4)) for tag in tags]


def is_below(tag: str, prefix: str) -> bool:
    return not prefix or tag == prefix or tag.startswith(prefix + ":")


def naive_children(rows: Rows, prefix: str) -> dict[str, dict[str, Any]]:
    depth = prefix.count(":") + 1 if prefix else 0
    children: dict[str, dict[str, Any]] = {}
    for tag, _, _ in rows:
        parts = tag.split(":")
        if is_below(tag, prefix) and len(parts) > depth:
            name = ":".join(parts[: depth + 1])
            children[name] = {
                "tag": name,
                "segment": parts[depth],
                "entries": sum(own for one, _, own in rows if is_below(one, name)),
                "own": sum(own for one, _, own in rows if one == name),
                "version": sum(version for one, version, _ in rows if one == name),
                "children": any(one != name and is_below(one, name) for one, _, _ in rows),
            }
    return children


@pytest.mark.parametrize("seed", range(30))
def test_the_tree_is_the_naive_one(seed: int) -> None:
    rng = random.Random(seed)
    rows = random_rows(rng)
    tree = TagTree(rows)
    prefixes = {"", "nothing", "a:nothing"} | {tag for tag, _, _ in rows}
    prefixes |= {tag.rpartition(":")[0] for tag, _, _ in rows}
    for prefix in sorted(prefixes):
        expected = naive_children(rows, prefix)
        page = tree.children(prefix, 0, 1000, largest_first=False)
        assert page["total"] == len(expected)
        assert {row["tag"]: row for row in page["rows"]} == expected
        by_size = tree.children(prefix, 0, 1000, largest_first=True)["rows"]
        assert sorted(row["tag"] for row in by_size) == sorted(expected)
        sizes = [row["entries"] for row in by_size]
        assert sizes == sorted(sizes, reverse=True)
        offset, limit = rng.randrange(8), rng.randrange(5)
        part = tree.children(prefix, offset, limit, largest_first=False)
        assert part["rows"] == page["rows"][offset : offset + limit]
        if prefix:
            one = tree.one(prefix)
            assert one["entries"] == sum(own for tag, _, own in rows if is_below(tag, prefix))
            assert one["children"] == bool(expected)
    for text in ("A", "a:", "É", "zz", ":"):
        found = tree.search(text, 0, 1000)
        wanted = sorted(tag for tag, _, _ in rows if text.casefold() in tag.casefold())
        assert sorted(row["tag"] for row in found["rows"]) == wanted
        assert all(row["segment"] == row["tag"] for row in found["rows"])


def test_a_tree_forgets_what_was_asked_long_ago() -> None:
    tree = TagTree([(f"a{number}:b", 0, 1) for number in range(200)])
    for number in range(200):
        tree.children(f"a{number}", 0, 10, largest_first=False)
        tree.search(f"a{number}", 0, 10)
    assert len(tree._starts) <= 64 and len(tree._found) <= 8


def test_a_history_has_a_span_and_no_more_than_changes() -> None:
    history = History(100.0)
    history.add(0.0, 0, 0)
    for second in range(1, 50):
        history.add(float(second), 0, 0)
    assert history.rows() == [(0.0, 0, 0)], "nothing happened"
    history.add(50.0, 5, 1)
    assert history.rows() == [(0.0, 0, 0), (49.0, 0, 0), (50.0, 5, 1)], "in the last second"
    history.add(120.0, 6, 1)
    assert history.rows() == [(49.0, 0, 0), (50.0, 5, 1), (120.0, 6, 1)]
    history.add(121.0, 2, 0)
    assert history.rows() == [(121.0, 2, 0)], "the cache was reset"


def test_a_node_that_stands_still_falls_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    beats: Counter[str] = Counter()

    def home_nodes(core: object) -> list[tuple[bytes, int, int, bool, bool]]:
        return [(name.encode(), 7, beat, True, False) for name, beat in beats.items()]

    monkeypatch.setattr(_zoocache, "home_nodes", home_nodes)
    cache, nodes = zoocache.Cache(), Nodes()
    beats.update(["lives", "dies"])

    def heard(now_s: float) -> dict[str, float | None]:
        rows = nodes.look(cache, "redis", now_s)
        assert rows is not None
        return {row["name"]: row["heard_at"] for row in rows}

    assert heard(10.0) == {"lives": 10.0, "dies": 10.0}
    beats.update(["lives"])
    assert heard(20.0) == {"lives": 20.0, "dies": 10.0}
    del beats["dies"]
    assert heard(21.0) == {"lives": 20.0}


def test_nodes_are_not_told_where_nobody_knows_them() -> None:
    assert Nodes().look(zoocache.Cache(), "memory", 1.0) is None


def test_nodes_of_a_server_are_listed(server: RedisServer) -> None:
    caches = [zoocache.Cache(bus_url=server.url) for _ in range(2)]
    for cache in caches:
        cache.invalidate("a")
    rows = Nodes().look(caches[0], "redis", 1.0)
    assert rows is not None
    assert [(row["is_self"], row["heard_at"]) for row in rows] == [(False, 1.0)] * 2


def test_processes_of_a_folder_are_listed(url: str) -> None:
    cache = zoocache.Cache(bus_url=url)
    cache.invalidate("a")
    rows = Nodes().look(cache, "lmdb", 1.0)
    assert rows is not None
    [row] = rows
    assert (row["is_self"], row["heard_at"]) == (True, None)
