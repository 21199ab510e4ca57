"""Many threads, one key, one execution; and nobody waits for ever."""

from __future__ import annotations

import contextvars
import threading
from typing import Any

import pytest

import zoocache
from support import (
    HANG_S,
    Gate,
    Versions,
    join_all,
    spawn,
    spawn_many,
    wait_joined,
    wait_until,
)
from zoocache import cacheable, invalidate


def test_a_hundred_threads_run_the_function_once() -> None:
    source = Versions()

    @cacheable(deps=["t"])
    def load() -> int:
        wait_joined(99)
        return source.next()

    assert join_all(spawn_many(100, load)) == [1] * 100
    assert source.loads == 1
    assert zoocache.stats().loads == 1


def test_calls_with_other_arguments_do_not_wait() -> None:
    barrier = threading.Barrier(8)

    @cacheable
    def load(x: int) -> int:
        barrier.wait(HANG_S)
        return x

    assert join_all([spawn(load, i) for i in range(8)]) == list(range(8))


def test_hits_of_other_keys_go_on_while_a_load_runs() -> None:
    gate = Gate()

    @cacheable
    def load(x: int) -> int:
        if x == 1:
            gate.hold()
        return x

    load(2)
    leader = spawn(load, 1)
    gate.wait_entered()
    assert load(2) == 2
    assert load(3) == 3
    gate.release()
    assert leader.result() == 1


def test_followers_take_a_value_that_is_not_stored() -> None:
    """A result that may not be stored is still current for those who joined its load."""
    source = Versions()

    @cacheable(store_if=lambda value: False)
    def load() -> int:
        if source.loads == 0:
            wait_joined(5)
        return source.next()

    assert join_all([spawn(load) for _ in range(6)]) == [1] * 6
    assert [load(), load()] == [2, 3]


def test_a_follower_of_none_gets_none() -> None:
    calls = []

    @cacheable
    def load() -> None:
        calls.append(1)
        wait_joined(3)

    assert join_all(spawn_many(4, load)) == [None] * 4
    assert len(calls) == 1


def test_waiting_followers_do_not_hold_the_interpreter() -> None:
    gate = Gate()

    @cacheable
    def load() -> int:
        gate.hold()
        return 1

    threads = [spawn(load) for _ in range(5)]
    wait_joined(4)
    assert sum(range(100_000)) == 4999950000
    gate.release()
    assert join_all(threads) == [1] * 5


def test_recursion_with_other_arguments() -> None:
    calls = []

    @cacheable
    def down(n: int) -> int:
        calls.append(n)
        return 0 if n == 0 else 1 + down(n - 1)

    assert join_all([spawn(down, 20) for _ in range(8)]) == [20] * 8
    assert sorted(set(calls)) == list(range(21))


def test_recursion_into_the_same_call_loads_unshared() -> None:
    calls = []

    @cacheable
    def load() -> int:
        calls.append(1)
        return 1 if len(calls) > 3 else load() + 1

    assert spawn(load).result() == 4
    assert len(calls) == 4


def crossing(size: int, deps: Any = None) -> tuple[list[Any], threading.local]:
    """Functions in a ring, each calling the next one twice round from its own thread."""
    barrier = threading.Barrier(size)
    depth = threading.local()
    functions: list[Any] = []

    def member(i: int) -> Any:
        @cacheable(deps=deps)
        def load() -> int:
            level = depth.value = getattr(depth, "value", 0) + 1
            if level == 1:
                barrier.wait(HANG_S)
            try:
                return i if level > size else functions[(i + 1) % size]() * 10 + i
            finally:
                depth.value = level - 1

        return load

    functions.extend(member(i) for i in range(size))
    return functions, depth


@pytest.mark.parametrize("size", [2, 3, 7])
def test_a_ring_of_waiting_threads_is_broken(size: int) -> None:
    functions, _ = crossing(size)
    assert len(join_all([spawn(function) for function in functions])) == size


def test_a_ring_is_broken_again_and_again() -> None:
    for _ in range(30):
        functions, _ = crossing(2, deps=["ring"])
        join_all([spawn(function) for function in functions])
        invalidate("ring")


