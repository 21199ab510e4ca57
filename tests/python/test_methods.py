"""Methods: keyed by the instance's identity, and gone with the instance."""

from __future__ import annotations

import functools
import gc
import inspect
import pickle
import weakref
from dataclasses import dataclass
from typing import Any

import pytest

import zoocache
from support import Gate, Versions, join_all, run, spawn, wait_joined
from zoocache import cacheable, explain, invalidate


class Service:
    def __init__(self) -> None:
        self.calls: list[Any] = []

    @cacheable(deps=["user:{user_id}"])
    def load(self, user_id: int = 1) -> tuple[int, int]:
        """Loads."""
        self.calls.append(user_id)
        return user_id, len(self.calls)

    @cacheable
    async def fetch(self, user_id: int) -> tuple[int, int]:
        self.calls.append(user_id)
        return user_id, len(self.calls)

    @classmethod
    @cacheable
    def of_class(cls, x: int) -> tuple[str, int]:
        counted.append(cls)
        return cls.__name__, x

    @staticmethod
    @cacheable
    def of_nobody(x: int) -> int:
        counted.append(x)
        return x

    @property
    @cacheable
    def computed(self) -> int:
        self.calls.append("property")
        return len(self.calls)


class Derived(Service):
    pass


counted: list[Any] = []


@pytest.fixture(autouse=True)
def count_anew() -> None:
    counted.clear()


def test_instances_have_their_own_entries() -> None:
    first, second = Service(), Service()
    assert [first.load(1), first.load(1), first.load(user_id=1), first.load()] == [(1, 1)] * 4
    assert second.load(1) == (1, 1)
    assert [len(first.calls), len(second.calls)] == [1, 1]
    assert Service.load(first, 1) == (1, 1)
    assert len(first.calls) == 1


def test_instances_that_are_equal_are_still_two() -> None:
    @dataclass(frozen=True)
    class Point:
        x: int

        @cacheable
        def identity(self) -> int:
            return id(self)

    first, second = Point(1), Point(1)
    assert first == second
    assert [first.identity(), second.identity()] == [id(first), id(second)]


def test_instances_without_a_hash_work() -> None:
    @dataclass
    class Mutable:
        x: int

        @cacheable
        def load(self) -> int:
            return self.x

    item = Mutable(1)
    assert item.load() == 1
    item.x = 2
    assert item.load() == 1


def test_entries_die_with_the_instance() -> None:
    service = Service()
    reference = weakref.ref(service)
    for user_id in range(10):
        service.load(user_id)
    assert zoocache.stats().entries == 10
    del service
    gc.collect()
    assert reference() is None, "the cache keeps no instance alive"
    assert zoocache.stats().entries == 0
    assert zoocache.stats().tags == 0


def test_an_address_used_again_is_not_the_same_instance() -> None:
    for i in range(200):
        service = Service()
        service.calls.extend(range(i))
        assert service.load(1) == (1, i + 1)
        del service


def test_slots_without_weakref_are_a_clear_error() -> None:
    class Slotted:
        __slots__ = ("x",)

        @cacheable
        def load(self) -> int:
            return 1

        @cacheable(ignore=("self",))
        def ignoring(self) -> int:
            return 2

        @cacheable(key=lambda self: "constant")
        def keyed(self) -> int:
            return 3

    with pytest.raises(TypeError, match=r"(?s)key=.*ignore=|ignore=.*key="):
        Slotted().load()
    assert [Slotted().ignoring(), Slotted().keyed()] == [2, 3]


def test_slots_with_weakref_work() -> None:
    class Slotted:
        __slots__ = ("__weakref__", "x")

        @cacheable
        def load(self) -> int:
            return id(self)

    one = Slotted()
    assert one.load() == one.load() == id(one)


def test_ignored_and_keyed_methods_share_between_instances() -> None:
    class Repository:
        def __init__(self, tenant: str) -> None:
            self.tenant = tenant
            self.calls = 0

        @cacheable(ignore=("self",))
        def everybody(self, x: int) -> tuple[str, int]:
            self.calls += 1
            return self.tenant, x

        @cacheable(key=lambda self, x: (self.tenant, x))
        def by_tenant(self, x: int) -> tuple[str, int]:
            self.calls += 1
            return self.tenant, x

    a, also_a, b = Repository("a"), Repository("a"), Repository("b")
    assert [r.everybody(1) for r in (a, also_a, b)] == [("a", 1)] * 3
    assert [r.by_tenant(1) for r in (a, also_a, b)] == [("a", 1), ("a", 1), ("b", 1)]
    assert [r.calls for r in (a, also_a, b)] == [2, 0, 1]


