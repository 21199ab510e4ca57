"""`configure(verify=)` where processes share a log: what another one invalidates is no finding."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fault_proxy import Proxy, is_message
from redis_server import RedisServer
from support import wait_until
from zoocache import Cache
from zoocache.testing import assert_invalidates

NEVER_S = 60.0  # nothing is judged but by findings(now=True)

WRITER = textwrap.dedent("""
    import ast, sys
    import zoocache

    cache = zoocache.Cache(**ast.literal_eval(sys.argv[1]))

    def get_order(key):
        return key

    get_order.__module__ = "shop"
    options = {"deps": ["shop:order:{key}"], "namespace": "orders", "version": "1"}
    get_order = cache.cacheable(**options)(get_order)
    done = {"parent": lambda: cache.invalidate("shop"), "clear": cache.clear}
    done["call"] = lambda: get_order.invalidate(1)
    print("ready", flush=True)
    for line in sys.stdin:
        said = line.strip()
        done[said]() if said in done else cache.invalidate(said)
        print("done", flush=True)
""")


class Writer:
    """Another process, which invalidates what it is told."""

    def __init__(self, **options: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", WRITER, repr(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._read() == "ready\n"

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def invalidate(self, what: str) -> None:
        """Returns when its call has."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        assert self._read() == "done\n"

    def close(self) -> None:
        self._process.communicate(timeout=30)


class Shop:
    """A cached function over data that anybody changes."""

    def __init__(self, **given: Any) -> None:
        self.cache = Cache(verify=1.0, **given)
        self.prices = {1: 10, 2: 20}

        def get_order(key: int) -> dict[str, int]:
            return {"price": self.prices[key]}

        get_order.__module__, get_order.__qualname__ = "shop", "get_order"  # as the writer's
        options = {"deps": ["shop:order:{key}"], "namespace": "orders", "version": "1"}
        self.get_order: Any = self.cache.cacheable(**options)(get_order)

    def change_unseen(self) -> None:
        """A value that is cached differs from what a hit loads."""
        self.get_order(1)
        self.prices[1] += 1
        assert self.get_order(1) == {"price": self.prices[1]}


@pytest.fixture(params=["folder", "folder with values", "server", "server with values"])
def place(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Options of a log that processes share."""
    option = "storage_url" if "values" in request.param else "bus_url"
    if request.param.startswith("folder"):
        return {option: request.getfixturevalue("url")}
    return {option: request.getfixturevalue("server").url}


@pytest.fixture
def writer() -> Iterator[Callable[..., Writer]]:
    made: list[Writer] = []

    def make(**options: Any) -> Writer:
        made.append(Writer(**options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_what_another_process_invalidates_is_a_race(
    place: dict[str, Any], writer: Callable[..., Writer]
) -> None:
    told = writer(**place, lease=NEVER_S)
    shop = Shop(**place, lease=NEVER_S)
    for what in ["shop:order:1", "parent", "call", "clear"] * 2:
        shop.change_unseen()
        told.invalidate(what)
        assert shop.cache.findings(now=True) == [], what
    shop.get_order(1)
    told.invalidate("shop:order:2")
    shop.change_unseen()
    (one,) = shop.cache.findings(now=True)
    assert one.parts == ("['price']: 18, now 19",)
    assert one.deps == ("shop:order:1",)
    assert one.invalidated[0].startswith("'shop:order:2'")

    # What another process invalidates counts for the assertion of tests, too.
    for what in ("shop:order:1", "parent", "clear"):
        with assert_invalidates("shop:order:1", cache=shop.cache):
            told.invalidate(what)
    with pytest.raises(
        AssertionError, match="shop:order:1 was not.*; invalidated was 'shop:order:2'"
    ):
        with assert_invalidates("shop:order:1", cache=shop.cache):
            told.invalidate("shop:order:2")


def test_what_nobody_invalidates_is_found_by_itself_a_lease_later(server: RedisServer) -> None:
    shop = Shop(bus_url=server.url, lease=0.4)
    shop.change_unseen()
    wait_until(lambda: shop.cache.findings() != [], "the finding")


@pytest.fixture
def proxy(server: RedisServer) -> Iterator[Proxy]:
    made = Proxy(server.port)
    yield made
    made.close()


def test_a_message_that_is_lost_makes_no_finding(server: RedisServer, proxy: Proxy) -> None:
    """The server is asked before anything is reported: its message may be late, or never come."""
    proxy.change = lambda value: [] if is_message(value) else [value]
    shop = Shop(bus_url=proxy.url, lease=NEVER_S)
    other = Cache(bus_url=server.url, lease=NEVER_S)
    shop.change_unseen()
    other.invalidate("shop:order:1")
    assert shop.cache.findings(now=True) == []
    shop.change_unseen()
    assert len(shop.cache.findings(now=True)) == 1, "that nobody has invalidated"


def test_what_cannot_be_asked_makes_no_finding(server: RedisServer) -> None:
    """Somebody may have invalidated it, and this process would not know."""
    shop = Shop(bus_url=server.url, lease=NEVER_S, command_timeout=0.05, connect_timeout=0.05)
    shop.change_unseen()
    server.kill()
    assert shop.cache.findings(now=True) == []
