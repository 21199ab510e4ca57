"""What may happen to a process. The first line of each test is its row in docs/RELIABILITY.md."""

from __future__ import annotations

import signal
from collections.abc import Callable

from fault_workload import LEASE_S, Workload
from redis_server import RedisServer

Work = Callable[..., Workload]


def test_suspended_process(server: RedisServer, work: Work) -> None:
    """A process is stopped for two leases and continued, three times, while others write"""
    workload = work(server.url)
    for slot in (0, 2, 1):
        workload.run(0.3)
        workload.signal(slot, signal.SIGSTOP)
        workload.run(2 * LEASE_S)
        workload.signal(slot, signal.SIGCONT)
        workload.wait_round(slot)
    workload.wait_counted("lease_expirations")
    workload.settle()


def test_process_suspended_beyond_memory(server: RedisServer, work: Work) -> None:
    """A process is stopped for eleven leases: the server has forgotten it"""
    workload = work(server.url)
    workload.run(0.3)
    workload.signal(2, signal.SIGSTOP)
    workload.run(11 * LEASE_S)
    workload.signal(2, signal.SIGCONT)
    workload.run(0.3)
    workload.wait_counted("lease_expirations")
    workload.settle()


def test_process_killed(server: RedisServer, work: Work) -> None:
    """kill -9 of a process that writes, eight times, and another in its place"""
    workload = work(server.url)
    for index in range(8):
        workload.run(0.3)
        workload.kill_worker(index % 3)
    workload.wait_reachable()
    workload.wait_counted("connects")
    workload.settle()


def test_fork(server: RedisServer, work: Work) -> None:
    """A process forks in the middle of its work, and both go on"""
    workload = work(server.url)
    workload.run(0.5)
    workload.fork_worker(0)
    workload.run(1.5)
    workload.wait_counted("connects")
    workload.settle()
