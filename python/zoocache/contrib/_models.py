"""Values that hold objects of an ORM, kept so that each caller gets objects of its own.

The engine asks for the portable form of every value before it is stored, and makes a value of the
form for each caller. A form holds no live object: an ORM's module takes each of them apart and puts
it together again. Lists, tuples, dicts and sets are looked into; what hides such objects in other
ways, or is lazy, is not stored.
Thread-safety: forms are never changed; one walk belongs to one call.
"""

from __future__ import annotations

import copy
import datetime
import decimal
import enum
import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from zoocache import _zoocache
from zoocache.contrib._once import Once
from zoocache.contrib._search import MAX_OBJECTS, Search, TooManyObjectsError

__all__ = [
    "PLAIN_TYPES",
    "Form",
    "Kind",
    "Portable",
    "RefusedError",
    "add_kind",
    "is_model",
    "once",
    "own",
    "part_number",
    "refuse_type",
]

once = Once(logging.getLogger("zoocache.database"))

# What the engine is told of arguments: type -> callable(object, is_keyed).
_told: dict[type, Callable[[Any, bool], None]] = {}
_kinds: dict[type, Kind] = {}
_refused: list[tuple[type, str]] = []
_lock = threading.Lock()
_PLAIN = (
    type(None),
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    decimal.Decimal,
    datetime.date,
    datetime.datetime,
    datetime.time,
    datetime.timedelta,
    uuid.UUID,
    range,
)
PLAIN_TYPES = frozenset(_PLAIN)
_CONTAINERS = (list, tuple, dict, set, frozenset, deque)


@dataclass(frozen=True)
class Kind:
    """How one ORM's objects are taken apart.

    Attributes:
        take: (object, portable) -> content, of which nothing is alive; None: it cannot be kept.
        put: (content, portable) -> a new object, and what completes it once all objects are made.
        tell: (object, is_keyed) -> None; an argument of the running load.
    """

    take: Callable[[Any, Portable], Any]
    put: Callable[[Any, Portable], tuple[Any, Callable[[], None]]]
    tell: Callable[[Any, bool], None]


def add_kind(class_: type, kind: Kind) -> None:
    """From now on objects of exactly that class are kept in a portable form."""
    _kinds[class_] = kind
    _told[class_] = kind.tell
    with _lock:
        _zoocache.watch_models(_told, Form, _form_of, _value_of, _tell_inside)


def is_model(value: object) -> bool:
    """Whether it is an object of an ORM."""
    return type(value) in _kinds


def refuse_type(class_: type, remedy: str) -> None:
    """Values of that class or below it are not stored; `remedy` says what to return instead."""
    with _lock:
        _refused.append((class_, remedy))


def own(value: Any) -> Any:
    """A column's value, or a row of such, or a copy that nobody else has.

    An ORM's object is nobody else's already, since `Portable.put` makes it for one caller. It may
    not be complete yet, and then a copy would be a row without its columns.
    """
    kind = type(value)
    if kind in PLAIN_TYPES or kind in _kinds or isinstance(value, enum.Enum):
        return value
    if kind is dict:
        return {own(key): own(one) for key, one in value.items()}
    if kind is list:
        return [own(one) for one in value]
    if kind is tuple:
        return tuple([own(one) for one in value])
    if kind in {set, frozenset}:
        return kind(own(one) for one in value)
    make = getattr(value, "_make", None)
    if make is not None and isinstance(value, tuple):
        return make([own(one) for one in value])
    return copy.deepcopy(value)


class RefusedError(Exception):
    """A value that must not be stored."""


@dataclass(frozen=True, slots=True)
class _Part:
    """In place of an object: its number among the parts."""

    number: int


def part_number(value: Any) -> int | None:
    """Which of the parts of a walk stands here; None if none does."""
    return value.number if type(value) is _Part else None


class Form:
    """A value with `_Part` in place of the ORM's objects."""

    __slots__ = ("parts", "root")

    def __init__(self, root: Any, parts: list[tuple[Kind, Any]]) -> None:
        self.root = root
        self.parts = parts


