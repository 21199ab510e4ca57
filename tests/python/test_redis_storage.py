"""Values on a Redis server: `configure(storage_url="redis://...")`.

Two caches are as two processes. What one invalidates reaches the other a network delay later.
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest

from redis_server import RedisServer
from support import Gate, Versions, check_script, run, spawn, wait_until
from zoocache import Cache, InvalidOption


def cache_of(server: RedisServer, **options: Any) -> Cache:
    options.setdefault("command_timeout", 5)  # a loaded machine is no dead server
    return Cache(storage_url=server.url, **options)


def counting(cache: Cache, versions: Versions, **options: Any) -> Any:
    @cache.cacheable(deps=["org:acme:user:{x}"], namespace="get", version="1", **options)
    def get(x: int) -> tuple[int, int]:
        return x, versions.next()

    return get


def loading(cache: Cache, gate: Gate, versions: Versions) -> Any:
    @cache.cacheable(namespace="slow", version="1")
    def slow() -> int:
        gate.hold()
        return versions.next()

    return slow


def test_the_other_cache_finds_the_value(server: RedisServer) -> None:
    first, second = cache_of(server), cache_of(server, bus_url=server.url)
    versions = Versions()
    one, two = counting(first, versions), counting(second, versions)
    assert one(1) == two(1) == (1, 1)
    assert two(1) is two(1), "it is in memory now"
    assert (first.stats().l2_stores, second.stats().l2_hits, second.stats().loads) == (1, 1, 0)
    assert cache_of(server, prefix="other").core.home()["kind"] == "redis"
    assert counting(cache_of(server, prefix="other"), versions)(1) == (1, 2), "a tenant of its own"


@pytest.mark.parametrize("tag", ["org:acme:user:1", "org:acme", "org"])
def test_it_dies_with_its_tags(server: RedisServer, tag: str) -> None:
    first, second, third = (cache_of(server) for _ in range(3))
    versions = Versions()
    one, two, three = (counting(cache, versions) for cache in (first, second, third))
    assert one(1) == two(1) == (1, 1)
    first.invalidate("org:acme2", "org:acme:user:2", wait=True)
    assert two(1) == three(1) == (1, 1)
    first.invalidate(tag, wait=True)
    assert two(1) == (1, 2)
    assert one(1) == three(1) == (1, 2)
    one.invalidate(1)
    wait_until(lambda: two(1) == (1, 3), "the key's message")
    third.clear()
    wait_until(lambda: one(1) == (1, 4), "the message of clear()")


def test_an_old_value_is_not_served_to_who_was_not_there(server: RedisServer) -> None:
    first, versions = cache_of(server), Versions()
    counting(first, versions)(1)
    first.invalidate("org")
    assert counting(cache_of(server), versions)(1) == (1, 2)
    server.ask("DEL", "{zoocache}:log")
    assert counting(cache_of(server), versions)(1) == (1, 3), "nothing says that it holds"


def test_time_to_live_goes_along(server: RedisServer) -> None:
    versions = Versions()
    one, two = (counting(cache_of(server), versions, ttl=2) for _ in range(2))
    assert one(1) == two(1) == (1, 1)
    wait_until(lambda: two(1) == (1, 2), "the end of the time to live")


def test_many_callers_of_a_cold_key_run_it_once(server: RedisServer) -> None:
    gate, versions = Gate(), Versions()
    caches = [cache_of(server), cache_of(server)]
    functions = [loading(cache, gate, versions) for cache in caches]
    callers = [spawn(functions[index % 2]) for index in range(20)]
    gate.wait_entered()
    joined = lambda: sum(cache.stats().flights_joined for cache in caches)  # noqa: E731
    wait_until(lambda: joined() == 18, "all but one of each cache wait here")
    gate.release()
    assert {caller.result() for caller in callers} == {1}
    assert versions.loads == 1


def test_async_functions_share_and_wait_without_blocking(server: RedisServer) -> None:
    gate, versions = Gate(), Versions()
    first, second = cache_of(server), cache_of(server)
    slow = loading(first, gate, versions)

    @second.cacheable(namespace="slow", version="1")
    async def waiting() -> int:
        return versions.next()

    async def get(x: int) -> int:
        await asyncio.sleep(0)
        return versions.next()

    one, two = (
        cache.cacheable(namespace="async", version="1", deps=["t"])(get)
        for cache in (first, second)
    )
    leader = spawn(slow)
    gate.wait_entered()

    async def main() -> None:
        task = asyncio.create_task(waiting())
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert not task.done()
        gate.release()
        assert await task == 1
        assert await asyncio.gather(*(f(1) for f in (one, two) * 10)) == [2] * 20
        await first.invalidate_async("t", wait=True)
        assert await two(1) == await one(1) == 3

    run(main())
    assert leader.result() == 1
    assert versions.loads == 3


def test_a_load_of_a_killed_process_is_taken_over(server: RedisServer) -> None:
    versions = Versions()
    cache = cache_of(server)
    check_script(
        f"""
        import os, zoocache
        cache = zoocache.Cache(storage_url={server.url!r})

        @cache.cacheable(namespace="get", version="1", deps=["org:acme:user:{{x}}"])
        def get(x):
            os._exit(0)  # as if it were killed

        get(1)
        """
    )
    assert counting(cache, versions)(1) == (1, 1)


def test_a_server_that_goes_stops_nobody(server: RedisServer) -> None:
    cache, versions = cache_of(server, command_timeout=0.1, connect_timeout=0.2), Versions()
    get = counting(cache, versions)
    get(1)
    server.signal(signal.SIGSTOP)
    assert [get(number) for number in range(2, 12)] == [(n, n) for n in range(2, 12)]
    server.signal(signal.SIGCONT)
    server.kill()
    assert [get(number)[0] for number in range(20, 30)] == list(range(20, 30))
    server.start()
    other = counting(cache_of(server), versions)

    def shared() -> bool:
        """Trust comes back, and with it a value that the other finds."""
        number = versions.next() + 100
        return bool(get(number) == other(number))

    wait_until(shared, "the server again")


def test_damaged_values_are_loaded_anew(server: RedisServer) -> None:
    versions = Versions()
    counting(cache_of(server), versions)(1)
    server.ask(
        "EVAL",
        "for _, key in ipairs(redis.call('KEYS', '*:e:*')) do"
        " redis.call('SETRANGE', key, 70, 'zz') end return 1",
        "0",
    )
    assert counting(cache_of(server), versions)(1) == (1, 2)
    assert counting(cache_of(server), versions)(1) == (1, 2)


def test_options_of_values_reach_the_server(server: RedisServer) -> None:
    versions = Versions()
    cache = cache_of(server, storage_ttl=50, max_value_bytes=100)
    counting(cache, versions)(1)
    ttl = "return redis.call('TTL', redis.call('KEYS', '*:e:*')[1])"
    assert 40 <= int(server.ask("EVAL", ttl, "0")[1:]) <= 50

    @cache.cacheable(namespace="large", version="1")
    def large() -> bytes:
        return os.urandom(1000)

    assert large() == large(), "in memory"
    assert cache.stats().l2_refusals == 1


def test_a_claim_ends_after_its_time(server: RedisServer) -> None:
    """Renewed every third of it, and gone that long after its process."""
    gate, versions = Gate(), Versions()
    slow = loading(cache_of(server, claim_timeout=30), gate, versions)
    caller = spawn(slow)
    gate.wait_entered()
    left = "return redis.call('PTTL', redis.call('KEYS', '*:f:*')[1])"
    assert 15_000 < int(server.ask("EVAL", left, "0")[1:]) <= 30_000
    gate.release()
    assert caller.result() == 1


@pytest.mark.parametrize(
    "options", [{"storage_ttl": 0}, {"claim_timeout": 1000}, {"max_value_bytes": 0}]
)
def test_options_of_values_are_checked(server: RedisServer, options: dict[str, float]) -> None:
    with pytest.raises(InvalidOption):
        cache_of(server, **options)
