"""Values past their time, and those about to be: grace, errors, soft time-outs, refreshing ahead.

The clock of the entries is moved by hand.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import zoocache
from support import HANG_S, Gate, run
from zoocache import InvalidOption, cacheable, invalidate, stats


class Clock:
    """The default cache's time, in seconds."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.core = zoocache._default.core
        self.core.set_time(self.now_s)

    def advance(self, seconds: float) -> None:
        self.now_s += seconds
        self.core.set_time(self.now_s)


class Source:
    """Counts its loads; fails or waits when told so."""

    def __init__(self) -> None:
        self.loads = 0
        self.error: Exception | None = None
        self.gate: Gate | None = None

    def load(self) -> int:
        self.loads += 1
        mine = self.loads
        if self.gate is not None:
            self.gate.hold()
        if self.error is not None:
            raise self.error
        return mine


@pytest.fixture
def clock() -> Iterator[Clock]:
    zoocache.reset()
    yield Clock()
    zoocache.reset()


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HANG_S
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


# ---- grace and errors: what is handed out, by how the value ended and by option ----

GRACE = {"ttl": 10, "grace": 5}
ERROR = {"ttl": 10, "stale_if_error": 5}
ENDINGS = {
    "expired": lambda clock: clock.advance(12),
    "expired long ago": lambda clock: clock.advance(16),
    "invalidated": lambda clock: invalidate("t"),
    "expired, then invalidated": lambda clock: (clock.advance(12), invalidate("t")),
    "invalidated long ago": lambda clock: (invalidate("t"), clock.advance(6)),
    "cleared": lambda clock: zoocache.clear(),
}


@pytest.mark.parametrize(
    ("ending", "options", "served"),
    [
        ("expired", {"ttl": 10}, False),
        ("expired", GRACE, True),
        ("expired long ago", GRACE, False),
        ("invalidated", GRACE, False),
        ("expired, then invalidated", GRACE, False),
        ("invalidated", {**GRACE, "stale_while_revalidate": True}, True),
        ("expired, then invalidated", {**GRACE, "stale_while_revalidate": True}, True),
        ("invalidated long ago", {**GRACE, "stale_while_revalidate": True}, False),
        ("cleared", {**GRACE, "stale_while_revalidate": True}, False),
        ("expired", ERROR, False),
        ("invalidated", {"grace": 5, "stale_while_revalidate": True}, True),
    ],
)
def test_an_old_value_while_another_caller_loads(
    clock: Clock, ending: str, options: dict[str, Any], served: bool
) -> None:
    source = Source()
    load = cacheable(deps=["t"], **options)(source.load)
    assert load() == 1
    ENDINGS[ending](clock)
    source.gate = Gate()
    leader: list[int] = []
    thread = threading.Thread(target=lambda: leader.append(load()))
    thread.start()
    source.gate.wait_entered()
    if served:
        assert load() == 1
        assert stats().stale_hits == 1
    else:
        follower: list[int] = []
        second = threading.Thread(target=lambda: follower.append(load()))
        second.start()
        eventually(lambda: stats().flights_joined == 1)
        assert not follower
    source.gate.release()
    thread.join()
    if not served:
        second.join()
        assert follower == [2]
    assert leader == [2]
    assert load() == 2
    assert source.loads == 2


@pytest.mark.parametrize(
    ("ending", "options", "served"),
    [
        ("expired", {"ttl": 10}, False),
        ("expired", ERROR, True),
        ("expired long ago", ERROR, False),
        ("invalidated", ERROR, False),
        ("expired, then invalidated", ERROR, False),
        ("invalidated", {**ERROR, "stale_if_error_invalidated": True}, True),
        ("invalidated long ago", {**ERROR, "stale_if_error_invalidated": True}, False),
        ("cleared", {**ERROR, "stale_if_error_invalidated": True}, False),
        ("expired", GRACE, False),
        ("invalidated", {**ERROR, "grace": 5, "stale_while_revalidate": True}, False),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
def test_an_old_value_instead_of_an_error(
    clock: Clock, ending: str, options: dict[str, Any], served: bool, is_async: bool
) -> None:
    source = Source()

    async def load_async() -> int:
        return source.load()

    cached: Any = cacheable(deps=["t"], **options)(load_async if is_async else source.load)

    def load() -> int:
        return asyncio.run(cached()) if is_async else cached()

    assert load() == 1
    ENDINGS[ending](clock)
    source.error = KeyError("gone")
    if served:
        assert [load(), load()] == [1, 1]
        assert stats().stale_hits == 2
    else:
        with pytest.raises(KeyError):
            load()
    assert stats().load_errors == (2 if served else 1)
    source.error = None
    assert load() == source.loads


def test_followers_of_a_failed_load_get_the_old_value_too(clock: Clock) -> None:
    source = Source()
    load = cacheable(ttl=10, stale_if_error=5)(source.load)
    load()
    clock.advance(11)
    source.gate, source.error = Gate(), KeyError("gone")
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(load())) for _ in range(3)]
    for thread in threads:
        thread.start()
    source.gate.wait_entered()
    eventually(lambda: stats().flights_joined == 2)
    source.gate.release()
    for thread in threads:
        thread.join()
    assert answers == [1, 1, 1]
    assert source.loads == 2


