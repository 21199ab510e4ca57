"""Django's cache API on the engine: every call, from many threads, and in transactions."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from django_support import database

# isort: split
from django.core.cache import CacheKeyWarning, cache, caches
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.template import Context, Engine
from django.test import RequestFactory, override_settings
from django.views.decorators.cache import cache_page

import zoocache
from django_shop.models import Pending
from zoocache import _default, cacheable

BACKEND = "zoocache.contrib.django.ZoocacheBackend"


def custom_key(key: str, key_prefix: str, version: int) -> str:
    return f"custom-{key_prefix}-{version}-{key}"


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    base: dict[str, Any] = {"BACKEND": BACKEND}
    every = {
        "default": base,
        "same": base,
        "prefix": {**base, "KEY_PREFIX": "p"},
        "second": {**base, "VERSION": 2},
        "custom": {**base, "KEY_FUNCTION": f"{__name__}.custom_key"},
        "other": {**base, "LOCATION": "other", "TIMEOUT": None},
        "few": {**base, "LOCATION": "few", "OPTIONS": {"MAX_ENTRIES": 10}},
        "bytes": {**base, "LOCATION": "bytes", "OPTIONS": {"MAX_BYTES": 100_000}},
        "shared": {**base, "LOCATION": "shared", "OPTIONS": {"SHARE_PICKLES": True}},
        "shared2": {**base, "LOCATION": "shared", "OPTIONS": {"SHARE_PICKLES": False}},
    }
    with override_settings(CACHES=every):
        yield


class Point:
    def __init__(self, x: int) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and other.x == self.x


VALUES = [None, 0, False, "", "text", b"bytes", 1.5, (1, (2,)), [1, "a"], {"a": {1, 2}}, Point(7)]


def test_values_come_back_equal_and_nobody_elses() -> None:
    for value in VALUES:
        cache.set("key", value)
        assert cache.get("key", "none") == value
        assert type(cache.get("key")) is type(value)
        assert "key" in cache
    cache.set("key", [1])
    cache.get("key").append(2)
    assert cache.get("key") == [1]
    with pytest.raises(Exception, match="pickle|local object"):
        cache.set("key", lambda: None)
    assert cache.get("key") == [1]


def test_keys() -> None:
    assert cache.get("a") is None
    assert cache.get("a", 7) == 7
    assert cache.add("a", 1)
    assert not cache.add("a", 2)
    assert (cache.get("a"), cache.has_key("a"), cache.delete("a"), cache.delete("a")) == (
        1,
        True,
        True,
        False,
    )
    assert cache.set_many({"a": 1, "b": None}) == []
    assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": None}
    assert cache.get_many([]) == {}
    cache.delete_many(["a", "c"])
    assert cache.get_many(iter(["a", "b"])) == {"b": None}
    assert cache.get_or_set("n", lambda: None, 5) is None
    assert cache.get_or_set("n", 7) is None
    assert cache.get_or_set("m", lambda: 8) == cache.get_or_set("m", 9) == 8
    cache.clear()
    assert cache.get_many(["a", "b", "n", "m"]) == {}
    with pytest.warns(CacheKeyWarning, match="characters"):
        cache.set("with space", 1)
    with pytest.warns(CacheKeyWarning, match="characters"):
        assert cache.get("with space") == 1
    with pytest.warns(CacheKeyWarning, match="longer"):
        cache.add("x" * 300, 1)


def test_numbers() -> None:
    with pytest.raises(ValueError, match="'n' not found"):
        cache.incr("n")
    cache.set("n", 1)
    assert (cache.incr("n"), cache.incr("n", 5), cache.decr("n", 2), cache.decr("n")) == (
        2,
        7,
        5,
        4,
    )
    assert cache.get("n") == 4
    cache.set("n", "text")
    with pytest.raises(TypeError):
        cache.incr("n")
    assert cache.get("n") == "text"


def test_caches_and_their_keys() -> None:
    cache.set("key", "mine")
    assert caches["same"].get("key") == "mine"
    for alias in ("prefix", "second", "custom", "other"):
        assert caches[alias].get("key") is None
        caches[alias].set("key", alias)
    assert cache.get("key") == "mine"
    assert cache.get("key", version=2) == "second"
    cache.set("key", "three", version=3)
    assert cache.get_many(["key"], version=3) == {"key": "three"}
    assert cache.incr_version("key") == 2
    assert (cache.get("key"), cache.get("key", version=2)) == (None, "mine")
    assert cache.decr_version("key", version=2) == 1
    assert cache.get("key") == "mine"
    cache.clear()
    assert caches["other"].get("key") == "other"
    assert caches["prefix"].get("key") is None  # one LOCATION, as with others of Django's


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [1e6]

    def move(seconds: float) -> None:
        now[0] += seconds
        _default.core.set_time(now[0])

    monkeypatch.setattr(time, "time", lambda: now[0])
    move(0)
    return move


def test_timeouts(clock: Callable[[float], None]) -> None:
    cache.set("default", 1)
    cache.set("short", 1, 10)
    cache.set("counted", 1, 10)
    cache.set("touched", 1, 10)
    cache.set("ever", 1, None)
    cache.add("added", 1, 0.5)
    caches["other"].set("ever", 1)
    for none in (0, -5):
        cache.set("none", 1)
        cache.set("none", 1, none)
        assert cache.get("none", "gone") == "gone"
        assert cache.add("none", 1, none)
        assert cache.get("none") is None
    clock(1)
    assert cache.get("added") is None
    assert cache.add("added", 2)
    clock(8)
    assert cache.incr("counted") == 2
    assert cache.touch("touched", 100)
    assert not cache.touch("absent")
    assert cache.get("short") == 1
    clock(2)
    names = ["default", "short", "counted", "touched", "ever"]
    assert sorted(cache.get_many(names)) == ["default", "ever", "touched"]
    clock(300)
    assert sorted(cache.get_many(names)) == ["ever"]
    assert caches["other"].get("ever") == 1
    assert cache.touch("ever", 0)
    assert cache.get("ever") is None


def test_tags(clock: Callable[[float], None]) -> None:
    cache.set("a", 1, tags=["user:7", "all"])
    cache.add("b", 1, tags="user:7")
    cache.set("c", 1)
    assert cache.incr("a") == 2
    assert cache.touch("a", 50)
    assert sorted(cache.get_many("abc")) == ["a", "b", "c"]
    zoocache.invalidate("user")
    assert sorted(cache.get_many("abc")) == ["c"]
    asyncio.run(cache.aset("a", 1, tags=["user:7"]))
    assert not asyncio.run(cache.aadd("a", 2, tags=["user:8"]))
    zoocache.invalidate("user:7")
    assert cache.get("a") is None
    with pytest.raises(zoocache.InvalidTag):
        cache.set("c", 2, tags=["a::b"])
    assert cache.get("c") == 1


def test_async_forms() -> None:
    async def use() -> None:
        await cache.aset("a", 1)
        assert await cache.aget("a") == 1
        assert await cache.aadd("b", 1)
        assert await cache.aincr("a") == 2
        assert await cache.aget_many(["a", "b"]) == {"a": 2, "b": 1}
        assert await cache.atouch("a", 5)
        assert await cache.ahas_key("a")
        assert await cache.aget_or_set("c", 3) == 3
        await cache.aset_many({"d": 4})
        await cache.adelete("a")
        await cache.adelete_many(["b"])
        assert await cache.aincr_version("d") == 2
        await cache.aclear()
        await cache.aclose()
        assert await cache.aget_many("abcd") == {}

    asyncio.run(use())


def test_bounds() -> None:
    for at in range(100):
        caches["few"].set(str(at), at)
        caches["bytes"].set(str(at), "x" * 10_000)
    assert 0 < len(caches["few"].get_many(map(str, range(100)))) <= 10
    assert 0 < len(caches["bytes"].get_many(map(str, range(100)))) <= 10
    for options, message in (
        ({"CULL_FREQUENCY": 3}, "CULL_FREQUENCY"),
        ({"MAX_ENTRIES": -1}, "MAX_ENTRIES=-1"),
        ({"MAX_BYTES": "1"}, "MAX_BYTES='1'"),
        ({"SHARE_PICKLES": 1}, "SHARE_PICKLES=1"),
    ):
        with override_settings(CACHES={"default": {"BACKEND": BACKEND, "OPTIONS": options}}):
            with pytest.raises((ImproperlyConfigured, zoocache.InvalidOption), match=message):
                cache.get("a")


def in_threads(count: int, call: Callable[[int], Any]) -> list[Any]:
    found: list[Any] = [None] * count
    start = threading.Barrier(count)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads meet in narrow places

    def run(at: int) -> None:
        start.wait()
        found[at] = call(at)

    threads = [threading.Thread(target=run, args=(at,)) for at in range(count)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    sys.setswitchinterval(interval)
    return found


def test_threads_lose_no_increment_and_add_once() -> None:
    cache.set("n", 0)

    def call(at: int) -> int:
        for _ in range(100):
            cache.incr("n")
        return sum(cache.add(f"key {at}".replace(" ", ""), at) for at in range(50))

    added = in_threads(8, call)
    assert cache.get("n") == 800
    assert sum(added) == 50


@pytest.mark.parametrize("home", [False, True])
def test_a_key_that_is_overwritten_is_always_there(home: bool, url: str) -> None:
    if home:  # a write goes to a folder, without the GIL
        zoocache.configure(storage_url=url)
    cache.set("key", -1)
    ended = threading.Event()

    def call(at: int) -> int:
        if at == 0:
            for value in range(200):
                cache.set("key", value)
            ended.set()
            return 0
        missed = 0
        while not ended.is_set():
            missed += cache.get("key") is None
            missed += not cache.get_many(["key"])
        return missed

    assert sum(in_threads(3, call)) == 0


def test_uncommitted_writes_are_no_reason_to_lose_keys(tmp_path: Path) -> None:
    given = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "one.db")}
    with database("default", given), transaction.atomic():
        cache.set("before", 1)
        Pending.objects.create(value=1)
        cache.set("key", 1)
        assert cache.get("before") == cache.get("key") == 1
        assert (cache.incr("key"), cache.add("key", 5)) == (2, False)
        assert cache.get_many(["before", "key"]) == {"before": 1, "key": 2}
    assert cache.get("key") == 2


def test_cached_functions_depend_on_the_keys_that_they_read() -> None:
    loads = []

    @cacheable
    def twice() -> int:
        loads.append(1)
        return cache.get("n", 0) * 2 + cache.get_many(["m"]).get("m", 0)

    assert (twice(), twice(), len(loads)) == (0, 0, 1)
    cache.set("n", 2)
    assert (twice(), twice(), len(loads)) == (4, 4, 2)
    cache.set("m", 1)
    assert (twice(), twice(), len(loads)) == (5, 5, 3)


def test_processes(url: str, caplog: pytest.LogCaptureFixture) -> None:
    zoocache.configure(storage_url=url)
    cache.set("plain", {"a": [1]}, tags=["t"])
    cache.set("point", Point(1))
    caches["shared"].set("point", Point(1))
    zoocache.reset()  # what is in memory is gone, as for another process
    zoocache.configure(storage_url=url)
    assert cache.get("plain") == {"a": [1]}
    assert cache.get("point") is None
    assert caches["shared2"].get("point") is None  # whoever wrote it is not trusted
    assert caches["shared"].get("point") == Point(1)
    zoocache.invalidate("t")
    assert cache.get("plain") is None


def test_sessions() -> None:
    from django.contrib.sessions.backends.cache import SessionStore

    first = SessionStore()
    first["user"] = 7
    first.save()
    again = SessionStore(first.session_key)
    assert again["user"] == 7
    again["user"] = 8
    again.save()
    assert SessionStore(first.session_key)["user"] == 8
    again.flush()
    assert "user" not in SessionStore(first.session_key)


def test_pages() -> None:
    runs = []

    @cache_page(60)
    def view(request: HttpRequest) -> HttpResponse:
        runs.append(request.path)
        return HttpResponse(f"page {len(runs)}", headers={"X-Mine": "1"})

    request = RequestFactory()
    assert [view(request.get("/a")).content for _ in range(2)] == [b"page 1"] * 2
    found = view(request.get("/b"))
    assert (found.content, found["X-Mine"]) == (b"page 2", "1")
    cache.clear()
    assert view(request.get("/a")).content == b"page 3"


def test_fragments_of_templates() -> None:
    engine = Engine(libraries={"cache": "django.templatetags.cache"})
    page = engine.from_string("{% load cache %}{% cache 60 'one' user %}{{ n }}{% endcache %}")

    def show(user: str, n: int) -> str:
        return page.render(Context({"user": user, "n": n}))

    assert [show("ada", 1), show("ada", 2), show("bob", 3)] == ["1", "1", "3"]
