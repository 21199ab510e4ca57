"""What counts as the same argument: types, values and order, never `==` alone."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import gc
import types
import uuid
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from zoocache import cacheable

UTC = datetime.timezone.utc


def new_str(*parts: str) -> str:
    """A str that is not interned."""
    return "".join(parts)


def is_same_call(first: Any, second: Any) -> bool:
    """Whether the two arguments find one entry, in either order of coming."""
    answers = []
    for one, other in ((first, second), (second, first)):
        load = cacheable(lambda x: object())
        stored = load(one)
        assert load(one) is stored, "an argument finds itself"
        answers.append(load(other) is stored)
    assert answers[0] == answers[1]
    return answers[0]


class Pair(NamedTuple):
    x: Any
    y: Any


class Other(NamedTuple):
    x: Any
    y: Any


@dataclasses.dataclass
class Mutable:
    x: Any
    y: Any = 2


@dataclasses.dataclass(frozen=True)
class Immutable:
    x: Any
    note: Any = dataclasses.field(default=None, compare=False)


@dataclasses.dataclass(frozen=True)
class Derived(Immutable):
    pass


class CaseBlind(tuple):
    """A hashable container that decides itself when two are the same."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return [x.lower() for x in self] == [x.lower() for x in other]  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash(tuple(x.lower() for x in self))


class Labelled(list):
    label = ""


class Slotted(list):
    __slots__ = ("label",)


class Celsius(float):
    pass


class Number(int):
    pass


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


class Numbered(enum.IntEnum):
    RED = 1


def labelled(kind: type, label: str) -> Any:
    value = kind([1])
    value.label = label
    return value


def at(hour: int, offset_h: int = 0, **options: Any) -> datetime.datetime:
    zone = datetime.timezone(datetime.timedelta(hours=offset_h))
    return datetime.datetime(2024, 5, 1, hour, tzinfo=zone, **options)


DIFFERENT = {
    "int and float": (1, 1.0),
    "int and bool": (1, True),
    "zero and False": (0, False),
    "int and str": (1, "1"),
    "int and its subclass": (1, Number(1)),
    "int and IntEnum": (1, Numbered.RED),
    "float and its subclass": (1.0, Celsius(1.0)),
    "str and bytes": ("a", b"a"),
    "None and False": (None, False),
    "word and beyond": (1, 2**64 + 1),
    "beyond the word": (2**64, 2**64 + 1),
    "big int and float": (2**70, float(2**70)),
    "in tuples": ((1,), (True,)),
    "deep in tuples": ((0, (1, (1,))), (0, (1, (1.0,)))),
    "in lists": ([1], [1.0]),
    "in sets": ({1}, {True}),
    "in frozensets": (frozenset([1, 2]), frozenset([1.0, 2])),
    "in dict keys": ({1: "a"}, {True: "a"}),
    "in dict values": ({"a": 0.0}, {"a": -0.0}),
    "list and tuple": ([1, 2], (1, 2)),
    "set and frozenset": ({1}, frozenset([1])),
    "bytes and bytearray": (b"a", bytearray(b"a")),
    "bytes and memoryview": (b"a", memoryview(b"a")),
    "empty containers": ([], {}),
    "empty set and frozenset": (set(), frozenset()),
    "nesting": ([[1], 2], [[1, 2]]),
    "dict order": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "dict and its items": ({"a": 1}, ("a", 1)),
    "zeros": (0.0, -0.0),
    "zeros in tuples": ((0.0,), (-0.0,)),
    "complex zeros": (complex(0, 0.0), complex(0, -0.0)),
    "NaN and number": (float("nan"), 1.0),
    "zeros of subclasses": (Celsius(0.0), Celsius(-0.0)),
    "exponents": (decimal.Decimal("1.0"), decimal.Decimal("1.00")),
    "zones": (at(12), at(14, 2)),
    "zone and none": (at(12), at(12).replace(tzinfo=None)),
    "folds": (at(2), at(2, fold=1)),
    "folds of times": (datetime.time(2), datetime.time(2, fold=1)),
    "zones of times": (datetime.time(2, tzinfo=UTC), datetime.time(2)),
    "names of zones": (datetime.timezone(datetime.timedelta(0), "A"), UTC),
    "ranges": (range(0, 3, 2), range(0, 4, 2)),
    "slices": (slice(1), slice(True)),
    "named tuple and tuple": (Pair(1, 2), (1, 2)),
    "two named tuples": (Pair(1, 2), Other(1, 2)),
    "in named tuples": (Pair(1, 2), Pair(1, 2.0)),
    "dataclass fields": (Mutable(1), Mutable(True)),
    "frozen dataclass fields": (Immutable(1), Immutable(1.0)),
    "dataclass and derived": (Immutable(1), Derived(1)),
    "ordered dict and dict": (collections.OrderedDict(a=1), {"a": 1}),
    "moved to the end": (collections.OrderedDict(a=1, b=2), collections.OrderedDict(b=2, a=1)),
    "default factories": (collections.defaultdict(int), collections.defaultdict(str)),
    "bounded queues": (collections.deque([1], 2), collections.deque([1])),
    "attributes of a list": (labelled(Labelled, "a"), labelled(Labelled, "b")),
    "slots of a list": (labelled(Slotted, "a"), labelled(Slotted, "b")),
    "array types": (array.array("i", [1]), array.array("l", [1])),
    "namespaces": (types.SimpleNamespace(a=1), types.SimpleNamespace(a=True)),
    "proxies": (types.MappingProxyType({1: 1}), types.MappingProxyType({1: True})),
    "shapes": (np.zeros((2, 3)), np.zeros((3, 2))),
    "dtypes": (np.zeros(2, "i4"), np.zeros(2, "f4")),
    "array and list": (np.array([1, 2]), [1, 2]),
    "array zeros": (np.array([0.0]), np.array([-0.0])),
    "objects in arrays": (np.array([1, None]), np.array([True, None])),
    "numpy scalar and float": (np.float64(1.0), 1.0),
    "numpy scalars": (np.float32(1), np.float64(1)),
    "numpy zeros": (np.float64(0.0), np.float64(-0.0)),
    "enum members": (Colour.RED, Colour.GREEN),
    "types": (int, bool),
    "objects": (object(), object()),
    "equal sets of mixed numbers": ({1, 2.0}, {1.0, 2}),
}

