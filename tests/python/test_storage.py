"""Values that processes share through a folder: `configure(storage_url="lmdb://...")`.

Two caches in one process are as two processes here: they share nothing but the folder.
"""

from __future__ import annotations

import dataclasses
import gc
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

import zoocache
from support import Gate, Versions, run, spawn, wait_until
from zoocache import Cache, InvalidOption, SerializationError


def counting(cache: Cache, versions: Versions, **options: Any) -> Any:
    """A function of one name in every cache; its loads are counted together."""
    options.setdefault("deps", ["org:acme:user:{x}"])

    @cache.cacheable(namespace="get", version="1", **options)
    def get(x: Any) -> tuple[Any, int]:
        return x, versions.next()

    return get


def both(pair: tuple[Cache, Cache], **options: Any) -> tuple[Any, Any, Versions]:
    versions = Versions()
    return counting(pair[0], versions, **options), counting(pair[1], versions, **options), versions


def test_the_other_cache_finds_the_value(pair: tuple[Cache, Cache]) -> None:
    one, two, versions = both(pair)
    value = one(1)
    assert value == (1, 1)
    assert two(1) == value
    assert versions.loads == 1
    assert two(1) is two(1), "it is in memory now"
    assert two(2) == (2, 2)
    assert (pair[0].stats().l2_stores, pair[0].stats().l2_hits) == (1, 0)
    assert (pair[1].stats().l2_stores, pair[1].stats().l2_hits) == (1, 1)
    assert pair[1].stats().loads == 1


@pytest.mark.parametrize("tag", ["org:acme:user:1", "org:acme", "org"])
def test_it_dies_with_its_tags(pair: tuple[Cache, Cache], tag: str) -> None:
    one, two, versions = both(pair)
    one(1)
    pair[0].invalidate("org:acme:user:2", "org:acme2", "org:acme:user:1:name")
    assert two(1) == (1, 1)
    pair[0].invalidate(tag)
    assert two(1) == (1, 2)
    assert one(1) == (1, 2)
    assert versions.loads == 2


def test_it_dies_before_it_was_read(pair: tuple[Cache, Cache]) -> None:
    one, two, _ = both(pair)
    one(1)
    pair[1].invalidate("org:acme:user:1")
    assert two(1) == (1, 2)
    one(1)
    pair[0].clear()
    assert two(1) == (1, 3)
    one.cache_clear()
    assert two(1) == (1, 4)


def test_a_key_dies_alone(pair: tuple[Cache, Cache]) -> None:
    one, two, versions = both(pair)
    one(1), one(2)
    one.invalidate(1)
    assert two(1) == (1, 3)
    assert two(2) == (2, 2)
    assert two.refresh(2) == (2, 4)
    assert one(2) == (2, 4)
    assert one(1) == (1, 3)
    assert versions.loads == 4


def test_outer_values_die_with_the_keys_of_inner_ones(pair: tuple[Cache, Cache]) -> None:
    """The stored outer value cannot say which keys of the inner function it used."""
    loads = []

    def build(cache: Cache) -> tuple[Any, Any]:
        @cache.cacheable(namespace="inner", version="1")
        def inner(x: int) -> int:
            return x

        @cache.cacheable(namespace="outer", version="1")
        def outer(x: int) -> int:
            loads.append(x)
            return inner(x) + len(loads)

        return inner, outer

    (inner, outer), (other_inner, other_outer) = build(pair[0]), build(pair[1])
    assert outer(1) == 2
    assert other_outer(1) == 2
    inner.invalidate(1)
    assert other_outer(1) == 3, "told by the other cache"
    assert outer(1) == 3
    other_inner.invalidate(1)
    assert other_outer(1) == 4, "its own, for a value that came from the storage"
    pair[0].invalidate("anything")
    assert outer(1) == 4
    inner.cache_clear()
    assert other_outer(1) == 5


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (1, True),
        (1, 1.0),
        ("1", 1),
        (0.0, -0.0),
        ((1,), (True,)),
        ([1], (1,)),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({1, 2}, frozenset({1, 2})),
        ("a", b"a"),
        (None, "None"),
    ],
)
def test_keys_that_differ_do_not_share(pair: tuple[Cache, Cache], first: Any, second: Any) -> None:
    one, two, versions = both(pair, deps=())
    one(first)
    assert two(second)[1] == 2
    assert two(first)[1] == 1
    assert versions.loads == 2