def test_a_ring_through_helper_threads_that_carry_the_context() -> None:
    barrier = threading.Barrier(2)
    depth: contextvars.ContextVar[int] = contextvars.ContextVar("depth", default=0)
    functions: list[Any] = []

    def member(i: int) -> Any:
        @cacheable
        def load() -> int:
            level = depth.get() + 1
            depth.set(level)
            if level == 1:
                barrier.wait(HANG_S)
            if level > 2:
                return i
            context = contextvars.copy_context()
            return spawn(context.run, functions[1 - i]).result() * 10 + i

        return load

    functions.extend(member(i) for i in range(2))
    threads = [spawn(contextvars.Context().run, function) for function in functions]
    assert len(join_all(threads)) == 2


def test_a_wait_that_cannot_be_seen_ends_after_the_flight_timeout() -> None:
    """Plain helper threads carry no context: only the clock can tell that this is a ring."""
    zoocache.configure(flight_timeout=1)
    calls = []

    @cacheable
    def load() -> int:
        calls.append(1)
        if len(calls) > 1:
            return 2
        return spawn(load).result() + 10

    assert spawn(load).result() == 12
    assert len(calls) == 2


def test_a_follower_who_waited_too_long_loads_alone() -> None:
    zoocache.configure(flight_timeout=1)
    gate = Gate()
    load = cacheable(Versions(gate).next)
    leader = spawn(load)
    gate.wait_entered()
    assert spawn(load).result() == 2
    assert leader.thread.is_alive()
    gate.release()
    assert leader.result() == 1
    assert load() in (1, 2)


def test_a_follower_who_asked_for_it_is_told_that_time_is_up() -> None:
    gate = Gate()

    @cacheable(flight_timeout=0.05, on_flight_timeout="raise")
    def load() -> int:
        gate.hold()
        return 1

    leader = spawn(load)
    gate.wait_entered()
    with pytest.raises(zoocache.FlightTimeout, match=r"flight_timeout=0\.05 s.*on_flight_timeout"):
        load()
    gate.release()
    assert leader.result() == 1
    assert load() == 1


def test_two_rings_that_share_a_function() -> None:
    """A waits for B and C; B waits for A; C waits for A."""
    barrier = threading.Barrier(3)
    level = threading.local()

    def enter() -> bool:
        level.value = getattr(level, "value", 0) + 1
        if level.value == 1:
            barrier.wait(HANG_S)
        return bool(level.value <= 3)

    @cacheable
    def a() -> int:
        return b() + c() if enter() else 1

    @cacheable
    def b() -> int:
        return a() if enter() else 1

    @cacheable
    def c() -> int:
        return a() if enter() else 1

    assert len(join_all([spawn(a), spawn(b), spawn(c)])) == 3


def test_a_diamond_of_loads_is_no_ring() -> None:
    gate, source = Gate(), Versions()

    @cacheable
    def base() -> int:
        gate.hold()
        return source.next()

    left = cacheable(lambda: base() + 10)
    right = cacheable(lambda: base() + 20)
    threads = [spawn(left), spawn(right), spawn(base)]
    gate.wait_entered()
    wait_joined(2)
    gate.release()
    assert join_all(threads) == [11, 21, 1]
    assert source.loads == 1


def test_clearing_releases_nobody_into_a_hang() -> None:
    gate = Gate()
    source = Versions(gate)
    load = cacheable(source.next)
    threads = [spawn(load) for _ in range(5)]
    gate.wait_entered()
    wait_joined(4)
    zoocache.clear()
    gate.release()
    assert len(join_all(threads)) == 5
    assert load() == source.loads


def test_reset_during_a_load_is_survived() -> None:
    gate = Gate()
    load = cacheable(Versions(gate).next)
    threads = [spawn(load) for _ in range(3)]
    gate.wait_entered()
    wait_joined(2)
    zoocache.reset()
    assert load() >= 2
    gate.release()
    assert len(join_all(threads)) == 3
    assert load() >= 2


def test_a_function_dropped_while_it_loads() -> None:
    gate = Gate()

    def body() -> int:
        gate.hold()
        return 1

    functions = [cacheable(body)]
    leader = spawn(functions[0])
    gate.wait_entered()
    follower = spawn(functions[0])
    wait_joined(1)
    functions.clear()
    gate.release()
    assert [leader.result(), follower.result()] == [1, 1]
    wait_until(lambda: zoocache.stats().entries == 0, "the dropped function's entries going")


def test_many_threads_and_many_keys() -> None:
    calls = []

    @cacheable
    def load(key: int) -> int:
        calls.append(key)
        return key

    def work() -> None:
        for turn in range(3000):
            key = turn * 7919 % 1009
            assert load(key) == key

    join_all(spawn_many(8, work))
    assert sorted(calls) == list(range(1009))
    assert load.cache_info().currsize == 1009
