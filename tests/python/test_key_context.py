"""What decides beside the arguments is a part of every key: `key_context`, without a database."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import zoocache
from support import spawn, wait_until
from zoocache import Cache, InvalidOption
from zoocache.contrib._context import add_context

tenant: contextvars.ContextVar[Any] = contextvars.ContextVar("tenant", default=None)


def of_tenant(name: Any, call: Callable[[], Any]) -> Any:
    """What a call gives in a context of that tenant's."""

    def run() -> Any:
        tenant.set(name)
        return call()

    return contextvars.copy_context().run(run)


def keyed(given: Cache) -> Cache:
    add_context(given.core, "shop", tenant.get)
    return given


@pytest.fixture
def cache() -> Iterator[Cache]:
    yield keyed(Cache())


def no_arguments(cache: Cache) -> Callable[[], Any]:
    return cache.cacheable(lambda: tenant.get())


def one(cache: Cache) -> Callable[[], Any]:
    cached = cache.cacheable(lambda a: tenant.get())
    return lambda: cached(1)


def two(cache: Cache) -> Callable[[], Any]:
    cached = cache.cacheable(lambda a, b: tenant.get())
    return lambda: cached("a", b=2)


def many(cache: Cache) -> Callable[[], Any]:
    cached = cache.cacheable(lambda *args, **more: tenant.get())
    return lambda: cached(*range(10), c=3)


def nine(cache: Cache) -> Callable[[], Any]:
    cached = cache.cacheable(lambda a, b, c, d, e, f, g, h, i: tenant.get())
    return lambda: cached(*range(9))


def frozen(cache: Cache) -> Callable[[], Any]:
    cached = cache.cacheable(lambda a: tenant.get())
    return lambda: cached([1, {2: 3}])


def by_key(cache: Cache) -> Callable[[], Any]:
    cached = cache.cacheable(key=lambda a: "same")(lambda a: tenant.get())
    return lambda: cached(object())


def method(cache: Cache) -> Callable[[], Any]:
    class Shop:
        @cache.cacheable
        def name(self, at: int) -> Any:
            return tenant.get()

    return lambda shop=Shop(): shop.name(1)  # type: ignore[misc]


def in_batch(cache: Cache) -> Callable[[], Any]:
    cached = cache.cacheable(lambda a: tenant.get())
    return lambda: cached.get_many([1, 2])[1]


def inner(cache: Cache) -> Callable[[], Any]:
    cached = cache.cacheable(lambda a: tenant.get())
    return cache.cacheable(lambda: cached(1))


def awaited(cache: Cache) -> Callable[[], Any]:
    @cache.cacheable
    async def cached(a: int) -> Any:
        await asyncio.sleep(0)
        return tenant.get()

    async def both() -> Any:
        return (await asyncio.gather(cached(1), cached(1)))[1]

    return lambda: asyncio.run(both())


@pytest.mark.parametrize(
    "make",
    [no_arguments, one, two, many, nine, frozen, by_key, method, in_batch, inner, awaited],
)
def test_no_call_is_answered_by_what_another_context_gave(
    cache: Cache, make: Callable[[Cache], Callable[[], Any]]
) -> None:
    call = make(cache)
    assert [of_tenant(name, call) for name in ("a", "b", "a", "b", None)] == [
        *("a", "b", "a", "b"),
        None,
    ]
    before = cache.stats().hits
    assert of_tenant("a", call) == "a"
    assert cache.stats().hits > before, "a second call in one context is a hit"


def test_what_was_kept_without_a_context_is_not_hit_with_one() -> None:
    cache = Cache()
    cached = cache.cacheable(lambda a: tenant.get())
    assert of_tenant("a", lambda: cached(1)) == "a"
    keyed(cache)
    assert of_tenant("b", lambda: cached(1)) == "b"
    assert of_tenant("b", lambda: cached((1, [("b",)]))) == "b"


def test_methods_of_the_function_mean_the_entry_of_their_context(cache: Cache) -> None:
    cached = cache.cacheable(lambda a: object())
    of_a, of_b = (of_tenant(name, lambda: cached(1)) for name in ("a", "b"))
    assert of_tenant("a", lambda: cached.peek(1)) is of_a
    of_tenant("a", lambda: cached.invalidate(1))
    assert of_tenant("a", lambda: cached.peek(1)) is None
    assert of_tenant("b", lambda: cached.peek(1)) is of_b
    assert of_tenant("b", lambda: cached.refresh(1)) is not of_b
    cached.cache_clear()
    assert of_tenant("b", lambda: cached.peek(1)) is None


def test_loads_of_two_contexts_are_not_joined(cache: Cache) -> None:
    running = threading.Barrier(2)

    @cache.cacheable
    def cached(a: int) -> Any:
        running.wait(20)  # both at once, or never
        return tenant.get()

    calls = [spawn(of_tenant, name, lambda: cached(1)) for name in ("a", "b")]
    assert [call.result() for call in calls] == ["a", "b"]


def test_a_load_in_the_background_is_of_its_callers_context(cache: Cache) -> None:
    version = [0]

    @cache.cacheable(ttl=10, refresh_ahead=5)
    def cached(a: int) -> Any:
        return tenant.get(), version[0]

    cache.core.set_time(1000.0)
    for name in ("a", "b"):
        assert of_tenant(name, lambda: cached(1)) == (name, 0)
    version[0] = 1
    cache.core.set_time(1007.0)
    wait_until(lambda: of_tenant("b", lambda: cached(1)) == ("b", 1))
    assert of_tenant("a", lambda: cached(1)) == ("a", 0)


def test_values_outside_of_the_process_are_of_a_context(
    pair: tuple[zoocache.Cache, zoocache.Cache],
) -> None:
    def made_in(at: int) -> Callable[[int], Any]:
        @keyed(pair[at]).cacheable(namespace="f", version="1")
        def cached(a: int) -> Any:
            return tenant.get(), at

        return cached

    first, second = made_in(0), made_in(1)
    assert of_tenant("a", lambda: first(1)) == ("a", 0)
    assert of_tenant("a", lambda: second(1)) == ("a", 0)
    assert of_tenant("b", lambda: second(1)) == ("b", 1)


class Unhashable:
    __hash__ = None  # type: ignore[assignment]


def raising() -> Any:
    raise LookupError("no tenant here")


async def asynchronous() -> Any:
    return None


@pytest.mark.parametrize(
    ("answer", "error", "word"),
    [
        (raising, RuntimeError, "no tenant here"),
        (lambda: ["a"], TypeError, "not hashable"),
        (Unhashable, TypeError, "not hashable"),
        (lambda: asynchronous(), TypeError, "awaitable"),
    ],
)
def test_bad_answers(answer: Any, error: type[Exception], word: str) -> None:
    cache = Cache()
    loads = []
    cached = cache.cacheable(lambda a: loads.append(a))
    cached(1)
    add_context(cache.core, "shop", answer)
    for _ in range(2):
        with pytest.raises(error, match=f"key_context=.*{word}"):
            cached(1)
    assert loads == [1], "nothing is given, and nothing is loaded"


@pytest.mark.parametrize("given", [asynchronous, "tenant", 7])
def test_bad_options(given: Any) -> None:
    with pytest.raises(InvalidOption, match="key_context="):
        add_context(Cache().core, "shop", given)