@pytest.mark.parametrize(
    "key",
    [
        list(range(300)),
        {"b": {3, 1, 2}, "a": [None, (1, "x")]},
        {"x", "y", "z", ("a", 1)},
        bytearray(b"abc"),
        "é" * 1000,
        2**200,
    ],
)
def test_keys_of_any_kind_are_found(pair: tuple[Cache, Cache], key: Any) -> None:
    one, two, versions = both(pair, deps=())
    assert two(key) == one(key)
    assert versions.loads == 1


def test_what_has_no_bytes_as_a_key_stays_here(pair: tuple[Cache, Cache]) -> None:
    one, two, versions = both(pair, deps=())
    key = object()
    assert one(key)[1] == 1
    assert two(key)[1] == 2
    one.invalidate(key)
    assert one(key)[1] == 3
    assert two(key)[1] == 4, "without a name for the key the function dies elsewhere"
    assert versions.loads == 4


def test_time_to_live_goes_along(pair: tuple[Cache, Cache]) -> None:
    one, two, versions = both(pair, ttl=2)
    one(1)
    assert two(1) == (1, 1)
    wait_until(lambda: two(1) == (1, 2), "the end of the time to live")
    assert versions.loads == 2


def test_what_is_not_wanted_is_not_stored(pair: tuple[Cache, Cache]) -> None:
    one, two, _ = both(pair, store_if=lambda value: value[0] != 1)
    one(1), one(2)
    assert two(1) == (1, 3)
    assert two(2) == (2, 2)
    loads = []

    for cache in pair:

        @cache.cacheable(namespace="unstored", version="1")
        def unstored() -> int:
            cache.no_store()
            loads.append(1)
            return len(loads)

        assert unstored() == len(loads)
    assert len(loads) == 2


def test_what_is_invalidated_while_it_loads_is_not_stored(pair: tuple[Cache, Cache]) -> None:
    gate, versions = Gate(), Versions()

    def build(cache: Cache) -> Any:
        @cache.cacheable(namespace="slow", version="1", deps=["t"])
        def slow() -> int:
            number = versions.next()
            if number == 1:
                gate.hold()
            return number

        return slow

    one, two = build(pair[0]), build(pair[1])
    first = spawn(one)
    gate.wait_entered()
    pair[1].invalidate("t")
    gate.release()
    assert first.result() == 1
    assert two() == 2
    assert one() == 2


def test_many_callers_of_a_cold_key_run_it_once(pair: tuple[Cache, Cache]) -> None:
    gate, versions = Gate(), Versions()

    def build(cache: Cache) -> Any:
        @cache.cacheable(namespace="slow", version="1")
        def slow() -> int:
            gate.hold()
            return versions.next()

        return slow

    functions = [build(pair[0]), build(pair[1])]
    callers = [spawn(functions[index % 2]) for index in range(20)]
    gate.wait_entered()
    joined = lambda: sum(cache.stats().flights_joined for cache in pair)  # noqa: E731
    wait_until(lambda: joined() == 18, "all but one of each cache wait here")
    gate.release()
    assert {caller.result() for caller in callers} == {1}
    assert versions.loads == 1


def test_who_waits_for_a_load_that_fails_loads_for_itself(pair: tuple[Cache, Cache]) -> None:
    gate, calls = Gate(), []

    def build(cache: Cache) -> Any:
        @cache.cacheable(namespace="slow", version="1")
        def slow() -> int:
            calls.append(1)
            if len(calls) == 1:
                gate.hold()
                raise LookupError("first")
            return len(calls)

        return slow

    one, two = build(pair[0]), build(pair[1])
    first = spawn(one)
    gate.wait_entered()
    second = spawn(two)
    wait_until(lambda: pair[1].stats().misses == 1)
    gate.release()
    with pytest.raises(LookupError, match="first"):
        first.result()
    assert second.result() == 2


