"""What may happen to the server. The first line of each test is its row in docs/RELIABILITY.md."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

import pytest

from fault_workload import Workload
from redis_server import RedisServer

Work = Callable[..., Workload]
Start = Callable[..., RedisServer]
CHANNEL = "{zoocache}:log:0"
KEY = "{zoocache}:log"


def test_restart_without_persistence(server: RedisServer, work: Work) -> None:
    """kill -9 of the server, three times; it comes back empty"""
    workload = work(server.url)
    for _ in range(3):
        before = workload.generations()
        workload.run(0.5)
        server.kill()
        workload.run(0.3)
        server.start()
        workload.wait_generation(before)
    workload.wait_counted("disconnects", "generation_changes", "replays")
    workload.settle()


def test_restart_with_persistence(start_server: Start, work: Work) -> None:
    """kill -9 of a server with appendonly, synced every second; it comes back a little older"""
    server = start_server("--appendonly", "yes")
    workload = work(server.url)
    for _ in range(2):
        before = workload.generations()
        workload.run(0.8)
        server.kill()
        workload.wait_unreachable()
        server.start()
        workload.wait_generation(before)
    workload.wait_counted("disconnects", "generation_changes")
    workload.settle()


def test_flushall(server: RedisServer, work: Work) -> None:
    """FLUSHALL, ten times"""
    workload = work(server.url)
    before = workload.generations()
    for _ in range(10):
        workload.run(0.2)
        assert server.ask("FLUSHALL") == b"+OK"
    workload.wait_generation(before)
    workload.wait_counted("generation_changes", "flushes")
    workload.settle()


def test_server_stopped_for_a_second(server: RedisServer, work: Work) -> None:
    """SIGSTOP of the server for 1 s, twice"""
    workload = work(server.url)
    for _ in range(2):
        workload.run(0.4)
        server.signal(signal.SIGSTOP)
        workload.run(1.0)
        server.signal(signal.SIGCONT)
        workload.wait_reachable()
    assert workload.board.total("losses") > 0
    workload.wait_counted("timeouts", "breaker_opens")
    workload.settle()


@pytest.mark.slow
def test_server_stopped_for_ten_seconds(server: RedisServer, work: Work) -> None:
    """SIGSTOP of the server for 10 s, longer than eight leases"""
    workload = work(server.url)
    workload.run(0.4)
    server.signal(signal.SIGSTOP)
    workload.wait_unreachable()
    workload.run(10.0)
    server.signal(signal.SIGCONT)
    workload.wait_counted("timeouts", "breaker_opens")
    workload.settle()
    assert workload.board.total("losses") > 0


def test_client_kill(server: RedisServer, work: Work) -> None:
    """CLIENT KILL of every connection, twenty times"""
    workload = work(server.url)
    killed = 0
    for _ in range(20):
        workload.run(0.1)
        for kind in ("normal", "pubsub"):
            killed += int(server.ask("CLIENT", "KILL", "TYPE", kind)[1:])
    assert killed >= 20
    workload.wait_counted("disconnects")
    workload.settle()


def test_push_buffer_overflow(server: RedisServer, work: Work) -> None:
    """A stopped process's output buffer on the server overflows, and its connection is ended"""
    limit = server.ask("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 1mb 1")
    assert limit == b"+OK"
    workload = work(server.url)
    for _ in range(2):
        workload.run(0.3)
        workload.signal(1, signal.SIGSTOP)
        before = clients(server)
        deadline = time.monotonic() + 20
        while clients(server) >= before:
            assert time.monotonic() < deadline, "the buffer takes everything"
            server.ask("PUBLISH", CHANNEL, "x" * 200_000)
            time.sleep(0.002)  # for the others to read it
        workload.check()
        workload.signal(1, signal.SIGCONT)
        workload.wait_reachable()
    workload.wait_counted("disconnects")
    workload.settle()


def clients(server: RedisServer) -> int:
    """How many are subscribed."""
    return int(server.ask("PUBLISH", CHANNEL, "rubbish")[1:])


def test_noscript(server: RedisServer, work: Work) -> None:
    """SCRIPT FLUSH, a hundred times"""
    workload = work(server.url)
    for _ in range(100):
        workload.run(0.02)
        server.ask("SCRIPT", "FLUSH")
    workload.wait_counted("script_loads")
    workload.settle()


def test_out_of_memory(server: RedisServer, work: Work) -> None:
    """The memory is full of somebody else's keys (noeviction), and scripts are flushed besides"""
    workload = work(server.url)
    workload.run(0.3)
    server.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    server.ask("CONFIG", "SET", "maxmemory", "1mb")
    assert server.ask("SET", "filler", "x").startswith(b"-OOM")
    raised = workload.board.total("raised") + workload.board.total("kept")
    for _ in range(10):
        workload.run(0.1)
        server.ask("SCRIPT", "FLUSH")
        server.ask("CLIENT", "KILL", "TYPE", "pubsub")
    acknowledged = workload.board.total("acknowledged")
    workload.wait(lambda: workload.board.total("acknowledged") > acknowledged, "invalidations")
    workload.wait(lambda: workload.said("noeviction"), "the warning")
    print("not acknowledged:", workload.board.total("raised") - raised)
    workload.wait_counted("script_loads", "disconnects")
    workload.settle()  # with full memory


