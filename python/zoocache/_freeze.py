"""How objects of types that are not builtin are taken apart to become part of a key.

The extension asks `classify` once per type and remembers the answer. What it returns takes an
object apart into a tuple of parts; the extension freezes the parts in turn and keeps them together
with the object's exact type. Parts must tell apart whatever a function could: `==` alone is too
coarse (`Decimal("1.0") == Decimal("1.00")`, noon in two time zones).
"""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import types
from collections.abc import Callable
from operator import attrgetter
from typing import Any, cast

Parts = tuple[Any, ...]
TakeApart = Callable[[Any], Parts]


def classify(cls: type) -> TakeApart | bool | None:
    """Says how objects of exactly this class are keyed.

    Args:
        cls: the class; its metaclass may be hostile, so it is looked at without running its code.

    Returns:
        None if an object is its own key, compared by `==`; False if it cannot be a key; else the
        function that takes it apart.
    """
    if _lookup(cls, "__zoocache_key__") is not None:
        return _own_key
    hashable = _lookup(cls, "__hash__") is not None
    if enum.Enum in _mro(cls):  # one object per value
        return None if hashable else _itself
    for base in _mro(cls):
        if _name_of(base) == ("numpy", "generic"):
            return _numpy_scalar
        take_apart = _BASES.get(base) or _FOREIGN_BASES.get(_name_of(base))
        if take_apart is not None:
            return _for_subclass(cls, base, take_apart, hashable=hashable)
    names = _field_names(cls, hashable=hashable)
    if names is not None:
        return _fields(names)
    if _name_of(cls) == ("numpy", "ndarray"):  # subclasses may have units, masks and the like
        return _ndarray
    if datetime.tzinfo in _mro(cls) and not hashable:
        return _itself
    return None if hashable else False


def _for_subclass(
    cls: type, base: type, take_apart: TakeApart, *, hashable: bool
) -> TakeApart | None:
    own_equality = _lookup(cls, "__eq__") is not _lookup(base, "__eq__")
    if not hashable:
        return take_apart if cls is base else _with_state(take_apart, _slots(cls))
    if not own_equality:
        return take_apart
    if base not in _COARSE_EQUALITY:
        return None  # the class decides itself when two are the same
    return lambda value: (*take_apart(value), _Same(value))


class _Same:
    """An object as a part: compared by its own `==` beside the other parts."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and bool(self.value == other.value)

    def __hash__(self) -> int:
        return hash(self.value)


class _Identity:
    """An object as a part: the same only if it is the same object."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


# Looking at a class without running code of its metaclass.

_get_mro = type.__dict__["__mro__"].__get__
_get_dict = type.__dict__["__dict__"].__get__


def _mro(cls: type) -> tuple[type, ...]:
    return cast("tuple[type, ...]", _get_mro(cls))


def _lookup(cls: type, name: str) -> Any:
    for base in _mro(cls):
        own = _get_dict(base)
        if name in own:
            return own[name]
    return None


def _name_of(cls: type) -> tuple[Any, Any]:
    name = type.__dict__["__name__"].__get__(cls)
    module = type.__dict__["__module__"].__get__(cls)
    return (module, name) if isinstance(module, str) else ("", name)


# Classes that say which of their fields count.


def _field_names(cls: type, *, hashable: bool) -> list[str] | None:
    equality = _lookup(cls, "__eq__")
    written_for = getattr(getattr(equality, "__code__", None), "co_filename", "")
    fields = _lookup(cls, "__dataclass_fields__")
    if isinstance(fields, dict) and (not hashable or written_for == "<string>"):
        # Pseudo-fields (ClassVar, InitVar) are no part of an object: dataclasses.fields knows.
        return [field.name for field in dataclasses.fields(cls) if field.compare]
    attributes = _lookup(cls, "__attrs_attrs__")
    if isinstance(attributes, tuple) and (not hashable or written_for.startswith("<attrs gen")):
        return [attribute.name for attribute in attributes if attribute.eq]
    return None


def _fields(names: list[str]) -> TakeApart:
    if not names:
        return lambda _value: ()
    get = attrgetter(*names)
    return (lambda value: (get(value),)) if len(names) == 1 else get


# What an unhashable subclass of a container adds to it.


