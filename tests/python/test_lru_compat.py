"""Swapping functools.lru_cache for cacheable needs no other edit."""

from __future__ import annotations

import functools
import weakref
from typing import Any

import pytest

from support import join_all, spawn_many
from zoocache import cacheable

BOTH = pytest.mark.parametrize(
    "cache", [functools.lru_cache, cacheable], ids=["lru_cache", "cacheable"]
)


@BOTH
def test_the_manuals_fibonacci(cache: Any) -> None:
    @cache(maxsize=None)
    def fib(n: int) -> int:
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    assert [fib(n) for n in range(16)][-1] == 610
    info = fib.cache_info()
    assert info == (28, 16, None, 16)
    assert (info.hits, info.misses, info.maxsize, info.currsize) == (28, 16, None, 16)


@BOTH
@pytest.mark.parametrize("form", ["bare", "empty", "positional", "keyword", "both"])
def test_every_form_of_the_decorator(cache: Any, form: str) -> None:
    decorate = {
        "bare": lambda f: cache(f),
        "empty": lambda f: cache()(f),
        "positional": lambda f: cache(32)(f),
        "keyword": lambda f: cache(maxsize=32)(f),
        "both": lambda f: cache(maxsize=32, typed=True)(f),
    }[form]
    calls = []
    load = decorate(lambda x: calls.append(x) or x)
    assert [load(1), load(1), load(2)] == [1, 1, 2]
    assert calls == [1, 2]
    if form in ("positional", "keyword", "both"):
        assert load.cache_info() == (1, 2, 32, 2)
        assert load.cache_parameters()["maxsize"] == 32
    if form == "both":
        assert load.cache_parameters() == {"maxsize": 32, "typed": True}


@BOTH
def test_clearing_starts_the_numbers_again(cache: Any) -> None:
    load = cache(maxsize=8)(lambda x: x)
    load(1)
    load(1)
    load.cache_clear()
    assert load.cache_info() == (0, 0, 8, 0)
    load(1)
    assert load.cache_info() == (0, 1, 8, 1)


@BOTH
def test_the_bound_is_kept(cache: Any) -> None:
    load = cache(maxsize=4)(lambda x: x)
    for x in range(100):
        load(x)
        assert load.cache_info().currsize == min(x + 1, 4)


@BOTH
def test_a_size_of_nothing_keeps_nothing(cache: Any) -> None:
    calls = []
    load = cache(maxsize=0)(lambda x: calls.append(x) or x)
    assert [load(1), load(1)] == [1, 1]
    assert len(calls) == 2
    assert load.cache_info() == (0, 2, 0, 0)


@BOTH
def test_typed_keeps_types_apart(cache: Any) -> None:
    load = cache(maxsize=None, typed=True)(lambda x: type(x))
    assert [load(1), load(1.0), load(True)] == [int, float, bool]


@BOTH
def test_exceptions_are_not_kept(cache: Any) -> None:
    calls = []
    load = cache(maxsize=None)(lambda x: calls.append(x) or 1 / x)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            load(0)
    assert len(calls) == 2
    assert load.cache_info().currsize == 0


@BOTH
def test_methods(cache: Any) -> None:
    class Service:
        calls = 0

        @cache(maxsize=None)
        def load(self, x: int) -> int:
            self.calls += 1
            return x

    one, two = Service(), Service()
    assert [one.load(1), one.load(1), two.load(1)] == [1, 1, 1]
    assert [one.calls, two.calls] == [1, 1]
    assert Service.load.cache_info().misses == 2
    one.load.cache_clear()
    assert two.load(1) == 1
    assert two.calls == 2


@BOTH
def test_attributes_and_wrapped(cache: Any) -> None:
    def load(x: int) -> int:
        """Doc."""
        return x

    cached = cache(maxsize=2)(load)
    assert cached.__wrapped__ is load
    assert (cached.__name__, cached.__doc__, cached.__module__) == ("load", "Doc.", __name__)
    cached.note = 1
    assert cached.note == 1


@BOTH
def test_threads(cache: Any) -> None:
    load = cache(maxsize=16)(lambda x: x * 2)

    def work() -> None:
        for x in range(2000):
            assert load(x % 50) == x % 50 * 2

    join_all(spawn_many(4, work))
    info = load.cache_info()
    assert info.hits + info.misses == 8000
    assert info.currsize == 16


@BOTH
def test_unhashable_arguments_and_keywords(cache: Any) -> None:
    load = cache(maxsize=None)(lambda *args, **kwargs: (args, kwargs))
    assert load(1, a=2) == ((1,), {"a": 2})
    assert load(1, a=2) is load(1, a=2)

    class NoHash:
        __hash__ = None  # type: ignore[assignment]
        __slots__ = ()

    with pytest.raises(TypeError):
        load(NoHash())


def test_methods_keep_no_instance_alive_unlike_lru_cache() -> None:
    class Service:
        @cacheable(maxsize=None)
        def load(self) -> int:
            return 1

    service = Service()
    service.load()
    reference = weakref.ref(service)
    del service
    assert reference() is None
