"""Arguments that are cyclic, huge, or run code while they are hashed and compared."""

from __future__ import annotations

import gc
import sys
import weakref
from typing import Any

import pytest

import zoocache
from zoocache import cacheable


class NoHash:
    __hash__ = None  # type: ignore[assignment]


def cyclic_list() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


def cyclic_dict() -> Any:
    value: dict[str, Any] = {}
    value["x"] = ({"y": value},)
    return value


def deep(kind: Any) -> Any:
    value = kind()
    for _ in range(100_000):
        value = kind([value])
    return value


def deep_dict() -> Any:
    value: Any = {}
    for _ in range(100_000):
        value = {"x": value}
    return value


def shared(kind: Any) -> Any:
    """60 objects that have 2**60 items in all."""
    value = kind()
    for _ in range(60):
        value = kind([value, value])
    return value


ENDLESS = {
    "list in itself": cyclic_list,
    "dict in itself": cyclic_dict,
    "deep tuple": lambda: deep(tuple),
    "deep list": lambda: deep(list),
    "deep dict": deep_dict,
    "shared tuples": lambda: shared(tuple),
    "shared lists": lambda: shared(list),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_endless_arguments_are_a_clear_error(name: str) -> None:
    calls = []
    load = cacheable(lambda first, graph: calls.append(1))
    with pytest.raises(TypeError, match=r"'graph'.*(levels deep|items).*key=.*ignore="):
        load(1, ENDLESS[name]())
    assert not calls
    load(1, 2)
    assert calls == [1]


@pytest.mark.parametrize(
    "wrap",
    [lambda x: x, lambda x: [x], lambda x: (1, (x,)), lambda x: {1: x}],
    ids=["bare", "list", "tuple", "dict"],
)
def test_unhashable_objects_name_the_argument(wrap: Any) -> None:
    @cacheable
    def load(a: int, *, option: Any = None) -> int:
        return a

    with pytest.raises(TypeError, match=r"'option'.*NoHash.*key=.*ignore=\('option',\)"):
        load(1, option=wrap(NoHash()))
    assert load(1) == 1


def test_unhashable_results_of_key_are_named() -> None:
    load = cacheable(lambda x: 1, key=lambda x: [NoHash()])
    with pytest.raises(TypeError, match=r"key=.*NoHash"):
        load(1)


class Boom(Exception):
    pass


class Hostile:
    """Raises where it is told to."""

    def __init__(self, where: str = "") -> None:
        self.where = where

    def __hash__(self) -> int:
        if self.where == "hash":
            raise Boom
        return 1

    def __eq__(self, other: object) -> Any:
        if "eq" in (self.where, getattr(other, "where", "")):
            raise Boom
        if self.where == "nonsense":
            return Nonsense()
        if self.where == "not implemented":
            return NotImplemented
        return self is other


class Nonsense:
    def __bool__(self) -> bool:
        raise Boom


class OwnKey:
    def __zoocache_key__(self) -> Any:
        raise Boom


WRAPS = [lambda x: x, lambda x: (1, x), lambda x: [x], lambda x: {1: x}]


@pytest.mark.parametrize("wrap", WRAPS, ids=["bare", "tuple", "list", "dict"])
@pytest.mark.parametrize("where", ["hash", "eq", "nonsense"])
def test_errors_of_hash_and_eq_reach_the_caller(where: str, wrap: Any) -> None:
    calls = []
    load = cacheable(lambda x: calls.append(x))
    if where != "hash":
        load(wrap(Hostile(where)))
    before = len(calls)
    with pytest.raises(Boom):
        load(wrap(Hostile(where)))
    assert len(calls) == before, "the loader did not run"
    load(5)
    assert load.cache_info().currsize == before + 1


def test_errors_in_sets_reach_the_caller() -> None:
    hostile = Hostile()
    value = {hostile}
    hostile.where = "hash"
    with pytest.raises(Boom):
        cacheable(lambda x: 1)(value)


def test_error_of_own_key_reaches_the_caller() -> None:
    with pytest.raises(Boom):
        cacheable(lambda x: 1)([OwnKey()])


def test_not_implemented_means_not_equal() -> None:
    load = cacheable(lambda x: object())
    first, second = Hostile("not implemented"), Hostile("not implemented")
    assert load(first) is not load(second)
    assert load(first) is load(first)


def test_hash_and_eq_may_call_the_cache() -> None:
    depth = 0

    class Reentrant:
        def __init__(self, x: int) -> None:
            self.x = x

        def __hash__(self) -> int:
            nonlocal depth
            if depth < 2:
                depth += 1
                load(Reentrant(self.x + 1))
                depth -= 1
            return 5

        def __eq__(self, other: object) -> bool:
            nonlocal depth
            if depth < 2:
                depth += 1
                load(Reentrant(self.x + 100))
                load.cache_clear()
                depth -= 1
            return self.x == other.x

    load = cacheable(lambda r: r.x)
    for _ in range(5):
        for x in range(10):
            assert load(Reentrant(x)) == x


def test_a_hash_may_reset_the_cache() -> None:
    """Also that of a class that compares by identity, which looks harmless."""

    class Resetting:
        armed = False

        def __hash__(self) -> int:
            if self.armed:
                zoocache.reset()
            return 1

    argument = Resetting()
    for load in (cacheable(lambda x: "loaded"), cacheable(lambda x, y=1: "loaded")):
        argument.armed = False
        assert [load(argument), load(argument)] == ["loaded"] * 2
        argument.armed = True
        assert [load(argument), load(argument)] == ["loaded"] * 2


def test_arguments_may_change_while_they_are_looked_at() -> None:
    class Changing:
        def __init__(self, container: Any) -> None:
            self.container = container

        def __zoocache_key__(self) -> int:
            self.container.clear()
            return 1

    load = cacheable(lambda x: "loaded")
    numbers: list[Any] = []
    numbers += [Changing(numbers), object(), object()]
    assert load(numbers) == "loaded"
    table: dict[Any, Any] = {}
    table.update({1: Changing(table), 2: object()})
    assert load(table) == "loaded"
    things: set[Any] = set()
    things |= {Changing(things), 1, 2}
    assert load(things) == "loaded"


def test_metaclasses_do_not_run_when_a_class_is_looked_at() -> None:
    class Meta(type):
        def __getattribute__(cls, name: str) -> Any:
            raise Boom

    class Thing(metaclass=Meta):
        pass

    assert cacheable(lambda x: "loaded")(Thing()) == "loaded"


def test_objects_that_pretend_to_be_of_another_class() -> None:
    class Liar:
        @property  # type: ignore[misc]
        def __class__(self) -> type:
            return dict

    assert cacheable(lambda x: "loaded")(Liar()) == "loaded"


class Witness:
    pass


@pytest.mark.parametrize(
    "bad",
    [
        lambda x: [x, NoHash()],
        lambda x: (x, [NoHash()]),
        lambda x: {1: x, 2: NoHash()},
        lambda x: [x, Hostile("hash")],
        lambda x: (x, Hostile("hash")),
        lambda x: [x, OwnKey()],
        lambda x: [x, deep_list],
        lambda x: (x, [x], NoHash()),
    ],
    ids=["list", "tuple", "dict", "hash in list", "hash in tuple", "own key", "depth", "copied"],
)
def test_refused_arguments_leak_nothing(bad: Any) -> None:
    @cacheable
    def load(first: Any, *rest: Any, option: Any = None, **options: Any) -> int:
        return 1

    witness = Witness()
    argument = bad(witness)
    uses = [
        lambda: load(argument),
        lambda: load([witness], argument),
        lambda: load([witness], option=argument),
        lambda: load([witness], other=argument),
    ]

    def run() -> None:
        for use in uses:
            with pytest.raises((TypeError, Boom)):
                use()

    run()
    gc.collect()
    count, objects = sys.getrefcount(witness), len(gc.get_objects())
    for _ in range(50):
        run()
    gc.collect()
    assert sys.getrefcount(witness) == count
    assert len(gc.get_objects()) < objects + 50


deep_list = deep(list)


def test_hits_with_frozen_arguments_leak_nothing() -> None:
    load = cacheable(lambda *args, **kwargs: 1)
    witness = Witness()

    def run() -> None:
        load([witness, (1, [2])], {"a": {witness}}, bytearray(b"x"), z=[witness], y={1})

    run()
    gc.collect()
    count, objects = sys.getrefcount(witness), len(gc.get_objects())
    for _ in range(500):
        run()
    gc.collect()
    assert load.cache_info().hits == 500
    assert sys.getrefcount(witness) == count
    assert len(gc.get_objects()) < objects + 50


def test_cycles_through_a_frozen_key_are_collected() -> None:
    class Owner:
        pass

    owner = Owner()
    owner.load = cacheable(lambda x: 1)  # type: ignore[attr-defined]
    owner.load([owner])  # type: ignore[attr-defined]
    reference = weakref.ref(owner)
    del owner
    gc.collect()
    assert reference() is None
