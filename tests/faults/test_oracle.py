"""Whether the fault tests would see what must not be: they are shown it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest

from fault_proxy import Proxy, end_of_value, is_message
from fault_workload import Workload
from redis_server import RedisServer

Work = Callable[..., Workload]


@pytest.fixture
def proxy(server: RedisServer) -> Iterator[Proxy]:
    proxy = Proxy(server.port)
    yield proxy
    proxy.close()


def test_stale_reads_are_seen(proxy: Proxy, work: Work) -> None:
    """Without messages a process is behind for a part of the lease: too late for a bound of 0."""
    proxy.change = lambda value: [] if is_message(value) else [value]
    with pytest.raises(AssertionError, match="stale reads"):
        work(proxy.url, bound_s=0.0).run(10.0)


def test_lost_invalidations_are_seen(server: RedisServer, work: Work) -> None:
    """What is acknowledged is not effective in a process that hears and asks nothing."""
    workload = work(server.url)
    workload.run(0.3)
    workload.signal(2, signal.SIGSTOP)
    before = workload.board.total("acknowledged")
    workload.wait(lambda: workload.board.total("acknowledged") > before + 20, "invalidations")
    with pytest.raises(AssertionError, match="recovery: never came"):
        workload.settle(patience_s=1.0)
    assert workload.lost > 0
    workload.signal(2, signal.SIGCONT)


def test_a_process_that_ends_is_seen(server: RedisServer, work: Work) -> None:
    workload = work(server.url)
    workload.signal(1, signal.SIGKILL)
    with pytest.raises(AssertionError, match="worker 1 ended"):
        workload.run(10.0)


def test_where_values_end() -> None:
    values = [
        *(b"+OK\r\n", b":1\r\n", b"$3\r\na\r\n\r\n", b"$-1\r\n", b"*0\r\n", b"*-1\r\n", b"_\r\n"),
        *(b"*2\r\n:1\r\n$2\r\nab\r\n", b"%1\r\n+a\r\n*1\r\n:1\r\n", b"=5\r\ntxt:a\r\n"),
        b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\n\r\n\r\n\r\n",
    ]
    for value in values:
        assert end_of_value(value + b"+next\r\n") == len(value), value
        assert all(end_of_value(value[:cut]) is None for cut in range(len(value))), value
    assert [is_message(value) for value in values] == [False] * (len(values) - 1) + [True]
