"""Values come back from bytes equal in value and type, or are refused by name and path."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import io
import os
import subprocess
import sys
import zoneinfo
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import codec_support as cs
from codec_support import REGISTRY, decode, encode, same, there_and_back
from zoocache import _zoocache
from zoocache._errors import SerializationError


def ids(value: Any) -> str:
    return type(value).__name__


@pytest.mark.parametrize("canonical", [False, True])
@pytest.mark.parametrize("value", cs.VALUES, ids=ids)
def test_a_value_comes_back_equal_in_value_and_type(value: Any, canonical: bool) -> None:
    for wrapped in (value, [value, value], {"k": (value,)}, cs.Point(value, [value])):
        assert same(there_and_back(wrapped, canonical), wrapped)


def test_the_comparison_tells_values_apart() -> None:
    """Otherwise the tests above would say nothing."""
    for index, one in enumerate(cs.VALUES):
        for other in cs.VALUES[index + 1 :]:
            if one is not other and not isinstance(one, enum.Enum | cs.Box):
                assert not same(one, other) or encode(one) == encode(other), (one, other)
    assert not same(0.0, -0.0)
    assert not same([True], [1])
    assert not same(datetime.time(1), datetime.time(1, fold=1))


SURROGATES_TOO = st.text(st.characters(exclude_categories=()), max_size=40)
HASHABLE_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | SURROGATES_TOO
    | st.binary(max_size=40)
    | st.decimals().filter(lambda number: not number.is_snan())
    | st.fractions()
    | st.uuids()
    | st.dates()
    | st.times(timezones=st.none() | st.just(cs.UTC))
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.timedeltas()
    | st.sampled_from([cs.Color.RED, cs.Level.LOW, cs.Access(3), cs.BERLIN, range(3)])
)
HASHABLE = st.recursive(
    HASHABLE_LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple)
        | st.frozensets(inner, max_size=3)
        | st.tuples(inner, inner).map(lambda both: cs.Pair(*both))
        | st.tuples(inner, inner).map(lambda both: cs.Frozen(*both))
    ),
    max_leaves=8,
)
ANY_VALUE = st.recursive(
    HASHABLE | st.sampled_from(cs.ARRAYS) | st.binary(max_size=20).map(bytearray),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=20).map(tuple)
        | st.dictionaries(HASHABLE, inner, max_size=4)
        | st.sets(HASHABLE, max_size=4)
        | st.tuples(inner, inner).map(lambda both: cs.Point(*both))
        | st.tuples(inner, inner).map(lambda both: cs.Slotted(*both))
        | inner.map(lambda tags: cs.Row(1, tags))
        | inner.map(lambda age: cs.User(name="n", age=age))
    ),
    max_leaves=12,
)


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@settings(max_examples=300, deadline=None)
@given(ANY_VALUE, st.booleans())
def test_any_value_comes_back(value: Any, canonical: bool) -> None:
    data = encode(value, canonical=canonical)
    back = decode(data)
    assert same(back, value)
    if canonical:
        assert encode(back, canonical=True) == data


def test_containers_come_back_as_new_objects() -> None:
    shared = [1]
    back = there_and_back([shared, shared, bytearray(b"a")])
    back[0].append(2)
    back[2][0] = 0
    assert back == [[1, 2], [1], bytearray(b"\0")]
    array = there_and_back(np.arange(3))
    array[0] = 7
    assert array.flags.owndata


def test_an_object_is_made_without_its_init() -> None:
    value = cs.Computed(1)
    value.double = 99
    assert value.triple == 3
    back = there_and_back(value)
    assert back.double == 99
    assert "triple" not in vars(back)
    assert there_and_back(cs.Strict(some_name=[], counted=1)).counted == 2


def test_an_array_keeps_its_order_and_its_layout() -> None:
    value = np.asfortranarray(np.arange(24).reshape(2, 3, 4))
    back = there_and_back(value)
    assert back.flags.f_contiguous
    assert not back.flags.c_contiguous
    assert back.strides == value.strides
    for view in (value.transpose(1, 0, 2), np.arange(10)[::2], np.arange(3)[::-1]):
        assert same(there_and_back(view), view.copy("C"))


def test_what_lies_between_the_fields_of_an_array_is_not_kept() -> None:
    dtype = np.dtype([("a", "i1"), ("b", "f8")], align=True)
    dirty = np.frombuffer(b"\1" + b"\xff" * 7 + b"\0" * 8, dtype)
    clean = np.zeros(1, dtype)
    clean["a"] = 1
    assert encode(dirty, canonical=True) == encode(clean, canonical=True)
    assert there_and_back(dirty).tobytes() == clean.tobytes()


def test_the_bytes_are_as_the_picture_says() -> None:
    assert encode(5).hex() == "05"
    assert encode([None, False, True]).hex() == "b3d0d1d2"
    assert encode((-1, 128, 70_000, 2**40)).hex() == "a4d3ffd48000d570110100d60000000000010000"
    assert encode(2**64).hex() == "d709" + "00" * 8 + "01"
    assert encode({"key": "é"}).hex() == "c1836b657982c3a9"
    assert encode("x" * 200)[:3].hex() == "dac801"
    assert encode(datetime.datetime(2024, 2, 3, 4, 5, 6, 7, fold=1)).hex() == (
        "e6e80702030405060107000000d0"
    )
    assert encode(datetime.timezone(datetime.timedelta(seconds=-1), "x")).hex() == (
        "e7ffffffff7f510100000000008178"
    )
    assert encode(decimal.Decimal("1e3")).hex() == "e8010184" + b"1E+3".hex()
    assert encode(cs.Pair(1), {"p": cs.Pair}).hex() == (
        "e8090481708c" + b"first,second".hex() + "01d0"
    )


class MyInt(int):
    pass


class MyDict(dict):  # type: ignore[type-arg]
    pass


class MyTuple(tuple):
    __slots__ = ()


class MyDatetime(datetime.datetime):
    pass


class MyZone(datetime.tzinfo):
    pass


@dataclasses.dataclass
class DictWithFields(dict):  # type: ignore[type-arg]
    x: int = 0


class Bare:
    pass


class MyArray(np.ndarray):  # type: ignore[type-arg]
    pass


REFUSED = [
    *(object(), Bare(), Bare, int, len, lambda: 0, iter([]), (x for x in ()), memoryview(b"")),
    *(MyInt(1), MyDict(), MyTuple(), MyDatetime(2024, 1, 1), MyZone(), DictWithFields(1)),
    *(collections.OrderedDict(), collections.deque(), collections.Counter(), ..., NotImplemented),
    *(np.float64(1), np.int64(1), np.array([None]), np.zeros(2).view(MyArray)),
    *(np.ma.array([1]), np.zeros(2, "V0"), ValueError("x"), sys.version_info),
    np.zeros(1, [("a", "i4"), ("b", object)]),
    *([np.array(["a"], np.dtypes.StringDType())] if hasattr(np.dtypes, "StringDType") else []),
    np.zeros(1, np.dtype("i4", metadata={"a": 1})),
    datetime.time(1, tzinfo=MyZone()),
]


@pytest.mark.parametrize("value", REFUSED, ids=ids)
def test_what_cannot_come_back_is_refused(value: Any) -> None:
    for wrapped in (value, [value], {"k": value}, cs.Point(value)):
        for registry in (REGISTRY, {**REGISTRY, "x": type(value)}):
            with pytest.raises(SerializationError, match="cannot be kept outside this process"):
                encode(wrapped, registry)


def attribute_added() -> Any:
    point = cs.Point(1)
    point.z = 2  # type: ignore[attr-defined]
    return point


def field_removed() -> Any:
    slotted = cs.Slotted(1, 2)
    del slotted.b
    return slotted


def model_with_attribute() -> Any:
    user = cs.User(name="n")
    user.__dict__["more"] = 1
    return user


def zone_of_a_file() -> Any:
    empty = (
        b"TZif" + b"\0" * 16 + b"\0\0\0\0" * 3 + b"\0\0\0\0\0\0\0\1\0\0\0\4" + b"\0" * 6 + b"ABC\0"
    )
    return zoneinfo.ZoneInfo.from_file(io.BytesIO(empty), key="Europe/Berlin")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (attribute_added, "its attribute 'z' is none of its fields"),
        (field_removed, "its field 'b' is not set"),
        (model_with_attribute, "its attribute 'more' is none of its fields"),
        (lambda: cs.fractions.Fraction(2**70_000), "more than 65,536 bits"),
        (zone_of_a_file, "Pickling"),
    ],
)
def test_an_object_with_more_or_less_than_its_fields_is_refused(make: Any, why: str) -> None:
    with pytest.raises(SerializationError, match=why):
        encode(make())


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (object(), "value (object) cannot"),
        ({"rows": [0, 1, 2, cs.Point(0, object())]}, "value['rows'][3].y (object)"),
        ([(cs.Pair(1, MyInt(5)),)], "value[0][0].second (test_value_codec.MyInt)"),
        ({(1, MyInt(5)): 1}, "value.<key>[1] (test_value_codec.MyInt)"),
        ({1: {MyInt(5)}}, "value[1].<member> (test_value_codec.MyInt)"),
        ([cs.Row(1, [Bare])], "value[0].tags[0] (type)"),
        (cs.User(name="n", age=(MyInt(5),)), "value.age[0] (test_value_codec.MyInt)"),
        (datetime.time(1, tzinfo=MyZone()), "value.tzinfo (test_value_codec.MyZone)"),
        ({cs.Level.LOW: {(1,): object()}}, "value[codec_support.Level][tuple] (object)"),
        ({"k" * 200: object()}, "value['" + "k" * 76 + "...] (object)"),
        (
            {"k" * 200: {"l" * 200: object()}},
            "value['" + "k" * 53 + "..." + "l" * 56 + "...] (object)",
        ),
    ],
    ids=ids,
)
def test_the_error_names_the_path(value: Any, path: str) -> None:
    with pytest.raises(SerializationError) as caught:
        encode(value)
    assert str(caught.value).startswith(path)


def nested(levels: int, kind: Any) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = kind(value)
    return value


KINDS = [
    *(lambda v: [v], lambda v: (v,), lambda v: {"k": v}, lambda v: frozenset([v])),
    *(cs.Point, cs.Pair, lambda v: cs.Row(1, v)),
]


@pytest.mark.parametrize("kind", KINDS)
def test_nesting_has_a_bound(kind: Any) -> None:
    levels = 200
    assert encode(there_and_back(nested(levels, kind))) == encode(nested(levels, kind))
    with pytest.raises(SerializationError, match="nested more than 200 levels deep"):
        encode(nested(levels + 1, kind))
    with pytest.raises(SerializationError, match="nested too deep"):
        decode(b"\xb1" + encode(nested(levels, kind)))


def test_a_value_that_contains_itself_is_refused() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    loop: dict[str, Any] = {}
    loop["x"] = [loop]
    itself = cs.Point(1)
    itself.y = itself
    for value in (cycle, loop, itself):
        with pytest.raises(SerializationError, match="contains itself"):
            encode(value)


@pytest.mark.no_asan
def test_an_encoding_has_a_bound() -> None:
    doubled: Any = [b"x" * 2**20]
    for _ in range(40):  # more bytes than any machine has
        doubled = [doubled, doubled]
    with pytest.raises(SerializationError, match="more than 67108864 bytes"):
        encode(doubled)
    assert len(encode(b"x" * (2**26 - 6))) == 2**26 - 1
    with pytest.raises(SerializationError, match="more than 67108864 bytes"):
        encode(b"x" * 2**26)


# Classes and registries.


def test_only_registered_classes_are_kept_and_made() -> None:
    for value in (cs.Point(1), cs.Color.RED, cs.Access.READ, cs.Pair(1), cs.Row(1), cs.Open(id=1)):
        with pytest.raises(SerializationError, match="not registered"):
            encode([value], {})
        data = encode([value])
        for registry in ({}, None):
            with pytest.raises(SerializationError, match="is not registered"):
                decode(data, registry)


def test_a_name_in_the_bytes_imports_nothing() -> None:
    data = encode(cs.Point(1), {"antigravity:Point": cs.Point})
    with pytest.raises(SerializationError, match="'antigravity:Point' is not registered"):
        decode(data)
    assert "antigravity" not in sys.modules
    assert same(decode(data, {"antigravity:Point": cs.Point}), cs.Point(1))


@dataclasses.dataclass
class OtherPoint:
    y: Any
    x: Any


class PointStruct(msgspec.Struct):
    x: Any
    y: Any


class PointTuple(cs.NamedTuple):
    x: Any
    y: Any


class PointModel(pydantic.BaseModel):
    x: Any
    y: Any


def test_a_class_of_other_fields_or_another_kind_is_refused() -> None:
    data = encode(cs.Point(1, 2), {"p": cs.Point})
    for cls in (OtherPoint, PointStruct, PointTuple, PointModel, cs.Color, int, object):
        with pytest.raises(SerializationError, match="has changed its fields"):
            decode(data, {"p": cls})


def test_a_key_names_classes_that_are_found_under_their_names() -> None:
    local = dataclasses.make_dataclass("local", ["x"])
    assert encode(cs.Frozen(1), None, True) == encode(cs.Frozen(1), REGISTRY, True)
    with pytest.raises(SerializationError, match="not found in its module under its own name"):
        encode(local(1), None)


def test_wrong_arguments_are_type_errors() -> None:
    for wrong in ([], {1: 2}.items(), "x"):
        with pytest.raises(TypeError, match="a registry is a dict"):
            _zoocache.encode(1, wrong, False)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="a registry is a dict"):
            _zoocache.decode(b"\0", wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="wants bytes"):
        _zoocache.decode("x", {})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="takes 3 arguments"):
        _zoocache.encode(1)  # type: ignore[call-arg]


# Canonical bytes.

KEYS = """
import decimal, uuid
import codec_support as cs
from zoocache import _zoocache
words = {"w%d" % number for number in range(50)}
keys = [
    words, frozenset(words), {frozenset({word, 1}) for word in words},
    {("a", frozenset(words)), None, 1.5, decimal.Decimal("1.0"), uuid.UUID(int=1)},
    {"b": words, "a": [cs.Frozen(frozenset(words))]}, cs.User(name="n", age=1),
    cs.Open(id=1, a=1, b=2),
]
for key in keys:
    print(_zoocache.encode(key, None, True).hex())
