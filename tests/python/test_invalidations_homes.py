"""What a cache tells of invalidations does not depend on where they are shared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from redis_server import RedisServer
from support import wait_until
from zoocache import Cache, InvalidationInfo


@pytest.fixture(params=["memory", "lmdb", "redis"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("server")
        return server.url
    return "memory://" if request.param == "memory" else f"lmdb://{tmp_path}/cache"


class Told:
    """The invalidations that a cache has told of since this was made."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._clock, self._count = cache.stats().clock, cache.stats().invalidations

    def __call__(self) -> list[InvalidationInfo]:
        rows = [row for row in self._cache.invalidations() if row.epoch > self._clock]
        assert self._cache.stats().invalidations - self._count == len(rows)
        return rows


@pytest.mark.parametrize("place", ["bus_url", "storage_url"])
def test_an_invalidation_is_one_however_often_it_takes_effect(home: str, place: str) -> None:
    if place == "storage_url" and home == "memory://":
        pytest.skip("values in memory are not stored beside it")
    cache = Cache(**{place: home})
    load = cache.cacheable(lambda x: x, deps=["user:{x}", "all"])
    for x in range(4):
        load(x)
    told = Told(cache)

    cache.invalidate("user:1", "user:2")
    assert [set(row.tags) for row in told()] == [{"user:1", "user:2"}]
    assert (told()[0].origin or "").startswith(__file__)
    load(1), load(2)
    assert [row.died for row in told()] == [2]

    load.invalidate(3)
    load(3)
    assert [(row.tags, len(row.functions), row.died) for row in told()[:-1]] == [((), 1, 1)]

    cache.clear()
    assert [row.everything for row in told()] == [True, False, False]


@pytest.mark.parametrize("place", ["bus_url", "storage_url"])
def test_tags_that_were_invalidated_together_come_together(
    server: RedisServer, tmp_path: Path, place: str
) -> None:
    for url in (server.url, f"lmdb://{tmp_path}/cache"):
        told_by_others_together({place: url})


def told_by_others_together(options: dict[str, Any]) -> None:
    writer, reader = Cache(**options), Cache(**options)
    load = reader.cacheable(lambda x: x, deps=["user:{x}"])
    writer.invalidate("nobody")  # both have begun
    for x in range(3):
        load(x)
    wait_until(lambda: reader.stats().clock > 0 and reader.stats().entries == 3, "the beginning")
    told = Told(reader)
    writer.invalidate("user:1", "user:2")

    def has_come() -> bool:
        load(0)
        return told() != []

    wait_until(has_come, "the message")
    load(1), load(2)
    assert [(set(row.tags), row.died) for row in told()] == [({"user:1", "user:2"}, 2)]


def test_very_many_tags_at_once_are_one_invalidation(url: str) -> None:
    writer, reader = Cache(bus_url=url), Cache(bus_url=url)
    load = reader.cacheable(lambda x: x, deps=["user:{x}"])
    last = 25_000
    some = (0, 9_999, 10_000, 10_001, last)
    for x in some:
        load(x), load(last + 1)
    told = Told(reader)
    writer.invalidate(*(f"user:{x}" for x in range(last + 1)))
    assert [load.peek(x) for x in (*some, last + 1)] == [None] * len(some) + [last + 1]
    for x in some:
        load(x)
    [row] = told()
    assert row.died == len(some)
    assert len(row.tags) + row.more == 10_000, "the rest is not told"
