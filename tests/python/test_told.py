"""How what the cache tells is shown: in one line, in several, as JSON, by rich."""

from __future__ import annotations

import io
import json
import time
from typing import Any

import pytest
from rich.console import Console

import zoocache
from redis_server import RedisServer
from support import check_script, wait_until
from zoocache import cacheable, explain, functions, invalidate, invalidations, stats, tags


@pytest.fixture
def load() -> Any:
    """Called, invalidated and loaded anew."""

    def load(x: int) -> int:
        if x < 0:
            raise LookupError
        return x

    load.__module__, load.__qualname__ = "app", "load"
    made = cacheable(deps=["a[red]b:{x}", "list"])(load)
    made(1), made(1), made(2)
    invalidate("a[red]b:1", "elsewhere")
    made(1)
    return made


def printed(value: object) -> str:
    console = Console(file=io.StringIO(), width=200, force_terminal=False)
    console.print(value)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return str(text)


def test_stats(load: Any) -> None:
    told = stats()
    assert told.misses_never_loaded == 2
    assert told.hit_ratio == 1 / 4
    assert zoocache.Cache().stats().hit_ratio == 0
    assert repr(told).startswith("Stats(hits=1, misses=3, misses_invalidated=1, loads=3, ")
    assert "expirations" not in repr(told), "what is 0 is left out"
    lines = str(told).splitlines()
    assert len(lines) == len(told.as_dict())
    assert ["misses", "3"] in [line.split() for line in lines]
    assert json.loads(told.to_json()) == told.as_dict()
    assert "misses_invalidated │     1" in printed(told)


def test_functions(load: Any) -> None:
    told = functions()
    [info] = told
    assert repr(info).startswith("FunctionInfo('app.load', entries=2, hits=1, misses=3, ")
    assert repr(zoocache.Cache().functions()) == "[]"
    assert str(told).startswith("app.load: 1 hit, 3 misses, 3 loads of ")
    assert str(told).endswith(", 2 entries")
    assert repr(info.load_times).startswith("LoadTimes(3 loads, mean_s=")
    [row] = json.loads(told.to_json())
    assert row["name"] == "app.load"
    assert row["counts"] == info.counts
    assert sum(row["load_times"]["counts"]) == 3
    assert json.loads(info.to_json()) == row
    assert "app.load" in printed(told)
    assert "nothing" in printed(zoocache.Cache().functions())


def test_invalidations(load: Any) -> None:
    load.invalidate(9)
    zoocache.clear()
    told = invalidations()
    everything, one_call, tagged = map(str, told)
    assert everything.startswith("everything, ")
    assert one_call.startswith("calls of app.load, ")
    assert tagged.startswith("'a[red]b:1', 'elsewhere', ")
    assert " ago at " in tagged
    assert tagged.endswith(": 1 entry died")
    assert repr(told[2]).startswith("InvalidationInfo(epoch=1, tags=('a[red]b:1', 'elsewhere'), ")
    rows = json.loads(told.to_json())
    assert [row["epoch"] for row in rows] == [3, 2, 1]
    assert rows[2]["tags"] == ["a[red]b:1", "elsewhere"]
    assert "'a[red]b:1', 'elsewhere'" in printed(told), "a tag is no markup"


def test_tags(load: Any) -> None:
    told = tags("list")
    assert told == [("list", 0, 2)]
    assert told.as_dict() == [{"tag": "list", "version": 0, "entries": 2}]
    assert json.loads(told[0].to_json()) == told.as_dict()[0]
    assert "a[red]b:1" in printed(tags())


def test_explanations(load: Any) -> None:
    hit, miss = explain(load, 1), explain(load, 3)
    assert repr(miss) == "Explanation(reason='never loaded')"
    assert json.loads(hit.to_json())["deps"] == ["a[red]b:1", "list"]
    assert json.loads(miss.to_json())["tag"] is None
    text = printed(hit)
    assert str(hit) in text
    assert "a[red]b:1" in text
    invalidate("list")
    time.sleep(0.02)
    assert "invalidated by 'list'" in printed(explain(load, 1))


def test_a_home_that_cannot_be_reached_is_a_reason(server: RedisServer) -> None:
    cache = zoocache.Cache(bus_url=server.url, lease=0.5)
    load = cache.cacheable(lambda: 1, deps=["t"])
    load()
    cache.clear()
    mine = explain(load)
    assert (mine.reason, mine.detail) == ("invalidated", "clear()")
    load()
    server.kill()
    wait_until(lambda: not explain(load).reason == "hit", "the end of the lease")
    told = explain(load)
    assert told.reason == "home unreachable"
    assert "refused" in (told.detail or "")
    assert "home is unreachable" in str(told)
    assert told.tag is None


def test_rich_is_imported_by_nobody_but_itself() -> None:
    check_script(
        """
        import sys
        import zoocache
        load = zoocache.cacheable(lambda: 1)
        load()
        for told in (zoocache.stats(), zoocache.functions(), zoocache.explain(load)):
            repr(told), str(told), told.to_json()
        assert "rich" not in sys.modules
        """
    )
