"""Two argument lists share an entry if and only if they are type-strictly equal.

The oracle compares naively, type by type; the cache is asked by calling it.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import inspect
import struct
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from zoocache import cacheable


class Pair(NamedTuple):
    x: Any
    y: Any


@dataclasses.dataclass(frozen=True)
class Immutable:
    x: Any


@dataclasses.dataclass
class Mutable:
    x: Any


def float_bits(value: float) -> bytes:
    return struct.pack("<d", value)


def strictly_equal(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return float_bits(a) == float_bits(b)
    if isinstance(a, complex):
        return strictly_equal((a.real, a.imag), (b.real, b.imag))
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(strictly_equal, a, b))
    if isinstance(a, dict):
        return strictly_equal(list(a.items()), list(b.items()))
    if isinstance(a, set | frozenset):
        return len(a) == len(b) and all(any(strictly_equal(x, y) for y in b) for x in a)
    if isinstance(a, Immutable | Mutable):
        return strictly_equal(a.x, b.x)
    if isinstance(a, decimal.Decimal):
        return str(a) == str(b)
    if isinstance(a, datetime.datetime | datetime.time):
        return (
            a.replace(tzinfo=None) == b.replace(tzinfo=None)
            and a.fold == b.fold
            and (str(a.tzinfo) == str(b.tzinfo))
        )
    return bool(a == b)


# Few values, so that two draws are often equal or nearly so.
ZONES = [None, datetime.timezone.utc, datetime.timezone(datetime.timedelta(hours=1))]
NUMBERS = st.sampled_from(
    [
        0,
        1,
        -1,
        2,
        2**30,
        2**63,
        2**64,
        2**64 + 1,
        False,
        True,
        0.0,
        -0.0,
        1.0,
        2.0,
        float("nan"),
        float(2**63),
        1 + 0j,
        complex(0, -0.0),
        decimal.Decimal(1),
        decimal.Decimal("1.0"),
    ]
)
HASHABLE_LEAVES = (
    NUMBERS
    | st.sampled_from(
        ["", "a", "b", "1", "名", b"", b"a", None, ..., int, float, range(0), range(1, 1)]
    )
    | st.builds(
        datetime.datetime,
        st.just(2024),
        st.just(1),
        st.just(1),
        st.integers(0, 2),
        fold=st.integers(0, 1),
        tzinfo=st.sampled_from(ZONES),
    )
)
HASHABLE = st.recursive(
    HASHABLE_LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple)
        | st.frozensets(inner, max_size=3)
        | st.builds(Pair, inner, inner)
        | st.builds(Immutable, inner)
    ),
    max_leaves=6,
)
VALUES = st.recursive(
    HASHABLE | st.sampled_from([bytearray(), bytearray(b"a")]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(HASHABLE, inner, max_size=3)
        | st.sets(HASHABLE, max_size=3)
        | st.builds(Mutable, inner)
    ),
    max_leaves=6,
)


def rebuilt(value: Any) -> Any:
    """An equal value in which no container is the same object."""
    if isinstance(value, Pair):
        return Pair(*map(rebuilt, value))
    if isinstance(value, list | tuple):
        return type(value)([rebuilt(x) for x in value])
    if isinstance(value, set | frozenset):
        return type(value)([rebuilt(x) for x in reversed(list(value))])
    if isinstance(value, dict):
        return {rebuilt(x): rebuilt(y) for x, y in value.items()}
    if isinstance(value, Immutable | Mutable):
        return type(value)(rebuilt(value.x))
    if isinstance(value, bytearray):
        return bytearray(value)
    if type(value) is float:
        return struct.unpack("<d", float_bits(value))[0]
    return value


TWINS: dict[Any, Any] = {0: False, 1: 1.0, 2: 2.0}


def twisted(value: Any) -> Any:
    """A value that is `==` to this one but, where it holds a number, of another type."""
    if isinstance(value, Pair | Immutable | Mutable):
        return rebuilt(value)
    if isinstance(value, list | tuple | set | frozenset):
        return type(value)([twisted(x) for x in value])
    if isinstance(value, dict):
        return {twisted(x): twisted(y) for x, y in value.items()}
    return TWINS.get(value, value) if type(value) is int else value


ARGUMENTS = st.lists(VALUES, max_size=3)
PAIRS = st.one_of(
    st.tuples(ARGUMENTS, ARGUMENTS),
    ARGUMENTS.map(lambda drawn: (drawn, [rebuilt(x) for x in drawn])),
    ARGUMENTS.map(lambda drawn: (drawn, [twisted(x) for x in drawn])),
)


def check_shared(call: Any, first: Any, second: Any) -> None:
    load = cacheable(lambda *args, **kwargs: object())
    shared = call(load, first) is call(load, second)
    assert shared == strictly_equal(list(first), list(second)), (first, second)


@settings(max_examples=500, deadline=None)
@given(PAIRS)
@example(([{1, 2.0}], [{1.0, 2}]))
@example(([frozenset([1]), 1], [frozenset([True]), 1]))
@example(([(1, (0.0,))], [(1, (-0.0,))]))
def test_positional_arguments(pair: Any) -> None:
    check_shared(lambda load, args: load(*args), *pair)


@settings(max_examples=150, deadline=None)
@given(PAIRS)
def test_keyword_arguments(pair: Any) -> None:
    def call(load: Any, args: Any) -> Any:
        return load(**dict(reversed(list(zip("abc", args, strict=False)))))

    check_shared(call, *pair)


@settings(max_examples=200, deadline=None)
@given(VALUES, VALUES | st.none())
def test_one_parameter(first: Any, second: Any) -> None:
    load = cacheable(lambda x: object())
    twins = [first, rebuilt(first), twisted(first), second]
    for one in twins:
        for other in twins:
            assert (load(one) is load(other)) == strictly_equal(one, other), (one, other)


KINDS = [
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
    inspect.Parameter.KEYWORD_ONLY,
    inspect.Parameter.VAR_KEYWORD,
]


@st.composite
def functions(draw: Any) -> Any:
    """A function of random parameters; it returns their values in a new list at every call."""
    counts = [
        draw(st.integers(0, 2)),
        draw(st.integers(0, 3)),
        draw(st.integers(0, 1)),
        draw(st.integers(0, 2)),
        draw(st.integers(0, 1)),
    ]
    names = iter("abcdefghij")
    parameters = []
    has_default = False
    for kind, count in zip(KINDS, counts, strict=True):
        for _ in range(count):
            named = kind not in (KINDS[2], KINDS[4])
            positional = kind in KINDS[:2]
            wanted = draw(st.booleans()) or (positional and has_default)
            has_default = has_default or (positional and wanted)
            default = draw(st.integers(0, 2)) if named and wanted else inspect.Parameter.empty
            parameters.append(inspect.Parameter(next(names), kind, default=default))
    values = ", ".join(parameter.name for parameter in parameters)
    environment: dict[str, Any] = {}
    exec(f"def load{inspect.Signature(parameters)}: return [{values}]", environment)
    return environment["load"]


CALLS = st.tuples(
    st.lists(st.integers(0, 2), max_size=5),
    st.dictionaries(st.sampled_from("abcdefghijz"), st.integers(0, 2), max_size=4),
)


@settings(max_examples=200, deadline=None)
@given(functions(), st.lists(CALLS, min_size=2, max_size=8))
def test_calls_are_one_if_python_binds_them_alike(function: Any, calls: Any) -> None:
    load = cacheable(function)
    seen: list[Any] = []
    for args, kwargs in calls:
        try:
            bound = function(*args, **kwargs)
        except TypeError as error:
            with pytest.raises(TypeError) as caught:
                load(*args, **kwargs)
            assert str(caught.value) == str(error), "the error of the function itself"
            continue
        value = load(*args, **kwargs)
        assert value == bound
        for earlier in seen:
            assert (earlier is value) == (earlier == value)
        seen.append(value)