# Each makes the argument anew, so that identity does not decide.
EQUAL: dict[str, Callable[[], Any]] = {
    "int": lambda: int("1000"),
    "negative int": lambda: int("-1000000"),
    "word": lambda: int("9223372036854775807"),
    "smallest word": lambda: int("-9223372036854775808"),
    "big int": lambda: 2 ** int("100"),
    "str": lambda: new_str("ab", "cd"),
    "wide str": lambda: new_str("名前", "\U0001f600", "\ud800"),
    "bytes": lambda: bytes(bytearray(b"abc")),
    "float": lambda: float("1.5"),
    "NaN": lambda: float("nan"),
    "NaN in a list": lambda: [float("nan")],
    "complex NaN": lambda: complex(0, float("nan")),
    "tuple": lambda: (int("1000"), (new_str("a", "b"), None)),
    "tuple of lists": lambda: (1, [2], {3}),
    "list": lambda: [1, [2.0, {3}], {"a": []}],
    "dict": lambda: {"a": [1], (1, 2): {"b"}},
    "set": lambda: {1, "a", (2,), frozenset([3.0])},
    "bytearray": lambda: bytearray(b"x"),
    "memoryview": lambda: memoryview(bytearray(b"abc")),
    "read-only memoryview": lambda: memoryview(bytes(bytearray(b"abc"))),
    "named tuple": lambda: Pair(1, [2]),
    "dataclass": lambda: Mutable([1]),
    "frozen dataclass": lambda: Immutable([1]),
    "own equality": lambda: CaseBlind(["a", "b"]),
    "subclass": lambda: labelled(Labelled, "a"),
    "subclass with slots": lambda: Slotted([1]),
    "counter": lambda: collections.Counter("aab"),
    "queue": lambda: collections.deque([1, [2]], 5),
    "array": lambda: array.array("d", [1.0]),
    "decimal": lambda: decimal.Decimal("1.50"),
    "decimal NaN": lambda: decimal.Decimal("nan"),
    "signalling NaN": lambda: decimal.Decimal("snan"),
    "datetime": lambda: at(12, 2),
    "date": lambda: datetime.date(2024, 5, 1),
    "time": lambda: datetime.time(1, 2, 3, 4, UTC),
    "zone": lambda: datetime.timezone(datetime.timedelta(hours=1)),
    "range": lambda: range(1, 1000, 3),
    "slice": lambda: slice(1, 1000, None),
    "uuid": lambda: uuid.UUID(int=5),
    "namespace": lambda: types.SimpleNamespace(a=[1]),
    "proxy": lambda: types.MappingProxyType({"a": [1]}),
    "numpy array": lambda: np.arange(6).reshape(2, 3),
    "transposed": lambda: np.arange(6).reshape(2, 3).T,
    "objects": lambda: np.array([1, "a", None], dtype=object),
    "structured": lambda: np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    "numpy scalar": lambda: np.float32(1.5),
    "not a time": lambda: np.datetime64("NaT", "s"),
    "generic alias": lambda: list[int],
    "enum": lambda: Colour(1),
    "150 levels": lambda: nested(tuple, 150),
    "150 lists": lambda: nested(list, 150),
}