def test_the_wait_for_another_process_ends(url: str, pair: tuple[Cache, Cache]) -> None:
    gate = Gate()

    def build(cache: Cache, **options: Any) -> Any:
        @cache.cacheable(namespace="slow", version="1", flight_timeout=0.05, **options)
        def slow() -> int:
            if not gate.entered.is_set():
                gate.hold()
                return 1
            return 2

        return slow

    one, two = build(pair[0]), build(pair[1])
    three = build(Cache(storage_url=url), on_flight_timeout="raise")
    first = spawn(one)
    gate.wait_entered()
    with pytest.raises(zoocache.FlightTimeout):
        three()
    assert two() == 2
    gate.release()
    assert first.result() == 1


def test_values_that_cannot_leave_stay_here(
    pair: tuple[Cache, Cache], caplog: pytest.LogCaptureFixture
) -> None:
    def build(cache: Cache, namespace: str = "object", **options: Any) -> Any:
        @cache.cacheable(namespace=namespace, version="1", **options)
        def get(x: int) -> Any:
            return {"lock": threading.Lock(), "x": x}

        return get

    one, two = build(pair[0]), build(pair[1])
    with caplog.at_level(logging.WARNING, "zoocache"):
        assert one(1) is one(1)
        assert two(1) is not one(1)
        one(2)
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 2, "one for each function"
    assert "['lock']" in warnings[0]
    assert pair[0].stats().l2_refusals == 2
    strict = build(pair[0], "strict", on_unserializable="raise")
    for _ in range(2):
        with pytest.raises(SerializationError, match="lock"):
            strict(1)


@dataclasses.dataclass
class User:
    name: str
    tags: list[str]


@dataclasses.dataclass
class Other:
    name: str


def load_user(x: int) -> User:
    return User(f"user {x}", ["a"])


def load_other(x: int) -> Any:
    return Other(str(x))


def test_classes_of_the_annotation_come_back(pair: tuple[Cache, Cache]) -> None:
    one, two = (cache.cacheable(load_user) for cache in pair)
    value = one(1)
    found = two(1)
    assert found == value
    assert type(found) is User
    assert found is not value
    assert pair[1].stats().l2_hits == 1
    hidden, hidden_too = (cache.cacheable(load_other) for cache in pair)
    hidden(1)
    assert hidden_too(1) == Other("1")
    assert pair[1].stats().l2_hits == 1, "nothing names its class"


def test_functions_without_a_name_stay_here(pair: tuple[Cache, Cache]) -> None:
    loads = []

    def inside(x: int) -> int:
        loads.append(x)
        return len(loads)

    one, two = (cache.cacheable(inside) for cache in pair)
    assert one(1) == 1
    assert two(1) == 2
    with pytest.raises(InvalidOption, match="namespace="):
        pair[0].cacheable(storage="l2")(inside)
    three, four = (cache.cacheable(storage="l1", namespace="n")(inside) for cache in pair)
    assert three(1) == 3
    assert four(1) == 4
    with pytest.raises(InvalidOption, match="storage='l3'"):
        pair[0].cacheable(storage="l3")(inside)
    with pytest.raises(InvalidOption, match="on_unserializable='x'"):
        pair[0].cacheable(on_unserializable="x")(inside)


def test_two_functions_of_one_name_do_not_share(
    pair: tuple[Cache, Cache], caplog: pytest.LogCaptureFixture
) -> None:
    def build(cache: Cache, number: int) -> Callable[[], int]:
        def load() -> int:
            return number

        return cache.cacheable(namespace="twice", version="1")(load)  # type: ignore[no-any-return]

    first, second = build(pair[0], 1), build(pair[0], 2)
    with caplog.at_level(logging.WARNING, "zoocache"):
        assert (first(), second()) == (1, 2)
    assert "the same name and the same code" in caplog.text
    assert build(pair[1], 3)() == 1
    del first
    gc.collect()
    third = build(pair[0], 4)
    assert third() == 1, "the first is gone"


