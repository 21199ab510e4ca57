"""Which parts of two values differ."""

from __future__ import annotations

import collections
import dataclasses
import decimal
import threading
from typing import Any

import pytest

from zoocache._compare import Comparison

NAN = float("nan")


@dataclasses.dataclass
class Order:
    id: int
    lines: list[Any]
    seen: int = dataclasses.field(default=0, compare=False)


class Plain:
    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


class Slotted:
    __slots__ = ("left", "right")

    def __init__(self, left: Any) -> None:
        self.left = left


class ByKey:
    """Equal by its key alone, as objects of ORMs are."""

    def __init__(self, key: int, name: str) -> None:
        self.key, self.name = key, name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByKey) and self.key == other.key

    __hash__ = None  # type: ignore[assignment]


class Broken:
    def __eq__(self, other: object) -> bool:
        raise ValueError("cannot say")

    __hash__ = None  # type: ignore[assignment]


Point = collections.namedtuple("Point", "x y")  # noqa: PYI024


def cyclic(value: int) -> list[Any]:
    made: list[Any] = [value]
    made.append(made)
    return made


def deep(value: int) -> Any:
    made: Any = value
    for _ in range(5000):
        made = [made]
    return made


def different(old: Any, new: Any) -> list[str]:
    told = Comparison(old, new)
    assert told.unknown == []
    return told.differences


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        (1, 2, "the value: 1, now 2"),
        (None, 0, "the value: None, now 0"),
        ([1], (1,), "the value: [1], now (1,)"),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, "['a'][1]['b']: 2, now 3"),
        ({"a": 1}, {}, "['a']: 1, now absent"),
        ({}, {"a": 1}, "['a']: absent, now 1"),
        ([1], [1, 2], "len(the value): 1, now 2"),
        ({1, 2}, {1, 3}, "the value: {1, 2}, now {1, 3}"),
        (Point(1, 2), Point(1, 3), ".y: 2, now 3"),
        (Order(1, [Point(1, 2)]), Order(1, [Point(0, 2)]), ".lines[0].x: 1, now 0"),
        (Plain(a=1), Plain(a=2), ".a: 1, now 2"),
        (Slotted(1), Slotted(2), ".left: 1, now 2"),
        (ByKey(1, "a"), ByKey(2, "a"), None),
        (ValueError("a"), ValueError("b"), ".args[0]: 'a', now 'b'"),
        (cyclic(1), cyclic(2), "[0]: 1, now 2"),
        (decimal.Decimal("1.0"), decimal.Decimal("1.1"), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_difference_is_named(old: Any, new: Any, where: str | None) -> None:
    told = different(old, new)
    assert len(told) == 1
    assert where is None or told == [where]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (NAN, float("nan")),
        ([NAN, {"a": (NAN,)}], [float("nan"), {"a": (float("nan"),)}]),
        (complex(NAN, 1), complex(NAN, 1)),
        (decimal.Decimal("NaN"), decimal.Decimal("NaN")),
        (1, 1.0),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (Order(1, [], seen=1), Order(1, [], seen=2)),
        (ByKey(1, "a"), ByKey(1, "b")),
        (Plain(), Plain()),
        (cyclic(1), cyclic(1)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_equal_values_are_equal(old: Any, new: Any) -> None:
    assert different(old, new) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (threading.Lock(), threading.Lock()),
        ((i for i in ()), (i for i in ())),
        (lambda: 1, lambda: 1),
        (object(), object()),
        (Broken(), Broken()),
    ],
    ids=["lock", "generator", "function", "object", "raises"],
)
def test_what_has_nothing_to_compare_by_is_named_and_no_difference(old: Any, new: Any) -> None:
    told = Comparison({"a": old, "b": 1}, {"a": new, "b": 2})
    assert told.differences == ["['b']: 1, now 2"]
    assert len(told.unknown) == 1
    assert told.unknown[0].startswith("['a'] (a ")


def test_deep_values_end_in_an_answer() -> None:
    told = Comparison(deep(1), deep(2))
    assert told.differences or told.unknown


def test_at_most_five_differences_are_told() -> None:
    assert len(different(list(range(50)), list(range(1, 51)))) == 5


def test_arrays() -> None:
    numpy = pytest.importorskip("numpy")
    one = numpy.array([1.0, NAN])
    assert different({"a": one}, {"a": one.copy()}) == []
    assert len(different(one, numpy.array([2.0, NAN]))) == 1
    assert len(different(one, numpy.array([1.0]))) == 1
    assert len(different(one, numpy.array([1, 2]))) == 1


def test_models() -> None:
    pydantic = pytest.importorskip("pydantic")
    msgspec = pytest.importorskip("msgspec")
    model = pydantic.create_model("Model", name=(str, ...), lines=(list[int], ...))
    assert different(model(name="a", lines=[1]), model(name="a", lines=[1])) == []
    told = different(model(name="a", lines=[1]), model(name="a", lines=[2]))
    assert told == [".lines[0]: 1, now 2"]
    struct = msgspec.defstruct("Struct", [("name", str)])
    assert different(struct("a"), struct("b")) == [".name: 'a', now 'b'"]