def nested(kind: Any, levels: int) -> Any:
    value = kind()
    for _ in range(levels):
        value = kind([value])
    return value


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_a_function_can_tell_apart_is_two_calls(name: str) -> None:
    assert not is_same_call(*DIFFERENT[name])


@pytest.mark.parametrize("name", EQUAL)
def test_equal_arguments_of_one_type_are_one_call(name: str) -> None:
    assert is_same_call(EQUAL[name](), EQUAL[name]())


def test_the_examples_of_equal_arguments_differ_from_each_other() -> None:
    load = cacheable(lambda x: object())
    made = {name: make() for name, make in EQUAL.items()}
    del made["read-only memoryview"]  # is the other memoryview
    assert len({id(load(value)) for value in made.values()}) == len(made)


def test_sets_are_the_same_in_any_order_of_insertion() -> None:
    numbers = [1, 9, 17, 25, 33, 41]  # one slot of a small table
    assert is_same_call(set(numbers), {41, 33, 25, 17, 9, 1})
    assert is_same_call(frozenset("abcdef"), frozenset("fedcba"))


class Collision:
    """Equal by `x`, all with one hash."""

    def __init__(self, x: Any) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Collision) and self.x == other.x

    def __hash__(self) -> int:
        return 7


def test_items_of_sets_that_share_a_hash_are_matched_one_to_one() -> None:
    assert is_same_call(
        {Collision(i) for i in range(6)}, {Collision(i) for i in (3, 5, 1, 0, 2, 4)}
    )
    assert not is_same_call({Collision(i) for i in range(6)}, {Collision(i) for i in range(1, 7)})


def test_items_of_sets_are_not_matched_twice() -> None:
    class Keyed:
        def __init__(self, x: int) -> None:
            self.x = x

        def __zoocache_key__(self) -> Any:
            return Collision(self.x)

    first = {Keyed(0), Keyed(0), Keyed(1)}
    second = {Keyed(0), Keyed(1), Keyed(1)}
    assert not is_same_call(first, second)
    assert is_same_call(first, {Keyed(1), Keyed(0), Keyed(0)})


def test_objects_that_collide_are_told_apart_by_equality() -> None:
    load = cacheable(lambda x: x.x)
    assert [load(Collision(i)) for i in range(50)] == list(range(50))
    assert [load(Collision(i)) for i in range(50)] == list(range(50))
    assert load.cache_info().misses == 50


def test_a_class_that_defines_equality_decides() -> None:
    assert is_same_call(CaseBlind(["A"]), CaseBlind(["a"]))
    assert not is_same_call(CaseBlind(["A"]), CaseBlind(["b"]))
    assert is_same_call(Immutable(1, note="a"), Immutable(1, note="b")), "compare=False"


def test_aware_datetimes_with_zones_that_have_no_hash() -> None:
    class Zone(datetime.tzinfo):
        def utcoffset(self, when: Any) -> datetime.timedelta:
            return datetime.timedelta(hours=1)

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Zone)

    zone = Zone()
    day = datetime.datetime(2024, 5, 1)
    assert is_same_call(day.replace(tzinfo=zone), day.replace(tzinfo=zone))
    assert not is_same_call(day.replace(tzinfo=zone), day.replace(tzinfo=Zone()))


