"""Values of users' classes that have named fields: enums, dataclasses, named tuples and models.

A record reads the fields of an object where they are kept and refuses an object that has more than
its fields. It builds one without running `__init__` where the class allows it, so that what comes
back has the very fields that were stored.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import sys
import types
import weakref
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, ClassVar, cast

from zoocache._errors import Refused

__all__ = ["Record", "class_name", "record_of"]

Values = Sequence[Any]
# Parts, and the names of the last of them.
Taken = tuple[tuple[Any, ...], tuple[str, ...]]

_set = object.__setattr__


class Record:
    """The fields of one class. It does not refer to the class, which may die."""

    kind: ClassVar[int]
    in_dict: ClassVar[bool] = False  # fields may lie in the object's __dict__

    def __init__(self, cls: type, names: Iterable[str] = ()) -> None:
        self.names = tuple(names)
        self.shape = ",".join(self.names)
        self._slots = _names_of(types.MemberDescriptorType, cls) - set(self.names)
        # What else a __dict__ may have: what is computed anew, and what typing leaves on an object
        # of a generic class.
        self._known = {"__orig_class__", *_names_of(functools.cached_property, cls)}
        if self.in_dict:
            self._known.update(self.names)
        # attrgetter of one name returns no tuple.
        self._get = attrgetter(*self.names) if len(self.names) > 1 else self._get_one

    def take(self, value: Any) -> Taken:
        """The values of the fields, in the order of their names.

        Raises:
            Refused: the object has more than its fields, or fewer.
        """
        raise NotImplementedError

    def build(self, cls: type, values: Values) -> Any:
        """An object with these values, which may be anything.

        Raises:
            Refused: no object has these values.
        """
        raise NotImplementedError

    def _get_one(self, value: Any) -> tuple[Any, ...]:
        return tuple(getattr(value, name) for name in self.names)

    def _fields(self, value: Any) -> tuple[Any, ...]:
        try:
            return self._get(value)
        except AttributeError:
            missing = [name for name in self.names if not hasattr(value, name)]
            if not missing:
                raise
            raise Refused(f"its field {missing[0]!r} is not set") from None

    def _check_attributes(self, value: Any) -> None:
        """Refuses attributes that would be lost."""
        attributes = getattr(value, "__dict__", ())
        if not self._known.issuperset(attributes):
            surplus = min(set(attributes) - self._known)
            raise Refused(f"its attribute {surplus!r} is none of its fields")
        for name in self._slots:
            if hasattr(value, name):
                raise Refused(f"its attribute {name!r} is none of its fields")

    def _check_count(self, values: Values) -> None:
        if len(values) != len(self.names):
            raise Refused(f"{len(values)} values for {len(self.names)} fields")


class _Enum(Record):
    kind = 6

    def take(self, value: Any) -> Taken:
        if type(value).__members__.get(value._name_) is not value:
            raise Refused("it is no member of its class")
        return (value._name_,), ()

    def build(self, cls: Any, values: Values) -> Any:
        if len(values) != 1 or values[0] not in cls.__members__:
            raise Refused("no member of the enum has this name")
        return cls.__members__[values[0]]


class _Flag(Record):
    kind = 7

    def take(self, value: Any) -> Taken:
        return (value._value_,), ()

    def build(self, cls: type, values: Values) -> Any:
        if len(values) != 1 or type(values[0]) is not int:
            raise Refused("the value of a flag is an int")
        return cls(values[0])


class _Dataclass(Record):
    kind = 8
    in_dict = True

    def take(self, value: Any) -> Taken:
        self._check_attributes(value)
        return self._fields(value), self.names

    def build(self, cls: type, values: Values) -> Any:
        self._check_count(values)
        built: Any = object.__new__(cls)
        for name, value in zip(self.names, values, strict=True):
            _set(built, name, value)
        return built


class _NamedTuple(Record):
    kind = 9

    def take(self, value: Any) -> Taken:
        self._check_attributes(value)
        items = tuple(tuple.__iter__(value))
        self._check_count(items)
        return items, self.names

    def build(self, cls: Any, values: Values) -> Any:
        self._check_count(values)
        return tuple.__new__(cls, values)


class _Struct(Record):
    kind = 10

    def take(self, value: Any) -> Taken:
        self._check_attributes(value)
        return self._fields(value), self.names

    # msgspec makes no struct without its __post_init__, after which the fields are set once more.
    def build(self, cls: type, values: Values) -> Any:
        self._check_count(values)
        built = cls(**dict(zip(self.names, values, strict=True)))
        for name, value in zip(self.names, values, strict=True):
            sys.modules["msgspec"].structs.force_setattr(built, name, value)
        return built


class _Model(Record):
    """Pydantic's models keep their fields in `__dict__`, which need not have all of them."""

    kind = 11
    in_dict = True

    def __init__(self, cls: Any) -> None:
        super().__init__(cls, cls.model_fields)
        self._private = frozenset(cls.__private_attributes__)
        self._has_extra = cls.model_config.get("extra") == "allow"
        self._slots -= _names_of(types.MemberDescriptorType, _pydantic().BaseModel)

    def take(self, value: Any) -> Taken:
        self._check_attributes(value)
        state = _model_base(type(value)).__getstate__(value)
        attributes = state["__dict__"]
        present = tuple(name for name in self.names if name in attributes)
        extra = state.get("__pydantic_extra__")
        private = state.get("__pydantic_private__")
        fields_set = set(state["__pydantic_fields_set__"])
        values = tuple(attributes[name] for name in present)
        return (present, fields_set, extra, private, *values), present

    def build(self, cls: type, values: Values) -> Any:
        if len(values) < 4:
            raise Refused("a model without its fields")
        present, fields_set, extra, private, *rest = values
        good = (
            type(present) is tuple
            and len(present) == len(rest)
            and set(present) <= set(self.names)
            and type(fields_set) is set
            and all(type(name) is str for name in fields_set)
            and (extra is None or (self._has_extra and _has_str_keys(extra)))
            and (private is None or (_has_str_keys(private) and self._private.issuperset(private)))
        )
        if not good:
            raise Refused("a model with fields that its class has not")
        built: Any = object.__new__(cls)
        state = {
            "__dict__": dict(zip(present, rest, strict=True)),
            "__pydantic_fields_set__": fields_set,
            "__pydantic_extra__": extra,
            "__pydantic_private__": private,
        }
        _model_base(cls).__setstate__(built, state)
        return built


