"""`get_many` and the second level: one look, one claim and one store for all of the items.

Two caches share values and nothing else: they are as two processes here.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from redis_server import RedisServer
from support import Gate, check_script, run, spawn
from zoocache import Cache, SerializationError


@pytest.fixture(params=["lmdb", "redis"])
def caches(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Cache, Cache]]:
    if request.param == "lmdb":
        url = f"lmdb://{tmp_path}/cache"
        yield Cache(storage_url=url), Cache(storage_url=url)
        return
    server = RedisServer(tmp_path)
    yield cache_of(server), cache_of(server)
    server.kill()


def cache_of(server: RedisServer) -> Cache:
    # A loaded machine is no dead server.
    return Cache(storage_url=server.url, command_timeout=5, connect_timeout=5)


class Side:
    """One process: its function, its loader of many, and what they were asked for."""

    def __init__(self, cache: Cache, gate: Gate | None = None, **options: Any) -> None:
        self.cache = cache
        self.gate = gate
        self.batches: list[list[Any]] = []
        self.single: list[Any] = []
        options.setdefault("deps", ["item:{item}"])

        @cache.cacheable(namespace="get", version="1", **options)
        def get(item: Any) -> Any:
            self.single.append(item)
            return ("value", item)

        self.get = get

    def load(self, items: list[Any]) -> list[Any]:
        self.batches.append(items)
        if self.gate is not None:
            self.gate.hold()
        return [("value", item) for item in items]

    def many(self, items: Any) -> Any:
        return self.get.get_many(items, load=self.load)


def of(items: Any) -> list[Any]:
    return [("value", item) for item in items]


def test_the_other_process_finds_the_values(caches: tuple[Cache, Cache]) -> None:
    one, two = (Side(cache) for cache in caches)
    assert one.many(range(20)) == of(range(20))
    assert one.cache.stats().l2_stores == 20
    assert two.many([*range(10), 25]) == of([*range(10), 25])
    assert two.batches == [[25]]
    assert two.get.get_many(range(30)) == of(range(30))
    assert two.single == [*range(20, 25), 26, 27, 28, 29]
    assert two.cache.stats().l2_hits == 20
    assert two.get.peek(3) == ("value", 3)
    assert two.get.cache_info()[:2] == (11, 30)


def test_what_is_invalidated_elsewhere_is_loaded_anew(caches: tuple[Cache, Cache]) -> None:
    one, two = (Side(cache) for cache in caches)
    one.many([1, 2])
    two.cache.invalidate("item:1", wait=True)
    assert two.many([1, 2]) == of([1, 2])
    assert two.batches == [[1]]
    assert one.many([1, 2]) == of([1, 2])
    assert one.batches == [[1, 2]]


def test_what_is_invalidated_during_the_load_is_not_stored(caches: tuple[Cache, Cache]) -> None:
    gate = Gate()
    one, two = Side(caches[0], gate), Side(caches[1])
    many = spawn(one.many, [1, 2])
    gate.wait_entered()
    two.cache.invalidate("item:1", wait=True)
    gate.release()
    assert many.result() == of([1, 2])
    assert two.many([1, 2]) == of([1, 2])
    assert two.batches == [[1]]


def test_claims_are_freed_whatever_becomes_of_the_load(caches: tuple[Cache, Cache]) -> None:
    one, two = (Side(cache) for cache in caches)

    def broken(_: list[Any]) -> list[Any]:
        raise OSError

    def short(items: list[Any]) -> list[Any]:
        return items[1:]

    for number, load in enumerate((broken, short)):
        items = [10 * number, 10 * number + 1]
        with pytest.raises((OSError, ValueError)):
            one.get.get_many(items, load=load)
        assert two.many(items) == of(items)
        assert two.batches[-1] == items, "nobody else loads them"
    with pytest.raises(TypeError):
        one.get.get_many([50, 51, {}.keys()], load=one.load)
    assert two.many([50, 51]) == of([50, 51])
    assert two.batches[-1] == [50, 51]
    assert two.single == []


def test_batches_that_overlap_crosswise_load_each_item_once(caches: tuple[Cache, Cache]) -> None:
    both = threading.Barrier(2)
    lock = threading.Lock()
    loaded: list[int] = []

    def load(items: list[int]) -> list[Any]:
        with lock:
            loaded.extend(items)
        return of(items)

    def call(side: Side, items: list[int]) -> list[Any]:
        both.wait(30)
        return side.get.get_many(items, load=load)

    sides = [Side(cache) for cache in caches]
    for first in range(0, 200, 40):
        items = list(range(first, first + 40))
        one = spawn(call, sides[0], items)
        two = spawn(call, sides[1], items[::-1])
        assert one.result() == of(items)
        assert two.result() == of(items[::-1])
        assert sorted(loaded) == items
        loaded.clear()
    assert sides[0].single == sides[1].single == []


def test_a_batch_waits_for_nobody_while_it_has_claims(caches: tuple[Cache, Cache]) -> None:
    gates = Gate(), Gate()
    one, two = Side(caches[0], gates[0]), Side(caches[1], gates[1])
    first = spawn(one.many, [1, 2])
    gates[0].wait_entered()
    second = spawn(two.many, [2, 3])
    gates[1].wait_entered()
    assert two.batches == [[3]], "another process loads 2"
    gates[1].release()
    gates[0].release()
    assert first.result() == of([1, 2])
    assert second.result() == of([2, 3])
    assert one.single == two.single == []


def test_a_value_that_cannot_leave_the_process(caches: tuple[Cache, Cache]) -> None:
    one, two = (Side(cache, on_unserializable="raise") for cache in caches)
    with pytest.raises(SerializationError):
        one.get.get_many([1, 2], load=lambda _: [object(), 2])
    assert one.get.peek(2) == 2
    assert two.get.get_many([1, 2], load=two.load) == [("value", 1), 2]
    assert two.batches == [[1]]


def async_side(cache: Cache) -> tuple[Any, list[list[int]], Any]:
    batches: list[list[int]] = []

    @cache.cacheable(namespace="get", version="1")
    async def get(item: int) -> Any:
        return ("value", item)

    async def load(items: list[int]) -> list[Any]:
        batches.append(items)
        await asyncio.sleep(0)
        return of(items)

    return get, batches, load


def test_async_functions(caches: tuple[Cache, Cache]) -> None:
    get, batches, load = async_side(caches[0])
    other, others, other_load = async_side(caches[1])

    async def main() -> None:
        assert await get.get_many(range(10), load=load) == of(range(10))
        assert await other.get_many([3, 11, 4], load=other_load) == of([3, 11, 4])
        assert await other.get_many(range(12)) == of(range(12))

    run(main())
    assert (batches, others) == ([list(range(10))], [[11]])
    assert caches[1].stats().l2_hits == 10


def test_a_cancelled_batch_frees_its_claims(caches: tuple[Cache, Cache]) -> None:
    get, _, _ = async_side(caches[0])
    other, others, other_load = async_side(caches[1])

    async def main() -> None:
        entered = asyncio.Event()

        async def stuck(_: list[int]) -> list[Any]:
            entered.set()
            await asyncio.sleep(3600)
            raise AssertionError

        many = asyncio.create_task(get.get_many([1, 2], load=stuck))
        await entered.wait()
        many.cancel()
        with pytest.raises(asyncio.CancelledError):
            await many
        assert await other(1) == ("value", 1)
        assert await other.get_many([1, 2], load=other_load) == of([1, 2])
        at_once = asyncio.create_task(get.get_many([5, 6], load=stuck))
        await asyncio.sleep(0)
        at_once.cancel()
        with pytest.raises(asyncio.CancelledError):
            await at_once
        assert await other(5) == ("value", 5)

    run(main())
    assert others in ([[2]], [])


def test_round_trips_do_not_grow_with_the_items(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    try:
        one, two = (Side(cache_of(server)) for _ in range(2))
        fresh = Side(cache_of(server))
        one.many([1])
        assert two.many([1]) == fresh.many([1]) == of([1])

        def reads() -> int:
            told = server.send(b"INFO stats\r\n").decode()
            return int(told.split("total_reads_processed:")[1].split()[0])

        items = range(100, 340)
        for what, side in (("load and store", one), ("find", two)):
            before = reads()
            assert side.many(items) == of(items)
            took = reads() - before
            assert took < len(items) / 2, f"{what}: {took} reads by the server"
        before = reads()
        assert fresh.get.get_many(items) == of(items)
        assert reads() - before < len(items) / 2
        one.cache.invalidate("other")
        late = Side(cache_of(server))  # it has not seen what came before it
        late.many([1])
        before = reads()
        assert late.many(items) == of(items)
        assert reads() - before < len(items) / 2, "the server has to check all of them"
        home = late.cache.core.home()
        assert home is not None
        assert home["counters"]["server_checks"] == len(items) + 1
        assert two.batches == fresh.single == late.batches == []
    finally:
        server.kill()


def test_another_process(tmp_path: Path) -> None:
    script = f"""
        import zoocache
        zoocache.configure(storage_url="lmdb://{tmp_path}/cache")

        @zoocache.cacheable(namespace="get", version="1")
        def get(item):
            raise AssertionError(item)

        def load(items):
            print(items)
            return [item * 2 for item in items]

        assert get.get_many([1, 2, 3], load=load) == [2, 4, 6]
    """
    assert check_script(script) == "[1, 2, 3]\n"
    assert check_script(script) == ""