def _slots(cls: type) -> list[types.MemberDescriptorType]:
    return [
        member
        for base in _mro(cls)
        for member in _get_dict(base).values()
        if isinstance(member, types.MemberDescriptorType) and _name_of(base)[0] != "builtins"
    ]


def _with_state(take_apart: TakeApart, slots: list[types.MemberDescriptorType]) -> TakeApart:
    def with_state(value: Any) -> Parts:
        attributes = dict(getattr(value, "__dict__", ()))
        return (*take_apart(value), attributes, tuple(_slot(member, value) for member in slots))

    return with_state


def _slot(member: types.MemberDescriptorType, value: Any) -> tuple[Any] | None:
    try:
        return (member.__get__(value),)
    except AttributeError:
        return None  # not set


# Taking apart. Subclasses may override anything, so methods are those of the base.


def _own_key(value: Any) -> Parts:
    return (value.__zoocache_key__(),)


def _decimal(value: decimal.Decimal) -> Parts:
    return tuple(decimal.Decimal.as_tuple(value))


def _datetime(value: datetime.datetime) -> Parts:
    day = (value.year, value.month, value.day)
    # pandas' Timestamp goes further than microseconds.
    return (*day, *_time(cast("datetime.time", value)), getattr(value, "nanosecond", 0))


def _time(value: datetime.time) -> Parts:
    clock = (value.hour, value.minute, value.second, value.microsecond)
    return (*clock, value.fold, value.tzinfo)


def _timezone(value: datetime.timezone) -> Parts:
    return value.utcoffset(None), value.tzname(None)


def _itself(value: Any) -> Parts:
    return (_Identity(value),)


def _default_dict(value: collections.defaultdict[Any, Any]) -> Parts:
    return tuple(dict.items(value)), value.default_factory


def _numpy_scalar(value: Any) -> Parts:
    return value.dtype, value.item() if value.dtype.hasobject else value.tobytes()


def _ndarray(value: Any) -> Parts:
    plain = value.tolist() if value.dtype.hasobject else value.tobytes()
    return value.dtype, value.shape, plain


def _pydantic(value: Any) -> Parts:
    private = getattr(value, "__pydantic_private__", None)
    return dict(value.__dict__), getattr(value, "__pydantic_extra__", None), private


def _struct(value: Any) -> Parts:
    return tuple(getattr(value, name) for name in value.__struct_fields__)


# The nearest of these in a class's order of bases decides.
_BASES: dict[type, TakeApart] = {
    array.array: lambda value: (value.typecode, value.tobytes()),
    bytearray: lambda value: (bytes(memoryview(value)),),
    collections.OrderedDict: lambda value: (tuple(collections.OrderedDict.items(value)),),
    collections.defaultdict: _default_dict,
    collections.deque: lambda value: (tuple(collections.deque.__iter__(value)), value.maxlen),
    complex: lambda value: (complex.real.__get__(value), complex.imag.__get__(value)),
    datetime.datetime: _datetime,
    datetime.time: _time,
    datetime.timezone: _timezone,
    decimal.Decimal: _decimal,
    dict: lambda value: (tuple(dict.items(value)),),
    float: lambda value: (float.__float__(value),),
    frozenset: lambda value: (frozenset(frozenset.__iter__(value)),),
    list: lambda value: (tuple(list.__iter__(value)),),
    memoryview: lambda value: (value.format, value.shape, value.tobytes()),
    range: lambda value: (value.start, value.stop, value.step),
    set: lambda value: (frozenset(set.__iter__(value)),),
    slice: lambda value: (value.start, value.stop, value.step),
    tuple: lambda value: (tuple(tuple.__iter__(value)),),
    types.MappingProxyType: lambda value: (dict(value),),
    types.SimpleNamespace: lambda value: (dict(value.__dict__),),
}

# Recognised by name, so that nothing is imported for their sake.
_FOREIGN_BASES: dict[tuple[Any, Any], TakeApart] = {
    ("msgspec", "Struct"): _struct,
    ("pydantic.main", "BaseModel"): _pydantic,
}

# Types whose `==` says that values are the same which a function can tell apart.
_COARSE_EQUALITY = frozenset({datetime.datetime, datetime.time, decimal.Decimal})