def test_what_is_made_of_an_old_value_is_not_kept_through_any_depth(clock: Clock) -> None:
    source = Source()
    inner = cacheable(ttl=10, stale_if_error=5)(source.load)
    middle = cacheable(lambda: inner() * 10)
    outer = cacheable(lambda: middle() + 1)
    inner()
    clock.advance(11)
    source.error = KeyError("gone")
    assert outer() == 11
    source.error = None
    assert outer() == source.loads * 10 + 1 == 31
    assert outer.cache_info().currsize == 1


def test_no_store_of_an_inner_call_does_not_concern_the_outer_one() -> None:
    zoocache.reset()

    @cacheable
    def inner() -> int:
        zoocache.no_store()
        return 1

    outer = cacheable(lambda: inner())
    outer()
    outer()
    assert outer.cache_info().hits == 1


def test_an_inner_failure_with_unknown_dependencies_reaches_the_outermost_load() -> None:
    zoocache.reset()

    def fails(**_: object) -> list[str]:
        raise ValueError("no tags")

    @cacheable(deps=lambda: fails())
    def inner() -> int:
        raise KeyError("gone")

    @cacheable
    def middle() -> int:
        try:
            return inner()
        except (KeyError, ValueError):
            return 0

    outer = cacheable(lambda: middle())
    outer()
    outer()
    assert outer.cache_info().hits == 0


# ---- soft time-outs ----


def test_a_soft_time_out_hands_out_the_old_value_and_the_load_goes_on(clock: Clock) -> None:
    source = Source()
    load = cacheable(ttl=10, grace=5, soft_timeout=0.05)(source.load)
    assert load() == 1
    clock.advance(11)
    source.gate = Gate()
    assert [load(), load(), load()] == [1, 1, 1]
    assert source.loads == 2, "one load for all of them"
    source.gate.release()
    eventually(lambda: load() == 2)
    assert stats().refreshes == 1
    assert stats().stale_hits >= 3


def test_a_quick_load_beats_the_soft_time_out(clock: Clock) -> None:
    source = Source()
    load = cacheable(ttl=10, grace=5, soft_timeout=HANG_S)(source.load)
    outer = cacheable(lambda: load())
    load()
    clock.advance(11)
    assert outer() == 2
    assert stats().stale_hits == 0
    load.invalidate()
    assert outer() == 3, "the outer load depends on what the background loaded"


def test_without_an_old_value_the_caller_waits(clock: Clock) -> None:
    source = Source()
    load = cacheable(ttl=10, grace=5, soft_timeout=0.01)(source.load)
    assert load() == 1
    clock.advance(16)
    assert load() == 2
    assert stats().refreshes == 0