def test_bound_methods_carry_the_functions_methods() -> None:
    first, second = Service(), Service()
    first.load(1)
    second.load(1)
    assert first.load.peek(1) == (1, 1)
    first.load.invalidate(1)
    assert first.load.peek(1) is None
    assert second.load.peek(1) == (1, 1)
    assert first.load.refresh(1) == (1, 2)
    assert first.load(1) == (1, 2)
    assert explain(first.load, 1).reason == "hit"
    assert first.load.__wrapped__ is not None
    assert first.load.__name__ == "load"
    assert first.load.__doc__ == "Loads."
    assert first.load.__self__ is first
    assert first.load.__func__ is Service.load
    assert first.load.cache_info().currsize == 2
    Service.load.invalidate(first, 1)
    assert first.load.peek(1) is None
    first.load.cache_clear()
    assert second.load.peek(1) is None, "clears the function, as lru_cache does"


def test_bound_methods_look_like_methods() -> None:
    service = Service()
    assert str(inspect.signature(service.load)).startswith("(user_id")
    assert str(inspect.signature(Service.load)).startswith("(self, user_id")
    assert inspect.iscoroutinefunction(service.fetch)
    assert not inspect.iscoroutinefunction(service.load)
    assert service.load == service.load
    assert service.load != Service().load
    assert hash(service.load) == hash(service.load)
    kept = service.load
    assert kept(1) == (1, 1)
    for name in ("invalidate", "refresh", "peek", "cache_info"):
        assert inspect.getdoc(getattr(service.load, name)), name


def test_a_bound_method_keeps_its_instance_and_no_entry_does() -> None:
    service = Service()
    bound = service.load
    reference = weakref.ref(service)
    del service
    gc.collect()
    assert bound(1) == (1, 1)
    del bound
    gc.collect()
    assert reference() is None


def test_tags_reach_methods() -> None:
    service = Service()
    assert service.load(1) == (1, 1)
    invalidate("user:1")
    assert service.load(1) == (1, 2)


def test_class_and_static_methods() -> None:
    assert [Service.of_class(1), Service().of_class(1), Derived.of_class(1)] == [
        ("Service", 1),
        ("Service", 1),
        ("Derived", 1),
    ]
    assert counted == [Service, Derived]
    counted.clear()
    assert [Service.of_nobody(1), Service().of_nobody(1), Derived.of_nobody(1)] == [1, 1, 1]
    assert counted == [1]
    Service.of_class.__func__.invalidate(Service, 1)
    Service.of_class(1)
    assert counted == [1, Service]


def test_cacheable_outside_of_classmethod_and_staticmethod() -> None:
    """The other order of decorators either works or says what is wrong at decoration."""
    for kind in (classmethod, staticmethod):
        try:

            class Reversed:
                wrapped = cacheable(kind(lambda *args: args[-1]))

            assert Reversed.wrapped(5) == 5
            assert Reversed().wrapped(5) == 5
        except TypeError as error:
            assert kind.__name__ in str(error)


def test_properties() -> None:
    service = Service()
    assert [service.computed, service.computed] == [1, 1]
    assert Service().computed == 1


def test_async_methods() -> None:
    service = Service()

    async def main(service: Service) -> None:
        assert [await service.fetch(1), await service.fetch(1)] == [(1, 1)] * 2
        assert await service.fetch.refresh(1) == (1, 2)
        service.fetch.invalidate(1)
        assert await service.fetch(1) == (1, 3)

    run(main(service))
    reference = weakref.ref(service)
    del service
    gc.collect()
    assert reference() is None


def test_inherited_and_overridden_methods() -> None:
    class Child(Service):
        @cacheable
        def load(self, user_id: int = 1) -> tuple[int, int]:
            first, second = super().load(user_id)
            return first * 100, second

    child = Child()
    assert [child.load(1), child.load(1), Service.load(child, 1)] == [(100, 1), (100, 1), (1, 1)]
    invalidate("user:1")
    assert child.load(1) == (100, 2)


def test_a_function_put_into_a_class_later_has_an_ordinary_first_argument() -> None:
    @dataclass(frozen=True)
    class Point:
        x: int

    calls: list[Any] = []
    late: Any = cacheable(lambda self: calls.append(self) or len(calls))
    Point.late = late  # type: ignore[attr-defined]
    assert [late(Point(1)), late(Point(1)), late(Point(2))] == [1, 1, 2]


def test_a_plain_function_keeps_its_first_argument_by_equality() -> None:
    calls = []

    @cacheable
    def load(self: Any) -> int:
        calls.append(self)
        return len(calls)

    assert [load(("a",)), load(("a",))] == [1, 1]


