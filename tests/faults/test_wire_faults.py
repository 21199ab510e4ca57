"""What may happen on the way. The first line of each test is its row in docs/RELIABILITY.md."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from fault_proxy import Proxy, is_message
from fault_workload import Workload
from redis_server import RedisServer

Work = Callable[..., Workload]


@pytest.fixture
def proxy(server: RedisServer) -> Iterator[Proxy]:
    proxy = Proxy(server.port, random.SystemRandom().randrange(2**32))
    yield proxy
    proxy.close()


def spoil_messages(proxy: Proxy, how: Callable[[bytes], list[bytes]], share: float) -> None:
    """Of so many of the pushed messages something else becomes."""

    def change(value: bytes) -> list[bytes]:
        if not is_message(value) or proxy.chance.random() >= share:
            return [value]
        proxy.changed += 1
        return how(value)

    proxy.change = change


def run_changed(workload: Workload, proxy: Proxy, *counters: str) -> None:
    workload.run(3.0)
    assert proxy.changed > 20
    workload.wait_counted(*counters)
    proxy.change = None
    workload.settle()


def test_messages_lost(proxy: Proxy, work: Work) -> None:
    """Half of all pushed messages are dropped on the way"""
    workload = work(proxy.url)
    spoil_messages(proxy, lambda value: [], 0.5)
    run_changed(workload, proxy, "gaps", "catch_ups")


def test_all_messages_lost(proxy: Proxy, work: Work) -> None:
    """No pushed message arrives: only heartbeats tell"""
    workload = work(proxy.url)
    spoil_messages(proxy, lambda value: [], 1.0)
    run_changed(workload, proxy, "gaps", "catch_ups")


def test_messages_doubled(proxy: Proxy, work: Work) -> None:
    """Pushed messages arrive twice"""
    workload = work(proxy.url)
    spoil_messages(proxy, lambda value: [value, value], 0.7)
    run_changed(workload, proxy, "duplicates")


def test_messages_reordered(proxy: Proxy, work: Work) -> None:
    """Pushed messages are held back, overtaken by others and by replies, and come late"""
    workload = work(proxy.url)
    held: list[bytes] = []

    def swap(value: bytes) -> list[bytes]:
        """One of eight that are held back, or of none yet, takes the place of this one."""
        held.append(value)
        if len(held) < 8:
            return []
        return [held.pop(proxy.chance.randrange(len(held)))]

    spoil_messages(proxy, swap, 0.7)
    run_changed(workload, proxy, "gaps", "catch_ups")


def test_cut_inside_values(proxy: Proxy, work: Work) -> None:
    """Connections end in the middle of a reply or a message, twenty times"""
    workload = work(proxy.url)
    pieces = [b">3\r\n$7\r\nmess", b"*4\r\n:12", b"$5\r\nab", b"*", b">3\r\n", b":1"]
    for index in range(20):
        workload.run(0.1)
        proxy.cut(pieces[index % len(pieces)])
    workload.wait_counted("disconnects")
    workload.settle()


def test_hostile_bytes(proxy: Proxy, work: Work) -> None:
    """Rubbish, endless sizes and deep nesting come instead of replies, and the connection ends"""
    workload = work(proxy.url)
    chance = proxy.chance
    hostile = [
        b"$99999999999999999999\r\n",
        b"*2147483647\r\n",
        b"%9223372036854775807\r\n",
        b"$-7\r\n",
        b">-1\r\n",
        b"*1\r\n" * 5000,
        b">1\r\n" * 5000,
        b"%1\r\n" * 5000,
        b"\0" * 4096,
        b">3\r\n$7\r\nmessage\r\n+a\r\n+b\r\n",
        b">0\r\n",
        b"*0\r\n",
        b"_\r\n#t\r\n,inf\r\n(123\r\n",
        b"-ERR " + b"x" * 100_000 + b"\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"$16\r\n" + b"y" * 8,
    ]
    for words in hostile:
        workload.run(0.12)
        proxy.cut(words)
    for _ in range(20):
        workload.run(0.05)
        proxy.cut(chance.randbytes(chance.randrange(1, 300)))
    workload.wait_counted("disconnects")
    workload.settle()


def test_rubbish_messages(proxy: Proxy, work: Work) -> None:
    """Messages of our channel arrive cut short, empty, of other types, and with foreign words"""
    workload = work(proxy.url)
    rubbish = [
        b">3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$0\r\n\r\n",
        b">3\r\n$7\r\nmessage\r\n$16\r\n{zoocache}:log:0\r\n$9\r\n1 2 3\n9:x\r\n",
        b">3\r\n$7\r\nmessage\r\n$16\r\n{zoocache}:log:0\r\n*1\r\n:1\r\n",
        b">2\r\n$7\r\nmessage\r\n:5\r\n",
        b">1\r\n*1\r\n*0\r\n",
        b">0\r\n",
    ]
    spoil_messages(proxy, lambda value: [proxy.chance.choice(rubbish)], 0.3)
    run_changed(workload, proxy, "errors", "gaps")


def test_slow_way(proxy: Proxy, work: Work) -> None:
    """Everything takes 0.15 s longer, either way: longer than a command may take"""
    workload = work(proxy.url)
    workload.run(0.3)
    proxy.delay_s = 0.15
    workload.run(3.0)
    proxy.delay_s = 0.0
    workload.wait_counted("timeouts")
    workload.settle()


def test_no_answer(proxy: Proxy, work: Work) -> None:
    """Connections stay open and carry nothing for 2 s; new ones are taken and not answered"""
    workload = work(proxy.url)
    workload.run(0.3)
    proxy.is_silent = True
    workload.wait_unreachable()
    workload.run(2.0)
    proxy.is_silent = False
    proxy.cut()
    workload.wait_counted("timeouts", "disconnects")
    workload.settle()
    assert workload.board.total("losses") > 0


def test_one_process_cut_off(server: RedisServer, proxy: Proxy, work: Work) -> None:
    """The connection of one process carries nothing for 3 s, and then it is refused, for 1 s"""
    workload = work(server.url, server.url, proxy.url)
    workload.run(0.3)
    proxy.is_silent = True
    workload.wait_unreachable(2)
    workload.run(3.0)  # the others write
    proxy.is_silent = False
    proxy.cut()
    workload.wait_reachable(2)
    workload.run(0.3)
    proxy.refuse()
    workload.run(1.0)
    proxy.listen()
    workload.wait_counted("disconnects")
    workload.settle()
    assert workload.board.count(2, "losses") > 0


def test_no_route(proxy: Proxy, work: Work) -> None:
    """Nobody listens at the server's address for 2 s"""
    workload = work(proxy.url)
    workload.run(0.3)
    proxy.refuse()
    workload.wait_unreachable()
    workload.wait(lambda: workload.said("refused"), "that it is refused")
    workload.run(2.0)
    proxy.listen()
    workload.wait_counted("disconnects")
    workload.settle()