"""


def test_equal_keys_have_equal_bytes_in_every_process() -> None:
    folder = str(Path(__file__).parent)
    told = set()
    for seed in ("0", "1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": folder}
        command = [sys.executable, "-c", KEYS]
        ran = subprocess.run(command, capture_output=True, check=True, text=True, env=environment)
        told.add(ran.stdout)
    assert len(told) == 1


def test_sets_in_any_order_are_one_key() -> None:
    one, other = {0, 8}, {8, 0}  # which collide, so that the order of insertion shows
    assert list(one) != list(other)
    assert encode(one, canonical=True) == encode(other, canonical=True)
    assert encode({"a": 1, "b": 2}, canonical=True) != encode({"b": 2, "a": 1}, canonical=True)


# Code of users' classes runs while an object is taken apart or put together.


def meddling(act: Any) -> Any:
    @dataclasses.dataclass
    class Meddler:
        x: int = 0

        def __getattribute__(self, name: str) -> Any:
            act()
            return object.__getattribute__(self, name)

    return Meddler


@pytest.mark.parametrize("make", [list, lambda items: dict(enumerate(items)), set])
def test_a_container_that_changes_meanwhile_is_refused(make: Any) -> None:
    outer: Any = None
    cls = meddling(lambda: outer.clear())
    cls.__hash__ = object.__hash__
    outer = make([cls(), *range(1000)])
    if isinstance(outer, set):  # which is copied before
        assert len(decode(encode(outer, {"m": cls}), {"m": cls})) == 1001
        return
    with pytest.raises(SerializationError, match="changed its size while it was encoded"):
        encode(outer, {"m": cls})


@pytest.mark.parametrize("kind", [list, dict])
def test_a_container_that_grows_without_end_is_refused(kind: Any) -> None:
    calls = []

    def grow() -> None:
        calls.append(1)
        assert len(calls) < 100, "the walk follows"
        if kind is list:
            outer.append(cls())
        else:
            outer[len(calls)] = cls()

    cls = meddling(grow)
    outer: Any = [cls()] if kind is list else {"first": cls()}
    with pytest.raises(SerializationError, match="changed its size while it was encoded"):
        encode(outer, {"m": cls})


def test_an_error_of_a_users_class_is_the_cause() -> None:
    def fail() -> None:
        raise ValueError("mine")

    cls = meddling(fail)
    with pytest.raises(SerializationError, match=r"value\[0\] \(.*ValueError\('mine'\)") as caught:
        encode([cls()], {"m": cls})
    assert isinstance(caught.value.__cause__, ValueError)

    def interrupt() -> None:
        raise KeyboardInterrupt

    cls = meddling(interrupt)
    with pytest.raises(KeyboardInterrupt):
        encode([cls()], {"m": cls})