def test_callable_objects_and_their_methods() -> None:
    class Adder:
        def __init__(self, amount: int) -> None:
            self.amount = amount
            self.calls = 0

        def __call__(self, x: int) -> int:
            self.calls += 1
            return self.amount + x

    first, second = Adder(1), Adder(2)
    cached_first, cached_second = cacheable(first), cacheable(second)
    assert [cached_first(1), cached_first(1), cached_second(1)] == [2, 2, 3]
    assert [first.calls, second.calls] == [1, 1]


def test_async_callable_objects_are_async() -> None:
    class Fetcher:
        calls = 0

        async def __call__(self, x: int) -> int:
            self.calls += 1
            return x

    fetcher = Fetcher()
    cached = cacheable(fetcher)
    assert [run(cached(1)), run(cached(1)), fetcher.calls] == [1, 1, 1]


def test_bound_methods_can_be_decorated() -> None:
    source = Versions()
    cached = cacheable(deps=["t"])(source.next)
    assert [cached(), cached()] == [1, 1]


def test_partials_can_be_decorated_and_made() -> None:
    calls = []

    def power(base: int, exponent: int) -> int:
        calls.append((base, exponent))
        return int(base**exponent)

    square = cacheable(functools.partial(power, exponent=2))
    assert [square(3), square(base=3)] == [9, 9]
    assert calls == [(3, 2)]
    cached = cacheable(power)
    cube = functools.partial(cached, exponent=3)
    assert [cube(2), cached(2, 3)] == [8, 8]
    assert calls == [(3, 2), (2, 3)]
    with_partialmethod = functools.partialmethod(Service.load, 7)

    class Seven(Service):
        seven = with_partialmethod

    assert Seven().seven() == (7, 1)


def test_an_instance_that_dies_while_its_load_runs() -> None:
    class Value:
        pass

    gate = Gate()

    class Loader:
        @cacheable
        def load(self) -> Value:
            gate.hold()
            return Value()

    holder = [Loader()]
    reference = weakref.ref(holder[0])
    leader = spawn(lambda: holder[0].load())
    gate.wait_entered()
    holder.clear()
    gate.release()
    assert isinstance(leader.result(), Value)
    leader.value = None
    gc.collect()
    assert reference() is None
    assert zoocache.stats().entries == 0


def test_single_flight_per_instance() -> None:
    class Loader:
        calls = 0

        @cacheable
        def load(self) -> int:
            self.calls += 1
            wait_joined(4)
            return id(self)

    loader = Loader()
    assert join_all([spawn(loader.load) for _ in range(5)]) == [id(loader)] * 5
    assert loader.calls == 1


def test_a_value_that_refers_to_its_instance_lives_until_evicted() -> None:
    class Node:
        @cacheable(max_entries=1)
        def itself(self) -> Any:
            return self

    node = Node()
    assert node.itself() is node
    reference = weakref.ref(node)
    Node().itself()
    del node
    gc.collect()
    assert reference() is None


def test_instances_pickle_without_their_entries() -> None:
    service = Service()
    service.load(1)
    copy = pickle.loads(pickle.dumps(service))
    assert copy.load(1) == (1, 2)


def test_hidden_instance_keys_hold_no_cycle() -> None:
    """Methods of many short-lived instances leave nothing behind without the collector's help."""
    gc.collect()
    gc.disable()
    try:
        for _ in range(1000):
            Service().load(1)
        assert zoocache.stats().entries == 0
    finally:
        gc.enable()


class Shelf:
    """Class methods in both orders of the decorators."""

    loads = 0

    @cacheable
    @classmethod
    def inside(cls, x: int = 7) -> tuple[str, int, int]:
        cls.loads += 1
        return cls.__name__, x, cls.loads

    @classmethod
    @cacheable
    def outside(cls, x: int = 7) -> tuple[str, int, int]:
        cls.loads += 1
        return cls.__name__, x, cls.loads


def test_a_class_methods_own_methods_know_the_class() -> None:
    first = Shelf.inside(7)
    assert Shelf.inside() == first
    assert Shelf.inside.peek(7) == first
    assert Shelf().inside.peek() == first
    Shelf.inside.invalidate(7)
    assert Shelf.inside.peek(7) is None
    assert Shelf.inside() != first
    assert Shelf.inside.refresh(7)[0] == "Shelf"


def test_a_class_method_outside_is_bound_or_refused_but_never_another_key() -> None:
    first = Shelf.outside(7)
    try:
        Shelf.outside.invalidate(7)
    except TypeError as error:
        assert "@cacheable above @classmethod" in str(error)
    else:
        assert Shelf.outside(7) != first
