"""What the tests of the value codec share: classes of every kind, values, a strict comparison."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import struct
import uuid
import zoneinfo
from collections import namedtuple
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
import numpy as np
import pydantic

from zoocache import _zoocache

T = TypeVar("T")


class Color(enum.Enum):
    RED = "red"
    ROUGE = "red"  # noqa: PIE796 - an alias
    BLUE = [1, 2]  # a value that could not be compared by name


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Access(enum.IntFlag):
    READ = 1
    WRITE = 2


class Bits(enum.Flag):
    A = enum.auto()
    B = enum.auto()


@dataclasses.dataclass
class Point:
    x: Any
    y: Any = 0


@dataclasses.dataclass(frozen=True)
class Frozen:
    key: Any
    note: Any = dataclasses.field(default="", compare=False)


@dataclasses.dataclass
class Slotted:
    __slots__ = ("a", "b")
    a: Any
    b: Any


@dataclasses.dataclass
class Computed:
    base: int
    given: dataclasses.InitVar[int] = 0
    double: int = dataclasses.field(init=False)

    def __post_init__(self, given: int) -> None:
        self.double = 2 * self.base + given

    @functools.cached_property
    def triple(self) -> int:
        return 3 * self.base


@dataclasses.dataclass
class Box(Generic[T]):
    item: T


class Pair(NamedTuple):
    first: Any
    second: Any = None


Plain = namedtuple("Plain", ["one", "two"])  # noqa: PYI024


class Nothing(NamedTuple):
    pass


class Row(msgspec.Struct):
    id: int
    tags: Any = ()


class Strict(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    some_name: Any
    counted: int = 0

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "counted", self.counted + 1)


class User(pydantic.BaseModel):
    name: str
    age: Any = None
    _secret: Any = pydantic.PrivateAttr(default="hidden")


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", frozen=True)
    id: int


class Names(pydantic.RootModel[list[str]]):
    pass


CLASSES: list[type] = [
    *(Color, Level, Access, Bits, Point, Frozen, Slotted, Computed, Box, Pair, Plain, Nothing),
    *(Row, Strict, User, Open, Names),
]
REGISTRY: dict[str, type] = {f"{cls.__module__}:{cls.__qualname__}": cls for cls in CLASSES}


def encode(
    value: Any, registry: dict[str, type] | None = REGISTRY, canonical: bool = False
) -> bytes:
    return _zoocache.encode(value, registry, canonical)


def decode(data: bytes, registry: dict[str, type] | None = REGISTRY) -> Any:
    return _zoocache.decode(data, registry)


def there_and_back(value: Any, canonical: bool = False) -> Any:
    return decode(encode(value, canonical=canonical))


def nan_of(payload: int) -> float:
    return struct.unpack("<d", struct.pack("<Q", payload))[0]


def read_only_model(model: pydantic.BaseModel) -> Any:
    return (
        model.__dict__,
        model.__pydantic_fields_set__,
        model.__pydantic_extra__,
        model.__pydantic_private__,
    )


def parts_of(value: Any) -> Any:
    """What tells apart values of one type that are no containers and have a lenient `==`."""
    if isinstance(value, enum.Enum):
        return id(value)
    if isinstance(value, float):
        return struct.pack("<d", value)
    if isinstance(value, complex):
        return struct.pack("<dd", value.real, value.imag)
    if isinstance(value, decimal.Decimal):
        return value.as_tuple()
    if isinstance(value, datetime.datetime | datetime.time):
        return value.replace(tzinfo=None), value.fold, value.tzinfo and parts_of(value.tzinfo)
    if isinstance(value, datetime.timezone):
        return value.__getinitargs__()  # type: ignore[attr-defined]
    if isinstance(value, zoneinfo.ZoneInfo):
        return value.key
    if isinstance(value, range):
        return value.start, value.stop, value.step
    if isinstance(value, np.ndarray):
        order = value.flags.f_contiguous, value.flags.c_contiguous
        return value.dtype, value.shape, value.tobytes(), order, value.flags.writeable
    return value


def same(a: Any, b: Any) -> bool:
    """Equal in value and type, through all levels."""
    if type(a) is not type(b):
        return False
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return same(list(a.items()), list(b.items()))
    if isinstance(a, set | frozenset):
        return len(a) == len(b) and all(any(same(x, y) for y in b) for x in a)
    if dataclasses.is_dataclass(a):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, msgspec.Struct):
        return same(msgspec.structs.astuple(a), msgspec.structs.astuple(b))
    if isinstance(a, pydantic.BaseModel):
        return same(read_only_model(a), read_only_model(b))
    return bool(parts_of(a) == parts_of(b))


BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
UTC = datetime.timezone.utc
HOUR = datetime.timedelta(hours=1)

NUMBERS = [
    *(0, 1, 127, 128, -1, -128, -129, 255, 256, 2**15 - 1, 2**15, -(2**15), -(2**15) - 1),
    *(2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64),
    *(2**4000, -(2**4000), 2**4007 - 1, 2**20_000 + 1),
    *(0.0, -0.0, 1.5, 5e-324, 1.7976931348623157e308, float("inf"), float("-inf")),
    *map(nan_of, (0x7FF8 << 48, 0xFFF8 << 48, (0x7FF8 << 48) + 42, (0xFFF8 << 48) + 42)),
    *(0j, complex(-0.0, 0.0), complex(0.0, -0.0), complex(nan_of(0xFFF8 << 48), 1)),
    *map(decimal.Decimal, ("0", "-0", "1.0", "1.00", "1E+3", "-1E-999999", "NaN", "-NaN12")),
    *map(decimal.Decimal, ("sNaN", "-Infinity", "9" * 100, "1E+999999999")),
    *(fractions.Fraction(0), fractions.Fraction(-1, 3), fractions.Fraction(2**5000, 3)),
]
TEXTS = [
    *("", "a", "a" * 31, "a" * 32, "a" * 127, "a" * 128, "é", "é" * 16, "名前", "😀" * 8, "\0"),
    *("\ud800", "a\udc80b", "\ud83d\ude00", "\U0010ffff", "x" * 70_000),
    *(b"", b"a", bytes(range(256)), b"x" * 70_000, bytearray(), bytearray(b"ab")),
]
TIMES = [
    *(datetime.date(1, 1, 1), datetime.date(9999, 12, 31)),
    *(datetime.time(), datetime.time(23, 59, 59, 999_999, fold=1), datetime.time(1, tzinfo=UTC)),
    *(datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31, 23, 59, 59, 999_999)),
    datetime.datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN),
    datetime.datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1),
    datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone(-HOUR / 7, "odd")),
    *(datetime.timedelta.min, datetime.timedelta.max, datetime.timedelta(0), -HOUR / 3),
    *(
        UTC,
        datetime.timezone(HOUR),
        datetime.timezone(HOUR, "CET"),
        datetime.timezone(0 * HOUR, ""),
    ),
    *(BERLIN, zoneinfo.ZoneInfo("Etc/GMT+5"), zoneinfo.ZoneInfo("UTC")),
]
ARRAYS = [
    *(np.arange(6), np.arange(6).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3))),
    *(np.array(5), np.zeros((0,)), np.zeros((3, 0, 2), "i2")),
    *(np.array([1, 2], ">i4"), np.array([True, False]), np.array([1 + 2j], "c8")),
    *(np.array(["a", "名"]), np.array([b"ab", b""], "S3"), np.array([1.5], "f2")),
    np.array(["2024-01-01", "NaT"], "M8[ns]"),
    np.array([5], "m8[us]"),
    np.array([(1, 2.5, "x")], [("a", "i1"), ("b", "f8"), ("c", "U2")]),
    np.zeros(2, np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    np.zeros(2, [("a", [("b", "i4", (2, 2))])]),
]
OBJECTS = [
    *(uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), range(0), range(5), range(2**70, 0, -3)),
    *(Color.RED, Color.ROUGE, Color.BLUE, Level.HIGH, Access.READ, Access.READ | Access.WRITE),
    *(Access(0), Bits.A, Bits.A | Bits.B, ~Bits.A),
    *(Point(1), Point([1], {"a": Point(2)}), Frozen(1, "x"), Slotted(1, 2), Computed(3, 4)),
    *(Box(1), Box[int](1), Pair(1), Pair(Pair(1), []), Plain(1, 2), Nothing()),
    *(Row(1), Row(1, ["a", Row(2)]), Strict(some_name=1, counted=5)),
    *(User(name="n"), User(name="n", age=[1]), Open(id=1), Open(id=1, more={"a": 1}), Names(["a"])),
    User.model_construct(age=3),
]
CONTAINERS = [
    *((), (1,), tuple(range(15)), tuple(range(16)), (None,) * 300, [], [[]], list(range(16))),
    *({}, {"a": 1, "b": 2}, {"b": 2, "a": 1}, dict.fromkeys(range(16)), dict.fromkeys(range(200))),
    *({(1, "a"): [1], None: {}, 1.5: 0, b"k": 0, Frozen(1): 0, frozenset([1]): 0, Color.RED: 0},),
    *(set(), {1, "a", None}, set(range(100)), frozenset(), frozenset([frozenset([1]), 2])),
    *([None, True, False, 1, 1.0, "1"], {"nested": [({"deep": {(1, 2): [set(), ...]}},)][:0]}),
    {"key" * 20: 1, "é": 2, "\ud800": 3},
]
VALUES = [None, True, False, *NUMBERS, *TEXTS, *TIMES, *ARRAYS, *OBJECTS, *CONTAINERS]