def class_name(cls: type) -> str:
    """The name under which a class is registered."""
    return f"{cls.__module__}:{cls.__qualname__}"


def record_of(cls: type) -> Record | None:
    """How objects of exactly this class are kept; None if they cannot be."""
    try:
        return _records[cls]
    except KeyError:
        record = _records[cls] = _new_record(cls)
        return record


_records: weakref.WeakKeyDictionary[type, Record | None] = weakref.WeakKeyDictionary()


def _new_record(cls: Any) -> Record | None:
    if issubclass(cls, enum.Enum):
        return _Flag(cls) if issubclass(cls, enum.Flag) else _Enum(cls)
    if issubclass(cls, tuple):
        names: Any = getattr(cls, "_fields", None)
        is_named = type(names) is tuple and all(type(name) is str for name in names)
        return _NamedTuple(cls, names) if is_named else None
    struct = getattr(sys.modules.get("msgspec"), "Struct", None)
    if struct is not None and issubclass(cls, struct):
        return _Struct(cls, cls.__struct_fields__)
    if _has_c_base(cls):
        return None
    if _pydantic() is not None and issubclass(cls, _pydantic().BaseModel):
        return _Model(cls)
    if not dataclasses.is_dataclass(cls):
        return None
    return _Dataclass(cast("type", cls), (field.name for field in dataclasses.fields(cls)))


def _has_c_base(cls: type) -> bool:
    """Is a base written in C? Its objects have more than attributes."""
    return any(
        isinstance(base.__dict__.get("__new__"), types.BuiltinFunctionType)
        for base in cls.__mro__
        if base is not object
    )


def _pydantic() -> Any:
    module = sys.modules.get("pydantic")
    is_known = module is not None and getattr(module, "VERSION", "").startswith("2.")
    return module if is_known else None


def _model_base(cls: type) -> Any:
    pydantic = _pydantic()
    return pydantic.RootModel if issubclass(cls, pydantic.RootModel) else pydantic.BaseModel


def _names_of(kind: type, cls: type) -> set[str]:
    """The names of members of that kind, inherited ones included."""
    return {
        name
        for base in cls.__mro__
        for name, member in base.__dict__.items()
        if isinstance(member, kind)
    }


def _has_str_keys(values: Any) -> bool:
    return type(values) is dict and all(type(name) is str for name in values)
