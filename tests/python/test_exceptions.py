"""Exceptions from loaders: shared with those who waited, never cached unless asked for."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from typing import Any

import pytest

import zoocache
from support import (
    Gate,
    Outcome,
    Versions,
    run,
    spawn,
    spawn_many,
    wait_joined,
    wait_joined_async,
    wait_until,
)
from zoocache import add_deps, cacheable, invalidate


class NotFound(Exception):
    """An error of the application."""


def test_an_exception_is_not_cached() -> None:
    source = Versions()

    @cacheable
    def load() -> int:
        if source.next() < 3:
            raise NotFound
        return source.loads

    for _ in range(2):
        with pytest.raises(NotFound):
            load()
    assert [load(), load()] == [3, 3]


def test_the_caller_gets_the_exception_itself_with_its_traceback() -> None:
    error = NotFound("this one")

    @cacheable
    def load() -> int:
        raise error

    with pytest.raises(NotFound) as caught:
        load()
    assert caught.value is error
    assert any(entry.name == "load" for entry in caught.traceback)
    assert caught.value.__cause__ is None


def failing_together(count: int, error: Exception) -> tuple[list[Outcome], Versions]:
    source = Versions()

    @cacheable
    def load() -> int:
        source.next()
        wait_joined(count - 1)
        raise error

    threads = spawn_many(count, load)
    for thread in threads:
        thread.join()
    return threads, source


def test_followers_share_the_exception() -> None:
    error = NotFound("shared", 42)
    threads, source = failing_together(10, error)
    assert source.loads == 1
    assert [type(thread.error) for thread in threads] == [NotFound] * 10
    assert {thread.error.args for thread in threads if thread.error} == {("shared", 42)}
    followers = [thread.error for thread in threads if thread.error is not error]
    assert len(followers) == 9, "the leader has the original"
    assert len({id(follower) for follower in followers}) == 9, "each follower has its own copy"
    assert all(follower.__cause__ is error for follower in followers if follower)


class Uncopyable(Exception):
    def __init__(self, code: int, *, detail: str) -> None:
        super().__init__(f"{code} {detail}")
        self.code = code
        self.detail = detail


def test_an_exception_that_cannot_be_copied_is_shared_as_it_is() -> None:
    threads, source = failing_together(4, Uncopyable(7, detail="x"))
    assert source.loads == 1
    for thread in threads:
        assert isinstance(thread.error, Uncopyable)
        assert thread.error.code == 7


class HostileCopy(Exception):
    def __copy__(self) -> Any:
        raise RuntimeError("no copies")


def test_an_exception_whose_copy_raises_is_shared_as_it_is() -> None:
    threads, _ = failing_together(3, HostileCopy("x"))
    assert [type(thread.error) for thread in threads] == [HostileCopy] * 3


class WrongCopy(Exception):
    def __copy__(self) -> Any:
        return "not an exception"


def test_an_exception_whose_copy_is_no_exception_is_shared_as_it_is() -> None:
    threads, _ = failing_together(3, WrongCopy("x"))
    assert [type(thread.error) for thread in threads] == [WrongCopy] * 3


def test_attributes_of_the_exception_survive_for_followers() -> None:
    error = NotFound("x")
    error.status = 404  # type: ignore[attr-defined]
    threads, _ = failing_together(3, error)
    assert [getattr(thread.error, "status", None) for thread in threads] == [404] * 3


def test_async_followers_share_the_exception() -> None:
    source = Versions()

    @cacheable
    async def load() -> int:
        source.next()
        await wait_joined_async(9)
        raise NotFound("shared")

    async def main() -> list[Any]:
        return await asyncio.gather(*(load() for _ in range(10)), return_exceptions=True)

    errors = run(main())
    assert [type(error) for error in errors] == [NotFound] * 10
    assert source.loads == 1
    assert sum(error.__cause__ is None for error in errors) == 1


def test_who_arrives_after_the_failure_loads_again() -> None:
    gate, source = Gate(), Versions()

    @cacheable
    def load() -> int:
        value = source.next()
        if value == 1:
            gate.hold()
            raise NotFound
        return value

    leader = spawn(load)
    gate.wait_entered()
    gate.release()
    with pytest.raises(NotFound):
        leader.result()
    assert load() == 2


def test_who_arrived_after_an_invalidation_does_not_get_the_old_exception() -> None:
    gate, source = Gate(), Versions()

    @cacheable(deps=["t"])
    def load() -> int:
        value = source.next()
        if value == 1:
            gate.hold()
            raise NotFound
        return value

    leader = spawn(load)
    gate.wait_entered()
    invalidate("t")
    late = spawn(load)
    wait_until(lambda: zoocache.stats().flights_joined >= 1 or source.loads >= 2)
    gate.release()
    with pytest.raises(NotFound):
        leader.result()
    assert late.result() == 2


def test_exceptions_of_nested_loads_pass_through() -> None:
    inner = cacheable(lambda: 1 / 0)
    outer = cacheable(lambda: inner())
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            outer()
    assert zoocache.stats().entries == 0


def test_stop_iteration_from_a_sync_loader() -> None:
    @cacheable
    def load() -> int:
        raise StopIteration(7)

    with pytest.raises(StopIteration):
        load()


def test_stop_iteration_from_an_async_loader_is_a_runtime_error_as_ever() -> None:
    @cacheable
    async def load() -> int:
        raise StopIteration(7)

    with pytest.raises(RuntimeError):
        run(load())


def test_a_failed_load_keeps_nothing_alive() -> None:
    class Big:
        pass

    references = []

    @cacheable
    def load(big: Any) -> int:
        references.append(weakref.ref(big))
        raise NotFound

    with pytest.raises(NotFound):
        load(Big())
    gc.collect()
    assert references[0]() is None
    assert zoocache.stats().entries == 0


def test_cache_errors_keeps_the_named_exceptions() -> None:
    source = Versions()

    @cacheable(deps=["t"], cache_errors=(NotFound,))
    def load(kind: type[Exception]) -> int:
        raise kind(source.next())

    errors = []
    for _ in range(3):
        with pytest.raises(NotFound) as caught:
            load(NotFound)
        errors.append(caught.value)
    assert [error.args for error in errors] == [(1,)] * 3
    assert source.loads == 1
    for _ in range(2):
        with pytest.raises(LookupError):
            load(LookupError)
    assert source.loads == 3
    invalidate("t")
    with pytest.raises(NotFound, match="4"):
        load(NotFound)


def test_cached_exceptions_of_subclasses_and_added_deps() -> None:
    class Gone(NotFound):
        pass

    source = Versions()

    @cacheable(cache_errors=(NotFound,))
    def load() -> int:
        add_deps(["t:1"])
        source.next()
        raise Gone

    for _ in range(2):
        with pytest.raises(Gone):
            load()
    assert source.loads == 1
    invalidate("t")
    with pytest.raises(Gone):
        load()
    assert source.loads == 2


def test_cached_exceptions_do_not_pile_up_tracebacks() -> None:
    @cacheable(cache_errors=(NotFound,))
    def load() -> int:
        raise NotFound

    lengths = []
    for _ in range(5):
        with pytest.raises(NotFound) as caught:
            load()
        lengths.append(len(caught.traceback))
    assert lengths[-1] <= lengths[1]


def test_cached_exceptions_have_their_own_ttl() -> None:
    source = Versions()

    @cacheable(ttl=3600, cache_errors=(NotFound,), error_ttl=0.05)
    def load(fail: bool) -> int:
        value = source.next()
        if fail:
            raise NotFound
        return value

    with pytest.raises(NotFound):
        load(True)
    assert load(False) == 2
    time.sleep(0.1)
    with pytest.raises(NotFound):
        load(True)
    assert load(False) == 2
    assert source.loads == 3


def test_cached_exceptions_async() -> None:
    source = Versions()

    @cacheable(cache_errors=(NotFound,))
    async def load() -> int:
        source.next()
        raise NotFound("x")

    async def main() -> None:
        for _ in range(3):
            with pytest.raises(NotFound, match="x"):
                await load()

    run(main())
    assert source.loads == 1


@pytest.mark.parametrize(
    "bad", [("text",), (1,), 5, (KeyboardInterrupt,), (BaseException,)], ids=str
)
def test_cache_errors_takes_exception_classes_only(bad: Any) -> None:
    with pytest.raises((TypeError, zoocache.InvalidOption)):
        cacheable(cache_errors=bad)(lambda: 1)


def test_an_error_in_store_if_reaches_the_caller_and_frees_the_flight() -> None:
    source = Versions()

    @cacheable(store_if=lambda value: 1 / (value - 1))
    def load() -> int:
        return source.next()

    with pytest.raises(ZeroDivisionError):
        load()
    assert [load(), load()] == [2, 2]


class Formatting(Exception):
    """Makes its message of what it is given, so that a copy would make one of the message."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(f"{message} ({code})")


def test_followers_read_the_message_that_was_raised() -> None:
    threads, source = failing_together(4, Formatting("x", 3))
    assert source.loads == 1
    assert {str(thread.error) for thread in threads} == {"x (3)"}


def test_a_cached_exception_keeps_its_message_and_the_first_caller_its_traceback() -> None:
    @cacheable(cache_errors=Formatting)
    def load() -> int:
        raise Formatting("x", 3)

    with pytest.raises(Formatting) as first:
        load()
    assert any(entry.name == "load" for entry in first.traceback)
    lengths = []
    for _ in range(3):
        with pytest.raises(Formatting) as caught:
            load()
        assert str(caught.value) == "x (3)"
        lengths.append(len(caught.traceback))
    assert lengths == [1, 1, 1], "frames do not pile up in an exception that is not copied"
