"""Signed values: `configure(secret=...)`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from redis_server import RedisServer
from support import Versions
from zoocache import Cache, InvalidOption

OLD, NEW = "the old secret of sixteen", b"\0the new secret of sixteen"


@pytest.fixture(params=["lmdb", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "lmdb":
        yield f"lmdb://{tmp_path / 'store'}"
        return
    server = RedisServer(tmp_path)
    yield server.url
    server.kill()


def cache_of(url: str, **options: Any) -> Cache:
    return Cache(storage_url=url, command_timeout=5, **options)


def counting(cache: Cache, versions: Versions) -> Any:
    @cache.cacheable(namespace="get", version="1")
    def get(x: int) -> int:
        return versions.next()

    return get


def test_who_has_the_secret_finds_the_value(url: str) -> None:
    versions = Versions()
    assert counting(cache_of(url, secret=OLD), versions)(1) == 1
    assert counting(cache_of(url, secret=OLD.encode()), versions)(1) == 1


@pytest.mark.parametrize(("writer", "reader"), [(OLD, NEW), (OLD, None), (None, OLD)])
def test_others_load_for_themselves(url: str, writer: Any, reader: Any) -> None:
    versions = Versions()
    assert counting(cache_of(url, secret=writer), versions)(1) == 1
    second = cache_of(url, secret=reader)
    assert counting(second, versions)(1) == 2
    assert second.stats().l2_hits == 0


def test_a_secret_is_changed_in_steps(url: str) -> None:
    versions = Versions()
    steps: list[Any] = [OLD, (OLD, NEW), [NEW, OLD], NEW]
    for key, (before, after) in enumerate(zip(steps, steps[1:], strict=False)):
        loaded = counting(cache_of(url, secret=before), versions)(key)
        assert counting(cache_of(url, secret=after), versions)(key) == loaded


@pytest.mark.parametrize("secret", ["", "only 15 letters", 16, (), (NEW, "short"), [None], b"x"])
def test_what_is_no_secret(secret: Any) -> None:
    with pytest.raises(InvalidOption, match="16 bytes or more") as raised:
        Cache(secret=secret)
    assert "15 letters" not in str(raised.value)
