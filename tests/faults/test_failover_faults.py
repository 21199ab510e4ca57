"""Another server takes over. The first line of each test is its row in docs/RELIABILITY.md."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from fault_proxy import Proxy
from fault_workload import Workload
from redis_server import RedisServer

Work = Callable[..., Workload]
Start = Callable[..., RedisServer]


@pytest.fixture
def proxies() -> Iterator[list[Proxy]]:
    """They are closed at the end."""
    made: list[Proxy] = []
    yield made
    for proxy in made:
        proxy.close()


def wait_for(condition: Callable[[], bool], workload: Workload | None = None) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
        if workload is not None:
            workload.check()


def start_replica(start_server: Start, primary_port: int) -> RedisServer:
    replica = start_server("--replicaof", f"127.0.0.1 {primary_port}", "--repl-timeout", "5")
    wait_for(lambda: b"master_link_status:up" in replica.send(b"INFO replication\r\n"))
    return replica


def test_failover_with_isolated_primary(
    start_server: Start, proxies: list[Proxy], work: Work
) -> None:
    """A lagging replica takes over; the old primary is cut off and still answers one process"""
    options = ("--repl-diskless-sync-delay", "0", "--min-replicas-max-lag", "1")
    primary = start_server(*options)
    stream = Proxy(primary.port, has_values=False)  # from the primary to its replica
    proxies += [stream, Proxy(primary.port), Proxy(primary.port)]
    moving, staying = proxies[1:]
    replica = start_replica(start_server, stream.port)
    primary.ask("CONFIG", "SET", "min-replicas-to-write", "1")
    wait_for(lambda: primary.ask("SET", "probe", "x") == b"+OK")
    workload = work(moving.url, moving.url, staying.url)
    workload.run(1.0)
    stream.is_silent = True  # what is acknowledged from now on, the replica never hears of
    wait_for(lambda: primary.ask("SET", "probe", "x").startswith(b"-NOREPLICAS"), workload)
    assert replica.ask("REPLICAOF", "NO", "ONE") == b"+OK"
    moving.target_port = replica.port
    moving.cut()
    workload.wait_reachable(0, 1)
    workload.run(1.5)  # two on the new one, one on the old one
    assert not workload.board.count(2, "reachable")
    assert workload.said("NOREPLICAS")
    staying.target_port = replica.port
    staying.cut()
    workload.wait_counted("errors", "disconnects", "generation_changes")
    workload.settle()
