"""Times to live: a safety net beside invalidation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

import zoocache
from support import Versions, plain_id, run
from zoocache import cacheable, explain, invalidate


def counted(**options: Any) -> Any:
    return cacheable(**options)(Versions().next)


def test_an_entry_expires() -> None:
    load = counted(ttl=60)
    zoocache._default.core.set_time(1e6)
    assert load() == 1
    zoocache._default.core.set_time(1e6 + 61)
    assert [load(), explain(load).reason] == [2, "hit"]


def test_an_entry_lives_until_then() -> None:
    load = counted(ttl=3600)
    assert load() == 1
    time.sleep(0.05)
    assert load() == 1


def test_none_means_no_expiry() -> None:
    zoocache.configure(default_ttl=3600)
    assert [f() for f in [counted(ttl=None)] * 2] == [1, 1]


@pytest.mark.parametrize("ttl", [2**31, 2**32, 2**63, 2**64 - 1, 1e18, 10**30, math.inf])
def test_huge_times_do_not_overflow(ttl: float) -> None:
    load = counted(ttl=ttl)
    assert [load(), load()] == [1, 1]
    zoocache.set("key", "value", ttl=ttl)
    assert zoocache.get("key") == "value"


def test_fractions_of_a_second() -> None:
    load = counted(ttl=0.03)
    assert load() == 1
    time.sleep(0.1)
    assert load() == 2


def test_a_callable_ttl_sees_the_value() -> None:
    source = Versions()

    @cacheable(ttl=lambda value: 0.05 if value == 1 else 3600)
    def load() -> int:
        return source.next()

    assert load() == 1
    time.sleep(0.1)
    assert load() == 2
    time.sleep(0.1)
    assert load() == 2


def test_a_callable_ttl_may_say_for_ever() -> None:
    load = counted(ttl=lambda value: None)
    assert [load(), load()] == [1, 1]


@pytest.mark.parametrize("result", ["soon", -1, float("nan"), object()], ids=plain_id)
def test_a_callable_ttl_that_answers_nonsense_is_an_error(result: Any) -> None:
    calls = []
    load = cacheable(ttl=lambda value: result)(lambda: calls.append(1))
    for attempt in (1, 2):
        with pytest.raises((TypeError, zoocache.InvalidOption)):
            load()
        assert len(calls) == attempt


def test_a_callable_ttl_that_raises_reaches_the_caller() -> None:
    source = Versions()
    load = cacheable(ttl=lambda value: 1 / (value - 1))(source.next)
    with pytest.raises(ZeroDivisionError):
        load()
    assert load() == 2


def test_expired_values_are_never_seen_by_a_follower_or_an_outer_load() -> None:
    inner = counted(ttl=0.1)
    outer = cacheable(lambda: inner())
    assert outer() == 1
    time.sleep(0.2)
    assert outer() == 2


def test_invalidation_works_beside_ttl() -> None:
    load = counted(ttl=3600, deps=["t"])
    assert load() == 1
    invalidate("t")
    assert load() == 2


def test_default_ttl_applies_where_no_ttl_is_given() -> None:
    zoocache.configure(default_ttl=0.1, read_extend_ttl=False)
    plain, own = counted(), counted(ttl=3600)
    zoocache.set("raw", "value")
    assert [plain(), own()] == [1, 1]
    time.sleep(0.2)
    assert [plain(), own()] == [2, 1]
    assert zoocache.get("raw") is None


def kept_alive_by_reads(read: Callable[[], Any], ttl_s: float) -> bool:
    """Reads four times as often as needed for two lives; False if the machine stood still."""
    end, last = time.monotonic() + 2.2 * ttl_s, time.monotonic()
    while time.monotonic() < end:
        time.sleep(ttl_s / 8)
        gap, last = time.monotonic() - last, time.monotonic()
        if gap > 0.7 * ttl_s:
            return False
        read()
    return True


@pytest.mark.parametrize("how", ["configured", "option"])
def test_sliding_entries_live_as_long_as_they_are_read(how: str) -> None:
    ttl_s = 0.5
    if how == "configured":
        zoocache.configure(default_ttl=ttl_s)  # reads extend it unless told otherwise
        load = counted()
    else:
        load = counted(ttl=ttl_s, sliding=True)
    for _ in range(5):
        value = load()
        if kept_alive_by_reads(load, ttl_s):
            assert load() == value
            break
    value = load()
    time.sleep(ttl_s + 0.2)
    assert load() == value + 1


def test_reads_do_not_extend_a_fixed_ttl() -> None:
    zoocache.configure(default_ttl=0.4, read_extend_ttl=False)
    load = counted()
    start = time.monotonic()
    assert load() == 1
    while time.monotonic() < start + 0.6:
        time.sleep(0.05)
        load()
    assert load() >= 2


def test_an_invalidated_sliding_entry_is_dead() -> None:
    load = counted(ttl=3600, sliding=True, deps=["t"])
    assert [load(), load()] == [1, 1]
    invalidate("t")
    assert load() == 2


def test_async_entries_expire() -> None:
    source = Versions()

    @cacheable(ttl=60)
    async def load() -> int:
        return source.next()

    async def main() -> None:
        zoocache._default.core.set_time(1e6)
        assert [await load(), await load()] == [1, 1]
        zoocache._default.core.set_time(1e6 + 61)
        assert await load() == 2

    run(main())


def test_raw_keys_expire() -> None:
    zoocache.set("short", 1, ttl=0.05)
    zoocache.set("long", 2, ttl=3600)
    time.sleep(0.1)
    assert [zoocache.get("short"), zoocache.get("long")] == [None, 2]


@pytest.mark.parametrize("ttl", [-1, -0.5, float("nan"), "60", b"1", [], object()], ids=plain_id)
def test_nonsense_is_refused_at_decoration(ttl: Any) -> None:
    with pytest.raises((TypeError, zoocache.InvalidOption), match="ttl"):
        cacheable(ttl=ttl)(lambda: 1)
    with pytest.raises((TypeError, zoocache.InvalidOption), match="ttl"):
        zoocache.configure(default_ttl=ttl)
    with pytest.raises((TypeError, zoocache.InvalidOption), match="ttl"):
        zoocache.set("key", 1, ttl=ttl)
    assert zoocache.get("key") is None


def test_expired_entries_do_not_pile_up() -> None:
    load = cacheable(ttl=0.01, max_entries=100)(lambda x: x)
    for i in range(1000):
        load(i)
    time.sleep(0.05)
    for i in range(200):
        load(-i)
    assert zoocache.stats().entries <= 100


def test_timedelta_is_a_duration_or_a_clear_error() -> None:
    try:
        load = counted(ttl=timedelta(seconds=3600))
    except (TypeError, zoocache.InvalidOption) as error:
        assert "ttl" in str(error)
    else:
        assert [load(), load()] == [1, 1]
