"""Looks for objects of certain classes inside of objects of any other class.

Walks attributes, slots, containers, what methods and functions are bound to; each object once. What
a class keeps outside of Python's sight (C extensions, iterators) is not seen.
Thread-safety: a `Search` belongs to one call.
"""

from __future__ import annotations

import functools
import logging
import types
import weakref
from collections import deque
from collections.abc import Container, Iterable
from typing import Any

__all__ = ["MAX_OBJECTS", "Search", "TooManyObjectsError"]

MAX_OBJECTS = 100_000
_GROUPS: tuple[Any, ...] = (list, tuple, set, frozenset, deque)
# What is the program's, not the value's.
_OPAQUE = (type, types.ModuleType, types.BuiltinFunctionType, types.CodeType, logging.Logger)
_Ended = (weakref.ReferenceType, weakref.ProxyType, weakref.CallableProxyType)


class TooManyObjectsError(Exception):
    """A value is made of more objects than are looked at."""


class Search:
    """A walk through one value.

    Args:
        wanted: the exact classes that are looked for.
        leaves: classes whose objects hold no others.
    """

    def __init__(self, wanted: Container[type], leaves: Container[type]) -> None:
        self._wanted = wanted
        self._leaves = leaves
        self._seen: dict[int, Any] = {}  # by address; keeps what has it alive

    def find(self, value: Any) -> Any:
        """The first object of a wanted class that is found in the value; None: there is none.

        What an earlier call has looked at is passed over.

        Raises:
            TooManyObjectsError: there are more than `MAX_OBJECTS`.
        """
        pending = [value]
        while pending:
            one = pending.pop()
            kind = type(one)
            if kind in self._wanted:
                return one
            if kind in self._leaves or id(one) in self._seen or isinstance(one, _OPAQUE + _Ended):
                continue
            if len(self._seen) >= MAX_OBJECTS:
                raise TooManyObjectsError
            self._seen[id(one)] = one
            pending.extend(_held_by(one))
        return None


def _held_by(value: Any) -> Iterable[Any]:
    if isinstance(value, types.MethodType):
        yield value.__self__
        return
    if isinstance(value, types.FunctionType):
        yield from value.__defaults__ or ()
        for cell in value.__closure__ or ():
            yield _content(cell)
        return
    if isinstance(value, functools.partial):
        yield from (value.func, value.args, value.keywords)
    if isinstance(value, dict):
        yield from dict.keys(value)
        yield from dict.values(value)
    for group in _GROUPS:
        if isinstance(value, group):
            yield from group.__iter__(value)
    if isinstance(value, BaseException):
        yield from (value.args, value.__cause__, value.__context__)
    try:
        held = object.__getattribute__(value, "__dict__")
    except AttributeError:
        held = None
    if isinstance(held, dict):
        yield from held.values()
    for class_ in type(value).__mro__:
        for slot in vars(class_).values():
            if isinstance(slot, types.MemberDescriptorType):
                yield _slot(slot, value)


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return None


def _slot(slot: types.MemberDescriptorType, value: Any) -> Any:
    try:
        return slot.__get__(value)
    except AttributeError:  # it is not set
        return None
