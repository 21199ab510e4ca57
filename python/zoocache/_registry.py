"""Which classes may be made of stored bytes: those that a function's caller named beforehand.

A class is named by the return annotation of the function, or by `register_type`. Names in the bytes
are looked up here and nowhere else.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable
from typing import Any

from zoocache._codec_records import class_name, record_of
from zoocache._errors import shown
from zoocache._hints import (
    callable_hints,
    class_hints,
    is_typed_dict,
    typing_attribute,
    underlying,
)
from zoocache._types import Class

__all__ = ["register_type", "registry_of"]

_registered: dict[str, type] = {}


def register_type(cls: Class) -> Class:
    """As `Cache.register_type` says."""
    given: Any = cls
    if not issubclass(type(given), type):  # in 3.10, list[int] says that it is one
        raise TypeError(f"register_type({shown(given)}): it must be a class")
    if record_of(cls) is None:
        raise TypeError(
            f"register_type({class_name(cls)}): only an Enum, a dataclass, a named tuple, a "
            "msgspec.Struct or a pydantic 2 model can be registered, and what is built in needs not"
        )
    _registered[class_name(cls)] = cls
    return cls


def registry_of(fn: Any, extra: Iterable[type] = ()) -> dict[str, type]:
    """The classes that may be rebuilt for a function, by the names that stored bytes have.

    They are the classes that its return annotation names, those of `register_type` so far, those of
    `extra`, and, of each, the classes that the annotations of its fields name. Of two classes of
    one name the first counts. Annotations are resolved now: what is defined later, is not found.

    Args:
        fn: what is called; a class returns its own objects.
        extra: more classes; those that the codec cannot keep are left out.
    """
    found = _Classes()
    if isinstance(run := underlying(fn), type):
        found.add(run)
    found.add(callable_hints(fn).get("return"))
    for cls in (*_registered.values(), *extra):
        found.add(cls)
    return found.registry


class _Classes:
    """Collects the classes that hints name. Each hint is looked at once: they may be circular."""

    def __init__(self) -> None:
        self.registry: dict[str, type] = {}
        self._seen: dict[int, Any] = {}  # keeps what it has seen, so that no id is used again

    def add(self, hint: Any) -> None:
        waiting = [hint]
        while waiting:
            one = waiting.pop()
            if id(one) not in self._seen:
                self._seen[id(one)] = one
                waiting.extend(reversed(list(self._parts(one))))

    def _parts(self, hint: Any) -> Iterable[Any]:
        """The hints in a hint; registers what is a class."""
        if isinstance(hint, list | tuple):  # the parameters of a Callable
            return hint
        origin = typing.get_origin(hint)
        if origin is typing.Annotated:
            return typing.get_args(hint)[:1]
        if origin is typing.Literal:
            return map(type, typing.get_args(hint))
        if origin is not None:
            return (origin, *typing.get_args(hint))
        if isinstance(hint, type):
            return self._parts_of_class(hint)
        # A type variable, a NewType, an alias of the `type` statement.
        parts = [
            typing_attribute(hint, name) for name in ("__bound__", "__supertype__", "__value__")
        ]
        return [*parts, *(typing_attribute(hint, "__constraints__") or ())]

    def _parts_of_class(self, cls: type) -> Iterable[Any]:
        if record_of(cls) is not None:
            self.registry.setdefault(class_name(cls), cls)
        elif not is_typed_dict(cls):
            return
        for base in cls.__mro__:
            for generic in base.__dict__.get("__orig_bases__", ()):
                yield from typing.get_args(generic)
        for _, hint in class_hints(cls):
            yield hint
