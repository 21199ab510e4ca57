"""Programs written for the published package of this name keep working."""

from __future__ import annotations

import asyncio
import inspect
import sqlite3
import threading
import time
import warnings
from typing import Any

import pytest

import zoocache
from support import join_all, run, spawn_many
from zoocache import (
    InvalidTag,
    StorageIsFull,
    add_deps,
    cacheable,
    clear,
    clear_async,
    configure,
    get,
    get_async,
    get_tag_version,
    invalidate,
    invalidate_async,
    prune,
    reset,
    set_async,
    version,
)
from zoocache import (
    set as set_cache,
)


def test_signatures_accept_what_they_accepted() -> None:
    inspect.signature(get).bind("key")
    inspect.signature(get_async).bind("key")
    inspect.signature(set_cache).bind("key", "value", ["dep"], 60)
    inspect.signature(set_cache).bind(key="key", value="value", deps=["dep"], ttl=60)
    inspect.signature(set_async).bind(key="key", value="value", deps=["dep"], ttl=60)
    inspect.signature(prune).bind()
    inspect.signature(prune).bind(max_age_secs=3600)
    inspect.signature(invalidate).bind("tag")
    inspect.signature(add_deps).bind(["tag"])
    inspect.signature(get_tag_version).bind("tag")


def test_names_that_were_keywords() -> None:
    add_deps(deps=["tag"])
    assert get_tag_version(tag="tag") == 0
    set_cache(key="k", value=1, deps=["tag"], ttl=60)
    assert get(key="k") == 1
    prune(max_age_secs=10)
    invalidate(tag="tag")
    assert get("k") is None
    assert run(invalidate_async(tag="tag")) == get_tag_version("tag")
    decorate: Any = cacheable
    assert decorate(func=lambda: 1)() == 1
    assert decorate(func=None, ttl=60)(lambda: 1)() == 1
    for wrong in (lambda: invalidate("a", tag="b"), lambda: run(invalidate_async("a", tag="b"))):
        with pytest.raises(TypeError, match="tag"):
            wrong()


def test_errors_are_exceptions() -> None:
    assert issubclass(InvalidTag, Exception)
    assert issubclass(StorageIsFull, Exception)


OPTIONS: dict[str, Any] = {
    "storage_url": None,
    "bus_url": None,
    "prefix": "app",
    "default_ttl": 3600,
    "read_extend_ttl": False,
    "max_entries": 1000,
    "lmdb_map_size": 10 * 1024 * 1024,
    "flight_timeout": 30,
}
OBSOLETE: dict[str, Any] = {
    "prune_after": 60,
    "tti_flush_secs": 15,
    "auto_prune_secs": 100,
    "auto_prune_interval": 60,
    "lru_update_interval": 10,
    "channel_capacity": 1000,
    "batch_size": 10,
    "lru_cache_size": 100,
}


def test_configure_takes_every_option_that_means_something() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        configure(**OPTIONS)
    load = cacheable(lambda x: x)
    assert [load(1), load(1)] == [1, 1]


