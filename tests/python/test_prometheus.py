"""`zoocache.contrib.prometheus`: scraped over HTTP, parsed by the client's own parsers."""

from __future__ import annotations

import gc
import json
import random
import re
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

import zoocache
from redis_server import RedisServer
from support import check_script
from zoocache import Cache
from zoocache.contrib.prometheus import ZoocacheCollector, install

ROOT = Path(__file__).resolve().parents[2]
COUNTED = ("_total", "_count", "_bucket", "_sum")  # how the names of counters end
Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def values_of(text: str, families: Any = text_string_to_metric_families) -> Values:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families(text)
        for sample in family.samples
    }


class Scraped:
    """A registry with one collector, and what it tells."""

    def __init__(self, cache: Any = None, **options: Any) -> None:
        self.registry = CollectorRegistry()
        install(self.registry, cache, **options)

    def __call__(self) -> Values:
        return values_of(generate_latest(self.registry).decode())

    def value(self, name: str, **labels: str) -> float | None:
        return self().get((f"zoocache_{name}", frozenset(labels.items())))


@pytest.fixture
def cache() -> Cache:
    return Cache()


def named(name: str, cache: Cache, **options: Any) -> Any:
    """A cached function of that qualified name."""

    def load(x: int = 0) -> int:
        if x < 0:
            raise LookupError
        return x

    load.__module__, load.__qualname__ = "app", name
    return cache.cacheable(load, **options) if not options else cache.cacheable(**options)(load)


def test_a_scrape_over_http_is_what_both_parsers_read(cache: Cache) -> None:
    load = named("load", cache, deps=["t:{x}"])
    load(1), load(1), load(2)
    cache.invalidate("t:1")
    load(1)
    with pytest.raises(LookupError):
        load(-1)
    registry = CollectorRegistry()
    install(registry, cache)
    server, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        url = f"http://127.0.0.1:{server.server_port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            plain = values_of(answer.read().decode())
        wanted = {"Accept": "application/openmetrics-text; version=1.0.0"}
        with urllib.request.urlopen(urllib.request.Request(url, headers=wanted)) as answer:
            assert "openmetrics" in answer.headers["Content-Type"]
            text = answer.read().decode()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert values_of(text, openmetrics.text_string_to_metric_families) == plain
    of = frozenset({("function", "app.load")})
    assert plain["zoocache_hits_total", of] == 1
    assert plain["zoocache_loads_total", of] == 4
    assert plain["zoocache_load_errors_total", of] == 1
    assert plain["zoocache_entries", of] == 2
    assert plain["zoocache_load_seconds_count", of] == 4
    assert plain["zoocache_load_seconds_bucket", of | {("le", "+Inf")}] == 4
    assert 0 < plain["zoocache_load_seconds_sum", of] < 60
    assert plain["zoocache_dead_entries_total", of] == 1
    assert plain["zoocache_invalidations_total", frozenset()] == 1
    assert plain["zoocache_bytes", frozenset()] > 0
    misses = {
        dict(labels)["reason"]: value
        for (name, labels), value in plain.items()
        if name == "zoocache_misses_total"
    }
    assert misses == {
        "never_loaded": 3,
        "invalidated": 1,
        "expired": 0,
        "evicted": 0,
        "not_stored": 0,
    }
    assert not [labels for _, labels in plain if "t:1" in dict(labels).values()], "no tags"


def test_every_sample_is_what_stats_tells(cache: Cache) -> None:
    scraped = Scraped(cache)
    loads = [named(f"load{number}", cache, max_entries=2) for number in range(3)]
    for x in range(5):
        for load in loads:
            load(x), load(x)
    stats = cache.stats().as_dict()
    told = scraped()
    for name in ("hits", "misses", "loads", "stores", "evictions", "entries"):
        suffix = "" if name == "entries" else "_total"
        samples = [value for (full, _), value in told.items() if full == f"zoocache_{name}{suffix}"]
        assert sum(samples) == stats[name] > 0, name


def test_what_functions_counted_stays_when_they_go(cache: Cache) -> None:
    scraped = Scraped(cache)
    kept, gone = named("kept", cache), named("gone", cache)
    kept(1), gone(1), gone(1), gone(2)
    before = scraped()
    gone(2), gone(3)
    del gone
    gc.collect()
    passing = named("passing", cache)
    passing(1), passing(1)
    del passing
    gc.collect()
    after = scraped()
    for key, value in before.items():
        if key[0].endswith(COUNTED):
            assert after[key] >= value, key
    hits = {
        dict(labels)["function"]: value
        for (name, labels), value in after.items()
        if name == "zoocache_hits_total"
    }
    assert hits == {"app.kept": 0, "app.gone": 1, "other": 2}
    assert sum(hits.values()) == cache.stats().hits
    assert scraped.value("entries", function="app.gone") == 0


