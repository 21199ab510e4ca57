"""Objects of users' classes: what has more than its fields, or other ones, is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

import codec_support as cs
from codec_support import REGISTRY, decode, encode, same
from zoocache._errors import SerializationError


class Base:
    __slots__ = ("hidden",)


@dataclasses.dataclass
class OnBase(Base):
    x: int


def test_a_slot_that_is_no_field_has_to_be_empty() -> None:
    registry = {"o": OnBase}
    value = OnBase(1)
    assert same(decode(encode(value, registry), registry), value)
    value.hidden = 2
    with pytest.raises(SerializationError, match="its attribute 'hidden' is none of its fields"):
        encode(value, registry)


def test_an_enum_object_that_is_no_member_is_refused() -> None:
    stranger = object.__new__(cs.Color)
    stranger._name_ = "RED"
    stranger._value_ = "red"
    with pytest.raises(SerializationError, match="it is no member of its class"):
        encode(stranger)


def stored(cls: type, kind: int, shape: str, *parts: Any) -> bytes:
    name = f"{cls.__module__}:{cls.__qualname__}"
    fields = b"".join(map(encode, (name, shape, *parts)))
    return bytes([0xE8, kind, len(parts) + 2]) + fields


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (stored(cs.Color, 6, "", "RED"), stored(cs.Color, 6, "", "GREEN")),
        (stored(cs.Color, 6, "", "RED"), stored(cs.Color, 6, "", "RED", "RED")),
        (stored(cs.Bits, 7, "", 1), stored(cs.Bits, 7, "", 8)),
        (stored(cs.Bits, 7, "", 1), stored(cs.Bits, 7, "", True)),
        (stored(cs.Point, 8, "x,y", 1, 2), stored(cs.Point, 8, "x,y", 1)),
        (stored(cs.Point, 8, "x,y", 1, 2), stored(cs.Point, 8, "y,x", 1, 2)),
        (stored(cs.Pair, 9, "first,second", 1, 2), stored(cs.Pair, 9, "first,second", 1)),
        (stored(cs.Pair, 9, "first,second", 1, 2), stored(cs.Pair, 9, "first,second", 1, 2, 3)),
        (stored(cs.Row, 10, "id,tags", 1, 2), stored(cs.Row, 10, "id,tags", 1)),
    ],
)
def test_parts_that_are_not_those_of_the_class_are_refused(good: bytes, bad: bytes) -> None:
    assert type(decode(good)) in REGISTRY.values()
    with pytest.raises(SerializationError):
        decode(bad)


# What a model stores before its fields: their names, those that were set, extra and private ones.
GOOD_MODEL = (("name",), {"name"}, None, {"_secret": 1}, "n")
BAD_MODELS = {
    "extra fields": (("name",), {"name"}, {"x": 1}, None, "n"),
    "private attributes": (("name",), {"name"}, None, {"_other": 1}, "n"),
    "private attributes that are none": (("name",), {"name"}, None, [1], "n"),
    "fields": (("name", "other"), {"name"}, None, None, "n", 1),
    "fields without values": (("name", "age"), {"name"}, None, None, "n"),
    "values without fields": (("name",), {"name"}, None, None, "n", 1),
    "names that are no tuple": (["name"], {"name"}, None, None, "n"),
    "set fields that are no set": (("name",), ["name"], None, None, "n"),
    "set fields that are no names": (("name",), {1}, None, None, "n"),
    "too little": (("name",), {"name"}),
}


@pytest.mark.parametrize("what", BAD_MODELS)
def test_a_model_with_other_parts_is_refused(what: str) -> None:
    assert decode(stored(cs.User, 11, "name,age", *GOOD_MODEL)).name == "n"
    with pytest.raises(SerializationError, match="a model with"):
        decode(stored(cs.User, 11, "name,age", *BAD_MODELS[what]))
