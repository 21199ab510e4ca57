"""A call returns only what was current at some moment between its start and its return."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import zoocache
from support import Gate, Versions, join_all, run, spawn, wait_joined, wait_until
from zoocache import add_deps, cacheable, clear, invalidate


def slow(gate: Gate, **options: Any) -> tuple[Any, Versions]:
    """A cached function whose first execution stops at the gate after it read its value."""
    source = Versions()

    @cacheable(**options)
    def load() -> int:
        value = source.next()
        if value == 1:
            gate.hold()
        return value

    return load, source


KILLERS: dict[str, Callable[[Any], None]] = {
    "its tag": lambda load: invalidate("org:acme:user"),
    "a parent": lambda load: invalidate("org"),
    "several tags": lambda load: invalidate("x", "org:acme", "y"),
    "clear": lambda load: clear(),
    "the function's invalidate": lambda load: load.invalidate(),
    "the function's cache_clear": lambda load: load.cache_clear(),
    "a child of another first": lambda load: (invalidate("a:b:c"), invalidate("org:acme")),
}


@pytest.mark.parametrize("killer", KILLERS)
@pytest.mark.parametrize(
    "deps", [["org:acme:user"], lambda: ["org:acme:user"]], ids=["constant", "computed"]
)
def test_invalidated_during_the_load_is_returned_and_not_stored(killer: str, deps: Any) -> None:
    gate = Gate()
    load, _ = slow(gate, deps=deps)
    leader = spawn(load)
    gate.wait_entered()
    KILLERS[killer](load)
    gate.release()
    assert leader.result() == 1, "its own caller began before the invalidation"
    assert [load(), load()] == [2, 2], "and nobody else gets it"


@pytest.mark.parametrize("killer", KILLERS)
def test_who_arrives_after_the_invalidation_gets_a_fresh_value(killer: str) -> None:
    gate = Gate()
    load, source = slow(gate, deps=["org:acme:user"])
    leader = spawn(load)
    gate.wait_entered()
    KILLERS[killer](load)
    late = spawn(load)
    wait_until(lambda: zoocache.stats().flights_joined >= 1 or source.loads >= 2)
    gate.release()
    assert leader.result() == 1
    assert late.result() == 2
    assert load() == 2


def test_who_joined_before_the_invalidation_may_get_the_old_value() -> None:
    gate = Gate()
    load, _ = slow(gate, deps=["t"])
    leader = spawn(load)
    gate.wait_entered()
    early = spawn(load)
    wait_joined(1)
    invalidate("t")
    gate.release()
    assert leader.result() == 1
    assert early.result() in (1, 2)
    assert load() >= 2


def test_unrelated_invalidations_during_the_load_do_not_matter() -> None:
    gate = Gate()
    load, _ = slow(gate, deps=["org:acme:user"])
    leader = spawn(load)
    gate.wait_entered()
    invalidate("org:acme2", "other")
    invalidate("org:acme:user:below")
    other = cacheable(lambda: 1)
    other()
    other.cache_clear()
    gate.release()
    assert leader.result() == 1
    assert load() == 1


def test_late_arrival_joins_when_only_unrelated_tags_died() -> None:
    gate = Gate()
    load, source = slow(gate, deps=["mine"])
    leader = spawn(load)
    gate.wait_entered()
    invalidate("other")
    late = spawn(load)
    wait_joined(1)
    gate.release()
    assert join_all([leader, late]) == [1, 1]
    assert source.loads == 1


@pytest.mark.parametrize("order", ["before", "after"])
def test_a_tag_added_during_the_load_counts_from_its_start(order: str) -> None:
    source = Versions()

    @cacheable
    def load() -> int:
        value = source.next()
        if order == "after":
            add_deps(["t:1"])
        if value == 1:
            invalidate("t")
        if order == "before":
            add_deps(["t:1"])
        return value

    assert [load(), load(), load()] == [1, 2, 2]


def test_an_invalidation_between_loader_and_computed_deps_counts() -> None:
    source = Versions()

    def deps() -> list[str]:
        if source.loads == 1:
            invalidate("t:1")
        return ["t:1"]

    load = cacheable(deps=deps)(source.next)
    assert [load(), load(), load()] == [1, 2, 2]


def test_a_loader_may_invalidate_its_own_dependencies() -> None:
    source = Versions()

    @cacheable(deps=["t"])
    def load() -> int:
        invalidate("t")
        return source.next()

    assert [load(), load(), load()] == [1, 2, 3]


def test_a_loader_may_invalidate_something_else() -> None:
    source = Versions()

    @cacheable(deps=["mine"])
    def load() -> int:
        invalidate("other")
        return source.next()

    assert [load(), load()] == [1, 1]


def test_a_loader_may_clear_the_cache() -> None:
    source = Versions()

    @cacheable
    def load() -> int:
        if source.loads == 0:
            clear()
        return source.next()

    assert [load(), load(), load()] == [1, 2, 2]


def test_a_forgotten_tag_still_counts_for_loads_that_began_earlier() -> None:
    """The tag's node goes with its last entry, comes back, and must not have lost its past."""
    gate = Gate()
    load, _ = slow(gate, deps=["t:1"])
    leader = spawn(load)
    gate.wait_entered()
    invalidate("t:1")
    short = cacheable(deps=["t:1"])(lambda: 0)
    short()
    short.cache_clear()
    del short
    again = cacheable(deps=["t:1"])(lambda: 0)
    again()
    gate.release()
    assert leader.result() == 1
    assert load() == 2


def test_a_load_older_than_the_log_is_returned_and_not_stored() -> None:
    """So many invalidations pass during the load that the log no longer knows the first one."""
    gate = Gate()
    load, _ = slow(gate, deps=["t:1"])
    leader = spawn(load)
    gate.wait_entered()
    invalidate("t:1")
    for i in range(80_000):
        invalidate(f"other:{i}")
    gate.release()
    assert leader.result() == 1
    assert load() == 2


def test_two_loads_of_one_tag_that_overlap_an_invalidation() -> None:
    first_gate, second_gate = Gate(), Gate()
    first, _ = slow(first_gate, deps=["t:1"])
    second, _ = slow(second_gate, deps=["t:1"])
    early = spawn(first)
    first_gate.wait_entered()
    invalidate("t:1")
    late = spawn(second)
    second_gate.wait_entered()
    second_gate.release()
    assert late.result() == 1
    first_gate.release()
    assert early.result() == 1
    assert [first(), second()] == [2, 1]


def test_a_storm_of_invalidations_does_not_starve_the_callers() -> None:
    source = Versions()

    @cacheable(deps=["t"])
    def load() -> int:
        value = source.next()
        invalidate("t")
        return value

    assert len(join_all([spawn(lambda: [load() for _ in range(50)]) for _ in range(8)])) == 8


def test_a_raw_key_set_during_an_invalidation_is_current_from_set_on() -> None:
    invalidate("t")
    zoocache.set("key", "value", deps=["t"])
    assert zoocache.get("key") == "value"
    invalidate("t")
    assert zoocache.get("key") is None


def test_async_invalidated_during_the_load() -> None:
    source = Versions()

    async def main() -> None:
        inside, release = asyncio.Event(), asyncio.Event()

        @cacheable(deps=lambda: ["t:1"])
        async def load() -> int:
            value = source.next()
            if value == 1:
                inside.set()
                await release.wait()
            return value

        leader = asyncio.create_task(load())
        await inside.wait()
        invalidate("t")
        late = asyncio.create_task(load())
        await asyncio.sleep(0)
        release.set()
        assert await leader == 1
        assert await late == 2
        assert await load() == 2

    run(main())
