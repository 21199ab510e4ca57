"""A log on a Redis server: `configure(bus_url="redis://...")`. Two caches are as two processes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import zoocache
from redis_server import RedisServer
from support import Versions, check_script, counting, run, wait_until, wait_until_async
from zoocache import Cache, HomeUnreachable, InvalidOption

LEASE_S = 0.6


def cache_of(server: RedisServer, **options: Any) -> Cache:
    return Cache(bus_url=server.url, lease=LEASE_S, **options)


def test_an_invalidation_reaches_the_other_cache(server: RedisServer) -> None:
    first, second = cache_of(server), cache_of(server)
    one, two = counting(first, Versions()), counting(second, Versions())
    assert [one(1), one(1), two(1), two(1)] == [1, 1, 1, 1]
    epoch = first.invalidate("org:acme")
    assert epoch > 0
    assert one(1) == 2
    wait_until(lambda: two(1) == 2, "the message")
    assert two(1) == 2
    assert second.get_tag_version("org:acme:user:1") == epoch
    one.invalidate(1)
    wait_until(lambda: two(1) == 3, "the key's message")
    first.clear()
    wait_until(lambda: two(1) == 4, "the message of clear()")
    assert first.core.home()["kind"] == "redis"


def test_waiting_for_every_process(server: RedisServer) -> None:
    first, second = cache_of(server), cache_of(server)
    one, two = counting(first, Versions()), counting(second, Versions())
    one(1)
    for round_ in range(1, 6):
        assert two(1) == round_
        first.invalidate("org", wait=True)
    assert two(1) == 6

    async def main() -> None:
        await first.invalidate_async("org", wait=True)
        assert two(1) == 7

    run(main())


def test_prefixes_are_tenants(server: RedisServer) -> None:
    first, second = cache_of(server, prefix="a"), cache_of(server, prefix="b")
    two = counting(second, Versions())
    two(1)
    first.invalidate("org", wait=True)
    assert two(1) == 1


def test_a_server_that_cannot_be_reached_stops_nobody(server: RedisServer) -> None:
    cache = cache_of(server)
    get = counting(cache, Versions())
    assert get(1) == 1
    server.kill()
    with pytest.raises(HomeUnreachable, match="kept"):
        cache.invalidate("org")
    assert get(1) == 2, "done here all the same"
    silent = cache_of(server, on_unreachable="journal", connect_timeout=0.05)
    assert silent.invalidate("org") == 0
    deadline = time.monotonic() + 20
    seen = get(1)
    while get(1) < seen + 2:
        assert time.monotonic() < deadline, "values grow old without a lease"
        time.sleep(0.02)
    server.start()
    late = cache_of(server)
    other = counting(late, Versions())
    other(1)
    wait_until(lambda: bool(cache.core.home()["reachable"]), "the server again")
    wait_until(lambda: late.get_tag_version("org") > 0, "what was kept")


def test_a_frozen_server(server: RedisServer) -> None:
    first, second = cache_of(server), cache_of(server)
    one, two = counting(first, Versions()), counting(second, Versions())
    one(1), two(1)
    server.signal(signal.SIGSTOP)
    with pytest.raises(HomeUnreachable):
        first.invalidate("org")
    assert one(1) == 2
    server.signal(signal.SIGCONT)
    wait_until(lambda: two(1) >= 2, "what was kept")


def test_other_threads_run_while_a_call_waits_for_the_server(server: RedisServer) -> None:
    cache = cache_of(server, command_timeout=1.0)
    get = counting(cache, Versions())
    get(1)
    server.signal(signal.SIGSTOP)
    ticks, stop = [0], threading.Event()

    def count() -> None:
        while not stop.is_set():
            ticks[0] += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        with pytest.raises(HomeUnreachable):
            cache.invalidate("org")
        before = ticks[0]
        assert before > 50
        deadline = time.monotonic() + 2 * LEASE_S
        while time.monotonic() < deadline:
            get(1)
        assert ticks[0] > before + 50
    finally:
        stop.set()
        thread.join()
        server.signal(signal.SIGCONT)


def test_async_calls_do_not_block_their_loop(server: RedisServer) -> None:
    cache = cache_of(server, command_timeout=0.5)
    versions = Versions()

    @cache.cacheable(deps=["t"])
    async def get(x: int) -> int:
        return versions.next()

    async def main() -> None:
        assert await get(1) == 1
        server.signal(signal.SIGSTOP)
        ticks, clock, ended, waited = 0, 0, False, 0

        async def watch() -> None:
            nonlocal ticks
            while not ended:
                ticks += 1
                await asyncio.sleep(0.001)

        def count() -> None:
            """A clock that stands still when the process does."""
            nonlocal clock
            while not ended:
                clock += 1
                time.sleep(0.001)

        async def ask(awaitable: Any) -> None:
            """Whatever comes of it: if it waits, the loop goes on meanwhile."""
            nonlocal waited
            began, before = clock, ticks
            with contextlib.suppress(HomeUnreachable):
                await awaitable
            if clock - began > 100:
                waited += 1
                assert ticks > before + 10, "the loop stood still"

        thread = threading.Thread(target=count)
        thread.start()
        watching = asyncio.create_task(watch())
        try:
            await ask(cache.invalidate_async("t"))
            await ask(get.refresh(1))
            assert waited > 0
            for _ in range(200):
                await ask(get(1))
                await asyncio.sleep(0.01)
        finally:
            ended = True
            thread.join()
        await watching
        server.signal(signal.SIGCONT)
        await wait_until_async(lambda: bool(cache.core.home()["reachable"]))

    run(main())


def test_a_forked_child_connects_anew(server: RedisServer) -> None:
    check_script(
        f"""
        import os, time, warnings, zoocache
        warnings.simplefilter("ignore")
        zoocache.configure(bus_url={server.url!r}, lease=1)

        @zoocache.cacheable(deps=["t"])
        def load():
            return object()

        first = load()
        for _ in range(5):
            pid = os.fork()
            if pid == 0:
                try:
                    mine = load()
                    zoocache.invalidate("t")
                    assert mine is not load()
                    os._exit(0)
                except BaseException:
                    import traceback
                    traceback.print_exc()
                    os._exit(1)
            _, status = os.waitpid(pid, 0)
            assert status == 0
            deadline = time.monotonic() + 20
            while load() is first:
                assert time.monotonic() < deadline
            first = load()
        """
    )


def test_values_in_a_folder_and_invalidations_from_a_server(
    server: RedisServer, tmp_path: Path
) -> None:
    """Two machines: each with a folder of its own."""
    versions = Versions()
    caches = [
        cache_of(server, storage_url=f"lmdb://{tmp_path}/{name}") for name in ("one", "one", "two")
    ]
    near, neighbour, far = (counting(cache, versions) for cache in caches)
    assert near(1) == 1
    assert neighbour(1) == 1, "through the folder"
    assert far(1) == 2
    caches[2].invalidate("org", wait=True)
    assert neighbour(1) == 3
    assert near(1) == 3
    assert far(1) == 4
    near.invalidate(1)
    assert near(1) == 5
    server.ask("FLUSHALL")
    wait_until(lambda: neighbour(1) > 5, "what is not known to hold is not served")


def acl_of_the_documents() -> list[str]:
    text = (Path(__file__).parents[2] / "docs" / "REDIS.md").read_text()
    return [line for line in text.splitlines() if line.startswith("ACL SETUSER")]


def test_the_acl_of_the_documents_is_enough(server: RedisServer) -> None:
    log, _ = acl_of_the_documents()
    assert server.ask(*log.split()) == b"+OK"
    assert server.ask("ACL", "SETUSER", "default", "off") == b"+OK"
    url = server.url.replace("//", "//zoocache:password@") + "/1"
    first, second = (Cache(bus_url=url, prefix="shop", lease=LEASE_S) for _ in range(2))
    two = counting(second, Versions())
    for round_ in range(1, 4):
        assert two(1) == round_
        first.invalidate("org", wait=True)
    home = second.core.home()
    assert home["reachable"], home
    assert home["trouble"] == "", home
    other = Cache(bus_url=url, prefix="other", lease=LEASE_S, connect_timeout=0.3)
    with pytest.raises(HomeUnreachable, match="NOPERM"):
        other.invalidate("org")


def test_the_acl_of_the_documents_is_enough_for_values(server: RedisServer) -> None:
    for line in acl_of_the_documents():
        assert server.ask(*line.split()) == b"+OK"
    url = server.url.replace("//", "//zoocache:password@")
    options: Any = {"bus_url": url, "storage_url": url, "prefix": "shop", "lease": LEASE_S}
    first, second = Cache(**options), Cache(**options)
    versions, begun, may_end = Versions(), threading.Event(), threading.Event()

    @first.cacheable(deps=["org"], namespace="get", version="1")
    def slow(_x: int) -> int:
        begun.set()
        assert may_end.wait(10)
        return versions.next()

    @second.cacheable(deps=["org"], namespace="get", version="1")
    def quick(_x: int) -> int:
        return versions.next()

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(slow, 1)
        assert begun.wait(10)
        two = pool.submit(quick, 1)
        channels = b"PUBSUB CHANNELS {shop}:n:*\r\n"
        wait_until(lambda: server.send(channels).startswith(b"*1"), "the subscription")
        may_end.set()
        assert [one.result(10), two.result(10)] == [1, 1]
    second.invalidate("org", wait=True)
    assert quick(1) == 2
    assert server.ask("ACL", "LOG") == b"*0", "nothing was denied"


def test_pairs_that_are_not_supported_are_said(server: RedisServer, tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match="storage_url="):
        Cache(storage_url=server.url, bus_url=f"lmdb://{tmp_path}/x")
    with pytest.raises(InvalidOption, match="on the same one") as refused:
        Cache(storage_url="redis://user:secret@localhost", bus_url=server.url)
    assert "secret" not in str(refused.value)
    for options in ({"lease": 0}, {"lease": 1000}, {"on_unreachable": "x"}, {"prefix": "a b"}):
        with pytest.raises(InvalidOption):
            Cache(bus_url=server.url, **options)  # type: ignore[arg-type]
    for name in ("bus_url", "storage_url"):
        with pytest.raises(InvalidOption, match="redis://"):
            Cache(**{name: "redis://"})  # type: ignore[arg-type]


def test_receipts_carry_a_write_to_other_processes(server: RedisServer) -> None:
    first, second = cache_of(server), cache_of(server)
    one, two = counting(first, Versions()), counting(second, Versions())
    for round_ in range(1, 20):
        assert two(1) == round_
        one(1)
        text = str(first.invalidate("org"))
        with second.at_least(zoocache.Receipt.parse(text)):
            assert two(1) == round_ + 1

    async def main() -> None:
        receipt = await first.invalidate_async("org")
        async with second.at_least(receipt):
            assert two(1) == 21

    run(main())
    receipt = zoocache.Receipt.parse(text)
    nobody = zoocache.Receipt(int(receipt) + 1000, receipt.generation)
    with pytest.raises(zoocache.InvalidReceipt, match="never gave it"):
        second.at_least(nobody).__enter__()
    server.ask("FLUSHALL")
    wait_until(lambda: two(1) == 22, "the server has forgotten the log")
    with second.at_least(receipt):
        assert two(1) == 22, "of a generation that has passed: nothing of it is served"


def test_a_receipt_that_cannot_be_reached_makes_reads_load(server: RedisServer) -> None:
    first, second = cache_of(server), cache_of(server)
    two = counting(second, Versions())
    receipt = first.invalidate("org")
    assert two(1) == 1
    server.signal(signal.SIGSTOP)
    later = zoocache.Receipt(int(receipt) + 1, receipt.generation)  # type: ignore[attr-defined]
    with second.at_least(later, timeout=0.05):
        assert two(1) == 2
    server.signal(signal.SIGCONT)


def test_receipts_from_outside_are_looked_at() -> None:
    receipt = zoocache.Receipt(7, 0xABC)
    assert str(receipt) == "zoo1.abc.7"
    assert zoocache.Receipt.parse(str(receipt)) == receipt
    assert zoocache.Receipt.parse(str(receipt)).generation == receipt.generation
    signed = receipt.signed(b"key")
    assert zoocache.Receipt.parse(signed, b"key") == 7
    for text, key in [
        ("", None),
        ("zoo1.abc", None),
        ("zoo1.abc.-1", None),
        ("zoo1.abc.11112222333344445", None),
        (signed, None),
        (signed, b"other"),
        (str(receipt), b"key"),
        (signed[:-1] + ("0" if signed[-1] != "0" else "1"), b"key"),
        (5, None),
    ]:
        with pytest.raises(zoocache.InvalidReceipt):
            zoocache.Receipt.parse(text, key)


def test_a_process_that_only_writes(server: RedisServer) -> None:
    reader, writer = cache_of(server), cache_of(server, mode="writer")
    get, load = counting(reader, Versions()), counting(writer, Versions())
    get(1)
    epoch = writer.invalidate("org:acme")
    wait_until(lambda: get(1) == 2, "the message")
    assert [load(1), load(1), load(1)] == [1, 2, 3]
    writer.invalidate("org", wait=True)
    assert get(1) == 3
    with writer.at_least(epoch, timeout=60), reader.at_least(epoch, timeout=60):
        assert load(1) == 4
    home = writer.home()
    assert home is not None
    assert home["reachable"]


def test_what_happened_is_counted(server: RedisServer) -> None:
    assert zoocache.Cache().home() is None
    cache = cache_of(server)
    get = counting(cache, Versions())
    get(1)

    def counted(name: str) -> int:
        home = cache.home()
        assert home is not None
        return int(home["counters"][name])

    assert counted("connects") == 1
    assert counted("disconnects") == counted("generation_changes") == 0
    server.kill()
    server.start()
    wait_until(lambda: counted("generation_changes") == 1, "the new generation")
    assert counted("disconnects") >= 1


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "reader"},
        {"mode": None},
        {"replicas_ack": -1},
        {"replicas_ack": 101},
        {"replicas_ack": True},
        {"mode": "writer", "bus_url": None},
        {"mode": "writer", "bus_url": "lmdb://./never"},
        {"mode": "writer", "storage_url": "lmdb://./never"},
        {"mode": "writer", "bus_url": None, "storage_url": "redis://127.0.0.1:1"},
    ],
)
def test_options_that_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption, match=next(iter(options))):
        Cache(**{"bus_url": "redis://127.0.0.1:1", **options})
