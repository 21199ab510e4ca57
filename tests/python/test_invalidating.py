"""`with invalidating(...)`: a write and the invalidation that belongs to it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import zoocache
from support import HANG_S, Gate, Versions, join_all, run, spawn
from zoocache import cacheable, invalidate, invalidating


def counted(**options: Any) -> Any:
    return cacheable(**options)(Versions().next)


def test_the_end_of_the_block_invalidates() -> None:
    load, other = counted(deps=["user:42"]), counted(deps=["user:43"])
    assert [load(), other()] == [1, 1]
    with invalidating("user:42"):
        pass
    assert [load(), other()] == [2, 1]


def test_nothing_that_depends_on_it_is_stored_meanwhile() -> None:
    load, other = counted(deps=["user:42"]), counted(deps=["user:43"])
    with invalidating("user:42"):
        assert [load(), load()] == [1, 2]
        assert [other(), other()] == [1, 1]
    assert [load(), load()] == [3, 3]
    assert other() == 1


def test_children_and_entries_below_are_held_too() -> None:
    load, parent = counted(deps=["org:acme:user:42"]), counted(deps=["org"])
    with invalidating("org:acme"):
        assert [load(), load()] == [1, 2]
        assert [parent(), parent()] == [1, 1]
    assert [load(), load()] == [3, 3]
    assert parent() == 1


def test_an_exception_inside_still_invalidates_and_passes_through() -> None:
    load = counted(deps=["user:42"])
    load()
    with pytest.raises(LookupError), invalidating("user:42"):
        raise LookupError
    assert [load(), load()] == [2, 2]


def test_interruptions_inside_still_invalidate() -> None:
    load = counted(deps=["user:42"])
    load()
    for interruption in (KeyboardInterrupt, SystemExit, GeneratorExit):
        before = load()
        with pytest.raises(interruption), invalidating("user:42"):
            raise interruption
        assert load() == before + 1


def test_a_load_that_began_before_the_block_is_not_stored() -> None:
    gate = Gate()
    load = cacheable(deps=["t"])(Versions(gate).next)
    leader = spawn(load)
    gate.wait_entered()
    with invalidating("t"):
        gate.release()
        assert leader.result() == 1
    assert [load(), load()] == [2, 2]


def test_a_load_that_began_inside_and_ends_after_the_block_is_not_stored() -> None:
    gate = Gate()
    load = cacheable(deps=["t"])(Versions(gate).next)
    with invalidating("t"):
        leader = spawn(load)
        gate.wait_entered()
    gate.release()
    assert leader.result() == 1
    assert [load(), load()] == [2, 2]


def test_several_tags_end_in_one_epoch() -> None:
    before = zoocache.stats().clock
    with invalidating("a", "b:1", "c"):
        assert zoocache.stats().clock == before
    assert zoocache.stats().clock == before + 1


def test_blocks_nest_and_are_counted() -> None:
    load = counted(deps=["t"])
    with invalidating("t"):
        with invalidating("t"):
            assert load() == 1
        assert [load(), load()] == [2, 3], "the outer block still holds"
    assert [load(), load()] == [4, 4]


def test_blocks_of_two_threads_are_counted() -> None:
    load = counted(deps=["t"])
    inside, leave = threading.Event(), threading.Event()

    def write() -> None:
        with invalidating("t:child"), invalidating("t"):
            inside.set()
            assert leave.wait(HANG_S)

    other = spawn(write)
    assert inside.wait(HANG_S)
    with invalidating("t"):
        pass
    assert [load(), load()] == [1, 2], "the other thread still holds"
    leave.set()
    other.result()
    assert [load(), load()] == [3, 3]


def test_outer_entries_are_not_stored_either() -> None:
    load = counted(deps=["t"])
    outer_source = Versions()
    outer = cacheable(lambda: (load(), outer_source.next())[1])
    with invalidating("t"):
        assert [outer(), outer()] == [1, 2]
    assert [outer(), outer()] == [3, 3]


def test_async_functions() -> None:
    source = Versions()

    @cacheable(deps=["t"])
    async def load() -> int:
        await asyncio.sleep(0)
        return source.next()

    async def main() -> None:
        with invalidating("t"):
            assert [await load(), await load()] == [1, 2]
        assert [await load(), await load()] == [3, 3]

    run(main())


@pytest.mark.parametrize("bad", ["", "a b", ":x", "a::b", "a|b"])
def test_invalid_tags_are_refused_and_hold_nothing(bad: str) -> None:
    load = counted(deps=["good"])
    entered = False
    with pytest.raises(zoocache.InvalidTag), invalidating("good", bad):
        entered = True
    assert not entered
    assert [load(), load()] == [1, 1]


def test_an_unused_block_holds_nothing() -> None:
    load = counted(deps=["t"])
    block = invalidating("t")
    assert [load(), load()] == [1, 1]
    del block
    assert load() == 1


def test_invalidate_and_clear_inside_a_block() -> None:
    load = counted(deps=["t"])
    with invalidating("t"):
        invalidate("t")
        zoocache.clear()
        assert [load(), load()] == [1, 2], "still held"
    assert [load(), load()] == [3, 3]


def test_holds_leave_no_nodes_behind() -> None:
    for i in range(1000):
        with invalidating(f"t:{i}"):
            pass
    assert zoocache.stats().tags == 0


def test_readers_never_see_a_write_before_its_commit_after_it() -> None:
    """A reader may load the old row up to the commit, and never serve it after the block."""
    row = {"committed": 0}
    load = cacheable(deps=["row"])(lambda: row["committed"])
    finished, stop = [0], threading.Event()

    def read() -> int:
        reads = 0
        while not stop.is_set():
            floor = finished[0]
            assert load() >= floor
            reads += 1
        return reads

    readers = [spawn(read) for _ in range(3)]
    for version in range(1, 400):
        with invalidating("row"):
            load()
            row["committed"] = version
        finished[0] = version
    stop.set()
    assert min(join_all(readers)) > 0


def test_a_block_that_outlives_a_reset_leaves_the_holds_of_others_alone() -> None:
    load = counted(deps=["t"])
    old, new = invalidating("t"), invalidating("t")
    old.__enter__()
    zoocache.reset()
    with new:
        old.__exit__()
        assert [load(), load()] == [1, 2], "still held"
    assert [load(), load()] == [3, 3]