def test_functions_of_one_name_are_one(cache: Cache) -> None:
    scraped = Scraped(cache)
    many = [named("load", cache) for _ in range(20)]
    for load in many:
        load(1), load(1)
    assert scraped.value("hits_total", function="app.load") == 20
    assert scraped.value("entries", function="app.load") == 20
    del many[5:], load
    gc.collect()
    many[0](1)
    assert scraped.value("hits_total", function="app.load") == 20, "it cannot be told from less"
    assert scraped.value("hits_total", function="other") == 1
    many[0](1)
    assert scraped.value("hits_total", function="app.load") == 21
    assert scraped.value("entries", function="app.load") == 5


@pytest.mark.parametrize("seed", range(4))
def test_counters_never_fall_and_lose_nothing(cache: Cache, seed: int) -> None:
    """Functions of few names come, are called and go, beside scrapes, at random."""
    rng = random.Random(seed)
    scraped = Scraped(cache, max_functions=3)
    alive: list[Any] = []
    hits = 0
    last: Values = {}
    for step in range(400):
        action = rng.random()
        if action < 0.2 or not alive:
            alive.append(named(f"load{rng.randrange(6)}", cache))
        elif action < 0.3:
            alive.pop(rng.randrange(len(alive)))
        elif action < 0.9:
            x = rng.randrange(3)
            at = rng.randrange(len(alive))
            hits += alive[at].peek(x) is not None
            alive[at](x)
        else:
            told = scraped()
            for key, value in last.items():
                if key[0].endswith(COUNTED):
                    assert told[key] >= value, (step, key)
            last = told
            of_functions = [value for key, value in told.items() if key[0] == "zoocache_hits_total"]
            assert sum(of_functions) == hits == cache.stats().hits, step
            entries = [value for key, value in told.items() if key[0] == "zoocache_entries"]
            assert sum(entries) == cache.stats().entries
    assert len(last) > 50


def test_counters_never_fall_while_threads_call(cache: Cache) -> None:
    scraped = Scraped(cache)
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            load = named("load", cache)
            for x in range(30):
                load(x % 7)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    last: Values = {}
    try:
        for _ in range(30):
            told = scraped()
            for key, value in last.items():
                if key[0].endswith(COUNTED):
                    assert told[key] >= value, key
            last = told
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    told = scraped()
    hits = [value for key, value in told.items() if key[0] == "zoocache_hits_total"]
    assert sum(hits) == cache.stats().hits > 0


def test_only_so_many_functions_have_names(cache: Cache) -> None:
    scraped = Scraped(cache, max_functions=3)
    many = [named(f"load{number}", cache) for number in range(10)]
    for load in many:
        load(1), load(1)
    told = scraped()
    functions = {dict(labels).get("function") for _, labels in told} - {None}
    assert functions == {"app.load0", "app.load1", "app.load2", "other"}
    assert scraped.value("hits_total", function="other") == 7
    assert scraped.value("entries", function="other") == 7
    assert scraped.value("load_seconds_count", function="other") == 7
    assert Scraped(cache, max_functions=0).value("hits_total", function="other") == 10


def test_what_is_called_during_a_scrape_makes_nothing_fall() -> None:
    class Busy(Cache):
        """Is called between two looks of a scrape."""

        def stats(self) -> Any:
            told = super().stats()
            for _ in range(calls):
                kept(1)
            return told

    calls = 0
    cache = Busy()
    kept, gone = named("kept", cache), named("gone", cache)
    scraped = Scraped(cache)
    gone(1), gone(1), gone(1)
    del gone
    gc.collect()
    for calls in range(5):
        assert scraped.value("hits_total", function="other") == 2


def test_counters_go_on_after_reset(cache: Cache) -> None:
    scraped = Scraped(cache)
    load = named("load", cache)
    for x in range(5):
        load(x), load(x)
    cache.invalidate("t")
    first = scraped()
    cache.reset()
    load(1), load(1)
    second = scraped()
    of = frozenset({("function", "app.load")})
    assert (first["zoocache_hits_total", of], second["zoocache_hits_total", of]) == (5, 6)
    assert second["zoocache_invalidations_total", frozenset()] == 1
    assert second["zoocache_entries", of] == 1
    assert not [key for key in second if ("function", "other") in key[1]]


def test_several_caches_and_labels(cache: Cache) -> None:
    other = Cache()
    loads = [named("load", one) for one in (cache, other)]
    assert [load(1) for load in loads] == [1, 1]
    scraped = Scraped({"a": cache, "b": other}, labels={"pid": "7"})
    for name in "ab":
        of = {"pid": "7", "cache": name}
        assert scraped.value("loads_total", function="app.load", **of) == 1
        assert scraped.value("tags", **of) == 0
    text = generate_latest(scraped.registry).decode()
    assert text.count("# TYPE zoocache_loads_total counter") == 1


