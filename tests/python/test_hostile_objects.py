"""Arguments and values whose own code raises, lies, or calls back into the cache."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

import zoocache
from support import Versions, join_all, run, spawn_many
from zoocache import cacheable, invalidate


class Boom(Exception):
    pass


class Key:
    """Equal by name; runs `on_eq` and `on_hash` first. All keys share one hash."""

    def __init__(
        self, name: str, on_eq: Callable[[], Any] = bool, on_hash: Callable[[], Any] = bool
    ) -> None:
        self.name = name
        self.on_eq = on_eq
        self.on_hash = on_hash

    def __hash__(self) -> int:
        self.on_hash()
        return 42

    def __eq__(self, other: object) -> Any:
        self.on_eq()
        return isinstance(other, Key) and self.name == other.name


def explode() -> None:
    raise Boom


def test_equal_keys_are_one_call_and_colliding_ones_are_not() -> None:
    calls = []
    load = cacheable(lambda key: calls.append(key.name) or key.name)
    for name in ("a", "b", "a", "c", "b"):
        assert load(Key(name)) == name
    assert calls == ["a", "b", "c"]


def test_a_hash_that_raises_reaches_the_caller() -> None:
    load = cacheable(lambda key: 1)
    for _ in range(3):
        with pytest.raises(Boom):
            load(Key("a", on_hash=explode))
    assert zoocache.stats().entries == 0
    assert load(Key("a")) == 1


def test_an_eq_that_raises_reaches_the_caller() -> None:
    load = cacheable(lambda key: key.name)
    stored = Key("a")
    assert load(stored) == "a"
    stored.on_eq = explode
    for _ in range(3):
        with pytest.raises(Boom):
            load(Key("b", on_eq=explode))
    stored.on_eq = bool
    assert [load(Key("a")), load(Key("b"))] == ["a", "b"]
    assert load.cache_info().currsize == 2


def test_an_eq_that_raises_while_a_load_is_in_the_air() -> None:
    calls = []
    first = Key("a")

    @cacheable
    def load(key: Key) -> str:
        calls.append(key.name)
        if len(calls) == 1:
            first.on_eq = explode
            with pytest.raises(Boom):
                load(Key("b", on_eq=explode))
            first.on_eq = bool
        return key.name

    assert load(first) == "a"
    assert load(first) == "a"
    assert load(Key("b")) == "b"


class Ambiguous:
    """As an array: comparing gives an object without a truth value."""

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> Any:
        class NoTruth:
            def __bool__(self) -> bool:
                raise Boom

        return NoTruth()


def test_an_eq_without_a_truth_value() -> None:
    load = cacheable(lambda key: 1)
    key = Ambiguous()
    assert [load(key), load(key)] == [1, 1]
    assert load.cache_info().hits == 1, "identity comes first"
    with pytest.raises(Boom):
        load(Ambiguous())


@pytest.mark.parametrize("where", ["on_eq", "on_hash"])
@pytest.mark.parametrize(
    "action", ["call", "clear", "cache_clear", "invalidate", "fill", "same", "drop others"]
)
def test_comparisons_and_hashes_that_call_back(where: str, action: str) -> None:
    busy = []

    @cacheable(max_entries=8, deps=["t"])
    def load(key: Any) -> Any:
        return key.name if isinstance(key, Key) else key

    def call_back() -> None:
        if busy:
            return
        busy.append(1)
        try:
            {
                "call": lambda: load(5),
                "clear": zoocache.clear,
                "cache_clear": load.cache_clear,
                "invalidate": lambda: invalidate("t"),
                "fill": lambda: [load(i) for i in range(30)],
                "same": lambda: load(Key("a")),
                "drop others": lambda: [load.invalidate(Key(name)) for name in "abc"],
            }[action]()
        finally:
            busy.pop()

    for turn in range(50):
        for name in "abcd":
            assert load(Key(name, **{where: call_back})) == name, turn
    assert load.cache_info().currsize <= 8


def test_keys_that_change_while_they_are_compared() -> None:
    load = cacheable(max_entries=4)(lambda key: key.name)
    keys = [Key(name) for name in "abcdef"]

    def rename() -> None:
        for key in keys:
            key.name = key.name[::-1]

    for _ in range(20):
        for key in keys:
            key.on_eq = rename
            load(key)
    assert load.cache_info().currsize <= 4


def test_an_eq_that_always_says_yes_or_no() -> None:
    class Yes(Key):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = Key.__hash__

    class No(Key):
        def __eq__(self, other: object) -> bool:
            return False

        __hash__ = Key.__hash__

    load = cacheable(max_entries=3)(lambda key: key.name)
    assert [load(Yes("a")), load(Yes("b")), load(5 and Key("c"))] == ["a", "a", "c"]
    no = No("d")
    assert [load(no), load(no)] == ["d", "d"]
    for _ in range(20):
        assert load(No("e")) == "e"
    assert load.cache_info().currsize <= 3


def test_nan_is_no_trouble() -> None:
    load = cacheable(max_entries=5)(lambda x: x)
    for _ in range(20):
        assert load(float("nan")) != 0
    assert load.cache_info().currsize <= 5


def test_a_hash_that_changes_between_calls() -> None:
    class Unsteady:
        value = 0

        def __hash__(self) -> int:
            Unsteady.value += 1
            return Unsteady.value

        def __eq__(self, other: object) -> bool:
            return self is other

    load = cacheable(max_entries=10)(lambda key: 1)
    key = Unsteady()
    for _ in range(100):
        assert load(key) == 1
    assert load.cache_info().currsize <= 10


@pytest.mark.parametrize("wrong", ["text", None, 2**200, -(2**200), 1.5], ids=repr)
def test_a_hash_of_the_wrong_type(wrong: Any) -> None:
    class Strange:
        def __hash__(self) -> int:
            return wrong  # type: ignore[no-any-return]

    load = cacheable(lambda key: 1)
    key = Strange()
    if isinstance(wrong, int):
        assert [load(key), load(key)] == [1, 1]
    else:
        with pytest.raises(TypeError):
            load(key)


def test_subclasses_of_builtins_that_lie() -> None:
    class LyingStr(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return hash("a")

    class LyingInt(int):
        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return hash(1)

    load = cacheable(lambda key: type(key))
    assert [load("a"), load(LyingStr("b")), load(1), load(LyingInt(2))] == [
        str,
        LyingStr,
        int,
        LyingInt,
    ]
    assert [load("a"), load(1)] == [str, int]


def test_arguments_nested_beyond_reason() -> None:
    nested: Any = ()
    for _ in range(100_000):
        nested = (nested,)
    load = cacheable(lambda x: 1)
    try:
        assert load(nested) == 1
    except (RecursionError, TypeError):
        pass
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    try:
        assert load(deep) == 1
    except (RecursionError, TypeError):
        pass
    assert load(1) == 1


def test_arguments_that_contain_themselves() -> None:
    loop: list[Any] = []
    loop.append(loop)
    load = cacheable(lambda x: 1)
    with pytest.raises((TypeError, ValueError, RecursionError)):
        load(loop)
    mapping: dict[str, Any] = {}
    mapping["self"] = mapping
    with pytest.raises((TypeError, ValueError, RecursionError)):
        load(mapping)
    assert load(1) == 1


def test_a_list_that_changes_after_the_call() -> None:
    calls = []

    @cacheable
    def total(numbers: list[int]) -> int:
        calls.append(1)
        return sum(numbers)

    numbers = [1, 2]
    assert total(numbers) == 3
    numbers.append(3)
    assert total(numbers) == 6
    numbers.pop()
    assert total(numbers) == 3
    assert len(calls) == 2


def test_a_loader_that_changes_its_argument() -> None:
    @cacheable
    def drain(numbers: list[int]) -> int:
        count = len(numbers)
        numbers.clear()
        return count

    assert [drain([1, 2]), drain([1, 2]), drain([])] == [2, 2, 0]


def test_deps_that_call_back() -> None:
    source = Versions()

    def deps(x: int) -> Any:
        yield f"t:{x}"
        load.invalidate(99)
        load.peek(x)
        if x < 5:
            load(x + 1)
        yield "last"

    @cacheable(deps=deps)
    def load(x: int) -> int:
        return source.next()

    assert load(1) == load(1)
    assert source.loads == 5
    invalidate("t:1")
    load(1)
    assert source.loads == 6


def test_a_tag_that_is_a_hostile_str() -> None:
    class Tag(str):
        __slots__ = ()

        def __str__(self) -> str:
            raise Boom

        def split(self, *args: Any) -> Any:
            raise Boom

        def __hash__(self) -> int:
            raise Boom

        def __eq__(self, other: object) -> bool:
            raise Boom

    load = cacheable(deps=["org:acme"])(Versions().next)
    assert load() == 1
    try:
        invalidate(Tag("org:acme"))
    except TypeError:
        assert load() == 1
    else:
        assert load() == 2


def test_weird_templates() -> None:
    class Weird:
        def __str__(self) -> str:
            raise Boom

        def __format__(self, spec: str) -> str:
            raise Boom

    load = cacheable(deps=["t:{x}"], key=lambda x: 1)(lambda x: 1)
    with pytest.raises(Boom):
        load(Weird())
    assert load("fine") == 1


def test_a_store_if_that_calls_back() -> None:
    load = cacheable(store_if=lambda value: other(value) == value)(lambda x: x)
    other = cacheable(store_if=lambda value: True)(lambda x: x)
    assert [load(1), load(1)] == [1, 1]
    assert load.cache_info().hits == 1


def test_a_truth_value_that_raises_in_store_if() -> None:
    load = cacheable(store_if=lambda value: Ambiguous() == 1)(lambda: 1)
    for _ in range(2):
        with pytest.raises(Boom):
            load()


def test_a_flight_is_not_anothers_because_the_table_changed_while_keys_were_compared() -> None:
    release, started = threading.Event(), threading.Event()

    def loader(key: Any) -> str:
        if getattr(key, "name", "") == "slow":
            started.set()
            assert release.wait(20)
        return str(getattr(key, "name", key))

    load = cacheable(loader)
    numbers = iter(range(3))
    slow = spawn_many(1, lambda: load(Key("slow", on_eq=lambda: load(next(numbers, 0)))))
    assert started.wait(5), slow[0].error
    other = spawn_many(1, lambda: load(Key("other")))
    try:
        assert join_all(other) == ["other"]
    finally:
        release.set()
    assert join_all(slow) == ["slow"]


def test_hostile_keys_from_many_threads() -> None:
    load = cacheable(max_entries=16, deps=["t"])(lambda key: key.name)

    def work() -> None:
        def call_back() -> None:
            sys.getswitchinterval()
            sum(range(20))

        for turn in range(150):
            for name in "abcdef":
                assert load(Key(name, on_eq=call_back, on_hash=call_back)) == name
            if turn % 10 == 0:
                invalidate("t")

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        join_all(spawn_many(4, work))
    finally:
        sys.setswitchinterval(interval)


def test_hostile_keys_async() -> None:
    @cacheable
    async def load(key: Key) -> str:
        return key.name

    async def main() -> None:
        stored = Key("a")
        assert await load(stored) == "a"
        stored.on_eq = explode
        with pytest.raises(Boom):
            await load(Key("b"))
        stored.on_eq = bool
        assert await load(Key("b")) == "b"

    run(main())


def test_a_class_body_that_takes_the_function_while_its_key_is_computed() -> None:
    class Owner:
        pass

    class Key:
        def __zoocache_key__(self) -> int:
            for _ in range(100):
                load.__set_name__(Owner, "load")
            return 1

    load: Any = cacheable(lambda first, second, third=[], *rest, **options: 1)  # noqa: B006
    with pytest.raises(TypeError, match="weakly"):
        load(1, [Key()], *[Key()] * 3, option=Key())
    assert load(Owner(), [Key()], *[Key()] * 3, option=Key()) == 1