def test_versions_and_namespaces_part_values(pair: tuple[Cache, Cache]) -> None:
    loads = []

    def inside(x: int) -> int:
        loads.append(x)
        return len(loads)

    def build(cache: Cache, **options: Any) -> Callable[[int], int]:
        return cache.cacheable(**options)(inside)  # type: ignore[no-any-return]

    assert build(pair[0], namespace="n", version="1")(1) == 1
    assert build(pair[1], namespace="n", version="2")(1) == 2
    assert build(pair[1], namespace="m", version="1")(1) == 3
    assert build(pair[1], namespace="n", version="1")(1) == 1
    assert build(pair[1], namespace="n")(1) == 4


class Account:
    def __init__(self, number: int) -> None:
        self.number = number
        self.loads = 0

    def __zoocache_key__(self) -> int:
        return self.number


class Anonymous(Account):
    __zoocache_key__ = None  # type: ignore[assignment]


def test_methods_share_where_their_class_says_who_is_who(pair: tuple[Cache, Cache]) -> None:
    def build(cache: Cache, base: type[Account]) -> type[Account]:
        class Cached(base):  # type: ignore[valid-type, misc]
            @cache.cacheable(namespace="balance", version="1")
            def balance(self, x: int) -> int:
                self.loads += 1
                return int(self.number * 10 + x)

        return Cached

    first, second = build(pair[0], Account)(7), build(pair[1], Account)(7)
    assert first.balance(1) == second.balance(1) == 71  # type: ignore[attr-defined]
    assert (first.loads, second.loads) == (1, 1), "two classes of one name are not one"


def test_raw_keys_are_shared(pair: tuple[Cache, Cache], caplog: pytest.LogCaptureFixture) -> None:
    first, second = pair
    assert second.get("key") is None
    assert (caplog.records, second.stats().l2_refusals) == ([], 0), "nothing is no value"
    first.set("key", {"a": (1, 2)}, deps=["t"])
    assert second.get("key") == {"a": (1, 2)}
    second.set("key", "new", deps=["t"])
    assert first.get("key") == "new"
    first.invalidate("t")
    assert second.get("key") is None

    async def main() -> None:
        await first.set_async("k", 5)
        assert await second.get_async("k") == 5

    run(main())


def test_held_tags_keep_values_out(pair: tuple[Cache, Cache]) -> None:
    one, two, versions = both(pair)
    one(1)
    with pair[1].invalidating("org"):
        assert two(1)[1] == 2, "whoever writes reads no stored value of it"
        assert two(1)[1] == 3
        assert one(1)[1] == 1
    assert one(1)[1] == 4
    assert two(1)[1] == 4
    assert versions.loads == 4


@pytest.mark.parametrize("how", ["invalidate", "cache_clear"])
def test_functions_of_one_namespace_hear_of_each_other(url: str, how: str) -> None:
    """They share their values, whatever they are called: as after a function was moved."""
    version = [1]

    def one(x: int) -> int:
        return version[0]

    def two(x: int) -> int:
        return version[0]

    first, second = (
        Cache(storage_url=url).cacheable(fn, namespace="shop.get", version="1") for fn in (one, two)
    )
    assert (first(1), second(1)) == (1, 1)
    version[0] = 2
    assert second(1) == 1, "it is cached"
    if how == "invalidate":
        first.invalidate(1)
    else:
        first.cache_clear()
    assert (second(1), first(1)) == (2, 2)
    late = Cache(storage_url=url).cacheable(two, namespace="shop.get", version="1")
    assert late(1) == 2


def test_what_is_not_to_be_stored_is_not_encoded(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache = Cache(storage_url=url)

    def load() -> Any:
        zoocache.no_store()
        return object()

    cache.cacheable(load, namespace="a", version="1")()
    cache.cacheable(load, namespace="b", version="1", on_unserializable="raise")()
    assert not caplog.records
    assert cache.stats().l2_refusals == 0