class Portable:
    """One walk, through a value or a form."""

    def __init__(self, parts: list[tuple[Kind, Any]] | None = None) -> None:
        self.parts: list[tuple[Kind, Any]] = [] if parts is None else parts
        self._seen: dict[int, tuple[Any, _Part]] = {}  # by address; keeps what has it alive
        self._made: dict[int, Any] = {}
        self._later: list[Callable[[], None]] = []
        self._search = Search(_kinds, PLAIN_TYPES)

    def take(self, value: Any) -> Any:
        """The value without live objects: containers anew, objects as parts."""
        kind = type(value)
        if kind in PLAIN_TYPES:
            return value
        known = _kinds.get(kind)
        if known is not None:
            return self._take_object(value, known)
        for class_, remedy in _refused:
            if isinstance(value, class_):
                raise RefusedError(f"a {kind.__name__} is not cached: {remedy}")
        if isinstance(value, list):
            return [self.take(one) for one in value]
        if kind is tuple:
            return tuple(self.take(one) for one in value)
        if isinstance(value, tuple):
            return self._take_tuple(value)
        if isinstance(value, dict):
            return {self.take(key): self.take(one) for key, one in value.items()}
        if kind in {set, frozenset}:
            return kind(self.take(one) for one in value)
        return self._take_other(value)

    def _take_object(self, value: Any, kind: Kind) -> _Part:
        seen = self._seen.get(id(value))
        if seen is not None:
            return seen[1]
        part = _Part(len(self.parts))
        self._seen[id(value)] = (value, part)
        self.parts.append((kind, None))
        content = kind.take(value, self)
        if content is None:
            raise RefusedError(f"a {type(value).__name__} that is in no database is not cached")
        self.parts[part.number] = (kind, content)
        return part

    def _take_tuple(self, value: Any) -> Any:
        before = len(self.parts)
        items = [self.take(one) for one in value]
        if len(self.parts) == before and not any(isinstance(one, _Part) for one in items):
            return value
        make = getattr(value, "_make", None)
        if make is None or not hasattr(value, "_fields") or type(value).__module__ == _ROWS:
            raise RefusedError(
                f"a {type(value).__name__} with an ORM's objects is not cached: return the objects "
                "alone, as .scalars().all() gives them, or tuples"
            )
        return make(items)

    def _take_other(self, value: Any) -> Any:
        name = type(value).__name__
        try:
            found = None if isinstance(value, enum.Enum | type) else self._search.find(value)
        except TooManyObjectsError:
            raise RefusedError(
                f"a {name} that is made of more than {MAX_OBJECTS} objects is not cached, as an "
                "ORM's may be among them: return lists, tuples and dicts"
            ) from None
        if found is not None:
            raise RefusedError(
                f"a {name} that holds a {type(found).__name__} is not cached: return the object, "
                "or lists and dicts of such"
            )
        return value

    def put(self, value: Any) -> Any:
        """The reverse of `take`."""
        kind = type(value)
        if kind in PLAIN_TYPES:
            return value
        if kind is _Part:
            return self._put_object(value)
        if kind is list:
            return [self.put(one) for one in value]
        if kind is tuple:
            return tuple(self.put(one) for one in value)
        make = getattr(value, "_make", None)
        if make is not None and isinstance(value, tuple):
            return make([self.put(one) for one in value])
        if kind is dict:
            return {self.put(key): self.put(one) for key, one in value.items()}
        if kind in {set, frozenset}:
            return kind(self.put(one) for one in value)
        return value

    def _put_object(self, part: _Part) -> Any:
        if part.number in self._made:
            return self._made[part.number]
        kind, content = self.parts[part.number]
        made, complete = kind.put(content, self)
        self._made[part.number] = made
        self._later.append(complete)
        return made

    def complete(self) -> None:
        """Completes the objects that were made, and those that this makes."""
        while self._later:
            self._later.pop()()


_ROWS = "sqlalchemy.engine.row"


def _form_of(value: Any) -> Any:
    """For the engine: a form, None if the value can be kept as it is, False if it must not be."""
    walk = Portable()
    try:
        root = walk.take(value)
    except RefusedError as error:
        once(str(error))
        return False
    except RecursionError:
        once("a value that is nested too deeply, or holds itself, is not cached")
        return False
    return Form(root, walk.parts) if walk.parts else None


def _tell_inside(argument: Any, is_keyed: bool) -> None:
    """For the engine: tells the running load of objects in an argument that is a container."""
    pending, seen = [argument], set[int]()
    while pending:
        one = pending.pop()
        tell = _told.get(type(one))
        if tell is not None:
            tell(one, is_keyed)
        elif isinstance(one, _CONTAINERS) and id(one) not in seen:
            seen.add(id(one))
            pending += [*one, *one.values()] if isinstance(one, dict) else one


def _value_of(form: Form) -> Any:
    """For the engine: a value of the caller's own."""
    walk = Portable(form.parts)
    value = walk.put(form.root)
    walk.complete()
    return value