def test_read_only(server: RedisServer, work: Work) -> None:
    """The server becomes a replica of a dead primary, and a primary again"""
    workload = work(server.url)
    workload.run(0.4)
    server.ask("REPLICAOF", "127.0.0.1", "1")
    workload.wait_unreachable()
    workload.wait(lambda: workload.said("READONLY"), "READONLY")
    workload.run(0.5)
    server.ask("REPLICAOF", "NO", "ONE")
    workload.wait_counted("errors")
    workload.settle()


def test_read_only_to_new_connections(server: RedisServer, work: Work) -> None:
    """The same, and connections are ended meanwhile: the new ones find a replica"""
    workload = work(server.url)
    workload.run(0.4)
    server.ask("REPLICAOF", "127.0.0.1", "1")
    server.ask("CLIENT", "KILL", "TYPE", "pubsub")
    workload.wait_unreachable()
    workload.wait(lambda: workload.said("replica"), "that it is a replica")
    server.ask("REPLICAOF", "NO", "ONE")
    workload.wait_counted("disconnects")
    workload.settle()


def test_evicting_policy(server: RedisServer, work: Work) -> None:
    """The server may evict any key, as new connections find; then it is set right under them"""
    workload = work(server.url)
    workload.run(0.4)
    server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    server.ask("CLIENT", "KILL", "TYPE", "pubsub")
    workload.wait_unreachable()
    workload.wait(lambda: workload.said("allkeys-lru"), "the policy")
    server.ask("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
    workload.wait_counted("disconnects")
    workload.settle()


def test_slow_replies(start_server: Start, work: Work) -> None:
    """The server sleeps for 0.4 s, eight times: longer than a command may take"""
    server = start_server("--enable-debug-command", "yes")
    workload = work(server.url)
    for _ in range(8):
        thread = threading.Thread(target=server.ask, args=("DEBUG", "SLEEP", "0.4"))
        thread.start()
        workload.run(0.5)
        thread.join()
    workload.wait_counted("timeouts")
    workload.settle()
    not_acknowledged = workload.board.total("raised") + workload.board.total("kept")
    assert not_acknowledged > 0


def test_foreign_writes(server: RedisServer, work: Work) -> None:
    """Another program deletes and spoils the log's key, and publishes rubbish"""
    spoilers = [
        ("DEL", KEY),
        ("ZADD", KEY, "1e300", "rubbish"),
        ("ZADD", KEY, "+inf", "rubbish"),
        ("ZADD", KEY, "0.5", "\2nonce"),
        ("ZADD", KEY, "5", "\2clock"),
        ("ZREM", KEY, "\2nonce"),
        ("ZREM", KEY, "\2clock", "\2floor"),
        ("PUBLISH", CHANNEL, "1 2 3\n5:abc"),
        ("PUBLISH", CHANNEL, ""),
        ("PEXPIRE", KEY, "1"),
    ]
    workload = work(server.url)
    before = workload.generations()
    for spoiler in spoilers:
        workload.run(0.2)
        server.ask(*spoiler)
        workload.wait_reachable()
    workload.wait_counted("generation_changes", "errors")
    workload.settle()
    assert workload.generations() > before


def test_foreign_type(server: RedisServer, work: Work) -> None:
    """Another program replaces the log's key by a string, a list and a hash, three times each"""
    workload = work(server.url)
    for _ in range(3):
        for words in (("SET", KEY, "x"), ("RPUSH", KEY, "x"), ("HSET", KEY, "x", "y")):
            before = workload.generations()
            workload.run(0.1)
            server.send(f"MULTI\r\nDEL {KEY}\r\n{' '.join(words)}\r\nEXEC\r\n".encode())
            workload.wait_generation(before)
    workload.wait_counted("generation_changes")
    workload.settle()


def test_wrong_password(server: RedisServer, work: Work) -> None:
    """The server's password is changed under its clients, and set back"""
    workload = work(server.url)
    workload.run(0.3)
    server.ask("CONFIG", "SET", "requirepass", "another")
    with_password = [b"AUTH another\r\n", b"CLIENT KILL TYPE normal\r\n"]
    server.send(b"".join([*with_password, b"CLIENT KILL TYPE pubsub\r\n"]))
    workload.wait_unreachable()
    workload.wait(lambda: workload.said("NOAUTH"), "NOAUTH")
    workload.run(0.5)
    server.send(b"AUTH another\r\nCONFIG SET requirepass nopass\r\nCONFIG SET requirepass ''\r\n")
    workload.wait_counted("disconnects")
    workload.settle()