def test_a_failed_soft_load_is_logged_and_tried_again(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    source = Source()
    load = cacheable(ttl=10, grace=5, soft_timeout=HANG_S)(source.load)
    load()
    clock.advance(11)
    source.error = KeyError("gone")
    with caplog.at_level(logging.WARNING, logger="zoocache"):
        assert load() == 1
    assert "in the background failed" in caplog.text
    source.error = None
    assert load() == 3


def test_a_soft_time_out_of_an_async_function(clock: Clock) -> None:
    loads = 0

    async def main() -> list[int]:
        gate = asyncio.Event()

        @cacheable(ttl=10, grace=5, soft_timeout=0.05)
        async def load() -> int:
            nonlocal loads
            loads += 1
            mine = loads
            if mine == 2:
                await gate.wait()
            return mine

        first = await load()
        clock.advance(11)
        early = await asyncio.gather(load(), load(), load())
        gate.set()
        await asyncio.sleep(0.05)
        return [first, *early, await load()]

    assert run(main()) == [1, 1, 1, 1, 2]
    assert loads == 2
    assert stats().refreshes == 1


def test_a_cancelled_caller_leaves_the_soft_load_running(clock: Clock) -> None:
    async def main() -> int:
        gate = asyncio.Event()
        loads = 0

        @cacheable(ttl=10, grace=5, soft_timeout=HANG_S)
        async def load() -> int:
            nonlocal loads
            loads += 1
            if loads == 2:
                await gate.wait()
            return loads

        await load()
        clock.advance(11)
        task = asyncio.create_task(load())
        while loads < 2:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.set()
        await asyncio.sleep(0.02)
        return await load()

    assert run(main()) == 2


# ---- refreshing ahead ----


def test_a_late_hit_starts_one_load_in_the_background(clock: Clock) -> None:
    source = Source()
    load = cacheable(ttl=10, refresh_ahead=3)(source.load)
    assert load() == 1
    clock.advance(6)
    assert load() == 1
    assert stats().refreshes == 0
    clock.advance(2)
    source.gate = Gate()
    assert [load(), load(), load()] == [1, 1, 1]
    source.gate.wait_entered()
    assert stats().refreshes == 1
    source.gate.release()
    eventually(lambda: load() == 2)
    clock.advance(6)
    assert load() == 2
    assert source.loads == 2
    told = stats()
    assert told.misses == 1
    assert told.loads == 2


def test_a_failed_refresh_is_tried_again_by_a_later_hit(clock: Clock) -> None:
    source = Source()
    load = cacheable(ttl=10, refresh_ahead=9)(source.load)
    load()
    clock.advance(2)
    source.error = KeyError("gone")
    assert load() == 1
    eventually(lambda: stats().load_errors == 1 and stats().flights == 0)
    source.error = None
    eventually(lambda: load() > 1)


def test_an_invalidation_during_a_refresh_counts(clock: Clock) -> None:
    source = Source()
    load = cacheable(deps=["t"], ttl=10, refresh_ahead=9)(source.load)
    load()
    clock.advance(2)
    source.gate = Gate()
    assert load() == 1
    source.gate.wait_entered()
    invalidate("t")
    source.gate.release()
    assert load() == 3


def test_refreshing_ahead_of_an_async_function(clock: Clock) -> None:
    async def main() -> list[int]:
        loads = 0

        @cacheable(ttl=10, refresh_ahead=3)
        async def load(key: int, *, more: int = 0) -> int:
            nonlocal loads
            await asyncio.sleep(0)
            loads += 1
            return loads

        first = await load(1, more=2)
        clock.advance(8)
        second = await asyncio.gather(load(1, more=2), load(1, more=2))
        await asyncio.sleep(0.02)
        return [first, *second, await load(1, more=2)]

    assert run(main()) == [1, 1, 1, 2]
    assert stats().refreshes == 1


def test_a_refresh_belongs_to_no_load_around_it(clock: Clock) -> None:
    source = Source()
    inner = cacheable(deps=["t"], ttl=10, refresh_ahead=9)(source.load)
    inner()
    clock.advance(2)
    outer = cacheable(lambda: inner())
    source.gate = Gate()
    assert outer() == 1
    source.gate.wait_entered()
    assert outer.cache_info().currsize == 1
    source.gate.release()
    eventually(lambda: inner() == 2)


def test_background_loads_see_the_callers_context(clock: Clock) -> None:
    tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")

    @cacheable(ttl=10, refresh_ahead=9)
    def load() -> str:
        return tenant.get()

    assert load() == "nobody"
    clock.advance(2)
    tenant.set("acme")
    load()
    eventually(lambda: load() == "acme")


# ---- jitter, options ----


def test_jitter_shortens_times_to_live(clock: Clock) -> None:
    load = cacheable(ttl=100, jitter=0.5)(lambda key: key)
    for key in range(200):
        load(key)
    clock.advance(49)
    assert all(load.peek(key) == key for key in range(200))
    clock.advance(26)
    left = sum(load.peek(key) is not None for key in range(200))
    assert 40 < left < 160, "about half of them"
    clock.advance(26)
    assert all(load.peek(key) is None for key in range(200))


def test_an_outer_value_lives_no_longer_than_a_jittered_inner_one(clock: Clock) -> None:
    inner = cacheable(ttl=100, jitter=0.9)(lambda key: key)
    outer = cacheable(lambda key: inner(key))
    for key in range(50):
        outer(key)
    for _ in range(10):
        clock.advance(10)
        assert all(outer.peek(key) in (None, inner.peek(key)) for key in range(50))


@pytest.mark.parametrize(
    "options",
    [
        {"grace": 0},
        {"grace": -1},
        {"grace": "5"},
        {"jitter": 1},
        {"jitter": -0.1},
        {"jitter": True},
        {"stale_while_revalidate": True},
        {"stale_while_revalidate": 1, "grace": 5},
        {"soft_timeout": 1},
        {"stale_if_error_invalidated": True},
        {"refresh_ahead": float("nan")},
    ],
)
def test_options_that_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption, match=next(iter(options))):
        cacheable(ttl=10, **options)(lambda: 1)


def test_nothing_of_it_costs_a_thread_before_it_is_used(clock: Clock) -> None:
    load = cacheable(ttl=10, refresh_ahead=3, grace=5, soft_timeout=1)(lambda: 1)
    before = threading.active_count()
    assert [load(), load()] == [1, 1]
    assert threading.active_count() == before
