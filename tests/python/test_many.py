"""`get_many`: as the calls for each item, with one load for all that is missing."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import pytest

import zoocache
from many_support import Source, of
from support import Gate, join_all, spawn, spawn_many, wait_joined, wait_until
from zoocache import add_deps, cacheable, invalidate, no_store


def test_the_values_come_in_the_order_of_the_items() -> None:
    source = Source()
    get = cacheable(source.one)
    assert get.get_many([]) == []
    assert get.get_many([], load=source.many) == []
    assert source.batches == [], "nothing was missing"
    assert get(3) == Source.value(3)
    assert get.get_many([5, 3, 1, 5, 3], load=source.many) == of(5, 3, 1, 5, 3)
    assert source.batches == [[5, 1]], "only what is missing, each once, in order"
    assert get.get_many(iter([1, 5, 3]), load=source.many) == of(1, 5, 3)
    assert len(source.batches) == 1
    assert source.single == [3]
    assert get(1) is get.get_many([1], load=source.many)[0]


def test_without_a_loader_the_function_is_called_for_each() -> None:
    source = Source()
    get = cacheable(source.one)
    assert get.get_many(range(4)) == of(0, 1, 2, 3)
    assert get.get_many([3, 9, 3, 9]) == of(3, 9, 3, 9)
    assert source.single == [0, 1, 2, 3, 9]


def test_it_counts_as_the_calls_do() -> None:
    source = Source()
    get = cacheable(source.one)
    get.get_many([1, 2, 3], load=source.many)
    assert get.cache_info()[:2] == (0, 3)
    get.get_many([1, 2, 3, 4])
    assert get.cache_info()[:2] == (3, 4)
    assert zoocache.stats().loads == 4


def test_what_is_stored_can_be_peeked_and_invalidated() -> None:
    source = Source()
    get = cacheable(source.one)
    get.get_many([1, 2], load=source.many)
    assert get.peek(1) == Source.value(1)
    get.invalidate(1)
    assert get.peek(1) is None
    assert get.get_many([1, 2], load=source.many) == of(1, 2)
    assert source.batches == [[1, 2], [1]]


def test_dependencies_of_deps_are_each_items_own() -> None:
    asked: list[int] = []

    def tags(item: int) -> list[str]:
        asked.append(item)
        return [f"later:{item}"]

    for deps in (["item:{item}"], lambda item: [f"item:{item}"], tags):
        source = Source()

        @cacheable(deps=deps)  # type: ignore[arg-type]
        def get(item: int, source: Source = source) -> Any:
            return source.one(item)

        kind = "later" if deps is tags else "item"
        get.get_many([1, 2], load=source.many)
        invalidate(f"{kind}:1")
        assert get.get_many([1, 2], load=source.many) == of(1, 2)
        assert source.batches == [[1, 2], [1]]
    assert asked == [1, 2, 1]


def test_dependencies_of_the_loader_are_every_items() -> None:
    inner_loads = Source()
    inner = cacheable(deps=["inner:{item}"])(lambda item: inner_loads.one(item))
    source = Source()
    get = cacheable(source.one)

    def load(items: list[int]) -> list[Any]:
        add_deps("table")
        inner(7)
        return source.many(items)

    for tag in ("table", "inner:7"):
        source.batches.clear()
        get.get_many([1, 2], load=load)
        invalidate(tag)
        get.get_many([1, 2], load=load)
        assert source.batches[-1] == [1, 2], tag
    inner.invalidate(7)
    get.get_many([1, 2], load=load)
    assert source.batches[-1] == [1, 2]
    assert add_deps("afterwards") is None


def test_dependencies_reach_the_load_around() -> None:
    source = Source()
    get = cacheable(deps=["item:{item}"])(lambda item: source.one(item))
    runs: list[int] = []

    def load(items: list[int]) -> list[Any]:
        add_deps("table")
        return source.many(items)

    @cacheable
    def outer() -> int:
        get.get_many([1, 2], load=load)
        runs.append(1)
        return len(runs)

    assert outer() == 1
    for number, tag in enumerate(("item:2", "table"), 2):
        invalidate(tag)
        assert outer() == number, tag
    get.invalidate(1)
    assert outer() == 4
    assert outer() == 4

    @cacheable
    def plain() -> int:
        get.get_many([1, 7])
        runs.append(1)
        return len(runs)

    assert plain() == plain() == 5
    get.invalidate(7)
    assert plain() == plain() == 6


def test_an_invalidation_during_the_load_keeps_the_entries_out() -> None:
    source = Source()
    get = cacheable(deps=["item:{item}"])(lambda item: source.one(item))

    def load(items: list[int]) -> list[Any]:
        values = source.many(items)
        invalidate("item:1")
        return values

    assert get.get_many([1, 2], load=load) == of(1, 2)
    assert get.peek(1) is None
    assert get.peek(2) == Source.value(2)


def test_no_store_is_for_all_of_them() -> None:
    source = Source()
    get = cacheable(source.one)

    def load(items: list[int]) -> list[Any]:
        no_store()
        return source.many(items)

    assert get.get_many([1, 1, 2], load=load) == of(1, 1, 2)
    assert source.single == []
    assert get.peek(1) is None


def test_many_threads_load_each_item_once() -> None:
    lock = threading.Lock()
    loaded: list[int] = []

    def load(items: list[int]) -> list[Any]:
        with lock:
            loaded.extend(items)
        return of(*items)

    get = cacheable(lambda item: load([item])[0])
    chosen = iter(range(50))

    def call() -> list[Any]:
        with lock:
            first = next(chosen)
        items = [(first * 7 + step * (1 if first % 2 else -1)) % 60 for step in range(30)]
        assert get.get_many(items, load=load) == of(*items)
        return items

    asked = {item for items in join_all(spawn_many(50, call)) for item in items}
    assert sorted(loaded) == sorted(asked)


def test_what_another_call_loads_is_waited_for_after_the_own_load() -> None:
    gate, source = Gate(), Source()

    @cacheable
    def get(item: int) -> Any:
        gate.hold()
        return source.one(item)

    single = spawn(get, 1)
    gate.wait_entered()
    ended = threading.Event()

    def load(items: list[int]) -> list[Any]:
        ended.set()
        return source.many(items)

    many = spawn(lambda: get.get_many([1, 2], load=load))
    assert ended.wait(30)
    wait_joined(1)
    gate.release()
    assert many.result() == of(1, 2)
    assert single.result() == Source.value(1)
    assert source.batches == [[2]]
    assert source.single == [1]


def test_a_single_call_waits_for_the_batch() -> None:
    gate, source = Gate(), Source()
    get = cacheable(source.one)

    def load(items: list[int]) -> list[Any]:
        gate.hold()
        return source.many(items)

    many = spawn(lambda: get.get_many([1, 2], load=load))
    gate.wait_entered()
    single = spawn(get, 2)
    wait_joined(1)
    gate.release()
    assert single.result() == Source.value(2)
    assert many.result() == of(1, 2)
    assert source.single == []


def test_a_loader_may_ask_for_its_own_items() -> None:
    source = Source()
    get = cacheable(source.one)

    def load(items: list[int]) -> list[Any]:
        return [get(item) for item in items]

    assert get.get_many([1, 2], load=load) == of(1, 2)
    assert source.single == [1, 2]
    assert get.get_many([1, 2]) == of(1, 2)


def test_two_batches_whose_loaders_want_each_others_items_end() -> None:
    both = threading.Barrier(2)
    get = cacheable(Source.value)

    def call(own: int, other: int) -> list[Any]:
        def load(items: list[int]) -> list[Any]:
            both.wait(30)
            get(other)
            return of(*items)

        return get.get_many([own, own + 10], load=load)

    one, two = spawn(call, 1, 2), spawn(call, 2, 1)
    assert one.result() == of(1, 11)
    assert two.result() == of(2, 12)


def test_templates_that_want_each_others_items_end() -> None:
    both = threading.Barrier(2)
    first = threading.local()

    class Item:
        def __init__(self, number: int, other: int) -> None:
            self.number, self._other = number, other

        def __hash__(self) -> int:
            return hash(self.number)

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Item) and other.number == self.number

        @property
        def tag(self) -> str:
            if self._other and not getattr(first, "done", False):
                first.done = True
                both.wait(30)
                get(Item(self._other, 0))
            return str(self.number)

    @cacheable(deps=["item:{item.tag}"])
    def get(item: Item) -> int:
        return item.number

    def load(items: list[Item]) -> list[int]:
        return [item.number for item in items]

    one = spawn(lambda: get.get_many([Item(1, 0), Item(11, 2)], load=load))
    two = spawn(lambda: get.get_many([Item(2, 0), Item(12, 1)], load=load))
    assert (one.result(), two.result()) == ([1, 11], [2, 12])


def test_a_wrong_number_of_values_is_an_error() -> None:
    source = Source()
    get = cacheable(source.one)
    for wrong, count in (([], 0), ([1], 1), ([1, 2, 3], 3)):
        with pytest.raises(ValueError, match=f"was given 2 items and returned {count} values"):
            get.get_many([1, 2], load=lambda _, wrong=wrong: wrong)
    assert get.peek(1) is None
    assert get.get_many([1, 2], load=lambda items: iter(of(*items))) == of(1, 2)


@pytest.mark.parametrize("wrong", [{1: 1, 2: 2}, {1, 2}, "ab", b"ab", {1: 1}.keys()])
def test_what_has_no_order_of_its_own_is_an_error(wrong: Any) -> None:
    get = cacheable(Source.value)
    with pytest.raises(TypeError, match=r"a list of the values is wanted, in the order"):
        get.get_many([1, 2], load=lambda _: wrong)
    assert get.get_many([1, 2]) == of(1, 2)


@pytest.mark.parametrize("error", [KeyError("gone"), KeyboardInterrupt(), SystemExit(3)])
def test_an_error_of_the_loader_is_raised_and_nobody_is_left_behind(error: BaseException) -> None:
    gate, source = Gate(), Source()
    get = cacheable(cache_errors=(KeyError,))(lambda item: source.one(item))

    def load(_: list[int]) -> list[Any]:
        gate.hold()
        raise error

    many = spawn(lambda: get.get_many([1, 2], load=load))
    gate.wait_entered()
    single = spawn(get, 2)
    wait_joined(1)
    gate.release()
    with pytest.raises(type(error)) as raised:
        many.result()
    assert raised.value is error
    assert single.result() == Source.value(2), "it asked for nothing that failed"
    assert get(1) == Source.value(1)
    assert source.single == [2, 1]


def test_an_outer_load_that_catches_the_error_is_not_stored() -> None:
    get = cacheable(Source.value)
    runs: list[int] = []

    def load(_: list[int]) -> list[Any]:
        raise KeyError

    @cacheable
    def outer() -> int:
        runs.append(1)
        with pytest.raises(KeyError):
            get.get_many([1], load=load)
        return len(runs)

    assert (outer(), outer()) == (1, 2)


def test_an_error_of_one_items_deps_leaves_the_others_stored() -> None:
    def tags(item: int) -> list[str]:
        if item == 1:
            raise LookupError(item)
        return [f"item:{item}"]

    get = cacheable(deps=tags)(Source.value)
    with pytest.raises(LookupError):
        get.get_many([0, 1, 2], load=lambda items: of(*items))
    assert [get.peek(item) for item in range(3)] == [Source.value(0), None, Source.value(2)]


def test_an_error_of_a_template_leaves_nobody_behind() -> None:
    class Item:
        number = 1

    get = cacheable(deps=["item:{item.number}"])(lambda item: 1)
    bad = Item()
    with pytest.raises(AttributeError):
        get.get_many([Item(), object()], load=lambda items: [1 for _ in items])
    assert get.get_many([bad], load=lambda items: [2 for _ in items]) == [2]


def test_functions_that_take_no_single_item_are_refused() -> None:
    two = cacheable(lambda a, b: (a, b))
    none = cacheable(lambda: 1)
    for fn in (two, none):
        with pytest.raises(TypeError, match=r"get_many\(\): .* is not called with one argument"):
            fn.get_many([1], load=lambda items: items)
    keyword = cacheable(lambda a, *, b=2: (a, b))
    assert keyword.get_many([1]) == [(1, 2)]
    for wrong in ((), ([1], [2])):
        with pytest.raises(TypeError, match="takes the items"):
            keyword.get_many(*wrong)
    with pytest.raises(TypeError, match="takes the items"):
        keyword.get_many([1], loader=None)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="not iterable"):
        keyword.get_many(1)


def test_items_are_keyed_as_arguments_are() -> None:
    source = Source()
    get = cacheable(source.one)
    items = [1, 1.0, True, [1], (1,), {"a": 1}]
    assert get.get_many(items, load=source.many) == of(*items)
    assert len(source.batches[0]) == 6
    assert get.get_many(items) == of(*items)
    wrong = {1: 2}.keys()
    with pytest.raises(TypeError, match=r"dict_keys.*key=") as by_call:
        get(wrong)
    with pytest.raises(TypeError) as by_many:
        get.get_many([2, wrong], load=source.many)
    assert str(by_many.value) == str(by_call.value)
    assert get(2) == Source.value(2), "nobody is left behind"


def test_methods_and_class_methods() -> None:
    class Service:
        def __init__(self) -> None:
            self.source = Source()

        @cacheable
        def load(self, item: int) -> Any:
            return self.source.one(item)

    one, other = Service(), Service()
    assert one.load.get_many([1, 2], load=one.source.many) == of(1, 2)
    assert Service.load.get_many(one, [1, 2], load=one.source.many) == of(1, 2)
    assert one.source.batches == [[1, 2]]
    assert other.load.get_many([1]) == of(1)
    assert other.source.single == [1]
    gone = weakref.ref(one)
    del one
    gc.collect()
    assert gone() is None


class OfClass:
    """Methods of a class, in both orders of the decorators, and of nobody."""

    source = Source()

    @cacheable
    @classmethod
    def inside(cls, item: int) -> Any:
        return cls.source.one(item)

    @staticmethod
    @cacheable
    def of_nobody(item: int) -> Any:
        return OfClass.source.one(item)


def test_methods_of_a_class() -> None:
    for get in (OfClass.inside, OfClass().inside, OfClass.of_nobody, OfClass().of_nobody):
        OfClass.source = Source()
        zoocache.clear()
        assert get.get_many([1, 2], load=OfClass.source.many) == of(1, 2)
        assert get.get_many([1, 2, 3]) == of(1, 2, 3)
        assert OfClass.source.batches == [[1, 2]]
        assert OfClass.source.single == [3]


def test_an_old_value_stands_in_for_an_error() -> None:
    source = Source()
    get = cacheable(deps=["item:{item}"], stale_if_error=60, stale_if_error_invalidated=True)(
        lambda item: source.one(item)
    )

    def load(_: list[int]) -> list[Any]:
        raise OSError

    get.get_many([1, 2], load=source.many)
    invalidate("item")
    assert get.get_many([1, 2, 1], load=load) == of(1, 2, 1)
    with pytest.raises(OSError):
        get.get_many([1, 3], load=load)


def test_a_reset_during_the_load_is_survived() -> None:
    source = Source()
    get = cacheable(deps=["item:{item}"])(lambda item: source.one(item))

    def load(items: list[int]) -> list[Any]:
        zoocache.reset()
        return source.many(items)

    assert get.get_many([1, 2], load=load) == of(1, 2)
    assert get.get_many([1, 2]) == of(1, 2)


def test_a_batch_is_freed() -> None:
    class Item:
        pass

    get = cacheable(lambda item: 1)
    item = Item()
    gone = weakref.ref(item)
    get.get_many([item], load=lambda items: [1 for _ in items])
    with pytest.raises(KeyError):
        get.get_many([Item(), item, Item()], load=lambda _: {}["x"])
    zoocache.clear()
    del item
    gc.collect()
    wait_until(lambda: gone() is None)