def test_subclasses_of_datetime_keep_what_they_add() -> None:
    class Stamp(datetime.datetime):
        __hash__ = datetime.datetime.__hash__
        era = "CE"

        def __eq__(self, other: object) -> bool:
            return super().__eq__(other) and self.era == other.era  # type: ignore[attr-defined]

    first, second = Stamp(2024, 5, 1), Stamp(2024, 5, 1)
    assert is_same_call(first, second)
    second.era = "BCE"
    assert not is_same_call(first, second)


def test_a_class_may_supply_its_key() -> None:
    class Query:
        __hash__ = None  # type: ignore[assignment]

        def __init__(self, text: str, trace: Any = None) -> None:
            self.text, self.trace = text, trace

        def __zoocache_key__(self) -> Any:
            return [self.text]

    class Report(Query):
        pass

    assert is_same_call(Query("a", 1), Query("a", 2))
    assert is_same_call([Query("a", 1)], [Query("a", 2)])
    assert not is_same_call(Query("a"), Query("b"))
    assert not is_same_call(Query("a"), Report("a"))
    assert not is_same_call(Query("a"), ["a"])


def test_a_class_whose_key_is_itself_is_a_clear_error() -> None:
    class Loop:
        def __zoocache_key__(self) -> Any:
            return self

    with pytest.raises(TypeError, match="contains itself"):
        cacheable(lambda x: 1)(Loop())


def test_a_class_that_changes_its_mind_is_asked_again() -> None:
    class Thing:
        def __init__(self, x: int) -> None:
            self.x = x

    load = cacheable(lambda thing: thing.x)
    assert [load(Thing(1)), load(Thing(1))] == [1, 1]
    assert load.cache_info().misses == 2
    Thing.__eq__ = lambda self, other: self.x == other.x  # type: ignore[method-assign]
    Thing.__hash__ = lambda self: hash(self.x)  # type: ignore[method-assign]
    assert [load(Thing(2)), load(Thing(2))] == [2, 2]
    assert load.cache_info().misses == 3
    Thing.__hash__ = None  # type: ignore[assignment, method-assign]
    with pytest.raises(TypeError, match="hash"):
        load(Thing(2))
    Thing.__zoocache_key__ = lambda self: self.x % 10  # type: ignore[attr-defined]
    assert [load(Thing(3)), load(Thing(13))] == [3, 3]


def test_classes_that_come_and_go_are_not_mistaken_for_each_other() -> None:
    """Addresses of dead classes are used again; half of these have no hash."""
    load = cacheable(lambda x: x.x)
    for i in range(2000):
        body = {"x": i} if i % 2 else {"x": i, "__hash__": None}
        thing = type("Thing", (), body)()
        if i % 2:
            assert load(thing) == i
        else:
            with pytest.raises(TypeError, match="Thing"):
                load(thing)
        load.cache_clear()


def test_a_mutated_argument_is_another_call() -> None:
    load = cacheable(lambda x: sum(x))
    numbers = [1, 2]
    assert load(numbers) == 3
    numbers.append(3)
    assert load(numbers) == 6
    assert load([1, 2]) == 3
    grid = np.zeros(3)
    assert load(grid) == 0
    grid[1] = 5
    assert load(grid) == 5


def test_keys_of_mutable_arguments_do_not_keep_them_alive() -> None:
    load = cacheable(lambda x: 1)
    value = labelled(Labelled, "a")
    reference = weakref.ref(value)
    load(value)
    del value
    gc.collect()
    assert reference() is None


def test_a_frozen_copy_is_no_argument_of_its_own() -> None:
    """Not even one that was fished out of the collector's listing."""
    marker = cacheable  # something that the collector knows
    load = cacheable(lambda x: object())
    stored = load([marker])
    copies = [x for x in gc.get_referrers(marker) if type(x).__name__ == "Frozen"]
    assert len(copies) == 1
    assert load(copies[0]) is not stored
    assert load([marker]) is stored
    with pytest.raises(TypeError):
        type(copies[0])()


def test_what_cannot_be_keyed_names_the_argument_and_the_remedy() -> None:
    with pytest.raises(TypeError, match=r"'rows'.*dict_keys.*key=.*ignore="):
        cacheable(lambda rows: 1)({}.keys())
