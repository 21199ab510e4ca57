"""Every metric that monitoring relies on, made to count in a program and scraped from outside."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Iterator

import pytest

pytest.importorskip("prometheus_client")

from prometheus_client.parser import text_string_to_metric_families

from redis_server import RedisServer
from support import wait_until

LEASE_S = 1.5  # longer than a busy machine lets a process wait

PROGRAM = textwrap.dedent("""
    import sys, threading, time
    import zoocache
    from prometheus_client import CollectorRegistry, start_http_server
    from zoocache.contrib import prometheus

    timeouts = {"lease": float(sys.argv[2]), "command_timeout": 1.0, "connect_timeout": 1.0}
    cache = zoocache.Cache(storage_url=sys.argv[1], **timeouts)

    def cached(name, load, **options):
        load.__module__, load.__qualname__ = "app", name
        return cache.cacheable(namespace=name, version="1", **options)(load)

    user = cached("user", lambda key: key, deps=["user:{key}"])
    user("secret"), user("secret")
    cache.invalidate("user:secret")
    user("secret")
    quick = cached("quick", lambda: 1, ttl=0.02, storage="l1")
    quick()
    time.sleep(0.1)
    quick()
    small = cached("small", lambda key: key, max_entries=1, storage="l1")
    small(1), small(2), small(1)
    once = cached("once", lambda: zoocache.no_store())
    once(), once()

    entered, released = threading.Event(), threading.Event()
    slow = cached("slow", lambda: (entered.set(), released.wait(30)) and 1)
    threads = [threading.Thread(target=slow) for _ in range(3)]
    threads[0].start()
    entered.wait(30)
    for one in threads[1:]:
        one.start()
    while cache.stats().flights_joined < 2:
        time.sleep(0.001)
    released.set()
    for one in threads:
        one.join()

    other = zoocache.Cache(storage_url=sys.argv[1], **timeouts)
    seen = other.cacheable(namespace="user", version="1", deps=["user:{key}"])(user.__wrapped__)
    seen("secret")

    registry = CollectorRegistry()
    prometheus.install(registry, {"one": cache, "two": other})
    server, _ = start_http_server(0, "127.0.0.1", registry)
    print(server.server_port, flush=True)
    for number, _ in enumerate(sys.stdin):
        user(number)  # a miss, which asks the server
""")

Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Program:
    """A process that caches, and what a scrape of it tells."""

    def __init__(self, url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, url, str(LEASE_S)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self._told: Values = {}
        self._url = f"http://127.0.0.1:{int(self.process.stdout.readline())}/metrics"

    def scrape(self) -> Values:
        """What `value` tells of from now on."""
        with urllib.request.urlopen(self._url, timeout=30) as answer:
            families = text_string_to_metric_families(answer.read().decode())
            samples = [sample for family in families for sample in family.samples]
        self._told = {(one.name, frozenset(one.labels.items())): one.value for one in samples}
        return self._told

    def value(self, name: str, function: str = "", cache: str = "one", **labels: str) -> float:
        labels |= {"cache": cache, **({"function": function} if function else {})}
        return self._told[f"zoocache_{name}", frozenset(labels.items())]

    def now(self, name: str) -> float:
        self.scrape()
        return self.value(name)

    def load(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@pytest.fixture
def program(server: RedisServer) -> Iterator[Program]:
    made = Program(server.url)
    yield made
    made.process.send_signal(signal.SIGCONT)
    made.process.communicate(timeout=30)


def test_what_a_program_does_is_counted_and_can_be_scraped(
    program: Program, server: RedisServer
) -> None:
    told = program.scrape()
    assert program.value("hits_total", "user") == 1
    reasons = {
        ("user", "never_loaded"): 1,
        ("user", "invalidated"): 1,
        ("quick", "expired"): 1,
        ("small", "evicted"): 1,
        ("once", "not_stored"): 1,
    }
    for (function, reason), count in reasons.items():
        assert program.value("misses_total", function, reason=reason) == count, reason
    assert program.value("loads_total", "user") == 2
    assert program.value("load_seconds_count", "user") == 2
    assert program.value("load_seconds_bucket", "user", le="+Inf") == 2
    assert program.value("load_seconds_sum", "slow") > 0
    assert program.value("entries", "user") == 1
    assert program.value("bytes") > 0
    assert program.value("evictions_total", "small") == 2
    assert program.value("invalidations_total") >= 1
    assert program.value("flights_joined_total", "slow") == 2
    assert program.value("l2_stores_total", "user") == 2
    assert program.value("l2_hits_total", "user", cache="two") == 1
    assert program.value("home_reachable") == program.value("storage_reachable") == 1

    labels = {label for _, labels in told for label in labels}
    assert {name for name, _ in labels} == {"cache", "function", "reason", "le"}
    assert not [value for _, value in labels if "secret" in value or "user:" in value]

    before = program.value("home_lease_expirations_total")
    program.process.send_signal(signal.SIGSTOP)  # a process that stands still
    time.sleep(1.2 * LEASE_S)
    program.process.send_signal(signal.SIGCONT)
    wait_until(lambda: program.now("home_lease_expirations_total") > before, "the lease's end")

    before = program.value("home_breaker_opens_total")
    server.signal(signal.SIGSTOP)

    def is_open() -> bool:
        program.load()
        return program.now("home_breaker_opens_total") > before

    wait_until(is_open, "the breaker's opening")
    assert program.value("home_reachable") == program.value("storage_reachable") == 0