def test_the_default_cache_is_the_default() -> None:
    load = named("load", zoocache._default)
    load(1)
    assert Scraped().value("loads_total", function="app.load") == 1


def test_a_scrape_does_not_keep_a_cache_from_being_configured(cache: Cache) -> None:
    cache.configure(default_ttl=60)
    scraped = Scraped(cache)
    assert scraped() == {}
    cache.configure(max_entries=10)
    load = named("load", cache)
    load(1)
    assert scraped.value("loads_total", function="app.load") == 1


def test_a_registry_has_one_and_gives_it_back(cache: Cache) -> None:
    registry = CollectorRegistry()
    collector = install(registry, cache)
    with pytest.raises(ValueError, match="zoocache_"):
        install(registry, cache)
    registry.unregister(collector)
    install(registry, cache)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"cache": 5}, TypeError, "cache=5"),
        ({"cache": {1: Cache()}}, TypeError, "zoocache.Cache"),
        ({"max_functions": -1}, zoocache.InvalidOption, "max_functions=-1"),
        ({"max_functions": True}, zoocache.InvalidOption, "max_functions=True"),
        ({"labels": {"function": "x"}}, ValueError, "'function'"),
        ({"labels": {"a b": "x"}}, ValueError, "'a b'"),
    ],
    ids=["cache", "caches", "count", "flag", "taken label", "bad label"],
)
def test_wrong_options(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        ZoocacheCollector(**options)


@pytest.fixture
def shared(url: str, server: RedisServer) -> Iterator[dict[str, Cache]]:
    yield {"folder": Cache(storage_url=url), "server": Cache(storage_url=server.url)}


def test_homes_and_storages(shared: dict[str, Cache], server: RedisServer) -> None:
    """The names are those that the engine tells, all of them."""
    loads = [named("load", cache) for cache in shared.values()]
    for load, cache in zip(loads, shared.values(), strict=True):
        load(1), load(1)
        cache.clear()
    scraped = Scraped(shared)
    told = scraped()
    for name, cache in shared.items():
        of = frozenset({("cache", name)})
        for place, status in (("home", cache.home()), ("storage", cache.storage())):
            assert status is not None
            assert told[f"zoocache_{place}_reachable", of] == 1
            for counter, value in status["counters"].items():
                assert told[f"zoocache_{place}_{counter}_total", of] <= value
        assert told["zoocache_home_clock", of] >= 1
        assert scraped.value("l2_stores_total", cache=name, function="app.load") == 1
    server.kill()
    told = scraped()
    of = frozenset({("cache", "server")})
    assert told["zoocache_storage_reachable", of] == 0
    without = Scraped(shared["server"], ask_storage=False)
    assert without.value("storage_reachable") is None


def test_a_child_of_fork_begins_at_nothing() -> None:
    check_script(
        """
        import os, warnings
        import zoocache
        from prometheus_client import CollectorRegistry
        from zoocache.contrib import prometheus

        warnings.simplefilter("ignore")
        registry = CollectorRegistry()
        prometheus.install(registry)
        load = zoocache.cacheable(lambda x: x)
        for _ in range(5):
            load(1)

        def hits():
            of = {"function": "__main__.<lambda>"}
            return registry.get_sample_value("zoocache_hits_total", of)

        assert hits() == 4
        child = os.fork()
        if child == 0:
            load(2), load(2), load(2)
            os._exit(int(hits()))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
        assert hits() == 4
        """
    )


def exported_names() -> set[str]:
    names: set[str] = set()
    for metric in ZoocacheCollector(Cache()).describe():
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
        names |= {metric.name + suffix for suffix in suffixes.get(metric.type, [""])}
    return names


def test_the_dashboard_asks_for_what_there_is() -> None:
    board = json.loads((ROOT / "docs" / "grafana" / "zoocache.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    queries += [one["query"]["query"] for one in board["templating"]["list"] if "refId" in str(one)]
    assert len(queries) > 40
    known = exported_names()
    asked: set[str] = set()
    for query in queries:
        names = set(re.findall(r"\bzoocache_\w+", query))
        assert names, query
        assert names <= known, f"{names - known} in {query}"
        assert query.count("(") == query.count(")")
        assert query.count("{") == query.count("}")
        asked |= names
    assert len(asked) > 30
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_the_document_lists_every_metric() -> None:
    text = (ROOT / "docs" / "METRICS.md").read_text()
    for name in exported_names():
        base = re.sub("_(bucket|sum|count)$", "", name)
        assert f"`{base}`" in text, f"docs/METRICS.md does not explain {base}"