@pytest.mark.parametrize("option", OBSOLETE)
def test_options_without_a_meaning_here_warn_once_and_say_why(option: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        configure(**{option: OBSOLETE[option]})
    messages = [str(w.message) for w in caught if w.category is DeprecationWarning]
    assert len(messages) == 1
    assert option in messages[0]
    assert len(messages[0]) > len(option) + 20
    assert [w.filename for w in caught] == [__file__]
    load = cacheable(lambda x: x)
    assert [load(1), load(1)] == [1, 1]


def test_the_warning_points_at_the_users_line_and_comes_once() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        configure(batch_size=10)
        configure(prefix="app")
        zoocache.Cache(batch_size=10)
    lines = inspect.getsource(test_the_warning_points_at_the_users_line_and_comes_once)
    first = test_the_warning_points_at_the_users_line_and_comes_once.__code__.co_firstlineno
    texts = [lines.splitlines()[w.lineno - first].strip() for w in caught]
    assert texts == ["configure(batch_size=10)", "zoocache.Cache(batch_size=10)"]
    assert {w.filename for w in caught} == {__file__}


def test_options_without_a_meaning_are_silent_at_their_defaults() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        configure(
            storage_url=None,
            bus_url=None,
            prefix=None,
            prune_after=None,
            default_ttl=None,
            read_extend_ttl=True,
            max_entries=None,
            lmdb_map_size=None,
            flight_timeout=60,
            tti_flush_secs=30,
            auto_prune_secs=None,
            auto_prune_interval=3600,
            lru_update_interval=30,
            channel_capacity=1_000_000,
            batch_size=1000,
            lru_cache_size=10_000,
            telemetry=None,
        )


def test_configure_is_optional() -> None:
    reset()
    load = cacheable(lambda x: x)
    assert [load(1), load(1)] == [1, 1]
    configure()


def test_configure_twice() -> None:
    configure(default_ttl=60)
    configure(default_ttl=60)
    cacheable(lambda: 1)()
    configure(default_ttl=60)
    with pytest.raises(RuntimeError, match=r"reset\(\)"):
        configure(default_ttl=120)
    reset()
    configure(default_ttl=120)


def test_configure_again_with_some_of_the_same_options() -> None:
    configure(prefix="audit", default_ttl=10)
    configure(prefix="audit")
    cacheable(lambda: 1)()
    configure(default_ttl=10)


def test_functions_decorated_before_configure_obey_it() -> None:
    load = cacheable(lambda x: x)
    configure(max_entries=2)
    for x in range(10):
        load(x)
    assert zoocache.stats().entries <= 2


def test_reset_forgets_everything() -> None:
    configure(default_ttl=60)
    calls = []
    load = cacheable(lambda: calls.append(1))
    load()
    set_cache("key", "value")
    reset()
    assert get("key") is None
    load()
    assert len(calls) == 2
    assert zoocache.stats().entries == 1


def test_version_is_a_str() -> None:
    assert isinstance(version(), str) and version()


def test_raw_keys() -> None:
    assert get("nonexistent") is None
    for value in ({"name": "x"}, "text", 42, [1, 2, 3], {"nested": {"key": "value"}}):
        set_cache("key", value)
        assert get("key") == value
    set_cache("other", "value", deps=["tag:a", "tag:b"])
    assert get("other") == "value"
    invalidate("tag:b")
    assert get("other") is None
    set_cache("other", 1, ("tag:c",), 60)
    clear()
    clear()
    assert [get("key"), get("other")] == [None, None]


def test_raw_keys_and_functions_do_not_meet() -> None:
    load = cacheable(lambda x: "function")
    load("key")
    set_cache("key", "raw")
    assert [get("key"), load("key")] == ["raw", "function"]


def test_raw_keys_hold_the_value_they_were_given_last() -> None:
    for i in range(10):
        set_cache("key", i, deps=[f"t:{i}"])
        assert get("key") == i
    invalidate("t:3")
    assert get("key") == 9
    invalidate("t:9")
    assert get("key") is None


def test_raw_keys_async() -> None:
    async def main() -> None:
        assert await get_async("key") is None
        await set_async("key", {"async": True}, deps=["tag1"])
        assert await get_async("key") == {"async": True}
        await invalidate_async("tag1")
        assert await get_async("key") is None
        await set_async("key", 1)
        await clear_async()
        assert await get_async("key") is None

    run(main())


def test_prefixes_of_raw_keys() -> None:
    set_cache("key1", "value1", deps=["user:1:profile"])
    set_cache("key2", "value2", deps=["user:2:profile"])
    invalidate("user:1")
    assert [get("key1"), get("key2")] == [None, "value2"]


def test_tag_versions_grow() -> None:
    assert get_tag_version("multi") == 0
    seen = [0]
    for _ in range(3):
        invalidate("multi")
        seen.append(get_tag_version("multi"))
    assert seen == sorted(set(seen))
    set_cache("key", 1, deps=["multi"])
    assert get_tag_version("multi") == seen[-1]


def test_tags_that_were_valid_still_are_and_invalid_ones_still_not() -> None:
    for name in ("valid_tag", "tag:with:colons", "tag123", "tag.sub:sub_2", "a" * 256):
        invalidate(name)
    for name in ("tag|with|pipe", "tag spaces", "", ":tag", "tag:", "tag::double", "a" * 257):
        with pytest.raises(InvalidTag):
            invalidate(name)
    broken = cacheable(deps=lambda: ["invalid|dep"])(lambda: 0)
    with pytest.raises(InvalidTag):
        broken()


def test_the_readme() -> None:
    database = {1: "Ada", 42: "Bob"}
    queries = []

    @cacheable()
    def get_user(uid: int) -> str:
        add_deps([f"user:{uid}"])
        queries.append(uid)
        return database[uid]

    @cacheable()
    def get_reviews(pid: int) -> list[str]:
        add_deps([f"product:{pid}:reviews"])
        queries.append(f"reviews {pid}")
        return [database[pid]]

    @cacheable(namespace="users", deps=lambda uid: [f"user:{uid}"], ttl=60)
    def get_profile(uid: int) -> dict[str, Any]:
        queries.append(f"profile {uid}")
        return {"id": uid, "name": database[uid]}

    assert [get_user(1), get_user(1)] == ["Ada", "Ada"]
    assert get_profile(1) == get_profile(1) == {"id": 1, "name": "Ada"}
    database[1] = "Eve"
    invalidate("user:1")
    assert get_user(1) == "Eve"
    assert get_profile(1)["name"] == "Eve"
    get_reviews(42)
    invalidate("product:42")
    get_reviews(42)
    assert queries == [1, "profile 1", 1, "profile 1", "reviews 42", "reviews 42"]


def test_herds() -> None:
    calls = {"sync": 0, "async": 0}

    @cacheable(namespace="thundering_sync")
    def slow(x: int) -> int:
        calls["sync"] += 1
        time.sleep(0.05)
        return x

    @cacheable(namespace="thundering_async")
    async def slow_async(x: int) -> int:
        calls["async"] += 1
        await asyncio.sleep(0.05)
        return x

    async def main() -> list[int]:
        return await asyncio.gather(*(slow_async(1) for _ in range(500)))

    assert join_all(spawn_many(20, lambda: slow(1))) == [1] * 20
    assert run(main()) == [1] * 500
    assert calls == {"sync": 1, "async": 1}


def test_failing_herds_fail_once_and_everyone_hears() -> None:
    calls = []

    @cacheable
    async def failing(x: int) -> int:
        calls.append(x)
        await asyncio.sleep(0.02)
        raise RuntimeError("Boom")

    async def main() -> list[Any]:
        return await asyncio.gather(*(failing(1) for _ in range(5)), return_exceptions=True)

    assert all(isinstance(r, RuntimeError) and "Boom" in str(r) for r in run(main()))
    assert len(calls) == 1


def test_a_slow_leader_costs_followers_the_timeout_and_no_error() -> None:
    configure(flight_timeout=1)
    calls = []
    release = threading.Event()

    @cacheable
    def slow() -> str:
        calls.append(1)
        if len(calls) == 1:
            release.wait(30)
        return "value"

    threads = spawn_many(2, slow)
    while len(calls) < 2:
        time.sleep(0.01)
    release.set()
    assert join_all(threads) == ["value", "value"]


def test_nested_functions_are_not_independent_here() -> None:
    """There, an outer entry outlived its inner one; here it never does."""
    calls = {"child": 0, "parent": 0}

    @cacheable(deps=["child_tag"])
    def child() -> str:
        calls["child"] += 1
        return "child_data"

    @cacheable(deps=["parent_tag"])
    def parent() -> str:
        calls["parent"] += 1
        return child()

    parent()
    invalidate("child_tag")
    parent()
    assert calls == {"child": 2, "parent": 2}


def test_a_small_application_over_sqlite() -> None:
    db = sqlite3.connect(":memory:")
    db.executescript(
        """
        CREATE TABLE product (id INTEGER PRIMARY KEY, store INTEGER, price INTEGER);
        INSERT INTO product VALUES (1, 1, 10), (2, 1, 20), (3, 2, 30);
        """
    )

    @cacheable(deps=lambda pid: [f"product:{pid}"])
    def price(pid: int) -> int:
        return int(db.execute("SELECT price FROM product WHERE id = ?", (pid,)).fetchone()[0])

    @cacheable()
    def total(store: int) -> int:
        add_deps([f"store:{store}"])
        rows = db.execute("SELECT id FROM product WHERE store = ?", (store,)).fetchall()
        return sum(price(pid) for (pid,) in rows)

    def set_price(pid: int, value: int) -> None:
        db.execute("UPDATE product SET price = ? WHERE id = ?", (value, pid))
        invalidate(f"product:{pid}")

    assert [total(1), total(2)] == [30, 30]
    set_price(1, 15)
    assert [total(1), total(2)] == [35, 30]
    db.execute("INSERT INTO product VALUES (4, 2, 1)")
    invalidate("store:2")
    assert total(2) == 31
    set_price(4, 2)
    assert total(2) == 32
    db.close()


def test_configured_homes_are_never_ignored_silently() -> None:
    for options in ({"storage_url": "ftp://x"}, {"bus_url": "ftp://x"}):
        with pytest.raises(zoocache.ZoocacheError):
            configure(**options)
